//! The end of the server, and of clients.

use std::{fs, net::TcpStream};

use rustix::process::Signal;

use super::{dying, in_processes};
use crate::harness::{Gate, eventually};

/// Whether a process runs: one that is dead and has not been waited for does not.
fn runs(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

#[test]
fn a_server_that_is_killed_takes_its_workers_along() {
    let gate = Gate::new();
    let (server, _marks) = dying(&["--workers", "2", "--threads", "2"]);
    let mut busy = server.connect();
    busy.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", gate.target("/")));
    let held = gate.entered();
    let workers = server.process().pids()[1..].to_vec();
    assert_eq!(workers.len(), 2);
    super::signal(&server, server.process().server_pid(), Signal::KILL);
    eventually("the workers are gone", || (!workers.iter().any(|pid| runs(*pid))).then_some(()));
    drop(held);
}

#[test]
fn a_signal_to_the_whole_group_lets_requests_in_flight_finish() {
    for signal in [Signal::TERM, Signal::INT] {
        let gate = Gate::new();
        let stack = in_processes("gated", &["--workers", "2", "--threads", "1"]).in_own_group();
        let server = stack.server();
        let mut connections = [server.connect(), server.connect()];
        for connection in &mut connections {
            connection.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", gate.target("/")));
        }
        // One in each worker: each counts from 0.
        let held = [gate.entered(), gate.entered()];
        let address = server.address();
        server.process().signal_group(signal);
        eventually("the listener is closed", || TcpStream::connect(address).is_err().then_some(()));
        held.into_iter().for_each(crate::harness::Held::release);
        for connection in &mut connections {
            assert_eq!(connection.response("GET").unwrap().expect(200).text(), "0");
        }
        server.finished().expect(0).never_says(&["STACK0313", "STACK0316", "Traceback"]);
    }
}

#[test]
fn slow_requests_in_every_worker_are_finished_before_the_server_leaves() {
    let server = in_processes("slow", &["--workers", "2", "--threads", "1"]).server();
    let mut connections = [server.connect(), server.connect()];
    for connection in &mut connections {
        connection.send("GET /?seconds=1 HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    // Answered by the front: by now it has read what was sent before.
    server.connect().request("CONNECT", "a:1", &[], b"");
    server.signal(Signal::TERM);
    for connection in &mut connections {
        assert!(connection.response("GET").unwrap().expect(200).closes());
    }
    server.finished().expect(0);
}

#[test]
fn a_worker_that_dies_while_the_server_stops_is_not_started_again() {
    let gate = Gate::new();
    let (server, _marks) = dying(&["--workers", "1", "--threads", "1"]);
    let mut fatal = server.connect();
    fatal.send(format!("POST {} HTTP/1.1\r\nHost: a\r\n\r\n", gate.target("/?die=exit")));
    let held = gate.entered();
    let address = server.address();
    server.signal(Signal::TERM);
    eventually("the listener is closed", || TcpStream::connect(address).is_err().then_some(()));
    held.release();
    fatal.response("POST").unwrap().expect(502);
    server.finished().expect(0);
}

#[test]
fn when_the_client_leaves_a_stream_the_iterable_is_closed_at_its_next_block() {
    let gate = Gate::new();
    let server = in_processes("closing", &["--workers", "1", "--threads", "2"]).server();
    let mut leaving = server.connect();
    leaving.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", gate.target("/endless")));
    let held = gate.entered();
    assert_eq!(server.get("/count").expect(200).json().get("/endless"), None);
    let port = leaving.port();
    drop(leaving);
    server.wait_until_left(port);
    held.release();
    eventually("the iterable is closed", || (server.get("/count").json()["/endless"] == 1).then_some(()));
    server.stop();
}

#[test]
fn when_the_client_stops_reading_and_leaves_the_iterable_is_closed() {
    let server = in_processes("download", &["--workers", "1", "--threads", "2"]).server();
    let mut leaving = server.connect();
    leaving.send("GET /?unbuffered=1&size=1000000000 HTTP/1.1\r\nHost: a\r\n\r\n");
    leaving.response_head().unwrap().expect(200);
    drop(leaving);
    eventually("the iterable is closed", || (server.get("/state").json()["closed"] == 1).then_some(()));
    server.stop();
}
