//! What a connection with TLS has of its own, and what it has in common with others.

use std::{
    io::{ErrorKind, Read, Write},
    sync::mpsc,
    time::Duration,
};

use stack_bridge::Job;
use stack_config::TlsVersion;
use stack_front::Stop;

use super::{Encrypted, tell};
use crate::{
    client::Client,
    pki::{Authority, with_tls},
    server::{Server, echo, respond, wait_until},
};

const SHORT: Duration = Duration::from_millis(100);

#[test]
fn the_application_is_told_of_the_encryption() {
    let encrypted = Encrypted::start(|_| {}, tell);
    let mut client = encrypted.client();
    let expected = "scheme https\nTLSv1.3 TLS_AES_256_GCM_SHA384 Some(\"localhost\")\nnobody";
    // Twice: the connection is kept.
    assert_eq!(client.get("/").text(), expected);
    assert_eq!(client.get("/").text(), expected);
    let old = encrypted.authority.trusted_by().by_tls12().config();
    let mut client = Client::with_tls(encrypted.server.address, "LocalHost", &old).unwrap();
    let expected = "scheme https\nTLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384 Some(\"localhost\")\nnobody";
    assert_eq!(client.get("/").text(), expected);
}

#[test]
fn a_client_gets_the_certificate_of_the_name_it_asks_for() {
    let authority = Authority::new("root");
    let folder = tempfile::tempdir().unwrap();
    let pairs = [("default", "default.test"), ("wild", "*.shop.test"), ("exact", "www.shop.test")];
    let pairs = pairs.map(|(file, name)| (file, authority.server(&[name])));
    let files = pairs.iter().map(|(file, pair)| pair.write(folder.path(), file)).collect();
    let server = Server::with(|config| with_tls(config, files), echo);
    let trust = authority.trusted_by().config();
    for (name, expected) in [("default.test", 0), ("a.shop.test", 1), ("www.shop.test", 2), ("WWW.shop.test", 2)] {
        let client = Client::with_tls(server.address, name, &trust).unwrap();
        let shown = client.tls.as_ref().unwrap().peer_certificates().unwrap();
        assert_eq!(shown[0], pairs[expected].1.certificate, "{name}");
    }
    // Its own certificate is shown for any other name, and no name at all; this client refuses it for that.
    Client::with_tls(server.address, "other.test", &trust).err().expect("a name that the certificate does not have");
}

#[test]
fn bodies_of_any_size_cross_whole_in_both_directions() {
    let limits = |config: &mut stack_config::Config| config.limits.max_body_size = 8 << 20;
    let encrypted = Encrypted::start(limits, echo);
    let mut client = encrypted.client();
    let body: Vec<u8> = (0..5_000_000_u32).map(|number| u8::try_from(number % 251).unwrap()).collect();
    client.send(format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len()));
    client.send(&body);
    let response = client.response();
    assert_eq!(response.status, 200);
    assert!(response.body.ends_with(&body), "{} bytes", response.body.len());
    assert_eq!(client.get("/again").status, 200);
}

#[test]
fn a_closing_server_ends_the_encryption_first() {
    let encrypted = Encrypted::start(|_| {}, echo);
    let mut client = encrypted.client();
    client.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    assert_eq!(client.response().status, 200);
    assert!(client.is_closed());
    assert!(client.was_told_of_end, "else a client could not tell the end from a cut");
}

#[test]
fn a_client_that_closes_without_a_word_is_no_trouble() {
    let encrypted = Encrypted::start(|_| {}, echo);
    let mut client = encrypted.client();
    assert_eq!(client.get("/").status, 200);
    client.shut_down_sending();
    assert!(client.is_closed());
    assert!(client.was_told_of_end);
    wait_until("the connection is closed", || encrypted.server.snapshot().connections == 0);
}

