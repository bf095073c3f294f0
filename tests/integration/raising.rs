//! An application that raises: the client sees an error, the log its cause, and the worker serves the next request.

use crate::harness::{Connection, Gate, Response, Server, eventually};

fn attempt(connection: &mut Connection, target: &str) -> std::io::Result<Response> {
    connection.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
    connection.response("GET")
}

/// The points before anything was sent, then those after.
const BEFORE: &[&str] = &["call", "after-start-response", "iter", "next-1"];
const AFTER: &[&str] = &["after-write", "next-2", "next-4"];

#[test]
fn an_exception_before_the_first_block_is_a_plain_500() {
    let server = Server::start("raising", &["--workers", "1", "--threads", "1"]);
    for point in BEFORE {
        let response = server.get(&format!("/?at={point}")).expect(500);
        assert!(!response.text().contains("raised on purpose"), "{point}: the cause is not the client's to see");
        assert!(!response.text().contains("raising.py"), "{point}");
        assert_eq!(server.get("/?at=nowhere").expect(200).text(), "blockblockblock", "after {point}");
    }
    let tracebacks = server.process().wait_for("a traceback each", |lines| {
        let number = lines.iter().filter(|line| line.text.contains("RuntimeError: raised on purpose")).count();
        (number >= BEFORE.len()).then_some(number)
    });
    assert_eq!(tracebacks, BEFORE.len(), "each is logged once");
    server.wait_for_line("Traceback (most recent call last)");
    server.wait_for_line("raising.py");
    server.stop();
}

#[test]
fn an_exception_after_the_first_block_never_looks_like_a_whole_response() {
    let server = Server::start("raising", &["--workers", "1", "--threads", "1"]);
    for point in AFTER {
        let mut connection = server.connect();
        if let Ok(response) = attempt(&mut connection, &format!("/?at={point}")) {
            assert_eq!(response.status, 500, "{point}: {response:?}");
        }
        assert_eq!(server.get("/?at=nowhere").expect(200).text(), "blockblockblock", "after {point}");
    }
    server.stop();
}

#[test]
fn an_exception_in_close_is_logged_and_the_worker_goes_on() {
    let server = Server::start("raising", &["--workers", "1", "--threads", "1"]);
    let mut connection = server.connect();
    // The response may be out by then.
    let _ = attempt(&mut connection, "/?at=close");
    server.wait_for_line("RuntimeError: raised on purpose");
    assert_eq!(server.get("/?at=nowhere").expect(200).text(), "blockblockblock");
}

#[test]
fn no_kind_of_exception_ends_the_server() {
    let server = Server::start("raising", &["--workers", "1", "--threads", "2"]);
    for kind in [
        "exit",
        "exit-call",
        "interrupt",
        "generator-exit",
        "refused",
        "unprintable",
        "surrogate",
        "group",
        "recursion",
        "memory",
        "stop",
    ] {
        for point in BEFORE.iter().chain(AFTER).chain(&["close"]) {
            // An iterable's StopIteration is its end.
            if kind == "stop" && (point.starts_with("next") || *point == "iter") {
                continue;
            }
            let mut connection = server.connect();
            let response = attempt(&mut connection, &format!("/?at={point}&kind={kind}"));
            if BEFORE.contains(point) {
                assert_eq!(response.unwrap().status, 500, "{kind} at {point}");
            } else if AFTER.contains(point) {
                assert!(!response.is_ok_and(|response| response.status == 200), "{kind} at {point}");
            }
        }
        assert_eq!(server.get("/?at=nowhere").expect(200).text(), "blockblockblock", "after {kind}");
    }
    server.stop();
}

#[test]
fn close_is_called_once_however_the_response_ends() {
    let gate = Gate::new();
    let server = Server::start("closing", &["--workers", "1"]);
    server.get("/whole").expect(200);
    server.connect().request("HEAD", "/head", &[], b"").expect(200);
    for target in ["/raising", "/raising-first", "/not-bytes"] {
        let _ = attempt(&mut server.connect(), target);
    }
    let mut leaving = server.connect();
    leaving.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", gate.target("/endless")));
    let held = gate.entered();
    let port = leaving.port();
    leaving.reset();
    server.wait_until_left(port);
    held.release();
    let expected = serde_json::json!({
        "/whole": 1, "/head": 1, "/raising": 1, "/raising-first": 1, "/not-bytes": 1, "/endless": 1,
    });
    eventually("all are closed", || (server.get("/count").json() == expected).then_some(()));
    server.stop();
}

#[test]
fn what_a_thread_writes_after_its_request_is_never_in_another_s_response() {
    for isolation in ["processes", "threads"] {
        let server = Server::start("late_write", &["--isolation", isolation, "--workers", "1", "--threads", "1"]);
        let mut connection = server.connect();
        let mut late = server.connect();
        for _ in 0..20 {
            // Its own response may be cut: it was not made in time.
            if late.try_send("GET /late HTTP/1.1\r\nHost: a\r\n\r\n").is_err() || late.response("GET").is_err() {
                late = server.connect();
            }
            for _ in 0..4 {
                let text = connection.get("/").expect(200).text().to_owned();
                assert!(text == "plain", "{isolation}: {} bytes of another response", text.len());
            }
        }
        server.stop();
    }
}
