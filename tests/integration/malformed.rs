//! Requests that a front must refuse (RFC 9112), and that never reach the application.

use std::io::ErrorKind;

use crate::harness::Server;

/// A name, the bytes, and the statuses that are right.
const MALFORMED: &[(&str, &[u8], &[u16])] = &[
    ("no Host", b"GET / HTTP/1.1\r\n\r\n", &[400]),
    ("two Hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", &[400]),
    ("a Host with a path", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", &[400]),
    ("a Host with a space", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", &[400]),
    ("two Hosts in HTTP/1.0", b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", &[400]),
    ("two lengths", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", &[400]),
    ("a list of lengths", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 2\r\n\r\nab", &[400]),
    ("a negative length", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", &[400]),
    ("a signed length", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na", &[400]),
    ("a length in words", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: one\r\n\r\na", &[400]),
    ("a hexadecimal length", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\na", &[400]),
    ("an empty length", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n", &[400]),
    (
        "a length over 64 bits",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551617\r\n\r\na",
        &[400, 413],
    ),
    ("an unknown coding", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", &[400, 501]),
    ("chunked not last", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", &[400, 501]),
    (
        "chunked twice",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        &[400, 501],
    ),
    ("chunked, misspelled", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", &[400, 501]),
    ("chunks in HTTP/1.0", b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", &[400]),
    (
        "a chunk size that is no number",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        &[400],
    ),
    ("a negative chunk size", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n", &[400]),
    (
        "a chunk size over 64 bits",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000001\r\na\r\n0\r\n\r\n",
        &[400, 413],
    ),
    (
        "a chunk longer than its size",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
        &[400],
    ),
    (
        "a chunk size ended by LF",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n",
        &[400],
    ),
    ("bare CR in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", &[400]),
    ("NUL in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", &[400]),
    ("a space before the colon", b"GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", &[400]),
    ("a space before the length's colon", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 1\r\n\r\na", &[400]),
    ("a folded value", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", &[400]),
    ("a field that begins with a space", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", &[400]),
    ("a field without a colon", b"GET / HTTP/1.1\r\nHost: a\r\nnothing\r\n\r\n", &[400]),
    ("a field without a name", b"GET / HTTP/1.1\r\nHost: a\r\n: value\r\n\r\n", &[400]),
    ("a name that is no token", b"GET / HTTP/1.1\r\nHost: a\r\nX(y): z\r\n\r\n", &[400]),
    ("GET of an asterisk", b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    ("GET of an authority", b"GET a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", &[400]),
    ("a target without a slash", b"GET index HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    ("a target with a space", b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    ("a target with a control character", b"GET /a\x01b HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    ("no target", b"GET HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    ("a method that is no token", b"G@T / HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    ("no version", b"GET /\r\n\r\n", &[400]),
    ("version 2.0", b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", &[400, 505]),
    ("version 3.7", b"GET / HTTP/3.7\r\nHost: a\r\n\r\n", &[400, 505]),
    ("another protocol's version", b"GET / FTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    ("a version in lower case", b"GET / http/1.1\r\nHost: a\r\n\r\n", &[400]),
    ("CONNECT", b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", &[400, 405, 501]),
    ("a TLS greeting", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", &[400]),
    ("noise", b"\xff\xfe\x00\x01 \x80\x81\r\n\r\n", &[400]),
];

#[test]
fn a_malformed_request_is_refused_and_the_worker_serves_the_next() {
    let server = Server::start("gated", &["--workers", "1", "--threads", "1"]);
    let mut wrong = Vec::new();
    for (number, (name, request, statuses)) in MALFORMED.iter().enumerate() {
        let mut connection = server.connect();
        connection.send(request);
        // A smuggled request behind it must find nobody who reads it.
        connection.send("GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
        match connection.response("GET") {
            Ok(response) if statuses.contains(&response.status) => {
                let rest = connection.rest();
                if !rest.is_empty() {
                    wrong.push(format!(
                        "{name}: goes on after {}: {}",
                        response.status,
                        String::from_utf8_lossy(&rest)
                    ));
                }
            }
            Ok(response) => wrong.push(format!("{name}: {}", response.status)),
            Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => {}
            Err(error) => wrong.push(format!("{name}: {error}")),
        }
        let ran = server.get("/").expect(200);
        if ran.text() != number.to_string() && wrong.is_empty() {
            wrong.push(format!("{name}: reached the application"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    server.stop();
}

#[test]
fn a_malformed_request_is_answered_not_only_cut() {
    let server = Server::start("hello", &[]);
    for (name, request, statuses) in MALFORMED.iter().filter(|(_, _, statuses)| statuses == &[400]).take(8) {
        let mut connection = server.connect();
        connection.send(request);
        let response = connection.response("GET").unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(statuses.contains(&response.status), "{name}: {}", response.status);
        assert!(response.closes(), "{name}: {response:?}");
    }
}

#[test]
fn an_asterisk_may_be_asked_for_its_options() {
    let server = Server::start("environment", &[]);
    let response = server.connect().request("OPTIONS", "*", &[], b"");
    assert!(response.status < 500, "{response:?}");
    server.get("/").expect(200);
}
