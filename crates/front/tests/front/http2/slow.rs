//! Clients that take little or nothing of a response.

use std::{
    sync::mpsc,
    thread::park_timeout,
    time::{Duration, Instant},
};

use stack_bridge::{Flow, Job, Push};
use stack_config::Rates;

use super::raw::{DATA, HEADERS, RST_STREAM, Raw, SETTINGS, WINDOW_UPDATE};
use crate::server::{Server, head, respond, wait_until};

/// What a stream is reset with that nobody waits for any more (RFC 9113 §7).
const CANCEL: [u8; 4] = [0, 0, 0, 8];

/// Takes a byte of the response on stream 1, in a window that has room for no other. False: the stream was reset.
fn take_a_byte(client: &mut Raw) -> bool {
    client.update_window(1, 1);
    let frame = loop {
        let frame = client.next().expect("the connection goes on");
        if ![SETTINGS, HEADERS, WINDOW_UPDATE].contains(&frame.kind) {
            break frame;
        }
    };
    match frame.kind {
        DATA => assert_eq!(frame.payload.len(), 1),
        RST_STREAM => assert_eq!((frame.stream, &frame.payload[..]), (1, &CANCEL[..])),
        _ => panic!("{frame:?}"),
    }
    frame.kind == DATA
}

#[test]
fn a_stream_is_kept_while_its_client_takes_a_byte_now_and_then_and_no_longer() {
    let timeout = Duration::from_secs(1);
    let server = Server::with(|config| config.timeouts.send = timeout, |job| respond(job, vec![0; 60_000]));
    let mut client = Raw::start(&server, 0);
    client.get(1, "/");
    // All of it would fit into one block.
    let start = Instant::now();
    while start.elapsed() < timeout * 5 / 2 {
        assert!(take_a_byte(&mut client));
        park_timeout(Duration::from_millis(20));
    }
    let stopped = Instant::now();
    let reset = client.next().unwrap();
    assert_eq!((reset.kind, reset.stream, &reset.payload[..]), (RST_STREAM, 1, &CANCEL[..]));
    // Times are kept in milliseconds, and the last pause was before.
    assert!(stopped.elapsed() >= timeout * 9 / 10, "{:?}", stopped.elapsed());
    wait_until("nothing in flight", || server.snapshot().in_flight == 0);
}

#[test]
fn a_stream_whose_client_takes_too_little_is_reset() {
    let rates = Rates { min_send: 10_000, grace: Duration::from_millis(200), ..Rates::default() };
    let server = Server::with(|config| config.clients.rates = rates, |job| respond(job, vec![0; 60_000]));
    let mut client = Raw::start(&server, 0);
    client.get(1, "/");
    // It never stops.
    while take_a_byte(&mut client) {
        park_timeout(Duration::from_millis(5));
    }
    wait_until("nothing in flight", || server.snapshot().in_flight == 0);
    assert_eq!(server.snapshot().connections, 1);
}

#[test]
fn a_stream_that_waits_for_its_application_is_not_too_slow() {
    let (release, released) = mpsc::channel::<()>();
    let grace = Duration::from_millis(200);
    let configure = |config: &mut stack_config::Config| {
        config.clients.rates = Rates { min_send: 10_000, grace, ..Rates::default() };
        (config.timeouts.send, config.timeouts.idle) = (grace, 2 * grace);
    };
    let slowly = move |job: Job| {
        let mut responder = job.responder;
        let mut head = Some((head(200, &[]), Flow::Buffered));
        for last in [false, false, true] {
            responder.push(&mut Push { head: head.take(), block: b"x", last, may_wait: false }).unwrap();
            released.recv().unwrap();
        }
    };
    let server = Server::with(configure, slowly);
    let mut client = Raw::start(&server, 65_535);
    client.get(1, "/");
    for _ in 0..3 {
        client.until(DATA);
        // Long enough for another connection to become idle and end.
        assert!(server.client().is_closed());
        release.send(()).unwrap();
    }
    wait_until("nothing in flight", || server.snapshot().in_flight == 0);
}
