//! Requests that do not end: their clients are answered, their threads told, their workers replaced.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::{Gate, Held, Server, eventually, isolation, serve};

/// How long a request may take, unless a test says more.
const TIMEOUT: Duration = Duration::from_secs(1);

fn stuck(arguments: &[&str]) -> Server {
    let server = serve("stuck", arguments).default("--request-timeout", "1s").default("--kill-timeout", "1s");
    server.default("--access-log", "off").default("--log-level", "debug").server()
}

/// Waits for a response of 504, which must not come before its time.
fn times_out(server: &Server, target: &str) {
    let begun = Instant::now();
    server.get(target).expect(504);
    let took = begun.elapsed();
    assert!(took >= TIMEOUT, "{target} took {took:?}");
}

fn marks(server: &Server, wanted: &str) -> String {
    eventually(wanted, || {
        let marks = server.get("/marks").expect(200).text().to_owned();
        marks.contains(wanted).then_some(marks)
    })
}

#[test]
fn a_request_past_its_time_is_interrupted_and_its_finally_blocks_run() {
    let server = stuck(&[]);
    times_out(&server, "/spin?secret");
    let marks = marks(&server, "/spin finally");
    assert!(marks.contains("/spin caught stack.RequestTimeout: the request ran past request_timeout"), "{marks}");
    let line = server.wait_for_line("STACK0336");
    for part in ["GET", "/spin?secret", "request_id", "elapsed=1"] {
        assert!(line.contains(part), "no {part} in {line}");
    }
    for part in ["in spin", "in application", "WAYS[path]()"] {
        server.wait_for_line(part);
    }
    server.wait_for_line("a request that was interrupted has ended");
    server.stop().never_says(&["STACK0201", "STACK0337"]);
}

/// What nothing ends, and where the log must show it.
const WAYS: [(&str, &str); 4] =
    [("/sleep", "in sleep"), ("/gil", "in hold_gil"), ("/lock", "in wait_for_lock"), ("/swallow", "in swallow")];

/// The kinds of workers that can be replaced one by one, as far as this Python has them.
fn isolations() -> Vec<&'static str> {
    let server = stuck(&[]);
    let chosen = server.wait_for_line("isolation=");
    server.stop();
    match isolation().as_deref() {
        Some("processes" | "threads") => vec!["processes"],
        _ if chosen.contains("isolation=interpreters") => vec!["interpreters", "processes"],
        _ => vec!["processes"],
    }
}

#[test]
fn a_worker_with_a_request_that_does_not_end_is_replaced_and_others_are_answered_meanwhile() {
    for isolation in isolations() {
        for (target, place) in WAYS {
            let server = stuck(&["--workers", "2", "--isolation", isolation]);
            times_out(&server, target);
            // Both before the worker is replaced and after.
            for _ in 0..4 {
                server.get("/").expect(200);
            }
            server.wait_for_line("STACK0337");
            server.wait_for_line("a worker has a successor");
            server.wait_for_line("to=Abandoned");
            for _ in 0..8 {
                server.get("/").expect(200);
            }
            server.stop().says(&["STACK0336", "STACK0337", target, place]);
        }
    }
}

#[test]
fn the_only_worker_is_replaced_too() {
    for isolation in isolations() {
        for (target, _) in WAYS {
            let server = stuck(&["--workers", "1", "--threads", "1", "--isolation", isolation]);
            times_out(&server, target);
            server.wait_for_line("to=Abandoned");
            server.get("/").expect(200);
            server.stop();
        }
    }
}

#[test]
fn a_worker_process_that_is_stuck_leaves_its_stack_when_it_is_ended() {
    for (target, place) in WAYS {
        let server = stuck(&["--workers", "1", "--isolation", "processes"]);
        let old = server.process().pids()[1];
        times_out(&server, target);
        let line = server.wait_for_line("STACK0345");
        assert!(line.contains("SIGABRT") && line.contains(&format!("pid={old}")), "{line}");
        assert!(!server.process().pids().contains(&old), "it is gone");
        server.get("/").expect(200);
        let finished = server.stop();
        let stderr = finished.stderr();
        let (_, words) = stderr.split_once("STACK0345").unwrap();
        assert!(words.contains(place), "no {place:?} in {words}");
    }
}

