//! Workers that die while they run requests.

use std::io;

use rustix::process::Signal;

use super::{attempts, dying, in_processes, pid, signal, worker};
use crate::harness::{Connection, Gate, Server};

fn post(connection: &mut Connection, target: &str) {
    connection.send(format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"));
}

fn get(connection: &mut Connection, target: &str) {
    connection.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
}

/// The line that names the end of a worker, and the lines below it up to the next event.
fn obituary(server: &Server) -> Vec<String> {
    server.process().wait_for("the end of a worker", |lines| {
        let mut lines = lines.iter().map(|line| line.text.clone()).skip_while(|line| !line.contains("STACK0313"));
        let first = lines.next()?;
        let is_event = |line: &String| line.get(4..5) == Some("-") && line.contains('Z');
        Some(std::iter::once(first).chain(lines.take_while(|line| !is_event(line))).collect())
    })
}

#[test]
fn whatever_ends_a_worker_its_request_gets_502_and_its_place_is_filled() {
    for (way, words) in
        [("segfault", "SIGSEGV"), ("abort", "SIGABRT"), ("exit", "exit code 3"), ("kill", "SIGKILL (by hand")]
    {
        let (server, _marks) = dying(&["--workers", "1"]);
        let mut connection = server.connect();
        let first = worker(&mut connection);
        post(&mut connection, &format!("/?die={way}"));
        assert!(!connection.response("POST").unwrap().expect(502).closes(), "{way}: the connection is of use");
        assert_ne!(worker(&mut connection), first, "{way}");
        assert!(obituary(&server)[0].contains(words), "{way}: {:?}", obituary(&server));
        assert!(obituary(&server)[0].contains(&format!("pid={first}")), "{way}: {:?}", obituary(&server));
        server.stop();
    }
}

#[test]
fn the_log_names_the_request_that_was_being_run() {
    let server = in_processes("dying", &["--access-log", "-", "--log-format", "json"]).server();
    let mut connection = server.connect();
    post(&mut connection, "/basket/7?die=exit&secret=1");
    connection.response("POST").unwrap().expect(502);
    let access = server.wait_for_line("\"status\":502");
    let access: serde_json::Value = serde_json::from_str(&access).unwrap();
    let line = server.wait_for_line("STACK0313");
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    let request = format!("{} POST /basket/7", access["request_id"].as_str().unwrap());
    assert_eq!(line["requests"], request.as_str(), "{line}");
    assert!(server.wait_for_line("STACK0312").contains(access["request_id"].as_str().unwrap()));
    server.stop();
}

#[test]
fn a_worker_that_crashes_leaves_its_python_stack_in_the_log() {
    let (server, _marks) = dying(&[]);
    for way in ["segfault", "abort"] {
        let mut connection = server.connect();
        post(&mut connection, &format!("/?die={way}"));
        connection.response("POST").unwrap().expect(502);
    }
    for function in ["in read_a_null_pointer", "dying.py"] {
        server.process().wait_for_line(function);
    }
    let finished = server.stop();
    assert!(finished.stderr().contains("Fatal Python error: Segmentation fault"), "{}", finished.stderr());
    assert!(finished.stderr().contains("Fatal Python error: Aborted"), "{}", finished.stderr());
}

#[test]
fn a_client_can_not_write_lines_into_the_log_with_the_path_of_a_fatal_request() {
    let (server, _marks) = dying(&[]);
    let mut connection = server.connect();
    post(&mut connection, "/%0A2026-01-01T00:00:00.000Z%20INFO%20%20forged%1B%5B31m?die=exit");
    connection.response("POST").unwrap().expect(502);
    server.wait_for_line("STACK0313");
    let finished = server.stop();
    for line in finished.lines {
        assert!(!line.text.starts_with("2026-01-01T00:00:00.000Z"), "forged: {:?}", line.text);
        assert!(!line.text.contains(char::is_control), "{:?}", line.text);
    }
}

#[test]
fn a_get_or_head_that_kills_its_worker_once_is_answered_by_another() {
    for method in ["GET", "HEAD"] {
        for workers in ["1", "2"] {
            let (server, marks) = dying(&["--workers", workers]);
            let mut connection = server.connect();
            let target = format!("/?mark={method}&die=segfault&times=1");
            let response = connection.request(method, &target, &[], b"").expect(200);
            assert!(!response.closes());
            assert_eq!(attempts(&marks, method), 2);
            worker(&mut connection);
            server.stop();
        }
    }
}

#[test]
fn a_get_that_always_kills_is_tried_twice_and_no_more() {
    let (server, marks) = dying(&["--workers", "2"]);
    let mut connection = server.connect();
    connection.get("/?mark=fatal&die=kill").expect(502);
    worker(&mut connection);
    assert_eq!(attempts(&marks, "fatal"), 2);
    server.stop();
}

#[test]
fn no_other_method_is_tried_again() {
    let (server, marks) = dying(&["--workers", "2"]);
    let mut connection = server.connect();
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let target = format!("/?mark={method}&die=exit&times=1");
        connection.request(method, &target, &[], b"").expect(502);
        worker(&mut connection);
        assert_eq!(attempts(&marks, method), 1, "{method}");
    }
    server.stop();
}

