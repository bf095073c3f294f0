//! Clients that leave, at any byte.

use crate::harness::{Gate, Server, eventually, serve};

#[test]
fn a_client_may_leave_at_any_byte_of_a_request() {
    let server = Server::start("gated", &["--workers", "1", "--threads", "1"]);
    for request in [
        &b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"[..],
        b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
    ] {
        for length in 0..request.len() {
            let mut connection = server.connect();
            connection.send(&request[..length]);
            let port = connection.port();
            if length % 2 == 0 {
                drop(connection);
            } else {
                connection.reset();
            }
            server.wait_until_left(port);
        }
    }
    assert_eq!(server.get("/").expect(200).text(), "0", "no application ran for half a request");
    server.stop();
}

#[test]
fn a_client_may_leave_at_any_byte_of_a_response() {
    let server = Server::start("download", &["--workers", "1", "--threads", "1"]);
    for length in [0, 1, 17, 100, 1000, 65_536, 1_000_000] {
        for reset in [false, true] {
            let mut connection = server.connect();
            connection.send("GET /?size=5000000 HTTP/1.1\r\nHost: a\r\n\r\n");
            connection.read_exactly(length).unwrap();
            let port = connection.port();
            if reset {
                connection.reset();
            } else {
                drop(connection);
            }
            server.wait_until_left(port);
        }
    }
    eventually("every iterable is closed", || {
        let state = server.get("/state").json();
        // Those who left at once may never have reached the application.
        (state["closed"] == state["started"] && state["closed"].as_u64() >= Some(12)).then_some(())
    });
    assert_eq!(server.get("/?size=100000").expect(200).body.len(), 100_000);
    server.stop();
}

#[test]
fn a_client_that_leaves_the_queue_never_reaches_the_application() {
    let gate = Gate::new();
    let server = Server::start("gated", &["--workers", "1", "--threads", "1"]);
    let mut running = server.connect();
    running.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", gate.target("/")));
    let held = gate.entered();
    let mut queued = server.connect();
    queued.send("GET /queued HTTP/1.1\r\nHost: a\r\n\r\n");
    let port = queued.port();
    queued.reset();
    server.wait_until_left(port);
    held.release();
    assert_eq!(running.response("GET").unwrap().expect(200).text(), "0");
    assert_eq!(server.get("/").expect(200).text(), "1", "the request between was dropped");
    server.stop();
}

#[test]
fn a_client_that_left_while_the_application_ran_hurts_no_one() {
    let gate = Gate::new();
    let server = serve("gated", &["--workers", "1", "--threads", "1"]).server();
    let mut leaving = server.connect();
    leaving.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", gate.target("/")));
    let held = gate.entered();
    let port = leaving.port();
    drop(leaving);
    server.wait_until_left(port);
    held.release();
    assert_eq!(server.get("/").expect(200).text(), "1");
    let finished = server.stop();
    assert!(!finished.stderr().contains("Traceback"), "a client that leaves is no error:\n{}", finished.stderr());
}
