//! SIGTERM and SIGINT: finish what is in flight, leave, exit with 0.

use std::{fs, net::TcpStream};

use rustix::process::Signal;

use crate::{
    harness::{Gate, Server, eventually, isolation, serve, workers},
    isolation::auto_tries_the_application,
};

#[test]
fn an_idle_server_stops_cleanly_on_either_signal() {
    for signal in [Signal::TERM, Signal::INT] {
        let server = Server::start("hello", &["--workers", "2"]);
        let mut idle = server.connect();
        idle.get("/").expect(200);
        server.signal(signal);
        idle.assert_closed();
        server.finished().expect(0);
    }
}

#[test]
fn a_server_that_never_saw_a_request_stops_cleanly() {
    Server::start("hello", &[]).stop();
}

#[test]
fn what_is_in_flight_is_finished_and_nothing_new_is_taken() {
    let gate = Gate::new();
    let server = Server::start("gated", &["--workers", "1", "--threads", "1"]);
    let mut running = server.connect();
    running.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", gate.target("/")));
    let held = gate.entered();
    let mut queued = server.connect();
    queued.send("GET /queued HTTP/1.1\r\nHost: a\r\n\r\n");
    let address = server.address();
    server.signal(Signal::TERM);
    eventually("the listener is closed", || TcpStream::connect(address).is_err().then_some(()));
    held.release();
    for connection in [&mut running, &mut queued] {
        assert!(connection.response("GET").unwrap().expect(200).closes());
        connection.assert_closed();
    }
    server.finished().expect(0);
}

#[test]
fn a_request_that_is_still_arriving_is_finished() {
    let server = Server::start("upload", &[]);
    let mut arriving = server.connect();
    arriving.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    arriving.response("POST").unwrap().expect(100);
    arriving.send("ab");
    let address = server.address();
    server.signal(Signal::TERM);
    eventually("the listener is closed", || TcpStream::connect(address).is_err().then_some(()));
    arriving.send("cd");
    assert_eq!(arriving.response("POST").unwrap().expect(200).json()["length"], 4);
    server.finished().expect(0);
}

#[test]
fn the_grace_period_bounds_the_wait() {
    let gate = Gate::new();
    let server = Server::start("gated", &["--grace-period", "1s"]);
    let mut running = server.connect();
    running.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", gate.target("/")));
    let held = gate.entered();
    server.signal(Signal::TERM);
    server.finished();
    drop(held);
    assert!(!running.response("GET").is_ok_and(|response| response.status == 200));
}

#[test]
fn a_second_signal_ends_at_once() {
    let gate = Gate::new();
    let server = Server::start("gated", &["--grace-period", "1h"]);
    let mut running = server.connect();
    running.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", gate.target("/")));
    let held = gate.entered();
    let address = server.address();
    server.signal(Signal::TERM);
    // The first one has been seen: a second in the same moment would be the same signal to the kernel.
    eventually("the listener is closed", || TcpStream::connect(address).is_err().then_some(()));
    server.signal(Signal::TERM);
    let finished = server.finished();
    assert_ne!(finished.status.code(), Some(0), "requests were lost");
    drop(held);
}

#[test]
fn every_worker_runs_its_atexit_handlers_and_waits_for_its_threads() {
    let marks = tempfile::tempdir().unwrap();
    let server = serve("exiting", &["--workers", "2"]).env("MARKS", marks.path()).server();
    server.get("/").expect(200);
    if isolation().is_none() && auto_tries_the_application() {
        server.wait_for_line("all workers have loaded the application");
    }
    server.stop();
    let names: Vec<_> =
        fs::read_dir(&marks).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    for kind in ["atexit", "thread"] {
        assert_eq!(names.iter().filter(|name| name.starts_with(kind)).count(), workers(2), "{kind}: {names:?}");
    }
}

#[test]
fn a_stop_while_the_application_is_still_loading_is_clean() {
    let gate = Gate::new();
    let target = gate.target("/");
    let port = target.rsplit('=').next().unwrap().to_owned();
    let stack = serve("loading", &["--bind", "127.0.0.1:0", "--workers", "1"]).env("GATE", port);
    let process = stack.start();
    let held = gate.entered();
    process.signal(Signal::TERM);
    held.release();
    process.finished().expect(0);
}
