//! Workers that start, start again, or never do.

use std::fs;

use super::{dying, in_processes};
use crate::{
    harness::{Connection, Finished, Gate, serve, tests_argument},
    isolation::auto_tries_the_application,
};

/// Serves a module of `tests/apps/broken`.
fn broken(app: &str, isolation: &str) -> Finished {
    let chdir = tests_argument("apps/broken");
    let arguments = ["--isolation", isolation, "--chdir", &chdir, "--bind", "127.0.0.1:0", "--workers", "2"];
    serve(app, &arguments).run().expect(1)
}

#[test]
fn a_worker_that_ends_while_it_imports_is_a_failed_start_and_is_not_tried_again() {
    let finished = broken("ends_the_process", "processes").says(&["exit code 7", "import"]);
    let imports = finished.stdout().matches("imported once more").count()
        + finished.stderr().matches("imported once more").count();
    assert!((1..=2).contains(&imports), "each of two workers may have tried once: {imports}");
}

#[test]
fn a_worker_that_crashes_while_it_imports_shows_where() {
    broken("crashes", "processes").says(&["SIGSEGV", "in load_driver", "crashes.py"]);
}

#[test]
fn what_the_application_does_wrong_reads_the_same_in_every_mode() {
    for app in ["import_error", "imports_broken", "shopp", "callable_missing", "syntax_error", "exits", "not_callable"]
    {
        let told = |isolation| {
            let stderr = broken(app, isolation).stderr();
            let start = stderr.find("stack: ").unwrap_or_else(|| panic!("{app} under {isolation}: {stderr}"));
            stderr[start..].to_owned()
        };
        let expected = told("threads");
        let interpreters = auto_tries_the_application().then_some("interpreters");
        for isolation in ["processes"].into_iter().chain(interpreters) {
            assert_eq!(told(isolation), expected, "{app} under {isolation}");
        }
    }
}

#[test]
fn requests_that_come_while_a_worker_is_started_again_wait_for_it() {
    let gate = Gate::new();
    let port = gate.target("/").rsplit('=').next().unwrap().to_owned();
    let stack = in_processes("loading", &["--workers", "1"]).env("GATE", port);
    let server = std::thread::scope(|scope| {
        let server = scope.spawn(|| stack.server());
        gate.entered().release();
        server.join().expect("the server starts")
    });
    let mut before = server.connect();
    before.get("/").expect(200);
    super::signal(&server, server.process().pids()[1], rustix::process::Signal::KILL);
    let importing = gate.entered();
    let mut connections: Vec<_> = (0..4).map(|_| server.connect()).collect();
    connections.push(before);
    for connection in &mut connections {
        connection.send("POST / HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    server.wait_for_line("STACK0313");
    assert!(!connections.iter_mut().any(Connection::has_input));
    importing.release();
    for connection in &mut connections {
        assert_eq!(connection.response("POST").unwrap().expect(200).text(), "loaded");
    }
    server.stop();
}

#[test]
fn requests_that_are_queued_when_the_only_worker_dies_are_not_lost() {
    let gate = Gate::new();
    let (server, _marks) = dying(&["--workers", "1", "--threads", "1"]);
    let mut fatal = server.connect();
    fatal.send(format!("POST {} HTTP/1.1\r\nHost: a\r\n\r\n", gate.target("/?die=segfault")));
    let held = gate.entered();
    let mut queued: Vec<_> = (0..8).map(|_| server.connect()).collect();
    for connection in &mut queued {
        connection.send("POST / HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    // Answered by the front: by now it has read what was sent before.
    server.connect().request("CONNECT", "a:1", &[], b"");
    held.release();
    fatal.response("POST").unwrap().expect(502);
    for connection in &mut queued {
        connection.response("POST").unwrap().expect(200);
    }
    server.stop();
}

#[test]
fn a_worker_that_can_not_come_back_is_tried_until_it_can() {
    let directory = tempfile::tempdir().unwrap();
    let broken = directory.path().join("broken");
    let server = in_processes("fragile", &["--workers", "1"]).env("BROKEN", &broken).server();
    let mut connection = server.connect();
    fs::write(&broken, "").unwrap();
    connection.request("POST", "/die", &[], b"").expect(502);
    server.wait_for_line("STACK0314");
    server.wait_for_line("RuntimeError: broken by a deployment");
    let mut waiting = server.connect();
    waiting.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    fs::remove_file(&broken).unwrap();
    assert_eq!(waiting.response("GET").unwrap().expect(200).text(), "whole");
    server.stop();
}
