//! Limits of size, number and time.

use std::sync::mpsc;

use crate::harness::{Gate, Server, eventually, pattern, serve};

#[test]
fn a_body_that_says_it_is_too_large_is_refused_before_it_is_read() {
    let server = Server::start("gated", &["--max-body-size", "1KiB"]);
    let mut connection = server.connect();
    connection.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1025\r\n\r\n");
    assert!(connection.response("POST").unwrap().expect(413).closes());
    connection.assert_closed();
    server.connect().request("POST", "/", &[], &[b'x'; 1024]).expect(200);
    server.stop();
}

#[test]
fn a_chunked_body_is_refused_when_it_grows_too_large() {
    let server = Server::start("gated", &["--max-body-size", "1KiB"]);
    let mut connection = server.connect();
    connection.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    connection.send(format!("401\r\n{}\r\n", "x".repeat(1025)));
    assert!(connection.response("POST").unwrap().expect(413).closes());
    assert_eq!(server.get("/").expect(200).text(), "0", "the application did not run");
}

#[test]
fn a_refused_upload_can_be_read_by_a_client_that_is_still_sending() {
    let server = Server::start("gated", &["--max-body-size", "1MiB"]);
    let mut connection = server.connect();
    connection.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000000\r\n\r\n");
    // As much as a client has under way; a RST would take the answer away from it.
    connection.send(pattern(1_000_000));
    connection.response("POST").unwrap().expect(413);
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let server = Server::start("gated", &[]);
    let long = "x".repeat(200_000);
    for request in [
        format!("GET / HTTP/1.1\r\nHost: a\r\nX-Long: {long}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X-Many: x\r\n".repeat(20_000)),
        format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"),
    ] {
        let mut connection = server.connect();
        connection.send(&request);
        let status = connection.response("GET").unwrap().status;
        assert!([400, 414, 431].contains(&status), "{status} for {}…", &request[..40]);
    }
    assert_eq!(server.get("/").expect(200).text(), "0");
}

#[test]
fn a_full_queue_is_answered_at_once_with_a_time_to_come_back() {
    let gate = Gate::new();
    let server = Server::start("gated", &["--workers", "1", "--threads", "1", "--queue-size", "1"]);
    let mut running = server.connect();
    running.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", gate.target("/")));
    let held = gate.entered();
    // Two more: one finds the place in the queue. Which one is the kernel's to say.
    let (answers, answered) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let (server, answers) = (&server, answers.clone());
            scope.spawn(move || answers.send(server.get("/")).unwrap());
        }
        let refused = answered.recv().unwrap().expect(503);
        assert!(refused.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok()), "{refused:?}");
        held.release();
        answered.recv().unwrap().expect(200);
    });
    running.response("GET").unwrap().expect(200);
    server.stop();
}

#[test]
fn an_application_that_is_too_slow_is_given_up_and_the_next_request_is_served() {
    let gate = Gate::new();
    let server = Server::start("gated", &["--workers", "1", "--threads", "2", "--request-timeout", "1s"]);
    let mut connection = server.connect();
    connection.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", gate.target("/")));
    let held = gate.entered();
    connection.response("GET").unwrap().expect(504);
    server.get("/").expect(200);
    held.release();
    server.get("/").expect(200);
    server.stop();
}

#[test]
fn a_request_that_waits_too_long_in_the_queue_is_given_up_and_never_runs() {
    let gate = Gate::new();
    let server = Server::start("gated", &["--workers", "1", "--threads", "1", "--request-timeout", "1s"]);
    let mut running = server.connect();
    running.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", gate.target("/")));
    let held = gate.entered();
    server.get("/").expect(504);
    running.response("GET").unwrap().expect(504);
    held.release();
    assert_eq!(server.get("/").expect(200).text(), "1", "the queued request was dropped");
}

#[test]
fn a_head_that_takes_too_long_ends_the_connection() {
    let server = Server::start("hello", &["--header-timeout", "1s"]);
    for part in ["GET / HT", "GET / HTTP/1.1\r\nHost: a\r\nX-Half"] {
        let mut connection = server.connect();
        connection.send(part);
        let end = String::from_utf8(connection.rest()).unwrap();
        assert!(end.is_empty() || end.starts_with("HTTP/1.1 408 "), "{end}");
    }
    server.get("/").expect(200);
}

