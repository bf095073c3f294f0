//! Who a client is, and what it may.

use std::path::Path;

use crate::harness::{Connection, Gate, Server, eventually, serve};

const FORWARDED: &[(&str, &str)] = &[
    ("X-Forwarded-For", "203.0.113.9, 192.0.2.1"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "shop.example"),
];

#[test]
fn the_environ_is_that_of_the_client_behind_a_trusted_proxy() {
    let server = Server::start("environment", &["--trusted-proxies", "127.0.0.0/8"]);
    let environ = server.connect().request("GET", "/", FORWARDED, b"").expect(200).json();
    for (key, value) in [
        ("REMOTE_ADDR", "192.0.2.1"),
        ("wsgi.url_scheme", "https"),
        ("SERVER_PORT", "443"),
        ("HTTP_HOST", "shop.example"),
        ("HTTP_X_FORWARDED_FOR", "203.0.113.9, 192.0.2.1"),
    ] {
        assert_eq!(environ[key], value, "{key}");
    }
    assert_eq!(environ.get("REMOTE_PORT"), None, "the proxy does not tell it");
    let line = server.wait_for_line("GET / HTTP/1.1");
    assert!(line.starts_with("192.0.2.1 - - ["), "{line}");
    server.stop();
}

#[test]
fn the_environ_of_anybody_else_has_no_word_of_it() {
    let server = Server::start("environment", &["--trusted-proxies", "10.0.0.0/8"]);
    let environ = server.connect().request("GET", "/", FORWARDED, b"").expect(200).json();
    assert_eq!((&environ["REMOTE_ADDR"], &environ["wsgi.url_scheme"]), (&"127.0.0.1".into(), &"http".into()));
    assert_eq!(environ["HTTP_HOST"], "localhost");
    let keys: Vec<_> = environ.as_object().unwrap().keys().filter(|key| key.contains("FORWARDED")).collect();
    assert!(keys.is_empty(), "{keys:?}");
}

#[test]
fn a_proxy_on_a_unix_socket_is_believed_where_it_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.sock");
    let unix = format!("unix:{}", path.display());
    let server = Server::start("environment", &["--bind", &unix, "--trusted-proxies", "unix"]);
    let environ = Connection::unix(Path::new(&path)).request("GET", "/", FORWARDED, b"").expect(200).json();
    assert_eq!(environ["REMOTE_ADDR"], "192.0.2.1");
    server.stop();
}

#[test]
fn the_proxy_protocol_tells_the_client_and_what_it_connected_to() {
    let server = Server::start("environment", &["--proxy-protocol", "--trusted-proxies", "127.0.0.1"]);
    let mut connection = server.connect();
    connection.send("PROXY TCP6 2001:db8::1 2001:db8::2 4660 443\r\n");
    let environ = connection.get("/").expect(200).json();
    for (key, value) in [
        ("REMOTE_ADDR", "2001:db8::1"),
        ("REMOTE_PORT", "4660"),
        ("SERVER_NAME", "2001:db8::2"),
        ("SERVER_PORT", "443"),
    ] {
        assert_eq!(environ[key], value, "{key}");
    }
    let mut without = server.connect();
    without.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    without.assert_closed();
    server.stop();
}

#[test]
fn a_client_over_its_rate_is_refused_and_the_application_not_asked() {
    let server = Server::start("gated", &["--rate-limit", "2/h"]);
    let mut connection = server.connect();
    assert_eq!(connection.get("/").expect(200).text(), "0");
    assert_eq!(connection.get("/").expect(200).text(), "1");
    let refused = connection.get("/").expect(429);
    assert!(refused.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().unwrap() > 0), "{refused:?}");
}

#[test]
fn a_queue_that_stands_still_is_not_waited_for() {
    let gate = Gate::new();
    let server = Server::start("gated", &["--workers", "1", "--threads", "1", "--queue-target", "20ms"]);
    let request = format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", gate.target("/"));
    let mut running = server.connect();
    running.send(&request);
    let held = gate.entered();
    let mut waiting = Vec::new();
    // The first to wait have their place; after five targets the next is refused at once, though the queue has room.
    let mut refused = eventually("a refusal", || {
        let mut connection = server.connect();
        connection.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        if connection.has_input() {
            return Some(connection);
        }
        waiting.push(connection);
        waiting.iter_mut().position(Connection::has_input).map(|place| waiting.swap_remove(place))
    });
    let response = refused.response("GET").unwrap().expect(503);
    assert_eq!(response.header("retry-after"), Some("1"));
    held.release();
    running.response("GET").unwrap().expect(200);
    for mut connection in waiting {
        let status = connection.response("GET").unwrap().status;
        assert!([200, 503].contains(&status), "{status}");
    }
    server.get("/").expect(200);
    server.stop();
}

#[test]
fn security_fields_are_added_on_demand() {
    let server = Server::start("hello", &["--security-headers"]);
    let response = server.get("/").expect(200);
    assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(response.header("x-frame-options"), Some("SAMEORIGIN"));
    assert_eq!(response.header("referrer-policy"), Some("strict-origin-when-cross-origin"));
}

#[test]
fn a_proxy_protocol_that_nobody_may_speak_is_an_error_at_the_start() {
    serve("hello", &["--proxy-protocol"]).run().expect(64).says(&["proxy_protocol", "trusted_proxies"]);
}
