//! What a client still gets when its stream or its connection ends.

use std::sync::mpsc;

use stack_bridge::{Failure, Flow, Job, Push};
use stack_front::{Drained, Stop};

use super::{
    Http2, PATIENCE,
    raw::{ACK, DATA, END_STREAM, GOAWAY, PING, RST_STREAM, Raw},
};
use crate::server::{Server, echo, head, respond, wait_until};

#[test]
fn what_was_handed_over_before_a_goaway_is_delivered_behind_it() {
    let mut server = Server::with(|_| {}, |job| respond(job, vec![7; 15_000]));
    let mut client = Raw::start(&server, 1000);
    client.get(1, "/");
    assert_eq!(client.until(DATA).payload.len(), 1000);
    wait_until("the response handed over", || server.snapshot().in_flight == 0);
    server.order(Stop::Draining);
    client.until(GOAWAY);
    client.update_window(1, 20_000);
    let mut left = 14_000;
    loop {
        let frame = client.until(DATA);
        left -= frame.payload.len();
        if frame.flags & END_STREAM != 0 {
            break;
        }
    }
    assert_eq!(left, 0);
    assert_eq!(server.drained(), Drained { cut_off: 0 });
}

#[test]
fn a_connection_ends_behind_as_many_requests_as_it_may_have() {
    let server = Server::with(|config| config.clients.keepalive_requests = std::num::NonZero::new(2), echo);
    let client = Http2::connect(&server);
    assert_eq!(client.answer(client.send("/one", b"")).0, 200);
    assert!(!client.connection.is_finished());
    assert_eq!(client.answer(client.send("/two", b"")).0, 200);
    let Http2 { runtime, requests: _requests, connection } = client;
    let ended = runtime.block_on(async { tokio::time::timeout(PATIENCE, connection).await });
    ended.expect("closed in time").unwrap().unwrap();
    assert_eq!(server.snapshot().requests, 2);
}

#[test]
fn a_client_that_sends_on_behind_the_end_of_its_connection_is_not_reset() {
    let server = Server::with(|config| config.clients.keepalive_requests = std::num::NonZero::new(1), echo);
    let mut client = Raw::start(&server, 1000);
    client.get(1, "/");
    let mut has_response = false;
    while let Some(frame) = client.next() {
        has_response |= frame.kind == DATA && frame.flags & END_STREAM != 0;
        if frame.kind == PING && frame.flags & ACK == 0 {
            client.frame(PING, ACK, 0, &frame.payload);
        }
    }
    assert!(has_response);
    // A reset would fail the write behind it. The server may not have come to its close yet, so there are many.
    for _ in 0..100 {
        client.frame(PING, 0, 0, &[0; 8]);
        std::thread::park_timeout(std::time::Duration::from_millis(2));
    }
    assert!(client.next().is_none());
}

#[test]
fn a_response_that_is_cut_is_reset_even_if_its_client_says_nothing_more() {
    let (cut, is_cut) = mpsc::channel::<()>();
    let server = Server::with(
        |_| {},
        move |job: Job| {
            let mut responder = job.responder;
            let head = Some((head(200, &[]), Flow::Buffered));
            responder.push(&mut Push { head, block: b"part", last: false, may_wait: false }).unwrap();
            is_cut.recv().unwrap();
            responder.fail(Failure::Application);
        },
    );
    // With a window that the part fills, too.
    for window in [4, 65_535] {
        let mut client = Raw::start(&server, window);
        client.get(1, "/");
        assert_eq!(client.until(DATA).payload, b"part");
        cut.send(()).unwrap();
        let reset = client.next().unwrap();
        assert_eq!((reset.kind, reset.stream), (RST_STREAM, 1));
    }
}
