//! One line for each request.

use std::fs;

use stack_bridge::Failure;
use stack_config::{AccessLog, LogFormat};
use stack_front::Stop;

use crate::server::{Server, echo};

#[test]
fn every_request_is_one_line_and_a_cut_one_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    let mut server = Server::with(
        |config| config.log.access = AccessLog::File(path.clone()),
        |job| {
            if &job.request.path[..] != b"/cut" {
                return echo(job);
            }
            let mut responder = job.responder;
            let head = Some((crate::server::head(200, &[]), stack_bridge::Flow::Buffered));
            responder.push(&mut stack_bridge::Push { head, block: b"part", last: false, may_wait: false }).unwrap();
            responder.fail(Failure::Application);
        },
    );
    let mut client = server.client();
    client.send("GET /one HTTP/1.1\r\nhost: a\r\nuser-agent: x\"y\r\n\r\n").response();
    client.send("GET /cut HTTP/1.1\r\nhost: a\r\n\r\n").rest();
    server.order(Stop::Draining);
    let _ = server.drained();
    let log = fs::read_to_string(path).unwrap();
    let lines: Vec<_> = log.lines().collect();
    assert_eq!(lines.len(), 2, "{log}");
    assert!(lines[0].starts_with("127.0.0.1 - - ["), "{log}");
    assert!(lines[0].contains("\"GET /one HTTP/1.1\" 200 10 \"-\" \"x\\x22y\" "), "{log}");
    assert!(lines[0].ends_with(" 7"), "{log}");
    assert!(lines[1].contains("\"GET /cut HTTP/1.1\" 200 4 "), "{log}");
    assert!(lines[1].ends_with(" 7 aborted"), "{log}");
}

#[test]
fn a_client_that_left_is_logged_as_499() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    let mut server = Server::start(|config| {
        config.log.access = AccessLog::File(path.clone());
        config.log.format = LogFormat::Json;
    });
    let mut client = server.client();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    crate::server::wait_until("the job queued", || server.queues[0].depth().queued == 1);
    drop(client);
    crate::server::wait_until("the request given up", || server.snapshot().in_flight == 0);
    server.order(Stop::Draining);
    let _ = server.drained();
    let line: serde_json::Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!((&line["status"], &line["aborted"]), (&499.into(), &true.into()));
    assert_eq!(line["worker"], serde_json::Value::Null);
}
