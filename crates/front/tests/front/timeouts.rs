//! Each timeout by its own key. They are short here; everything else waits without limit.

use std::{sync::mpsc, time::Duration};

use stack_bridge::Job;

use crate::server::{Server, echo, wait_until};

const SHORT: Duration = Duration::from_millis(100);

#[test]
fn a_head_that_comes_byte_by_byte_is_answered_with_408() {
    let server = Server::start(|config| config.timeouts.header = SHORT);
    let mut client = server.client();
    // Every byte is progress; the head's time runs out all the same.
    let stream = client.stream.try_clone().unwrap();
    let dripping = std::thread::spawn(move || {
        use std::io::Write;
        let mut stream = stream;
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nx: ");
        let mut bytes = 0;
        while bytes < 4000 && stream.write_all(b"x").is_ok() {
            bytes += 1;
            std::thread::park_timeout(Duration::from_millis(5));
        }
    });
    let response = client.response();
    assert_eq!((response.status, response.field("connection")), (408, Some("close")));
    assert_eq!(response.text(), "The request head took too long\n");
    client.stream.shutdown(std::net::Shutdown::Both).unwrap();
    dripping.join().unwrap();
}

#[test]
fn a_head_that_may_still_become_a_preface_is_answered_with_408() {
    let server = Server::start(|config| config.timeouts.header = SHORT);
    // The last one has the whole line of a request, of a version that is none of HTTP/1.
    for (start, status) in [("P", 408), ("PRI * HTT", 408), ("PRI * HTTP/2.0\r\n", 505)] {
        let response = server.client().send(start).response();
        assert_eq!((response.status, response.field("connection")), (status, Some("close")), "{start:?}");
    }
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let server = Server::with(|config| config.timeouts.idle = SHORT, echo);
    assert!(server.client().is_closed());
    let mut client = server.client();
    assert_eq!(client.get("/").status, 200);
    assert!(client.is_closed());
}

#[test]
fn a_body_that_pauses_is_answered_with_408() {
    let server = Server::start(|config| config.timeouts.body = SHORT);
    let mut client = server.client();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc");
    let response = client.response();
    assert_eq!((response.status, response.field("connection")), (408, Some("close")));
    assert_eq!(server.queues[0].depth().queued, 0);
}

#[test]
fn an_application_that_takes_too_long_is_answered_with_504_and_told() {
    let (jobs, job) = mpsc::channel::<Job>();
    let server = Server::with(|config| config.timeouts.request = Some(SHORT), move |job| jobs.send(job).unwrap());
    let mut client = server.client();
    assert_eq!(client.get("/").status, 504);
    let job = job.recv().unwrap();
    assert!(job.deadline.is_some());
    assert!(job.responder.is_client_gone());
}

#[test]
fn a_client_that_stops_reading_is_cut_off() {
    let server =
        Server::with(|config| config.timeouts.send = SHORT, |job| crate::server::respond(job, vec![0; 20_000_000]));
    let mut client = server.client();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    wait_until("the request in flight", || server.snapshot().requests == 1);
    wait_until("the connection cut", || server.snapshot().connections == 0);
    assert!(client.rest().len() < 20_000_000);
}

#[test]
fn a_response_that_takes_long_is_no_idle_time() {
    let (jobs, job) = mpsc::channel::<Job>();
    let server = Server::with(
        |config| (config.timeouts.idle, config.timeouts.header, config.timeouts.send) = (SHORT, SHORT, SHORT),
        move |job| jobs.send(job).unwrap(),
    );
    let mut client = server.client();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    let job = job.recv().unwrap();
    // Long enough for another connection to become idle and end.
    assert!(server.client().is_closed());
    assert!(server.client().is_closed());
    echo(job);
    assert_eq!(client.response().status, 200);
}
