//! Workers that have served long enough: each gets a successor, and nobody notices.

use crate::harness::{Server, isolation, serve};

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
    let (has_interpreters, can_end) = has_interpreters();
    if !has_interpreters {
        return;
    }
    for arguments in [["--max-requests", "20"], ["--max-worker-lifetime", "500ms"]] {
        let server = recycling("interpreters", &arguments);
        if can_end {
            ask_until(&server, 3);
            server.wait_for_line("to=Retiring");
            server.wait_for_line("to=Ended");
        } else {
            while !server.process().lines().iter().any(|line| line.text.contains("STACK0340")) {
                server.get("/").expect(200);
            }
        }
        server.get("/").expect(200);
        server.stop().never_says(&[" ERROR "]);
    }
}

#[test]
fn memory_that_can_not_be_told_apart_is_not_limited_and_the_log_says_so() {
    if has_interpreters().0 {
        let server = recycling("interpreters", &["--max-worker-memory", "1GiB"]);
        server.wait_for_line("STACK0344");
        server.stop();
    }
}
