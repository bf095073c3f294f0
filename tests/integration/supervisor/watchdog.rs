//! Servers that give no sign of life.

use std::{fs, net::SocketAddr, path::PathBuf, time::Instant};

use rustix::process::Signal;

use super::kill;
use crate::harness::{Connection, Gate, Server, eventually, serve};

/// Waits until as many times the watchdog's time of these tests, a second, have passed.
fn outlast(times: u64) {
    let begun = Instant::now();
    eventually("time passes", || (begun.elapsed().as_secs() >= times).then_some(()));
}

/// Stops a process, and waits until each of its threads has heard of it.
fn hold(pid: u32) {
    kill(pid, Signal::STOP);
    eventually("all threads stand still", || {
        let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(|thread| thread.unwrap().path());
        let stands = |thread: PathBuf| fs::read_to_string(thread.join("status")).unwrap().contains("State:\tT");
        threads.into_iter().all(stands).then_some(())
    });
}

#[test]
fn a_server_that_is_stopped_is_replaced_and_what_waits_is_answered() {
    let arguments = ["--watchdog-timeout", "1s", "--admin-bind", "127.0.0.1:0", "--bind", "127.0.0.1:0"];
    let server = serve("hello", &arguments).server_with(2);
    let [admin, address] = [0, 1].map(|index| server.listeners()[index].parse::<SocketAddr>().unwrap());
    let before = server.process().server_pid();
    hold(before);
    // It waits in the kernel until there is somebody to accept it.
    assert_eq!(Connection::tcp(address).get("/").expect(200).text(), "hello\n");
    let line = server.wait_for_line("STACK0712");
    assert!(line.contains(&format!("pid={before} process_state=\"T (stopped)\"")), "{line}");
    let line = server.wait_for_line("STACK0701");
    assert!(line.contains("cause=\"SIGKILL, because it gave no sign of life\""), "{line}");
    let metrics = Connection::tcp(admin).get("/metrics").expect(200).text().to_owned();
    for line in ["stack_generation 2", "{cause=\"ended\"} 0", "{cause=\"unresponsive\"} 1"] {
        assert!(metrics.contains(line), "no {line} in {metrics}");
    }
    server.stop();
}

#[test]
fn time_in_which_the_supervisor_stood_still_as_well_does_not_count() {
    let server = Server::start("hello", &["--watchdog-timeout", "1s"]);
    let before = server.process().server_pid();
    for _ in 0..2 {
        server.signal(Signal::STOP);
        hold(before);
        outlast(3);
        server.signal(Signal::CONT);
        kill(before, Signal::CONT);
        server.get("/").expect(200);
        // It is asked again meanwhile.
        outlast(2);
    }
    assert_eq!(server.process().server_pid(), before);
    server.stop().never_says(&["STACK0712", "STACK0701"]);
}

#[test]
fn what_the_application_does_is_no_sign_of_life_and_needs_none() {
    let gate = Gate::new();
    let arguments = ["--watchdog-timeout", "1s", "--isolation", "threads", "--grace-period", "1h"];
    let server = Server::start("gil", &arguments);
    let mut holder = server.connect();
    holder.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", gate.target("/hold")));
    let held = gate.entered();
    outlast(3);
    held.release();
    holder.response("GET").unwrap().expect(200);
    server.stop().never_says(&["STACK0712", "STACK0701"]);
}

#[test]
fn without_a_watchdog_nobody_is_asked() {
    let server = Server::start("hello", &["--watchdog-timeout", "0"]);
    let before = server.process().server_pid();
    hold(before);
    outlast(3);
    kill(before, Signal::CONT);
    server.get("/").expect(200);
    server.stop().never_says(&["STACK0712", "STACK0701"]);
}