#[test]
fn plain_http_is_told_that_it_is_at_the_wrong_port() {
    let encrypted = Encrypted::start(|_| {}, echo);
    let mut client = encrypted.server.client();
    let response = client.get("/");
    assert_eq!((response.status, response.field("connection")), (400, Some("close")));
    assert_eq!(response.text(), "This port speaks HTTPS. Write https:// in place of http://.\r\n");
    assert!(client.is_closed());
    assert_eq!(encrypted.server.snapshot().requests, 0);
}

#[test]
fn a_client_that_does_not_shake_hands_is_closed_and_keeps_nobody_waiting() {
    let encrypted = Encrypted::start(|config| config.tls.handshake_timeout = SHORT * 5, echo);
    let mut silent = encrypted.server.client();
    let mut slow = encrypted.server.client();
    slow.send([22, 3, 1]);
    assert_eq!(encrypted.client().get("/").status, 200);
    assert!(silent.is_closed());
    assert!(slow.is_closed());
    assert_eq!(encrypted.client().get("/").status, 200);
}

/// A client's first message in a version, without any extension.
fn hello(minor: u8) -> Vec<u8> {
    let mut body = vec![3, minor];
    body.extend([7; 32]);
    // No session; TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA and TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256; no compression.
    body.extend([0, 0, 4, 0xc0, 0x09, 0xc0, 0x2b, 1, 0]);
    let length = u8::try_from(body.len()).unwrap();
    [vec![22, 3, 1, 0, length + 4, 1, 0, 0, length], body].concat()
}

#[test]
fn versions_that_are_broken_are_refused_with_an_alert() {
    let encrypted = Encrypted::start(|_| {}, echo);
    // RFC 8446 §6: a fatal alert, handshake_failure or protocol_version.
    for minor in [0, 1, 2] {
        let mut client = encrypted.server.client();
        client.send(hello(minor));
        let answer = client.rest();
        assert!(matches!(answer[..], [21, 3, _, 0, 2, 2, 40 | 70]), "version 3.{minor}: {answer:?}");
    }
}

#[test]
fn tls_1_2_can_be_refused() {
    let encrypted = Encrypted::start(|config| config.tls.min_version = TlsVersion::Tls13, echo);
    assert_eq!(encrypted.client().get("/").status, 200);
    let old = encrypted.authority.trusted_by().by_tls12().config();
    let error = Client::with_tls(encrypted.server.address, "localhost", &old).err().expect("refused");
    assert!(error.to_string().contains("ProtocolVersion"), "{error}");
}

#[test]
fn nonsense_is_answered_with_an_alert() {
    let encrypted = Encrypted::start(|_| {}, echo);
    for nonsense in [&[22, 3, 1, 0, 4, 99, 0, 0, 0][..], &[0; 64], &[0x80, 0x2e, 1, 0, 2], &[0xff; 4096]] {
        let mut client = encrypted.server.client();
        client.send(nonsense);
        client.shut_down_sending();
        let answer = client.rest();
        assert!(answer.is_empty() || answer[0] == 21, "{answer:?}");
    }
    assert_eq!(encrypted.client().get("/").status, 200);
}

#[test]
fn http_1_1_is_agreed_on() {
    let encrypted = Encrypted::start(|_| {}, echo);
    let mut offers = (*encrypted.trust).clone();
    offers.alpn_protocols = vec![b"http/1.1".to_vec()];
    let client = Client::with_tls(encrypted.server.address, "localhost", &offers.clone().into()).unwrap();
    assert_eq!(client.tls.as_ref().unwrap().alpn_protocol(), Some(&b"http/1.1"[..]));
    offers.alpn_protocols = vec![b"gopher".to_vec()];
    Client::with_tls(encrypted.server.address, "localhost", &offers.into()).err().expect("nothing in common");
}

#[test]
fn a_slow_head_is_answered_with_408() {
    let encrypted = Encrypted::start(|config| config.timeouts.header = SHORT, echo);
    let mut client = encrypted.client();
    client.send("GET / HTTP/1.1\r\n");
    assert_eq!(client.response().status, 408);
    assert!(client.is_closed());
    assert!(client.was_told_of_end);
}

