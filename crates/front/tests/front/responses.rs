//! Responses: framing, failures, slow readers.

use std::{
    io::{Read, Write},
    sync::mpsc,
};

use stack_bridge::{Failure, FileRegion, Flow, Job, Push};

use crate::server::{Server, echo, head, respond, wait_until};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// Sends blocks one by one, then ends as told.
fn stream(job: Job, fields: &[(&'static str, &str)], blocks: &[&[u8]], failure: Option<Failure>) {
    let mut responder = job.responder;
    let mut first = Some((head(200, fields), Flow::Buffered));
    for block in blocks {
        let _ = responder.push(&mut Push { head: first.take(), block, last: false, may_wait: false });
    }
    match failure {
        Some(failure) => responder.fail(failure),
        None => {
            let _ = responder.push(&mut Push { head: first, block: b"", last: true, may_wait: false });
        }
    }
}

#[test]
fn a_body_of_unknown_length_is_chunked_and_in_http_1_0_ends_with_the_connection() {
    let server = Server::with(|_| {}, |job| stream(job, &[], &[b"one", b"two"], None));
    let mut client = server.client();
    let response = client.send(GET).response();
    assert_eq!((response.field("transfer-encoding"), response.text()), (Some("chunked"), "onetwo"));
    let response = client.send("GET / HTTP/1.0\r\n\r\n").response();
    assert_eq!((response.field("transfer-encoding"), response.text()), (None, "onetwo"));
}

#[test]
fn a_block_is_sent_as_it_comes() {
    let (go, wait) = mpsc::channel::<()>();
    let server = Server::with(
        |_| {},
        move |job| {
            let mut responder = job.responder;
            let first = Some((head(200, &[("content-length", "6")]), Flow::Buffered));
            responder.push(&mut Push { head: first, block: b"one", last: false, may_wait: false }).unwrap();
            wait.recv().unwrap();
            responder.push(&mut Push { head: None, block: b"two", last: true, may_wait: false }).unwrap();
        },
    );
    let mut client = server.client();
    client.send(GET).head();
    assert_eq!(client.take(3), b"one");
    go.send(()).unwrap();
    assert_eq!(client.take(3), b"two");
}

#[test]
fn reason_server_and_fields_are_the_applications() {
    let server = Server::with(
        |_| {},
        |job| {
            let mut responder = job.responder;
            let mut head = head(299, &[("server", "mine"), ("x-a", "1"), ("x-a", "2")]);
            head.reason = Some("Fine By Me".into());
            responder
                .push(&mut Push { head: Some((head, Flow::Buffered)), block: b"", last: true, may_wait: false })
                .unwrap();
        },
    );
    let response = server.client().get("/");
    assert!(response.head.starts_with("HTTP/1.1 299 Fine By Me\r\n"), "{}", response.head);
    assert_eq!(response.field("server"), Some("mine"));
    assert_eq!(response.field("content-length"), Some("0"));
    assert!(response.head.contains("x-a: 1\r\nx-a: 2\r\n"));
}

#[test]
fn head_204_and_304_send_no_body() {
    let server = Server::with(
        |_| {},
        |job| {
            let status = String::from_utf8_lossy(&job.request.path)[1..].parse().unwrap();
            let mut responder = job.responder;
            let head = head(status, &[]);
            let _ = responder.push(&mut Push {
                head: Some((head, Flow::Buffered)),
                block: b"body",
                last: true,
                may_wait: false,
            });
        },
    );
    let mut client = server.client();
    let response = client.send("HEAD /200 HTTP/1.1\r\nhost: a\r\n\r\n").response_to("HEAD");
    assert_eq!(response.field("content-length"), Some("4"));
    assert_eq!(client.get("/204").field("content-length"), None);
    assert_eq!(client.get("/304").status, 304);
    assert_eq!(client.get("/200").text(), "body");
}

#[test]
fn a_failing_application_is_answered_with_500() {
    let server = Server::with(|_| {}, |job| job.responder.fail(Failure::Application));
    let mut client = server.client();
    assert_eq!(client.get("/").status, 500);
    assert_eq!(client.get("/").status, 500, "the connection is kept");
}

#[test]
fn a_dropped_job_is_answered_with_503() {
    let server = Server::with(|_| {}, drop);
    let response = server.client().get("/");
    assert_eq!((response.status, response.field("retry-after")), (503, Some("1")));
}

#[test]
fn a_full_queue_sheds_and_a_closed_one_says_goodbye() {
    let server = Server::start(|config| config.limits.queue_size = 1);
    let mut waiting = server.client();
    waiting.send(GET);
    wait_until("one job queued", || server.queues[0].depth().queued == 1);
    let mut client = server.client();
    let response = client.get("/");
    assert_eq!((response.status, response.field("retry-after")), (503, Some("1")));
    assert_eq!(response.field("connection"), None);
    assert_eq!(server.snapshot().refused, 1);
    server.queues[0].close();
    let response = client.get("/");
    assert_eq!((response.status, response.field("connection")), (503, Some("close")));
    server.worker(echo);
    assert_eq!(waiting.response().status, 200);
}

#[test]
fn a_response_cut_short_looks_cut_short() {
    let server = Server::with(
        |_| {},
        |job| {
            let fields: &[_] = if &job.request.path[..] == b"/length" { &[("content-length", "10")] } else { &[] };
            stream(job, fields, &[b"part"], Some(Failure::Application));
        },
    );
    let mut client = server.client();
    let head = client.send("GET /length HTTP/1.1\r\nhost: a\r\n\r\n").head();
    assert!(head.contains("content-length: 10\r\n"), "{head}");
    assert_eq!(client.rest(), b"part");
    let mut client = server.client();
    let head = client.send("GET /chunked HTTP/1.1\r\nhost: a\r\n\r\n").head();
    assert!(head.contains("transfer-encoding: chunked\r\n"), "{head}");
    assert_eq!(client.rest(), b"4\r\npart\r\n", "no last chunk");
}

#[test]
fn a_body_shorter_than_its_content_length_cuts_the_connection() {
    let server = Server::with(
        |_| {},
        |job| {
            let mut responder = job.responder;
            let first = Some((head(200, &[("content-length", "10")]), Flow::Buffered));
            responder.push(&mut Push { head: first, block: b"part", last: true, may_wait: false }).unwrap();
        },
    );
    let mut client = server.client();
    client.send(GET).send(GET).head();
    assert_eq!(client.rest(), b"part");
}

#[test]
fn a_stalled_reader_does_not_hold_the_worker() {
    const LENGTH: usize = 20_000_000;
    let (done, is_done) = mpsc::channel();
    let server = Server::with(
        |_| {},
        move |job| {
            if &job.request.path[..] == b"/small" {
                return respond(job, "small");
            }
            let body: Vec<u8> = (0..LENGTH).map(|n| u8::try_from(n % 251).unwrap()).collect();
            respond(job, body);
            done.send(()).unwrap();
        },
    );
    let mut stalled = server.client();
    stalled.send(GET);
    is_done.recv().unwrap();
    assert_eq!(server.client().get("/small").text(), "small");
    let body = stalled.response().body;
    assert_eq!(body.len(), LENGTH);
    assert!(body.iter().enumerate().all(|(n, &byte)| usize::from(byte) == n % 251));
}

#[test]
fn part_of_a_file_is_sent() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&vec![b'x'; 200_000]).unwrap();
    file.write_all(b"tail").unwrap();
    let server = Server::with(
        |_| {},
        move |mut job| {
            let mut nothing = Vec::new();
            std::mem::replace(&mut job.request.body, stack_bridge::RequestBody::Empty)
                .into_reader()
                .read_to_end(&mut nothing)
                .unwrap();
            let region = FileRegion { file: file.reopen().unwrap(), offset: 1, length: 200_003 };
            job.responder.finish_with_file(Some((head(200, &[]), Flow::Buffered)), region).unwrap();
        },
    );
    let response = server.client().get("/");
    assert_eq!(response.body.len(), 200_003);
    assert!(response.body.ends_with(b"xtail"));
}
