//! The end: told by signals, in several ways.

use rustix::process::Signal;

use crate::harness::{Gate, Server, eventually};

#[test]
fn a_drain_delay_keeps_accepting_while_readiness_fails() {
    let server = Server::start("hello", &["--drain-delay", "1h", "--health-path", "/-/health"]);
    server.get("/-/health/ready").expect(200);
    server.signal(Signal::TERM);
    eventually("not ready", || (server.get("/-/health/ready").status == 503).then_some(()));
    assert_eq!(server.get("/").expect(200).text(), "hello\n");
    // The second one does not wait, and nothing is lost by that.
    server.signal(Signal::TERM);
    server.finished().says(&["stopping soon", "stopping at once"]);
}

#[test]
fn a_drain_delay_ends() {
    let server = Server::start("hello", &["--drain-delay", "100ms"]);
    server.get("/").expect(200);
    server.stop().says(&["stopping soon", "no new connections"]);
}

#[test]
fn sigquit_ends_at_once() {
    let gate = Gate::new();
    let server = Server::start("gated", &["--grace-period", "1h"]);
    let mut running = server.connect();
    running.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", gate.target("/")));
    let held = gate.entered();
    server.signal(Signal::QUIT);
    server.finished().expect(1).says(&["cut_off=1"]);
    drop(held);
    let idle = Server::start("hello", &[]);
    idle.signal(Signal::QUIT);
    idle.finished().expect(0);
}

#[test]
fn a_stop_during_a_reload_ends_both_servers() {
    let gate = Gate::new();
    let server = super::server_of(&super::versioned("one")).server();
    let waiting = format!("import socket\nsocket.create_connection(('127.0.0.1', {})).recv(1)\n", gate.port());
    super::change(&server, &format!("{waiting}{}", super::versioned("another")));
    server.signal(Signal::HUP);
    let _held = gate.entered();
    server.stop();
}
