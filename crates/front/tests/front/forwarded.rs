//! Whom a request is from, where a proxy says so.

use std::fs;

use stack_bridge::{Job, Peer};
use stack_config::{AccessLog, Config, ForwardedHeaders};
use stack_front::Stop;

use crate::server::{Server, network, respond};

const FIELDS: &str = "x-forwarded-for: 203.0.113.9, 192.0.2.1\r\nx-forwarded-proto: https\r\nx-forwarded-host: a.example\r\n\
                      forwarded: for=198.51.100.7;proto=http\r\n";

/// Answers with what the application would see.
fn describe(job: Job) {
    let request = &job.request;
    let peer = match request.peer {
        Peer::Tcp(address) => address.to_string(),
        Peer::Unix => "unix".into(),
    };
    let headers = &request.headers;
    let host = headers.get("host").map_or("none", |host| host.to_str().unwrap());
    let fields = headers.keys().filter(|name| name.as_str().contains("forwarded")).count();
    let text = format!("{peer} {} {} {host} {fields}", request.scheme.as_str(), request.local.port);
    respond(job, text);
}

fn server(proxy: &'static str, configure: impl FnOnce(&mut Config)) -> Server {
    Server::with(
        |config| {
            config.clients.trusted_proxies = vec![network(proxy, 32)];
            configure(config);
        },
        describe,
    )
}

fn get(server: &Server, fields: &str) -> String {
    let mut client = server.client();
    let response = client.send(format!("GET / HTTP/1.1\r\nhost: inner:81\r\n{fields}\r\n")).response();
    assert_eq!(response.status, 200);
    response.text().to_owned()
}

#[test]
fn the_application_sees_the_client_that_its_proxy_names() {
    let server = server("127.0.0.1", |_| {});
    assert_eq!(get(&server, FIELDS), "192.0.2.1:0 https 443 a.example 3");
    let plain = get(&server, "");
    assert!(plain.starts_with("127.0.0.1:") && plain.ends_with(&format!(" http {} inner:81 0", server.address.port())));
}

#[test]
fn a_canonical_host_is_named_with_the_scheme_that_the_client_used() {
    let location = |proxy, fields: &str| {
        let server = server(proxy, |config| config.sites.rules.canonical_host = Some("a.example".into()));
        let mut client = server.client();
        let response = client.send(format!("GET /x HTTP/1.1\r\nhost: www.a.example\r\n{fields}\r\n")).response();
        assert_eq!(response.status, 308);
        response.field("location").unwrap().to_owned()
    };
    let by_tls = "x-forwarded-proto: https\r\n";
    assert_eq!(location("127.0.0.1", by_tls), "https://a.example/x");
    assert_eq!(location("127.0.0.1", ""), "http://a.example/x");
    assert_eq!(location("10.0.0.1", by_tls), "http://a.example/x", "a stranger's word");
}

#[test]
fn the_application_sees_nothing_of_what_a_stranger_says() {
    let server = server("10.0.0.1", |_| {});
    let seen = get(&server, FIELDS);
    assert!(seen.starts_with("127.0.0.1:"), "{seen}");
    assert!(seen.ends_with(&format!(" http {} inner:81 0", server.address.port())), "{seen}");
}

#[test]
fn forwarded_is_believed_where_it_is_asked_for() {
    let server = server("127.0.0.1", |config| config.clients.forwarded_headers = ForwardedHeaders::Forwarded);
    assert_eq!(get(&server, FIELDS), "198.51.100.7:0 http 81 inner:81 1");
}

#[test]
fn a_proxy_that_contradicts_itself_is_refused() {
    let server = server("127.0.0.1", |_| {});
    let mut client = server.client();
    client.send("GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-proto: https\r\nx-forwarded-proto: http\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status, response.field("connection")), (400, Some("close")));
    assert!(client.is_closed());
}

#[test]
fn the_access_log_has_the_clients_address() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    let mut server = server("127.0.0.1", |config| config.log.access = AccessLog::File(path.clone()));
    get(&server, FIELDS);
    server.order(Stop::Draining);
    let _ = server.drained();
    let log = fs::read_to_string(path).unwrap();
    assert!(log.starts_with("192.0.2.1 - - ["), "{log}");
}
