//! `wsgi.input` (PEP 3333 "Input and Error Streams").

use serde_json::json;

use crate::harness::{Connection, Server, pattern};

/// Sends `body` with a length, or in chunks of the given size.
fn send(connection: &mut Connection, target: &str, body: &[u8], chunks: Option<usize>) {
    let framing = match chunks {
        None => format!("Content-Length: {}", body.len()),
        Some(_) => "Transfer-Encoding: chunked".to_owned(),
    };
    connection.send(format!("POST {target} HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n"));
    let Some(size) = chunks else { return connection.send(body) };
    for chunk in body.chunks(size) {
        connection.send(format!("{:x};ext=\"1\"\r\n", chunk.len()));
        connection.send(chunk);
        connection.send("\r\n");
    }
    connection.send("0\r\nX-Trailer: ignored\r\n\r\n");
}

/// What the application read, by target, from a body of three lines.
const THREE_LINES: &[(&str, &[&str])] = &[
    ("/read-all", &["one\ntwo\nthree"]),
    ("/read-5", &["one\nt", "wo\nth", "ree"]),
    ("/read-0", &["", "", "one"]),
    ("/read-none", &["one\ntwo\nthree"]),
    ("/readline", &["one\n", "two\n", "three"]),
    ("/readline-4", &["one\n", "two\n", "thre", "e"]),
    ("/readlines", &["one\n", "two\n", "three"]),
    ("/readlines-hint", &["one\n", "--", "two\n", "three"]),
    ("/iterate", &["one\n", "two\n", "three"]),
    ("/iterate-then-read", &["one\n", "two\nthree"]),
    ("/past-the-end", &["one\ntwo\nthree", "", "", ""]),
    ("/nothing", &[]),
    ("/bare-read", &["one\ntwo\nthree", ""]),
    ("/bare-readline", &["one\n", "two\n", "three"]),
];

#[test]
fn every_way_of_reading_gives_the_same_bytes() {
    for app in ["echo:bare", "echo:application"] {
        let server = Server::start(app, &[]);
        let mut connection = server.connect();
        for (target, pieces) in THREE_LINES {
            // wsgiref's validator refuses a call without an argument.
            if app == "echo:application" && target.starts_with("/bare") {
                continue;
            }
            for chunks in [None, Some(1), Some(5)] {
                send(&mut connection, target, b"one\ntwo\nthree", chunks);
                let answer = connection.response("POST").unwrap().expect(200).json();
                assert_eq!(answer["pieces"], json!(pieces), "{app} {target}, chunks: {chunks:?}");
                // The body is complete before the application starts, so its length is always known.
                assert_eq!(answer["content_length"], "13", "{app} {target}, chunks: {chunks:?}");
            }
        }
        server.stop();
    }
}

#[test]
fn a_body_on_disk_reads_like_one_in_memory() {
    let server = Server::start("echo:bare", &["--body-buffer-size", "64KiB"]);
    let body: Vec<u8> = (0..30_000).flat_map(|line| format!("line {line}\n").into_bytes()).collect();
    let mut connection = server.connect();
    for chunks in [None, Some(1000)] {
        for (target, number) in
            [("/read-all", 1), ("/read-64k", body.len().div_ceil(65536)), ("/readline", 30_000), ("/iterate", 30_000)]
        {
            send(&mut connection, target, &body, chunks);
            let answer = connection.response("POST").unwrap().expect(200).json();
            let pieces: Vec<_> =
                answer["pieces"].as_array().unwrap().iter().map(|piece| piece.as_str().unwrap()).collect();
            assert_eq!(pieces.len(), number, "{target}, chunks: {chunks:?}");
            assert!(pieces.concat().into_bytes() == body, "{target}, chunks: {chunks:?}");
        }
    }
}

#[test]
fn without_a_body_there_is_nothing_to_read() {
    let server = Server::start("echo", &[]);
    let mut connection = server.connect();
    for target in ["/read-5", "/readline", "/readlines", "/iterate"] {
        let answer = connection.get(target).expect(200).json();
        assert_eq!(answer["pieces"], json!([]), "{target}");
        assert_eq!(answer["input_terminated"], true);
    }
    assert_eq!(connection.get("/read-all").expect(200).json()["pieces"], json!([""]));
}

#[test]
fn a_body_that_is_not_read_does_not_disturb_the_next_request() {
    let server = Server::start("echo", &[]);
    let mut connection = server.connect();
    send(&mut connection, "/nothing", &pattern(300_000), None);
    connection.response("POST").unwrap().expect(200);
    send(&mut connection, "/read-all", b"next", None);
    assert_eq!(connection.response("POST").unwrap().expect(200).json()["pieces"], json!(["next"]));
}

#[test]
fn an_input_expires_with_its_request() {
    let server = Server::start("stale_input", &[]);
    let mut connection = server.connect();
    connection.request("POST", "/keep", &[], b"private words").expect(200);
    for target in ["/read", "/readline", "/readlines", "/next"] {
        let answer = connection.request("POST", target, &[], b"other words").expect(200);
        assert!(answer.text().starts_with("raised "), "{target}: {}", answer.text());
    }
}
