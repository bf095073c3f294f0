//! Workers that have served long enough: each gets a successor, and nobody notices.

use std::{
    fs,
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
};

use crate::harness::{Connection, Process, Server, eventually, isolation, serve};

fn recycling(isolation: &str, arguments: &[&str]) -> Server {
    let server = serve("stuck", arguments).default("--isolation", isolation).default("--workers", "2");
    server.default("--log-level", "debug").default("--access-log", "off").server()
}

/// Asks until as many workers have been replaced, and insists on every answer.
fn ask_until(server: &Server, replaced: usize) {
    let count =
        || server.process().lines().iter().filter(|line| line.text.contains("a worker has a successor")).count();
    while count() < replaced {
        let mut connection = server.connect();
        for _ in 0..10 {
            connection.get("/").expect(200);
        }
    }
}

/// Whether workers are interpreters, and whether these can be replaced in this process (from Python 3.14 on).
fn has_interpreters() -> (bool, bool) {
    if matches!(isolation().as_deref(), Some("processes" | "threads")) {
        return (false, false);
    }
    let server = serve("stuck", &[]).server();
    let line = server.wait_for_line("isolation=");
    server.stop();
    let is_old = line.contains("python=3.13");
    (line.contains("isolation=interpreters"), !is_old)
}

#[test]
fn a_worker_process_is_replaced_after_its_requests() {
    let server = recycling("processes", &["--max-requests", "20", "--max-requests-jitter", "10"]);
    let first = server.process().pids();
    ask_until(&server, 4);
    server.wait_for_line("cause=max_requests");
    let now = server.process().pids();
    assert!(now[1..].iter().any(|pid| !first.contains(pid)), "{first:?}, then {now:?}");
    server.stop().never_says(&["STACK0313", "STACK0345", " ERROR "]);
}

#[test]
fn a_worker_process_is_replaced_after_its_time() {
    let server = recycling("processes", &["--max-worker-lifetime", "500ms"]);
    ask_until(&server, 3);
    server.wait_for_line("cause=max_worker_lifetime");
    server.stop().never_says(&["STACK0313", " ERROR "]);
}

#[test]
fn a_worker_process_is_replaced_when_it_has_grown() {
    let server = recycling("processes", &["--max-worker-memory", "1MiB"]);
    ask_until(&server, 1);
    server.wait_for_line("cause=max_worker_memory");
    server.stop().never_says(&["STACK0313", " ERROR "]);
}

#[test]
fn an_interpreter_is_replaced_where_python_gives_its_memory_back() {
    if has_interpreters() != (true, true) {
        return;
    }
    for arguments in [["--max-requests", "20"], ["--max-worker-lifetime", "500ms"]] {
        let server = recycling("interpreters", &arguments);
        ask_until(&server, 3);
        server.wait_for_line("to=Retiring");
        server.wait_for_line("to=Ended");
        server.get("/").expect(200);
        server.stop().never_says(&[" ERROR "]);
    }
}

/// The kinds of workers whose memory comes back with the server process only.
fn kept_until_the_process_ends() -> Vec<&'static str> {
    match has_interpreters() {
        (true, false) => vec!["interpreters", "threads"],
        _ => vec!["threads"],
    }
}

fn has_said(process: &Process, part: &str) -> usize {
    process.lines().iter().filter(|line| line.text.contains(part)).count()
}

/// Asks on one kept connection after the other until `done` says so; gives the number of answers.
fn ask_without_pause(address: SocketAddr, done: impl Fn() -> bool) -> usize {
    let mut answers = 0;
    while !done() {
        let mut connection = Connection::tcp(address);
        loop {
            let response = connection.get("/").expect(200);
            answers += 1;
            if done() || response.closes() {
                break;
            }
        }
    }
    answers
}

#[test]
fn a_server_process_is_replaced_under_load_where_python_keeps_memory() {
    let limits = [["--max-requests", "20"], ["--max-worker-lifetime", "500ms"]];
    for (isolation, arguments) in kept_until_the_process_ends().into_iter().zip(limits) {
        let server = recycling(isolation, &arguments);
        let first = server.process().server_pid();
        let answers = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let drained = || has_said(server.process(), "a generation has ended") > 0;
                    answers.fetch_add(ask_without_pause(server.address(), drained), Relaxed);
                });
            }
        });
        let answers = answers.into_inner();
        let line = server.wait_for_line("a server wants another one in its place");
        assert!(line.contains("generation=1 reason=\"its workers have served long enough\""), "{line}");
        assert_eq!(has_said(server.process(), "a server wants another one in its place generation=1 "), 1);
        eventually("the old server's end", || (server.process().server_pid() != first).then_some(()));
        server.get("/").expect(200);
        assert!(answers > 40, "{answers} answers");
        server.stop().never_says(&[" WARN ", " ERROR "]);
    }
}

#[test]
fn a_server_process_that_is_worn_serves_on_until_one_comes_up_in_its_place() {
    let text = "def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'first']\n";
    let server = serve("worn", &["--chdir", ".", "--max-requests", "5", "--isolation", "threads"]);
    let server = server.default("--access-log", "off").file("worn.py", text).server();
    let file = server.process().directory().join("worn.py");
    fs::write(&file, "raise RuntimeError('not today')\n").unwrap();
    let process = server.process();
    ask_without_pause(server.address(), || has_said(process, "STACK0702") == 1);
    let pid = process.server_pid();
    server.wait_for_line("not today");
    fs::write(&file, text.replace("first", "another")).unwrap();
    // It has asked once, and is not forgotten.
    eventually("the new code", || (server.get("/").expect(200).text() == "another").then_some(()));
    eventually("the old server's end", || (process.server_pid() != pid).then_some(()));
    let finished = server.stop();
    assert_eq!(finished.stderr().matches("STACK0702").count(), 1, "a pause, and no loop");
    assert_eq!(finished.stderr().matches("a server wants another one in its place generation=1").count(), 1);
}

#[test]
fn without_a_supervisor_it_is_said_once_that_nothing_can_be_replaced() {
    let server = serve("stuck", &["--no-supervisor", "--max-requests", "5", "--isolation", "threads"]).server();
    let process = server.process();
    ask_without_pause(server.address(), || has_said(process, "STACK0340") > 0);
    for _ in 0..20 {
        server.get("/").expect(200);
    }
    assert_eq!(server.stop().stderr().matches("STACK0340").count(), 1);
}

#[test]
fn memory_that_can_not_be_told_apart_is_not_limited_and_the_log_says_so() {
    if has_interpreters().0 {
        let server = recycling("interpreters", &["--max-worker-memory", "1GiB"]);
        server.wait_for_line("STACK0344");
        server.stop();
    }
}