#[test]
fn a_thread_that_does_not_end_is_replaced_and_with_too_many_of_them_the_server_process() {
    let server = stuck(&["--threads", "1", "--isolation", "threads"]);
    let pid = server.process().server_pid();
    times_out(&server, "/sleep");
    server.wait_for_line("STACK0337");
    // By the only thread, which is another one.
    server.get("/").expect(200);
    times_out(&server, "/lock");
    let line = server.wait_for_line("STACK0339");
    assert!(line.contains("abandoned=2 replaced=true"), "{line}");
    server.get("/").expect(200);
    server.wait_for_line("a new generation serves generation=2");
    eventually("the old server's end", || (server.process().server_pid() != pid).then_some(()));
    server.get("/").expect(200);
    server
        .stop()
        .says(&["a server wants another one in its place generation=1 reason=\"too many requests do not end\""]);
}

#[test]
fn a_server_process_whose_only_gil_is_held_for_ever_is_replaced() {
    let server = stuck(&["--threads", "2", "--isolation", "threads"]);
    let pid = server.process().server_pid();
    times_out(&server, "/gil");
    server.wait_for_line("STACK0339");
    // What the old one had taken by then can not be answered; the new one answers at once.
    server.wait_for_line("a new generation serves generation=2");
    eventually("an answer", || (server.get("/").status == 200).then_some(()));
    eventually("the old server's end", || (server.process().server_pid() != pid).then_some(()));
    server.stop();
}

/// All of them, or only the one that is tested.
fn all_isolations() -> Vec<&'static str> {
    let mut all = isolations();
    all.push("threads");
    all
}

#[test]
fn a_response_that_does_not_go_on_is_cut_and_its_request_interrupted() {
    for isolation in all_isolations() {
        let server = stuck(&["--isolation", isolation]);
        let mut connection = server.connect();
        let begun = Instant::now();
        connection.send("GET /stream/spin HTTP/1.1\r\nHost: a\r\n\r\n");
        connection.response_head().unwrap().expect(200);
        assert_eq!(connection.chunk().unwrap().as_deref(), Some(&b"block\n"[..]));
        // Without the last chunk: it does not look whole.
        connection.chunk().unwrap_err();
        assert!(begun.elapsed() >= TIMEOUT);
        let line = server.wait_for_line("STACK0347");
        assert!(line.contains("target=/stream/spin"), "{line}");
        server.wait_for_line("in spin");
        marks(&server, "closed");
        server.stop().never_says(&["STACK0337", "STACK0201"]);
    }
}

#[test]
fn a_worker_whose_response_is_stuck_in_c_is_replaced_and_the_client_does_not_wait_for_that() {
    for isolation in isolations() {
        let server = stuck(&["--workers", "1", "--threads", "1", "--isolation", isolation]);
        let mut connection = server.connect();
        connection.send("GET /stream/sleep HTTP/1.1\r\nHost: a\r\n\r\n");
        connection.response_head().unwrap().expect(200);
        connection.chunk().unwrap();
        connection.chunk().unwrap_err();
        server.wait_for_line("STACK0346");
        server.wait_for_line("STACK0337");
        server.wait_for_line("to=Abandoned");
        server.get("/").expect(200);
        server.stop();
    }
}

#[test]
fn a_response_may_last_as_long_as_it_goes_on_or_its_client_takes_its_time() {
    for isolation in all_isolations() {
        let server = stuck(&["--isolation", isolation]);
        let (mut steady, mut slow) = (server.connect(), server.connect());
        slow.send("GET /stream/much HTTP/1.1\r\nHost: a\r\n\r\n");
        slow.response_head().unwrap().expect(200);
        assert_eq!(steady.get("/stream/go-on").expect(200).body.len(), 11 * 6);
        let mut length = 0;
        while let Some(chunk) = slow.chunk().unwrap() {
            length += chunk.len();
        }
        assert_eq!(length, 6 + (32 << 20));
        server.stop().never_says(&["STACK0346", "STACK0347", "STACK0336"]);
    }
}