#[test]
fn a_worker_that_is_killed_from_outside_fails_what_it_ran_and_nothing_else() {
    let (gate, other) = (Gate::new(), Gate::new());
    let (server, marks) = dying(&["--workers", "2", "--threads", "1"]);
    let mut connections = [server.connect(), server.connect()];
    post(&mut connections[0], &other.target("/?mark=untouched"));
    let untouched = other.entered();
    let mut pids: Vec<u32> = server.process().pids()[1..].to_vec();
    // The one worker is busy: the other one answers this.
    let victim = worker(&mut connections[1]);
    post(&mut connections[1], &gate.target("/"));
    let killed = gate.entered();
    signal(&server, victim, Signal::KILL);
    connections[1].response("POST").unwrap().expect(502);
    drop(killed);
    assert!(!connections[0].has_input(), "the other worker's request goes on");
    // Only the new worker is free.
    let new = worker(&mut connections[1]);
    assert!(!pids.contains(&new), "{new} is among {pids:?}");
    untouched.release();
    let answer = connections[0].response("POST").unwrap().expect(200).json();
    pids.retain(|pid| *pid != victim);
    assert_eq!(pids, [pid(&answer)]);
    assert_eq!(attempts(&marks, "untouched"), 1);
    server.stop();
}

#[test]
fn a_request_that_its_worker_never_read_is_run_by_another() {
    let (server, marks) = dying(&["--workers", "1", "--threads", "2"]);
    let mut connection = server.connect();
    let stopped = worker(&mut connection);
    signal(&server, stopped, Signal::STOP);
    post(&mut connection, "/?mark=unread");
    // Answered by the front: by now it has passed on what was sent before.
    server.connect().request("CONNECT", "a:1", &[], b"");
    signal(&server, stopped, Signal::KILL);
    assert_ne!(pid(&connection.response("POST").unwrap().expect(200).json()), stopped);
    assert_eq!(attempts(&marks, "unread"), 1);
    server.stop();
}

#[test]
fn every_thread_of_a_worker_that_dies_fails_its_request() {
    let gate = Gate::new();
    let (server, _marks) = dying(&["--workers", "1", "--threads", "4"]);
    let mut connections: Vec<_> = (0..4).map(|_| server.connect()).collect();
    for connection in &mut connections[..3] {
        post(connection, &gate.target("/basket"));
    }
    let held: Vec<_> = (0..3).map(|_| gate.entered()).collect();
    post(&mut connections[3], "/fatal?die=exit");
    for connection in &mut connections {
        connection.response("POST").unwrap().expect(502);
    }
    drop(held);
    let obituary = obituary(&server);
    assert_eq!(obituary[0].matches("POST /basket").count(), 3, "{obituary:?}");
    assert_eq!(obituary[0].matches("POST /fatal").count(), 1, "{obituary:?}");
    server.stop();
}

#[test]
fn a_response_that_had_begun_is_visibly_cut() {
    for (target, framing) in [("/?blocks=3", "chunked"), ("/?blocks=3&unbuffered=1", "chunked")] {
        let gate = Gate::new();
        let server = in_processes("stream", &["--workers", "1", "--threads", "1"]).server();
        let worker = server.process().pids()[1];
        let mut connection = server.connect();
        get(&mut connection, &gate.target(target));
        let held = gate.entered();
        let head = connection.response_head().unwrap().expect(200);
        assert_eq!(head.header("transfer-encoding"), Some(framing));
        assert_eq!(connection.chunk().unwrap().as_deref(), Some(&b"block 0\n"[..]));
        signal(&server, worker, Signal::KILL);
        let end = connection.chunk().expect_err("no end of the body");
        assert!(matches!(end.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset), "{end}");
        drop(held);
        assert_eq!(server.get("/?blocks=1").expect(200).text(), "block 0\n");
        server.stop().says(&["SIGKILL", "GET /"]);
    }
}

#[test]
fn a_child_that_outlives_its_worker_does_not_keep_the_request_waiting() {
    let gate = Gate::new();
    let arguments = ["--workers", "1", "--threads", "2", "--request-timeout", "1h"];
    let server = in_processes("leaving_a_child", &arguments).server();
    let mut connection = server.connect();
    post(&mut connection, &gate.target("/"));
    let child = gate.entered();
    connection.response("POST").unwrap().expect(502);
    assert_eq!(connection.get("/").expect(200).text(), "here");
    drop(child);
    server.stop();
}
