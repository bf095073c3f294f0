//! Bytes in a second.

use std::{
    io::Read,
    time::{Duration, Instant},
};

use stack_config::Rates;

use crate::server::{Server, echo, respond, wait_until};

const SHORT: Duration = Duration::from_millis(100);

#[test]
fn a_body_that_trickles_is_answered_with_408() {
    let server =
        Server::start(|config| config.clients.rates = Rates { min_receive: 10_000, grace: SHORT, ..Rates::default() });
    let mut client = server.client();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n");
    // Every byte ends a pause; the rate is what it lacks.
    let mut stream = client.stream.try_clone().unwrap();
    let dripping = std::thread::spawn(move || {
        use std::io::Write;
        while stream.write_all(b"x").is_ok() {
            std::thread::park_timeout(Duration::from_millis(5));
        }
    });
    let response = client.response();
    assert_eq!((response.status, response.field("connection")), (408, Some("close")));
    client.stream.shutdown(std::net::Shutdown::Both).unwrap();
    dripping.join().unwrap();
    assert_eq!(server.queues[0].depth().queued, 0);
}

#[test]
fn a_body_that_comes_at_once_is_not_held_up() {
    let rates = Rates { min_receive: u64::MAX, grace: Duration::from_mins(1), ..Rates::default() };
    let server = Server::with(|config| config.clients.rates = rates, echo);
    let mut client = server.client();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello");
    assert_eq!(client.response().text(), "POST /  hello");
}

#[test]
fn a_client_that_takes_too_little_is_cut_off() {
    let rates = Rates { min_send: 100_000_000, grace: SHORT, ..Rates::default() };
    let server = Server::with(|config| config.clients.rates = rates, |job| respond(job, vec![0; 50_000_000]));
    let mut client = server.client();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    let stream = client.stream.try_clone().unwrap();
    let reading = std::thread::spawn(move || {
        let mut stream = stream;
        let mut block = [0; 1000];
        let mut total = 0;
        // It never stops for long.
        while let Ok(read @ 1..) = stream.read(&mut block) {
            total += read;
            std::thread::park_timeout(Duration::from_millis(2));
        }
        total
    });
    wait_until("the request in flight", || server.snapshot().requests == 1);
    wait_until("the connection cut", || server.snapshot().connections == 0);
    assert!(reading.join().unwrap() < 50_000_000);
}

#[test]
fn a_client_that_takes_enough_in_small_pieces_gets_all() {
    // The socket's buffer holds more than such a client takes in the time it is given: what it takes shows there only.
    let rates = Rates { min_send: 100_000, grace: Duration::from_millis(500), ..Rates::default() };
    let server = Server::with(
        |config| (config.clients.rates, config.timeouts.send) = (rates, Duration::from_millis(500)),
        |job| respond(job, vec![0; 12_000_000]),
    );
    let mut client = server.client();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 200 "));
    for _ in 0..400 {
        assert_eq!(client.take(30_000).len(), 30_000);
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

#[test]
fn a_throttled_connection_is_not_sent_more_than_its_share() {
    let rates = Rates { send_limit: 1_000_000, ..Rates::default() };
    let server = Server::with(|config| config.clients.rates = rates, |job| respond(job, vec![7; 600_000]));
    let mut client = server.client();
    let start = Instant::now();
    let response = client.get("/");
    assert_eq!((response.status, response.body.len()), (200, 600_000));
    assert!(response.body.iter().all(|byte| *byte == 7));
    // All but the first tenth of a second's worth.
    assert!(start.elapsed() >= Duration::from_millis(450), "{:?}", start.elapsed());
}