#[test]
fn a_slow_request_is_told_of_while_it_runs() {
    for isolation in isolations() {
        let server = stuck(&["--slow-request-threshold", "100ms", "--request-timeout", "1h", "--isolation", isolation]);
        let mut connection = server.connect();
        connection.send("GET /sleep?secret HTTP/1.1\r\nHost: a\r\n\r\n");
        let line = server.wait_for_line("STACK0335");
        assert!(line.contains("target=/sleep?secret"), "{line}");
        server.wait_for_line("in sleep");
        // Told once, and nothing is done about it.
        assert_eq!(server.get("/").expect(200).text(), "ok");
        server.signal(Signal::TERM);
        server.wait_for_line("stopping: no new connections");
        server.signal(Signal::TERM);
        let finished = server.finished();
        assert_eq!(finished.stderr().matches("STACK0335").count(), 1);
        finished.never_says(&["STACK0336"]);
    }
}

#[test]
fn a_request_whose_client_has_left_is_interrupted_where_that_is_asked_for() {
    for isolation in isolations() {
        let server = stuck(&["--interrupt-on-disconnect", "--request-timeout", "1h", "--isolation", isolation]);
        for (target, mark) in [("/spin", "/spin finally"), ("/stream", "closed")] {
            let mut connection = server.connect();
            connection.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
            if target == "/stream" {
                connection.response_head().unwrap().expect(200);
            } else {
                server.wait_until_read(connection.port());
            }
            drop(connection);
            marks(&server, mark);
        }
        server.wait_for_line("raised=ClientGone");
        server.stop().never_says(&["STACK0201", "STACK0337"]);
    }
}

#[test]
fn jobs_that_went_to_a_worker_whose_gil_is_held_are_run_by_another_one() {
    for isolation in isolations() {
        let (gate, holding) = (Gate::new(), Gate::new());
        let arguments = ["--workers", "2", "--threads", "2", "--request-timeout", "1h", "--isolation", isolation];
        let server = serve("gil", &arguments).default("--log-level", "debug").server();
        let mut holder = server.connect();
        holder.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", holding.target("/hold")));
        let held = holding.entered();
        // One thread is left for them there, and two in the other worker.
        let mut waiting: Vec<_> = (0..3)
            .map(|_| {
                let mut connection = server.connect();
                connection.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", gate.target("/wait")));
                connection
            })
            .collect();
        server.wait_for_line("STACK0338");
        let first = [gate.entered(), gate.entered()];
        first.into_iter().for_each(Held::release);
        gate.entered().release();
        for connection in &mut waiting {
            assert_eq!(connection.response("GET").unwrap().expect(200).text(), "free");
        }
        assert!(!holder.has_input(), "the GIL is still held");
        held.release();
        holder.response("GET").unwrap().expect(200);
        server.stop();
    }
}

#[test]
fn a_job_that_waits_for_a_stalled_worker_is_taken_back_and_run_later() {
    for isolation in isolations() {
        let server = stuck(&["--workers", "1", "--threads", "2", "--request-timeout", "1h", "--isolation", isolation]);
        let mut holder = server.connect();
        let hold = "GET /gil-for-a-while HTTP/1.1\r\nHost: a\r\n\r\n";
        holder.send(hold);
        server.wait_for_line("the GIL is held");
        let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";
        let mut waiting = server.connect();
        waiting.send(post);
        eventually("a job that waits", || {
            // On a busy machine the second thread may not have been there yet: then the job has waited in the queue.
            if holder.has_input() {
                holder.response("GET").unwrap().expect(200);
                holder.send(hold);
            }
            if waiting.has_input() {
                waiting.response("POST").unwrap().expect(200);
                waiting.send(post);
            }
            server.process().lines().iter().any(|line| line.text.contains("STACK0338")).then_some(())
        });
        server.wait_for_line("to=Stalled");
        waiting.response("POST").unwrap().expect(200);
        holder.response("GET").unwrap().expect(200);
        server.wait_for_line("from=Stalled to=Ready");
        server.stop();
    }
}
