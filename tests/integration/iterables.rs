//! What an application returns, and how it is framed.

use crate::harness::{Gate, Server};

#[test]
fn every_kind_of_iterable_is_sent() {
    for app in ["iterables:bare", "iterables:application"] {
        let server = Server::start(app, &[]);
        let mut connection = server.connect();
        for (target, body) in [
            ("/one", "one block"),
            ("/list", "one two three"),
            ("/tuple", "one two"),
            ("/nothing", ""),
            ("/empty-block", ""),
            ("/empty-between", "one two"),
            ("/generator", "one two three"),
            ("/iterator", "one two"),
            ("/sequence", "old style"),
        ] {
            assert_eq!(connection.get(target).expect(200).text(), body, "{app} {target}");
        }
        assert_eq!(connection.get("/large").expect(200).body, vec![b'x'; 3_000_000]);
        let many: Vec<_> = (0..20_000).map(|number| format!("{number:06}\n")).collect();
        assert!(connection.get("/many").expect(200).text() == many.concat());
        server.stop();
    }
}

#[test]
fn a_length_is_added_where_it_is_known_and_chunks_are_used_where_not() {
    let server = Server::start("iterables:bare", &[]);
    let mut connection = server.connect();
    for (target, length) in [("/one", "9"), ("/nothing", "0"), ("/empty-block", "0"), ("/large", "3000000")] {
        let response = connection.get(target).expect(200);
        assert_eq!(response.header("content-length"), Some(length), "{target}");
        assert_eq!(response.header("transfer-encoding"), None, "{target}");
    }
    let response = connection.get("/many").expect(200);
    assert_eq!(response.header("content-length"), None);
    assert_eq!(response.header("transfer-encoding"), Some("chunked"));
    assert!(!response.closes());
}

#[test]
fn an_http_1_0_client_gets_no_chunks() {
    let server = Server::start("iterables:bare", &[]);
    for head in ["GET /many HTTP/1.0\r\n\r\n", "GET /many HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"] {
        let mut connection = server.connect();
        connection.send(head);
        let response = connection.response("GET").unwrap().expect(200);
        assert_eq!(response.header("transfer-encoding"), None);
        assert_eq!(response.body.len(), 140_000);
        connection.assert_closed();
    }
}

#[test]
fn what_is_not_bytes_is_an_error_with_a_clear_message() {
    let server = Server::start("iterables:bare", &[]);
    for (target, message) in [
        ("/str", "str"),
        ("/int", "int"),
        ("/bytearray", "bytearray"),
        ("/array", "array"),
        ("/none", "NoneType"),
        ("/no-iterable", "int"),
    ] {
        server.get(target).expect(500);
        server.wait_for_line(message);
        assert_eq!(server.get("/one").expect(200).text(), "one block");
    }
    let mut connection = server.connect();
    connection.send("GET /str-later HTTP/1.1\r\nHost: a\r\n\r\n");
    let response = connection.response("GET");
    assert!(!response.is_ok_and(|response| response.status == 200), "a response cut short must not look whole");
    server.stop();
}

#[test]
fn a_head_may_come_with_the_first_iteration() {
    let server = Server::start("iterables:late", &[]);
    let response = server.get("/").expect(202);
    assert_eq!(response.reason, "Accepted");
    assert_eq!(response.text(), "late start");
}

#[test]
fn a_block_without_a_head_is_an_error() {
    for app in ["iterables:never", "iterables:silent"] {
        let server = Server::start(app, &[]);
        server.get("/").expect(500);
        server.wait_for_line("start_response");
        server.stop();
    }
}

#[test]
fn each_block_is_sent_as_it_comes() {
    let gate = Gate::new();
    let server = Server::start("stream", &[]);
    for target in ["/", "/?unbuffered=1"] {
        let mut connection = server.connect();
        connection.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", gate.target(target)));
        let held = gate.entered();
        let head = connection.response_head().unwrap().expect(200);
        assert_eq!(head.header("transfer-encoding"), Some("chunked"));
        assert_eq!(connection.chunk().unwrap().as_deref(), Some(&b"block 0\n"[..]));
        held.release();
        let mut rest = Vec::new();
        while let Some(chunk) = connection.chunk().unwrap() {
            rest.extend(chunk);
        }
        assert_eq!(rest, b"block 1\nblock 2\n");
    }
    server.stop();
}

#[test]
fn write_goes_out_before_the_iterable() {
    for app in ["writer:bare", "writer:application"] {
        let server = Server::start(app, &[]);
        for target in ["/", "/length"] {
            let response = server.get(target).expect(200);
            assert_eq!(response.text(), "written in two, then iterated");
        }
    }
}

#[test]
fn write_sends_at_once() {
    let gate = Gate::new();
    let server = Server::start("writer", &[]);
    let mut connection = server.connect();
    connection.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", gate.target("/")));
    let held = gate.entered();
    connection.response_head().unwrap().expect(200);
    assert_eq!(connection.chunk().unwrap().as_deref(), Some(&b"written "[..]));
    held.release();
}

#[test]
fn writing_text_is_an_error() {
    let server = Server::start("writer:bare", &[]);
    let mut connection = server.connect();
    connection.send("GET /str HTTP/1.1\r\nHost: a\r\n\r\n");
    let response = connection.response("GET");
    assert!(!response.is_ok_and(|response| response.status == 200));
    server.wait_for_line("bytes");
}
