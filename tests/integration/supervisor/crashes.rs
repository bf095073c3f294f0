//! Servers that end without having been told to.

use std::net::TcpStream;

use rustix::process::Signal;

use super::{change, kill, runs, server_of, versioned};
use crate::harness::{Gate, Server, eventually, serve};

#[test]
fn a_server_that_crashes_is_replaced_and_no_connection_is_refused() {
    let server = Server::start("hello", &[]);
    for (signal, name) in [(Signal::KILL, "SIGKILL"), (Signal::SEGV, "SIGSEGV"), (Signal::ABORT, "SIGABRT")] {
        let before = server.process().server_pid();
        // The first SIGSEGV goes to Rust's handler, which lets a real fault happen again, and one by hand never.
        eventually("the server's end", || {
            kill(before, signal);
            (!runs(before)).then_some(())
        });
        // It waits in the kernel until there is somebody to accept it.
        assert_eq!(server.get("/").expect(200).text(), "hello\n");
        let line = server.wait_for_line(&format!("cause={name}"));
        assert!(line.contains("STACK0701") && line.contains(&format!("pid={before}")), "{line}");
        assert_ne!(server.process().server_pid(), before);
    }
    server.stop();
}

#[test]
fn a_server_that_can_not_be_started_again_is_tried_again() {
    let server = server_of(&versioned("one")).server();
    change(&server, "raise RuntimeError('not today')\n");
    kill(server.process().server_pid(), Signal::KILL);
    server.wait_for_line("STACK0703");
    change(&server, &versioned("another"));
    assert_eq!(server.get("/").expect(200).text(), "another");
    server.stop();
}

#[test]
fn a_server_whose_supervisor_is_gone_finishes_what_it_has_and_ends() {
    let gate = Gate::new();
    let server = Server::start("gated", &["--threads", "1"]);
    let mut running = server.connect();
    running.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", gate.target("/")));
    let held = gate.entered();
    let (pid, address) = (server.process().server_pid(), server.address());
    server.signal(Signal::KILL);
    eventually("the listener is closed", || TcpStream::connect(address).is_err().then_some(()));
    held.release();
    running.response("GET").unwrap().expect(200);
    eventually("the server's end", || (!runs(pid)).then_some(()));
}

#[test]
fn without_a_supervisor_the_server_is_the_process_that_was_started() {
    let server = Server::start("hello", &["--no-supervisor"]);
    assert_eq!(server.process().pids(), server.process().all_pids());
    server.get("/").expect(200);
    server.stop();
}

#[test]
fn a_first_start_that_fails_is_not_tried_again() {
    let finished = serve("hello", &["--app", "nowhere"]).default("--bind", "127.0.0.1:0").run().expect(1);
    assert_eq!(finished.stderr().matches("can not be served").count(), 1, "{}", finished.stderr());
}

#[test]
fn a_server_that_ends_itself_is_replaced() {
    let text = versioned("one")
        .replace("    start_response", "    environ['QUERY_STRING'] and os._exit(3)\n    start_response");
    // Where the application is in the server's process, and every Python has it there.
    let server = server_of(&text).arguments(["--isolation", "threads"]).server();
    let mut lost = server.connect();
    lost.send("GET /?leave HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(lost.response("GET").is_err());
    assert_eq!(server.get("/").expect(200).text(), "one");
    server.wait_for_line("cause=\"exit code 3\"");
    server.stop();
}