#[test]
fn a_body_that_stops_coming_ends_the_connection() {
    let server = Server::start("gated", &["--body-timeout", "1s"]);
    for head in ["Content-Length: 10", "Transfer-Encoding: chunked"] {
        let mut connection = server.connect();
        connection.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n5\r\n"));
        let end = String::from_utf8(connection.rest()).unwrap();
        assert!(end.is_empty() || end.starts_with("HTTP/1.1 408 "), "{end}");
    }
    assert_eq!(server.get("/").expect(200).text(), "0", "the application did not run");
}

#[test]
fn a_client_that_stops_reading_is_given_up() {
    let server = Server::start("download", &["--send-timeout", "1s"]);
    let mut connection = server.connect();
    connection.send("GET /?size=50000000 HTTP/1.1\r\nHost: a\r\n\r\n");
    server.wait_until_left(connection.port());
    eventually("its iterable is closed", || (server.get("/state").json()["closed"] == 1).then_some(()));
    assert!(connection.response("GET").is_err(), "the response is cut");
    server.stop();
}

#[test]
fn an_idle_connection_is_closed_after_its_time() {
    let server = Server::start("hello", &["--idle-timeout", "1s"]);
    let mut connection = server.connect();
    connection.get("/").expect(200);
    connection.assert_closed();
    server.get("/").expect(200);
}

#[test]
fn a_disk_that_takes_no_more_hurts_only_the_requests_that_need_it() {
    // A limit on the size of files stands in for a full disk: a write past 512 KiB fails.
    let server = serve("upload", &["--body-buffer-size", "64KiB"])
        .default("--bind", "127.0.0.1:0")
        .default("--workers", "1")
        .through_shell("trap '' XFSZ; ulimit -f 1024; exec \"$0\" \"$@\"")
        .server_with(1);
    let mut connection = server.connect();
    connection.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n");
    connection.send(pattern(5_000_000));
    let status = connection.response("POST").unwrap().status;
    assert!([503, 507].contains(&status), "{status}");
    for length in [10, 100_000] {
        let answer = server.connect().request("POST", "/", &[], &pattern(length)).expect(200).json();
        assert_eq!(answer["length"], length);
    }
    server.stop();
}

#[test]
fn a_response_that_the_disk_does_not_take_is_still_sent_whole() {
    let server = serve("download", &["--response-buffer-size", "64KiB"])
        .default("--bind", "127.0.0.1:0")
        .default("--workers", "1")
        .default("--threads", "2")
        .through_shell("trap '' XFSZ; ulimit -f 1024; exec \"$0\" \"$@\"")
        .server_with(1);
    let mut slow = server.connect();
    slow.send("GET /?size=20000000 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(server.get("/?size=1000").expect(200).body.len(), 1000);
    assert_eq!(slow.response("GET").unwrap().expect(200).body.len(), 20_000_000);
    server.stop();
}

#[test]
fn the_limit_of_open_files_is_raised_as_far_as_it_may() {
    let server = serve("hello", &[])
        .default("--bind", "127.0.0.1:0")
        .default("--workers", "1")
        .through_shell("ulimit -S -n 256; ulimit -H -n 2000; exec \"$0\" \"$@\"")
        .server_with(1);
    server.get("/").expect(200);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.process().server_pid())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(line.split_whitespace().skip(3).take(2).collect::<Vec<_>>(), ["2000", "2000"]);
    server.stop();
}

#[test]
fn a_response_larger_than_the_spill_file_waits_for_its_reader() {
    let server = Server::start("download", &["--max-response-spill", "1MiB", "--threads", "2"]);
    let mut slow = server.connect();
    slow.send("GET /?size=50000000 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(server.get("/?size=1000").expect(200).body.len(), 1000);
    assert_eq!(slow.response("GET").unwrap().expect(200).body.len(), 50_000_000);
    server.stop();
}
