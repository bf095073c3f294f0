//! Message framing: lengths, statuses without a body, keep-alive, pipelining, `Expect` (RFC 9112 §6, §9; RFC 9110 §10.1.1).

use crate::harness::{Server, pattern};

#[test]
fn too_few_bytes_do_not_look_whole() {
    let server = Server::start("lengths", &[]);
    for target in ["/list-4", "/list-0", "/blocks-4", "/blocks-0", "/write-4"] {
        let mut connection = server.connect();
        connection.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        match connection.response("GET") {
            Ok(response) => assert_eq!(response.status, 500, "{target}: {response:?}"),
            Err(error) => assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "{target} hangs"),
        }
        server.wait_for_line("Content-Length");
        assert_eq!(server.get("/list-10").expect(200).text(), "xxxxxxxxxx");
    }
    server.stop();
}

#[test]
fn too_many_bytes_never_reach_the_client() {
    let server = Server::start("lengths", &[]);
    for target in ["/list-11", "/blocks-11", "/blocks-5000", "/write-11"] {
        let mut connection = server.connect();
        connection.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        // What is over may show only after the promised bytes are out: then the connection's end is the error.
        match connection.response("GET") {
            Ok(response) if response.status == 200 => {
                assert_eq!(response.body.len(), 10, "{target}");
                connection.assert_closed();
            }
            Ok(response) => assert_eq!(response.status, 500, "{target}: {response:?}"),
            Err(error) => assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "{target} hangs"),
        }
        server.wait_for_line("Content-Length");
    }
    assert_eq!(server.get("/blocks-10").expect(200).text(), "xxxxxxxxxx");
    server.stop();
}

#[test]
fn a_file_shorter_than_promised_does_not_look_whole() {
    let server = Server::start("lengths:file", &[]);
    assert_eq!(server.get("/?length=3").expect(200).text(), "abc");
    assert_eq!(server.get("/?length=2").expect(200).text(), "ab");
    let mut connection = server.connect();
    connection.send("GET /?length=4 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(!connection.response("GET").is_ok_and(|response| response.status == 200));
}

#[test]
fn a_head_request_gets_the_same_head_and_no_body() {
    for app in ["bodiless:bare", "bodiless:application"] {
        let server = Server::start(app, &[]);
        let mut connection = server.connect();
        for target in ["/", "/length", "/generator"] {
            let response = connection.request("HEAD", target, &[], b"").expect(200);
            assert_eq!(response.header("content-type"), Some("text/plain"), "{app} {target}");
            if target == "/length" {
                assert_eq!(response.header("content-length"), Some("12"));
            }
            // A body after the head would be read as this response.
            assert_eq!(connection.get(target).expect(200).text(), "twelve bytes", "{app} {target}");
        }
    }
}

#[test]
fn a_status_without_a_body_has_none() {
    let server = Server::start("bodiless:bare", &[]);
    let mut connection = server.connect();
    for (target, status) in [("/no-content", 204), ("/not-modified", 304)] {
        let response = connection.get(target).expect(status);
        assert_eq!(response.header("transfer-encoding"), None, "{target}");
        assert_eq!(response.header("etag"), Some("\"x\""), "{target}");
        assert_eq!(connection.get("/").expect(200).text(), "twelve bytes", "{target}");
    }
    let no_content = connection.get("/no-content").expect(204);
    assert_eq!(no_content.header("content-length"), None, "RFC 9110 §8.6");
}

#[test]
fn a_connection_serves_many_requests() {
    let server = Server::start("gated", &["--workers", "1"]);
    let mut connection = server.connect();
    for number in 0..20 {
        assert_eq!(connection.get("/").expect(200).text(), number.to_string());
    }
    server.stop();
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Server::start("echo", &["--workers", "2", "--threads", "4"]);
    let mut connection = server.connect();
    let request = |number| format!("POST /read-all HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nb{number}");
    connection.send((0..10).map(request).collect::<Vec<_>>().concat());
    for number in 0..10 {
        let answer = connection.response("POST").unwrap().expect(200).json();
        assert_eq!(answer["pieces"][0], format!("b{number}"));
    }
}

#[test]
fn the_client_decides_whether_the_connection_stays() {
    let server = Server::start("hello", &[]);
    for (head, stays) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", true),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: Close, X-Other\r\n\r\n", false),
        ("GET / HTTP/1.0\r\n\r\n", false),
        ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true),
    ] {
        let mut connection = server.connect();
        connection.send(head);
        assert_eq!(connection.response("GET").unwrap().expect(200).text(), "hello\n", "{head}");
        if stays {
            connection.get("/").expect(200);
        } else {
            connection.assert_closed();
        }
    }
}

#[test]
fn expect_100_continue_is_answered_before_the_body() {
    let server = Server::start("echo", &[]);
    let mut connection = server.connect();
    connection.send("POST /read-all HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    connection.response("POST").unwrap().expect(100);
    connection.send("body");
    assert_eq!(connection.response("POST").unwrap().expect(200).json()["pieces"][0], "body");
    connection.get("/nothing").expect(200);
}

#[test]
fn expect_100_continue_is_not_answered_where_the_body_is_too_large() {
    let server = Server::start("echo", &["--max-body-size", "1KiB"]);
    let mut connection = server.connect();
    connection.send("POST /read-all HTTP/1.1\r\nHost: a\r\nContent-Length: 1025\r\nExpect: 100-continue\r\n\r\n");
    connection.response("POST").unwrap().expect(413);
}

#[test]
fn an_empty_line_before_a_request_is_ignored() {
    let server = Server::start("hello", &[]);
    let mut connection = server.connect();
    connection.send("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    connection.response("GET").unwrap().expect(200);
}

#[test]
fn a_request_may_arrive_in_single_bytes() {
    let server = Server::start("echo", &[]);
    let mut connection = server.connect();
    let request =
        b"POST /read-all HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    for byte in request {
        connection.send([*byte]);
    }
    assert_eq!(connection.response("POST").unwrap().expect(200).json()["pieces"][0], "abcde");
}

#[test]
fn a_large_body_arrives_whole_and_is_answered_whole() {
    let server = Server::start("upload", &["--max-body-size", "8MiB"]);
    let body = pattern(5_000_000);
    let mut connection = server.connect();
    let answer = connection.request("POST", "/", &[], &body).expect(200).json();
    assert_eq!(answer["length"], 5_000_000);
    assert_eq!(answer["adler32"], crate::harness::adler32(&body));
}
