//! The end of serving.

use std::{net::TcpStream, sync::mpsc, time::Duration};

use stack_bridge::Job;
use stack_front::{Drained, Stop};

use crate::server::{Server, echo, wait_until};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

#[test]
fn a_drain_finishes_what_is_in_flight_and_closes_what_is_idle() {
    let (jobs, job) = mpsc::channel::<Job>();
    let mut server = Server::with(|_| {}, move |job| jobs.send(job).unwrap());
    let mut fresh = server.client();
    let mut idle = server.client();
    idle.send(GET);
    echo(job.recv().unwrap());
    idle.response();
    let mut busy = server.client();
    busy.send(GET);
    let job = job.recv().unwrap();
    wait_until("three connections", || server.snapshot().connections == 3);

    server.order(Stop::Draining);
    assert!(idle.is_closed());
    assert!(fresh.is_closed());
    assert!(TcpStream::connect(server.address).is_err(), "the listener is closed");
    echo(job);
    let response = busy.response();
    assert_eq!((response.status, response.field("connection")), (200, Some("close")));
    assert!(busy.is_closed());
    assert_eq!(server.drained(), Drained { cut_off: 0 });
}

#[test]
fn a_drain_waits_for_no_rest_of_a_preface() {
    let mut server = Server::start(|_| {});
    let mut client = server.client();
    client.send("PR");
    wait_until("its first bytes are read", || server.snapshot().connections == 1 && server.snapshot().parked == 0);
    server.order(Stop::Draining);
    assert!(client.is_closed());
    assert_eq!(server.drained(), Drained { cut_off: 0 });
}

#[test]
fn half_a_head_has_a_moment_for_the_other_half() {
    let mut server = Server::with(|_| {}, echo);
    let mut idle = server.client();
    idle.send(GET).response();
    let (begun, rest) = GET.split_at(GET.len() - 4);
    let mut finishing = server.client();
    finishing.send(begun);
    let mut silent = server.client();
    silent.send(begun);
    wait_until("two heads have begun", || {
        let snapshot = server.snapshot();
        (snapshot.connections, snapshot.parked) == (3, 1)
    });
    server.order(Stop::Draining);
    assert!(idle.is_closed());
    let response = finishing.send(rest).response();
    assert_eq!((response.status, response.field("connection")), (200, Some("close")));
    // Long before the grace period is over.
    assert_eq!(server.drained(), Drained { cut_off: 0 });
    let answer = String::from_utf8(silent.rest()).unwrap();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[test]
fn a_request_that_waits_in_the_backlog_is_answered() {
    let mut server = Server::with(|config| config.limits.queue_size = 64, echo);
    // Connected as far as the kernel and the clients know; some of them will not have been accepted yet.
    let mut clients: Vec<_> = (0..40)
        .map(|_| {
            let mut client = server.client();
            client.send(GET);
            client
        })
        .collect();
    server.order(Stop::Draining);
    for client in &mut clients {
        assert_eq!(client.response().status, 200);
    }
    assert_eq!(server.drained(), Drained { cut_off: 0 });
}

#[test]
fn what_outlasts_the_grace_period_is_cut_off_and_counted() {
    let (jobs, job) = mpsc::channel::<Job>();
    let mut server = Server::with(
        |config| config.timeouts.grace_period = Duration::from_millis(50),
        move |job| jobs.send(job).unwrap(),
    );
    let mut client = server.client();
    client.send(GET);
    let job = job.recv().unwrap();
    server.order(Stop::Draining);
    assert_eq!(server.drained(), Drained { cut_off: 1 });
    assert!(client.is_closed());
    assert!(job.responder.is_client_gone());
}

#[test]
fn an_abort_does_not_wait() {
    let (jobs, job) = mpsc::channel::<Job>();
    let mut server = Server::with(|_| {}, move |job| jobs.send(job).unwrap());
    let mut client = server.client();
    client.send(GET);
    let _job = job.recv().unwrap();
    server.order(Stop::Aborting);
    assert_eq!(server.drained(), Drained { cut_off: 1 });
    assert!(client.is_closed());
}

#[test]
fn a_drain_begins_also_where_no_place_is_free() {
    let (jobs, job) = mpsc::channel::<Job>();
    let configure = |config: &mut stack_config::Config| {
        config.limits.max_connections = std::num::NonZero::<u64>::MIN;
        config.timeouts.grace_period = Duration::from_millis(50);
    };
    let mut server = Server::with(configure, move |job| jobs.send(job).unwrap());
    let mut busy = server.client();
    busy.send(GET);
    let _job = job.recv().unwrap();
    // It waits for the place of the other one, and with it who accepts.
    let mut waiting = server.client();
    waiting.send(GET);
    server.order(Stop::Draining);
    assert_eq!(server.drained(), Drained { cut_off: 1 });
}
