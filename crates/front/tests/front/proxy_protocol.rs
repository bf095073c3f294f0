//! Connections that begin with a PROXY protocol header.

use std::{net::SocketAddr, time::Duration};

use stack_bridge::{Job, Peer};
use stack_config::{Config, Network};
use stack_front::Stop;

use crate::server::{Server, network, respond, wait_until};

const V1: &str = "PROXY TCP4 192.0.2.1 198.51.100.2 4660 443\r\n";
const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn describe(job: Job) {
    let Peer::Tcp(peer) = job.request.peer else { panic!("a TCP peer") };
    let text = format!("{peer} {}:{}", job.request.local.name, job.request.local.port);
    respond(job, text);
}

fn server(configure: impl FnOnce(&mut Config)) -> Server {
    Server::with(
        |config| {
            config.clients.proxy_protocol = true;
            config.clients.trusted_proxies = vec![network("127.0.0.1", 32)];
            configure(config);
        },
        describe,
    )
}

fn binary(version_and_command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[version_and_command, family], &length, block].concat()
}

#[test]
fn the_client_is_the_one_of_the_header() {
    let server = server(|_| {});
    let v4 = [192, 0, 2, 1, 198, 51, 100, 2, 0x12, 0x34, 0x01, 0xbb, 0x04, 0, 1, 0];
    for header in [V1.as_bytes(), &binary(0x21, 0x11, &v4)] {
        let mut client = server.client();
        // In one packet with two requests, and byte by byte.
        client.send([header, GET.as_bytes(), GET.as_bytes()].concat());
        for _ in 0..2 {
            assert_eq!(client.response().text(), "192.0.2.1:4660 198.51.100.2:443");
        }
        let mut client = server.client();
        for byte in [header, GET.as_bytes()].concat() {
            client.send([byte]);
        }
        assert_eq!(client.response().text(), "192.0.2.1:4660 198.51.100.2:443");
    }
}

#[test]
fn the_proxys_own_connections_and_nameless_ones_are_the_proxys() {
    let server = server(|_| {});
    for header in [binary(0x20, 0, b""), binary(0x21, 0, b""), b"PROXY UNKNOWN\r\n".to_vec()] {
        let mut client = server.client();
        let address = client.stream.local_addr().unwrap();
        let response = client.send([&header[..], GET.as_bytes()].concat()).response();
        assert!(response.text().starts_with(&format!("{address} 127.0.0.1:")), "{}", response.text());
    }
}

#[test]
fn a_client_that_the_proxy_does_not_name_is_not_believed() {
    let server = server(|_| {});
    let request = "GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 203.0.113.9\r\n\r\n";
    for (header, believed) in [(binary(0x20, 0, b""), true), (b"PROXY UNKNOWN\r\n".to_vec(), false)] {
        let response = server.client().send([&header[..], request.as_bytes()].concat()).response();
        assert_eq!(response.text().starts_with("203.0.113.9:0 "), believed, "{}", response.text());
    }
    // Nor is a client that it names.
    let response = server.client().send(format!("{V1}{request}")).response();
    assert!(response.text().starts_with("192.0.2.1:4660 "), "{}", response.text());
}

#[test]
fn a_connection_without_a_header_or_with_a_bad_one_is_closed_unheard() {
    let server = server(|_| {});
    let bad = binary(0x21, 0x11, &[0; 11]);
    let cases = [GET.as_bytes(), b"PROXY TCP4 192.0.2.1\r\n GET / HTTP/1.1\r\n\r\n", &bad];
    for (count, bytes) in cases.into_iter().enumerate() {
        let mut client = server.client();
        client.send(bytes);
        assert!(client.is_closed(), "{}", bytes.escape_ascii());
        assert_eq!(server.snapshot().foreign_connections, count as u64 + 1);
    }
    assert_eq!(server.snapshot().requests, 0);
}

#[test]
fn a_peer_that_is_no_proxy_is_closed_unheard() {
    let server = server(|config| config.clients.trusted_proxies = vec![network("10.0.0.1", 32)]);
    let mut client = server.client();
    client.send(format!("{V1}{GET}"));
    assert!(client.is_closed());
    assert_eq!((server.snapshot().requests, server.snapshot().foreign_connections), (0, 1));
}

#[test]
fn a_header_that_does_not_come_has_the_time_of_a_head() {
    let server = server(|config| config.timeouts.header = Duration::from_millis(100));
    for part in ["", "PROXY TCP4 192.0.2.1 "] {
        let mut client = server.client();
        client.send(part);
        assert!(client.is_closed());
    }
    wait_until("no connection left", || server.snapshot().connections == 0);
}

#[test]
fn the_client_of_the_header_is_the_one_that_is_let_in() {
    let server = server(|config| config.clients.deny = vec![network("192.0.2.1", 32)]);
    let mut denied = server.client();
    denied.send(format!("{V1}{GET}"));
    assert!(denied.is_closed());
    let other = V1.replace("192.0.2.1", "192.0.2.2");
    assert_eq!(server.client().send(format!("{other}{GET}")).response().status, 200);
    assert_eq!(server.snapshot().denied_connections, 1);
}

#[test]
fn connections_count_by_the_client_of_the_header() {
    let server = server(|config| config.clients.max_connections_per_address = std::num::NonZero::new(1));
    let mut first = server.client();
    assert_eq!(first.send(format!("{V1}{GET}")).response().status, 200);
    let mut second = server.client();
    second.send(format!("{V1}{GET}"));
    assert!(second.is_closed());
    let other = V1.replace("192.0.2.1", "192.0.2.2");
    assert_eq!(server.client().send(format!("{other}{GET}")).response().status, 200);
    assert_eq!(server.snapshot().crowded_connections, 1);
}

#[test]
fn a_drain_does_not_wait_for_headers() {
    let mut server = server(|config| config.clients.trusted_proxies = vec![Network::Any]);
    let mut client = server.client();
    client.send("PROXY ");
    wait_until("the connection is there", || server.snapshot().connections == 1);
    let mut idle = server.client();
    assert_eq!(idle.send(format!("{V1}{GET}")).response().status, 200);
    server.order(Stop::Draining);
    assert_eq!(server.drained().cut_off, 0);
    assert!(client.is_closed() && idle.is_closed());
}

#[test]
fn a_proxy_may_speak_both_ways_for_a_proxy_behind_it() {
    let inner: SocketAddr = "10.0.0.1:5000".parse().unwrap();
    let server = server(|config| config.clients.trusted_proxies.push(network("10.0.0.1", 32)));
    let header = format!("PROXY TCP4 {} 198.51.100.2 {} 443\r\n", inner.ip(), inner.port());
    let request = "GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 203.0.113.9\r\n\r\n";
    let response = server.client().send(format!("{header}{request}")).response();
    assert!(response.text().starts_with("203.0.113.9:0 "), "{}", response.text());
}
