//! What stands between the socket and whoever answers.

use std::fs;

use stack_config::AccessLog;
use stack_front::Stop;

use crate::server::{Server, echo, wait_until};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

#[test]
fn a_refused_request_has_its_place_behind_those_before_it() {
    let server = Server::with(|_| {}, echo);
    let mut client = server.client();
    client.send(
        "GET /one HTTP/1.1\r\nhost: a\r\n\r\nGET /two HTTP/1.1\r\nhost: a\r\n\r\nGET /three HTTP/1.1\r\n\r\nGET /four",
    );
    assert_eq!(client.response().text(), "GET /one  ");
    assert_eq!(client.response().text(), "GET /two  ");
    let refused = client.response();
    assert_eq!((refused.status, refused.field("connection")), (400, Some("close")));
    assert!(client.is_closed());
    assert_eq!(server.snapshot().requests, 3);
}

#[test]
fn a_refused_request_is_logged_with_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    let mut server = Server::with(|config| config.log.access = AccessLog::File(path.clone()), echo);
    server.client().send("G\x01T /x HTTP/1.1\r\n").rest();
    server.order(Stop::Draining);
    let _ = server.drained();
    let log = fs::read_to_string(path).unwrap();
    assert!(log.contains("] \"G\\x01T /x HTTP/1.1\" 400 12 \"-\""), "{log}");
}

#[test]
fn each_limit_of_a_head_has_its_status() {
    let configure = |config: &mut stack_config::Config| {
        config.limits.max_request_line_size = std::num::NonZero::new(100).unwrap();
        config.limits.max_header_fields = std::num::NonZero::new(120).unwrap();
        config.limits.max_head_size = std::num::NonZero::new(4096).unwrap();
    };
    let server = Server::with(configure, echo);
    let head = |target: &str, fields: &str| format!("GET {target} HTTP/1.1\r\nhost: a\r\n{fields}\r\n");
    for (request, status) in [
        (head(&format!("/{}", "a".repeat(84)), ""), 200),
        (head(&format!("/{}", "a".repeat(90)), ""), 414),
        (head("/", &"a: b\r\n".repeat(119)), 200),
        (head("/", &"a: b\r\n".repeat(120)), 431),
        (head("/", &format!("a: {}\r\n", "b".repeat(4000))), 200),
        (head("/", &format!("a: {}\r\n", "b".repeat(4096))), 431),
    ] {
        let mut client = server.client();
        assert_eq!(client.send(&request).response().status, status, "{}", &request[..40]);
        assert!(status == 200 || client.is_closed());
    }
}

#[test]
fn a_head_larger_than_any_buffer_passes_where_it_may() {
    let server = Server::with(|config| config.limits.max_head_size = std::num::NonZero::new(200_000).unwrap(), echo);
    let mut client = server.client();
    for _ in 0..2 {
        client.send(format!("GET /large HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(150_000)));
        assert_eq!(client.response().text(), "GET /large  ");
    }
}

#[test]
fn a_request_reads_the_same_byte_by_byte() {
    let server = Server::with(|_| {}, echo);
    let mut client = server.client();
    let request =
        "\r\nPOST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3;x=\"y\"\r\nabc\r\n0\r\nt: u\r\n\r\n";
    client.stream.set_nodelay(true).unwrap();
    for byte in request.as_bytes() {
        client.send([*byte]);
    }
    assert_eq!(client.response().text(), "POST /a  abc");
    assert_eq!(client.get("/b").text(), "GET /b  ");
}

#[test]
fn a_broken_chunk_is_refused_before_the_application_runs() {
    let server = Server::with(|_| {}, |_| panic!("no application sees this"));
    for body in ["3\nabc\r\n0\r\n\r\n", "3\r\nabcd\r\n", "3\r\nabc\r\n0\r\ncontent-length: 3\r\n\r\n"] {
        let mut client = server.client();
        client.send(format!("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{body}"));
        let response = client.response();
        assert_eq!((response.status, response.field("connection")), (400, Some("close")), "{body:?}");
        assert!(client.is_closed());
    }
}

#[test]
fn an_idle_connection_is_parked_and_comes_back() {
    let server = Server::with(|_| {}, echo);
    let fresh = server.client();
    let mut client = server.client();
    assert_eq!(client.get("/").status, 200);
    for _ in 0..2 {
        wait_until("both are parked", || server.snapshot().parked == 2);
        assert_eq!(client.send(GET.repeat(2)).response().status, 200);
        assert_eq!(client.response().status, 200);
    }
    drop(fresh);
    drop(client);
    wait_until("none is left", || server.snapshot().connections == 0 && server.snapshot().parked == 0);
}
