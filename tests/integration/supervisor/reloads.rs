//! A new server in the place of the running one.

use std::fs;

use rustix::process::Signal;

use super::{change, runs, server_of, versioned};
use crate::harness::{Gate, Response, Server, eventually};

#[test]
fn a_reload_serves_the_new_code_and_ends_the_old_server() {
    let server = server_of(&versioned("one")).server();
    let old = server.process().server_pid();
    assert_eq!(server.get("/").expect(200).text(), "one");
    change(&server, &versioned("another"));
    server.signal(Signal::HUP);
    eventually("the new code", || (server.get("/").expect(200).text() == "another").then_some(()));
    eventually("the old server's end", || (!runs(old)).then_some(()));
    server.stop();
}

#[test]
fn a_reload_to_code_that_does_not_import_leaves_the_old_server_in_place() {
    let server = server_of(&versioned("one")).server();
    let old = server.process().server_pid();
    change(&server, "raise RuntimeError('not today')\n");
    server.signal(Signal::HUP);
    let line = server.wait_for_line("STACK0702");
    assert!(line.contains("reload failed"), "{line}");
    server.wait_for_line("not today");
    assert_eq!((server.get("/").expect(200).text(), server.process().server_pid()), ("one", old));
    server.stop();
}

#[test]
fn requests_in_flight_outlive_a_reload() {
    let gate = Gate::new();
    let server = Server::start("gated", &["--threads", "1", "--log-level", "debug"]);
    let mut running = server.connect();
    running.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", gate.target("/")));
    let held = gate.entered();
    server.signal(Signal::HUP);
    server.wait_for_line("listener closed");
    server.get("/").expect(200);
    held.release();
    assert!(running.response("GET").unwrap().expect(200).closes());
    server.stop();
}

#[test]
fn a_kept_connection_is_used_once_more_and_then_closed_with_a_word() {
    let server = server_of(&versioned("one")).server();
    let mut kept = server.connect();
    assert!(!kept.get("/").expect(200).closes());
    change(&server, &versioned("another"));
    server.signal(Signal::HUP);
    // The old server answers on it, since it is the one that has it, and sees that it is in use.
    let last = eventually("the last response", || Some(kept.get("/").expect(200)).filter(Response::closes));
    assert_eq!(last.text(), "one");
    kept.assert_closed();
    eventually("the new code", || (server.get("/").expect(200).text() == "another").then_some(()));
    server.stop();
}

#[test]
fn a_reload_during_a_reload_starts_with_what_is_there_now() {
    let gate = Gate::new();
    let waiting = format!("import socket\nsocket.create_connection(('127.0.0.1', {})).recv(1)\n", gate.port());
    let server = server_of(&versioned("one")).server();
    change(&server, &format!("{waiting}{}", versioned("half")));
    server.signal(Signal::HUP);
    let _held = gate.entered();
    change(&server, &versioned("another"));
    server.signal(Signal::HUP);
    eventually("the newest code", || (server.get("/").expect(200).text() == "another").then_some(()));
    server.stop();
}

#[test]
fn reloads_that_come_faster_than_drains_end_do_not_pile_up_servers() {
    let gate = Gate::new();
    let arguments = ["--threads", "1", "--isolation", "processes", "--grace-period", "1h", "--log-level", "debug"];
    let server = Server::start("gated", &arguments);
    let mut held = Vec::new();
    for generation in 1..=6 {
        let mut connection = server.connect();
        connection.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", gate.target("/")));
        held.push((connection, gate.entered()));
        server.signal(Signal::HUP);
        server.process().wait_for("the hand-over", |lines| {
            let closed = lines.iter().filter(|line| line.text.contains("listener closed")).count();
            (closed == generation).then_some(())
        });
    }
    // Four drain; the two before them had the longest time.
    for generation in [1, 2] {
        server.wait_for_line(&format!("the oldest is cut off code=STACK0711 generation={generation} most=4"));
        server.wait_for_line(&format!("did not end cleanly code=STACK0705 generation={generation} cut_off=1"));
    }
    for (generation, (mut connection, held)) in (1..).zip(held) {
        held.release();
        match connection.response("GET") {
            Ok(response) => assert!(generation > 2 && response.status == 200, "{generation} was answered"),
            Err(error) => assert!(generation <= 2, "{generation}: {error}"),
        }
    }
    server.stop();
}

#[test]
fn a_changed_bind_is_taken_and_the_old_one_given_up() {
    let server = server_of(&versioned("one")).file("stack.toml", "bind = ['127.0.0.1:0']\n").server_with(1);
    let directory = server.process().directory().to_owned();
    let path = directory.join("server.sock");
    fs::write(directory.join("stack.toml"), "bind = ['unix:server.sock']\n").unwrap();
    server.signal(Signal::HUP);
    server.wait_for_line("another generation has taken over");
    assert_eq!(crate::harness::Connection::unix(&path).get("/").expect(200).text(), "one");
    let address = server.address();
    eventually("the old listener is closed", || std::net::TcpStream::connect(address).is_err().then_some(()));
    server.stop();
    assert!(!path.exists());
}

#[test]
fn a_bind_that_can_not_be_had_fails_the_reload() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = server_of(&versioned("one")).file("stack.toml", "bind = ['127.0.0.1:0']\n").server_with(1);
    let bind = format!("bind = ['{}']\n", taken.local_addr().unwrap());
    fs::write(server.process().directory().join("stack.toml"), bind).unwrap();
    server.signal(Signal::HUP);
    server.wait_for_line("STACK0702");
    server.wait_for_line("is in use");
    server.get("/").expect(200);
    server.stop();
}

#[test]
fn a_failed_reload_check_fails_the_reload() {
    let refusing = versioned("another").replace("'200 OK'", "'500 Nothing Works'");
    let server = server_of(&versioned("one")).arguments(["--reload-check", "/healthz"]).server();
    change(&server, &refusing);
    server.signal(Signal::HUP);
    server.wait_for_line("the reload check /healthz failed: it was answered with 500");
    assert_eq!(server.get("/").expect(200).text(), "one");
    change(&server, &versioned("another"));
    server.signal(Signal::HUP);
    server.wait_for_line("the reload check went well");
    eventually("the new code", || (server.get("/").expect(200).text() == "another").then_some(()));
    server.stop();
}

#[test]
fn workers_can_be_more_and_fewer() {
    // In `threads` there is one worker whatever is asked for.
    let server = Server::start("hello", &["--workers", "1", "--isolation", "processes"]);
    server.signal(Signal::TTIN);
    server.wait_for_line("workers=2 threads=2");
    server.wait_for_line("another generation has taken over");
    server.signal(Signal::TTOU);
    server.process().wait_for("one worker again", |lines| {
        (lines.iter().filter(|line| line.text.contains("workers=1 threads=2")).count() == 2).then_some(())
    });
    server.get("/").expect(200);
    server.stop();
}

#[test]
fn a_moved_access_log_is_followed_by_another_one() {
    let server = Server::start("hello", &["--access-log", "access.log"]);
    let directory = server.process().directory().to_owned();
    server.get("/before").expect(200);
    let lines = |name: &str| fs::read_to_string(directory.join(name)).unwrap_or_default();
    eventually("the first line", || lines("access.log").contains("/before").then_some(()));
    fs::rename(directory.join("access.log"), directory.join("moved.log")).unwrap();
    server.signal(Signal::USR1);
    server.wait_for_line("the access log is opened again");
    server.get("/after").expect(200);
    eventually("the next line", || lines("access.log").contains("/after").then_some(()));
    assert!(!lines("moved.log").contains("/after"));
    server.stop();
}
