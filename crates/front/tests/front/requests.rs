//! Requests: connections, framing, limits.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    sync::mpsc,
};

use http::header;
use stack_bridge::{Peer, RequestBody};
use stack_config::{Bind, Endpoint};
use stack_front::Stop;

use crate::server::{Server, echo, respond, wait_until};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

#[test]
fn a_connection_is_kept_for_the_next_request() {
    let server = Server::with(|_| {}, echo);
    let mut client = server.client();
    for path in ["/one", "/two?x", "/%20three"] {
        let response = client.get(path);
        assert_eq!((response.status, response.field("server")), (200, Some("stack")));
        assert!(response.field("date").is_some());
        assert_eq!(response.field("connection"), None);
    }
    assert_eq!(client.get("/a%2520?q=%20").text(), "GET /a%20 q=%20 ");
    wait_until("no request in flight", || server.snapshot().in_flight == 0);
    assert_eq!((server.snapshot().connections, server.snapshot().requests), (1, 4));
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Server::with(|_| {}, echo);
    let mut client = server.client();
    let requests: Vec<_> = (0..20).map(|n| format!("GET /{n} HTTP/1.1\r\nhost: a\r\n\r\n")).collect();
    client.send(requests.concat());
    for n in 0..20 {
        assert_eq!(client.response().text(), format!("GET /{n}  "));
    }
}

#[test]
fn http_1_0_closes_unless_asked_to_keep() {
    let server = Server::with(|_| {}, echo);
    let mut client = server.client();
    let response = client.send("GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n").response();
    assert_eq!(response.field("connection"), Some("keep-alive"));
    let response = client.send("GET / HTTP/1.0\r\n\r\n").response();
    assert_eq!(response.text(), "GET /  ");
    assert!(client.is_closed());
}

#[test]
fn expect_continue_sends_100_when_the_body_is_wanted() {
    let server = Server::with(|_| {}, echo);
    let mut client = server.client();
    client.send("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n");
    assert_eq!(client.head(), "HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(client.send("abc").response().text(), "POST /  abc");
}

#[test]
fn a_body_that_is_declared_too_large_is_refused_before_it_is_read() {
    let server = Server::start(|config| config.limits.max_body_size = 10);
    let mut client = server.client();
    client.send("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 11\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status, response.field("connection")), (413, Some("close")));
    assert!(client.is_closed());
}

#[test]
fn a_client_that_sends_a_refused_body_anyway_still_reads_the_answer() {
    let server = Server::start(|config| config.limits.max_body_size = 10);
    let mut client = server.client();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3000000\r\n\r\n");
    client.send(vec![b'x'; 3_000_000]);
    assert_eq!(client.response().status, 413);
}

#[test]
fn a_chunked_body_over_the_limit_is_refused() {
    let server = Server::start(|config| config.limits.max_body_size = 10);
    let mut client = server.client();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nb\r\n01234567890\r\n");
    assert_eq!(client.response().status, 413);
}

#[test]
fn a_chunked_body_arrives_decoded_and_says_that_it_was_chunked() {
    let server = Server::with(
        |_| {},
        |job| {
            let is_chunked = job.request.headers.get(header::TRANSFER_ENCODING).is_some_and(|value| value == "chunked");
            assert_eq!(is_chunked, job.request.method == "POST");
            echo(job);
        },
    );
    let mut client = server.client();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n");
    client.send("2;x=y\r\nde\r\n0\r\nsome: trailer\r\n\r\n");
    assert_eq!(client.response().text(), "POST /  abcde");
    assert_eq!(client.get("/next").text(), "GET /next  ");
}

#[test]
fn a_malformed_chunk_is_refused_and_never_queued() {
    let server = Server::start(|_| {});
    let mut client = server.client();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n");
    let response = client.response();
    assert_eq!((response.status, response.field("connection")), (400, Some("close")));
    assert_eq!(server.queues[0].depth().queued, 0);
}

#[test]
fn a_large_body_is_in_a_file_and_a_small_one_in_memory() {
    let (kinds, kind) = mpsc::channel();
    let server = Server::with(
        |_| {},
        move |job| {
            kinds.send(matches!(job.request.body, RequestBody::File { .. })).unwrap();
            echo(job);
        },
    );
    let mut client = server.client();
    for (length, in_file) in [(1024, false), (1025, true), (700_000, true)] {
        client.send(format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n"));
        let body: Vec<u8> = (0..length).map(|n| b'a' + u8::try_from(n % 26).unwrap()).collect();
        client.send(&body);
        assert_eq!(client.response().body[8..], body);
        assert_eq!(kind.recv().unwrap(), in_file, "{length}");
    }
}

#[test]
fn a_body_that_can_not_be_stored_fails_that_request_only() {
    let server = Server::with(|config| config.limits.temp_dir = "/nonexistent".into(), echo);
    let mut client = server.client();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2000\r\n\r\n").send(vec![b'x'; 2000]);
    assert_eq!(client.response().status, 507);
    assert_eq!(server.client().get("/").status, 200);
}

#[test]
fn malformed_requests_are_refused_and_their_connection_closed() {
    let server = Server::with(|_| {}, echo);
    for request in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a/b\r\n\r\n",
        "GET * HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n",
        "GET http://b/ HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nname : x\r\n\r\n",
        "nonsense\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n",
        "POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        let mut client = server.client();
        assert_eq!(client.send(request).response().status, 400, "{request}");
        assert!(client.is_closed(), "{request}");
    }
    assert_eq!(server.queues[0].depth().queued, 0);
}

#[test]
fn connect_is_not_implemented_and_options_of_the_server_is() {
    let server = Server::start(|_| {});
    let response = server.client().send("CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n").response();
    assert_eq!(response.status, 501);
    let response = server.client().send("OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n").response();
    assert_eq!(response.status, 204);
}

#[test]
fn a_head_over_the_limit_is_refused() {
    let server = Server::start(|_| {});
    let mut client = server.client();
    client.send(format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "x".repeat(64 * 1024)));
    assert_eq!(client.response().status, 431);
}

#[test]
fn the_absolute_form_reaches_the_application_as_sent() {
    let server = Server::with(
        |_| {},
        |job| {
            let target = job.request.target.clone();
            respond(job, target);
        },
    );
    let response = server.client().send("GET http://a/x?y HTTP/1.1\r\nhost: a\r\n\r\n").response();
    assert_eq!(response.text(), "http://a/x?y");
}

#[test]
fn an_idle_connection_gives_way_when_there_is_no_room() {
    let server = Server::with(|config| config.limits.max_connections = 1.try_into().unwrap(), echo);
    let mut first = server.client();
    assert_eq!(first.send(GET).response().status, 200);
    let mut second = server.client();
    assert_eq!(second.send(GET).response().status, 200);
    assert!(first.is_closed());
}

#[test]
fn a_unix_socket_serves_as_a_port_does() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let bind = Endpoint::plain(Bind::Unix(path.clone()));
    let mut server = Server::with(
        |config| config.bind.push(bind),
        |job| {
            assert_eq!((job.request.peer, job.request.local.port.as_str()), (Peer::Unix, "80"));
            echo(job);
        },
    );
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(b"GET /x HTTP/1.0\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    assert!(response.ends_with("\r\n\r\nGET /x  "), "{response}");
    server.order(Stop::Draining);
    let _ = server.drained();
    assert!(!path.exists());
}
