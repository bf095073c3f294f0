//! What an application does in a process of its own.

use rustix::process::Signal;

use super::{in_processes, signal};
use crate::harness::eventually;

#[test]
fn a_signal_reaches_the_application_s_handler_in_the_main_thread() {
    for threads in ["1", "4"] {
        let server = in_processes("signals", &["--workers", "1", "--threads", threads]).server();
        let worker = server.process().pids()[1];
        for number in 1..=3 {
            signal(&server, worker, Signal::USR1);
            let expected = format!("[{}]", ["True"].repeat(number).join(", "));
            eventually("the handler ran", || (server.get("/").expect(200).text() == expected).then_some(()));
        }
        server.stop();
    }
}

#[test]
fn a_handler_that_raises_outside_of_a_request_is_logged_and_hurts_no_one() {
    let server = in_processes("signals", &["--workers", "1", "--threads", "1"]).server();
    let worker = server.process().pids()[1];
    signal(&server, worker, Signal::USR2);
    server.wait_for_line("LookupError: raised by a handler");
    assert_eq!(server.get("/").expect(200).text(), "[]");
    server.stop().never_says(&["STACK0313"]);
}

#[test]
fn an_alarm_ends_a_computation() {
    let server = in_processes("signals", &["--workers", "1", "--threads", "1"]).server();
    for _ in 0..3 {
        assert_eq!(server.get("/alarm").expect(200).text(), "time is up");
    }
    server.stop();
}

#[test]
fn a_worker_is_not_ended_by_sigterm_since_its_server_decides() {
    let server = in_processes("signals", &["--workers", "1", "--threads", "1"]).server();
    let worker = server.process().pids()[1];
    assert_eq!(server.get("/terminate").expect(200).text(), "still here");
    for _ in 0..50 {
        // At once: each handler is interrupted by the next.
        for number in [Signal::TERM, Signal::INT, Signal::HUP, Signal::USR1] {
            signal(&server, worker, number);
        }
    }
    assert!(server.get("/").expect(200).text().starts_with("[True"));
    assert_eq!(server.process().pids()[1], worker);
    server.stop().never_says(&["STACK0313"]);
}

#[test]
fn children_of_every_kind_can_be_started_in_a_request() {
    for threads in ["1", "4"] {
        let server = in_processes("children", &["--workers", "1", "--threads", threads]).server();
        let mut connection = server.connect();
        for way in ["/fork", "/subprocess", "/shell", "/multiprocessing-spawn", "/multiprocessing-fork", "/fork"] {
            assert_eq!(connection.get(way).expect(200).text(), "42", "{way}, {threads} threads");
        }
        server.stop().never_says(&["STACK0313", "Traceback"]);
    }
}

#[test]
fn what_the_application_prints_and_logs_comes_out_whole() {
    let server = in_processes("printing", &["--workers", "2"]).server();
    for target in ["/print", "/errors", "/logging", "/threads?count=2"] {
        server.get(target).expect(200);
    }
    let finished = server.stop();
    let ends_in = |text: &str| finished.lines.iter().filter(|line| line.text.trim_end().ends_with(text)).count();
    assert_eq!(ends_in("printed at import"), 2, "once in each worker");
    for text in ["in two pieces", "to stderr", "caf\u{e9} \u{20ac} \u{1f40d}", "without an end"] {
        assert_eq!(ends_in(text), 1, "{text}");
    }
    for part in ["written to wsgi.errors", "WARNING:shop:basket 7 is empty", "LookupError: logged on purpose"] {
        assert!(finished.stderr().contains(part), "no {part:?} in:\n{}", finished.stderr());
    }
    let of_threads: Vec<_> = finished.lines.iter().filter(|line| line.text.contains("<thread ")).collect();
    assert_eq!(of_threads.len(), 200);
    assert!(of_threads.iter().all(|line| line.text.matches('<').count() == 1));
}

#[test]
fn threads_of_the_application_work_and_hold_no_stop_up() {
    let server = in_processes("background", &["--workers", "2"]).server();
    for _ in 0..10 {
        server.get("/work").expect(200);
    }
    eventually("the daemon threads work", || (server.get("/").text() != "0").then_some(()));
    server.stop();
}

#[test]
fn every_worker_s_process_and_application_is_its_own() {
    let server = in_processes("variables", &["--workers", "2"]).server();
    let seen = server.get("/").expect(200).json();
    let pids = server.process().pids();
    let pid = seen["pid"].as_u64().unwrap();
    assert_ne!(pid, u64::from(pids[0]));
    assert!(pids[1..].iter().any(|worker| u64::from(*worker) == pid), "{pid} is not among {pids:?}");
    assert!(seen["thread"].as_str().unwrap().contains("worker-") || seen["thread"] == "MainThread", "{seen}");
    server.stop();
}
