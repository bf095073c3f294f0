//! Clients that leave before they are answered.

use std::sync::mpsc;

use stack_bridge::{Flow, Job, Push, SendError};

use crate::server::{Server, echo, head, wait_until};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

#[test]
fn the_job_of_a_client_that_left_while_queued_is_never_taken() {
    let (taken, paths) = mpsc::channel();
    let server = Server::start(|_| {});
    let mut leaving = server.client();
    leaving.send("GET /leaving HTTP/1.1\r\nhost: a\r\n\r\n");
    wait_until("the job queued", || server.queues[0].depth().queued == 1);
    drop(leaving);
    wait_until("the request given up", || server.snapshot().in_flight == 0);
    server.worker(move |job| {
        taken.send(job.request.path.clone()).unwrap();
        echo(job);
    });
    assert_eq!(server.client().get("/staying").status, 200);
    assert_eq!(paths.recv().unwrap(), "/staying");
}

fn running_job_is_told(leave: impl FnOnce(crate::client::Client)) {
    let (jobs, job) = mpsc::channel::<Job>();
    let server = Server::with(|_| {}, move |job| jobs.send(job).unwrap());
    let mut client = server.client();
    client.send(GET);
    let mut responder = job.recv().unwrap().responder;
    assert!(!responder.is_client_gone());
    leave(client);
    wait_until("the worker told", || responder.is_client_gone());
    let head = Some((head(200, &[]), Flow::Buffered));
    assert_eq!(
        responder.push(&mut Push { head, block: b"x", last: true, may_wait: false }),
        Err(SendError::ClientGone)
    );
}

#[test]
fn a_running_job_is_told_that_its_client_closed() {
    running_job_is_told(drop);
}

#[test]
fn a_client_that_shuts_down_its_sending_side_has_left() {
    let mut kept = None;
    running_job_is_told(|client| {
        client.shut_down_sending();
        kept = Some(client);
    });
}

#[test]
fn nothing_is_left_of_a_connection_that_is_reset() {
    let (jobs, held) = mpsc::channel();
    let server = Server::with(
        |_| {},
        move |job| {
            if job.request.path == "/held" { jobs.send(job).unwrap() } else { echo(job) }
        },
    );
    let held_request = GET.replace(" / ", " /held ");
    let stages = [
        ("between two requests", String::new(), 0),
        ("within a head", GET[..20].to_owned(), 0),
        ("at its application", held_request, 1),
    ];
    for (stage, sent, in_flight) in stages {
        let mut client = server.client();
        assert_eq!(client.get("/").status, 200);
        client.send(&sent);
        wait_until(stage, || server.snapshot().in_flight == in_flight);
        client.reset();
        wait_until(stage, || server.snapshot().connections == 0);
        assert_eq!(server.snapshot().in_flight, 0, "{stage}");
    }
    drop(held);
}

#[test]
fn an_upload_that_is_not_completed_is_never_queued() {
    let server = Server::start(|_| {});
    for head in ["content-length: 10000", "transfer-encoding: chunked"] {
        let mut client = server.client();
        client.send(format!("POST / HTTP/1.1\r\nhost: a\r\n{head}\r\n\r\n7d0\r\n")).send([b'x'; 2000]);
        wait_until("the request in flight", || server.snapshot().in_flight == 1);
        drop(client);
        wait_until("the request given up", || server.snapshot().in_flight == 0);
        assert_eq!(server.queues[0].depth().queued, 0);
    }
}

#[test]
fn a_worker_that_streams_to_a_client_that_left_is_told() {
    let (outcomes, outcome) = mpsc::channel();
    let server = Server::with(
        |config| config.limits.max_response_spill = 0,
        move |job| {
            let mut responder = job.responder;
            let mut head = Some((head(200, &[]), Flow::Buffered));
            let block = [b'x'; 10_000];
            let error = loop {
                if let Err(error) =
                    responder.push(&mut Push { head: head.take(), block: &block, last: false, may_wait: false })
                {
                    break error;
                }
            };
            outcomes.send(error).unwrap();
        },
    );
    let mut client = server.client();
    client.send(GET).head();
    drop(client);
    assert_eq!(outcome.recv().unwrap(), SendError::ClientGone);
}

#[test]
fn a_silent_stream_is_told_that_its_client_left() {
    let (gone, is_gone) = mpsc::channel();
    let server = Server::with(
        |_| {},
        move |job| {
            let mut responder = job.responder;
            let head = Some((head(200, &[("content-type", "text/event-stream")]), Flow::Streamed));
            responder.push(&mut Push { head, block: b"data: 1\n\n", last: false, may_wait: false }).unwrap();
            wait_until("the worker told", || responder.is_client_gone());
            gone.send(()).unwrap();
        },
    );
    let mut client = server.client();
    client.send(GET).head();
    drop(client);
    is_gone.recv().unwrap();
}