#[test]
fn an_idle_connection_is_closed_politely() {
    // Before and after what it takes to be parked.
    for idle in [SHORT / 2, SHORT * 4] {
        let encrypted = Encrypted::start(|config| config.timeouts.idle = idle, echo);
        let mut fresh = encrypted.client();
        let mut client = encrypted.client();
        assert_eq!(client.get("/").status, 200);
        for client in [&mut fresh, &mut client] {
            assert!(client.is_closed());
            assert!(client.was_told_of_end);
        }
    }
}

#[test]
fn a_client_that_stops_reading_is_cut_off() {
    let encrypted = Encrypted::start(|config| config.timeouts.send = SHORT, |job| respond(job, vec![0; 20_000_000]));
    let mut client = encrypted.client();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    wait_until("the request in flight", || encrypted.server.snapshot().requests == 1);
    wait_until("the connection cut", || encrypted.server.snapshot().connections == 0);
    assert!(client.rest().len() < 20_000_000);
    assert!(!client.was_told_of_end);
}

#[test]
fn a_refused_upload_has_its_answer_read() {
    let encrypted = Encrypted::start(|config| config.limits.max_body_size = 1000, echo);
    let mut client = encrypted.client();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3000000\r\n\r\n");
    // The server answers before it has read this.
    let _ = client.try_send(vec![0; 3_000_000]);
    assert_eq!(client.response().status, 413);
}

#[test]
fn a_drain_finishes_what_is_in_flight_and_closes_politely() {
    let (jobs, job) = mpsc::channel::<Job>();
    let mut encrypted = Encrypted::start(|_| {}, move |job| jobs.send(job).unwrap());
    let mut busy = encrypted.client();
    busy.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    let job = job.recv().unwrap();
    let mut fresh = encrypted.client();
    let mut shaking = encrypted.server.client();
    shaking.send(&hello(3)[..20]);
    wait_until("all three connections", || encrypted.server.snapshot().connections == 3);
    encrypted.server.order(Stop::Draining);
    assert!(fresh.is_closed());
    assert!(fresh.was_told_of_end);
    assert!(shaking.is_closed());
    echo(job);
    let response = busy.response();
    assert_eq!((response.status, response.field("connection")), (200, Some("close")));
    assert!(busy.is_closed());
    assert!(busy.was_told_of_end);
    assert_eq!(encrypted.server.drained().cut_off, 0);
}

#[test]
fn requests_sent_at_once_are_answered_in_order() {
    let encrypted = Encrypted::start(|_| {}, echo);
    let mut client = encrypted.client();
    let requests: Vec<_> = (0..50).map(|number| format!("GET /{number} HTTP/1.1\r\nhost: a\r\n\r\n")).collect();
    client.send(requests.concat());
    for number in 0..50 {
        assert_eq!(client.response().text(), format!("GET /{number}  "));
    }
}

#[test]
fn a_record_for_each_byte_makes_a_request_too() {
    let encrypted = Encrypted::start(|_| {}, echo);
    let mut client = encrypted.client();
    for byte in b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n" {
        client.send([*byte]);
    }
    assert_eq!(client.response().text(), "GET /slow  ");
}

#[test]
fn a_tampered_record_ends_the_connection() {
    let encrypted = Encrypted::start(|_| {}, echo);
    let mut client = encrypted.client();
    assert_eq!(client.get("/").status, 200);
    // Application data that nobody encrypted.
    client.stream.write_all(&[23, 3, 3, 0, 32]).unwrap();
    client.stream.write_all(&[0; 32]).unwrap();
    let mut answer = Vec::new();
    match client.stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    wait_until("the connection is closed", || encrypted.server.snapshot().connections == 0);
    assert_eq!(encrypted.server.snapshot().requests, 1);
}
