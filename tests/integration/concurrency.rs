//! Workers, threads, and clients that hold none of them.

use crate::{
    harness::{Connection, Gate, Held, Server, eventually, pattern, workers},
    isolation::auto_tries_the_application,
};

/// Sends as many requests at once as there are threads, and waits until all of them stand at the gate.
fn fill(server: &Server, gate: &Gate, number: usize) -> (Vec<Connection>, Vec<Held>) {
    let connections = (0..number).map(|_| {
        let mut connection = server.connect();
        connection.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", gate.target("/")));
        connection
    });
    (connections.collect(), (0..number).map(|_| gate.entered()).collect())
}

#[test]
fn every_thread_of_every_worker_serves_at_once() {
    let gate = Gate::new();
    let server = Server::start("gated", &["--workers", "2", "--threads", "4"]);
    let all = workers(2) * 4;
    let (mut connections, held) = fill(&server, &gate, all);
    held.into_iter().for_each(Held::release);
    let responses = connections.iter_mut().map(|connection| connection.response("GET").unwrap().expect(200));
    let threads: std::collections::HashSet<_> =
        responses.map(|response| response.header("x-thread").unwrap().to_owned()).collect();
    assert_eq!(threads.len(), all);
    server.stop();
}

#[test]
fn each_interpreter_has_a_gil_of_its_own_and_idle_workers_get_work_first() {
    if !auto_tries_the_application() {
        return;
    }
    idle_workers_get_work_first("interpreters");
}

#[test]
fn each_process_has_a_gil_of_its_own_and_idle_workers_get_work_first() {
    idle_workers_get_work_first("processes");
}

fn idle_workers_get_work_first(isolation: &str) {
    let gate = Gate::new();
    let server = Server::start("gil", &["--isolation", isolation, "--workers", "2", "--threads", "2"]);
    let mut busy = server.connect();
    busy.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", gate.target("/hold")));
    let held = gate.entered();
    // The worker that holds its GIL has an idle thread too: only the other worker can answer.
    for _ in 0..20 {
        assert_eq!(server.get("/").expect(200).text(), "free");
    }
    assert!(!busy.has_input());
    held.release();
    busy.response("GET").unwrap().expect(200);
    server.stop();
}

#[test]
fn under_threads_one_interpreter_serves_whatever_the_number_of_workers() {
    let gate = Gate::new();
    let server = Server::start("gated", &["--isolation", "threads", "--workers", "2", "--threads", "4"]);
    let (mut connections, held) = fill(&server, &gate, 4);
    held.into_iter().for_each(Held::release);
    let counted = connections.iter_mut().map(|connection| connection.response("GET").unwrap().expect(200));
    let mut counted: Vec<_> = counted.map(|response| response.text().to_owned()).collect();
    counted.sort();
    assert_eq!(counted, ["0", "1", "2", "3"], "two applications would each have begun at 0");
    server.stop();
}

#[test]
fn a_sleeping_request_leaves_its_worker_s_other_threads_free() {
    let server = Server::start("slow", &["--workers", "1", "--threads", "2"]);
    let mut sleeping = server.connect();
    sleeping.send("GET /?seconds=30 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(server.get("/?seconds=0").expect(200).text(), "at last");
    assert!(!sleeping.has_input());
}

#[test]
fn clients_that_send_slowly_hold_no_thread() {
    let server = Server::start("upload", &["--workers", "1", "--threads", "1"]);
    server.get("/").expect(200);
    let threads = server.threads();
    let request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n8 bytes.";
    let mut slow: Vec<_> = (0..50).map(|_| server.connect()).collect();
    for (position, byte) in request[..request.len() - 1].iter().enumerate() {
        for connection in &mut slow {
            connection.send([*byte]);
        }
        if position % 8 == 0 {
            assert_eq!(server.get("/").expect(200).json()["length"], 0);
        }
    }
    assert!(server.threads() <= threads + 2, "{threads} threads became {}", server.threads());
    for connection in &mut slow {
        connection.send(".");
        assert_eq!(connection.response("POST").unwrap().expect(200).json()["length"], 8);
    }
    server.stop();
}

#[test]
fn clients_that_read_slowly_hold_no_thread() {
    const SIZE: usize = 8_000_000;
    let server = Server::start("download", &["--workers", "1", "--threads", "1"]);
    let mut slow: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for connection in &mut slow {
        connection.send(format!("GET /?size={SIZE} HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
    // The application finishes all of them although nobody has read a byte.
    eventually("all are finished", || (server.get("/state").json()["finished"] == 20).then_some(()));
    let block: Vec<u8> = (0..=255).collect();
    for connection in &mut slow {
        let body = connection.response("GET").unwrap().expect(200).body;
        assert_eq!(body.len(), SIZE);
        assert!(body.chunks(256).all(|part| part == &block[..part.len()]));
    }
    server.stop();
}

#[test]
fn an_unbuffered_stream_waits_for_its_reader() {
    const BLOCKS: u64 = 3200;
    let server = Server::start("download", &["--workers", "1", "--threads", "2"]);
    let mut slow = server.connect();
    slow.send(format!("GET /?unbuffered=1&size={} HTTP/1.1\r\nHost: a\r\n\r\n", BLOCKS * 65536));
    let head = slow.response_head().unwrap().expect(200);
    assert_eq!(head.header("transfer-encoding"), Some("chunked"));
    // 200 MB do not fit the sockets' buffers; a response that were not held back would be made in no time.
    for _ in 0..20 {
        let made = server.get("/state").json()["blocks"].as_u64().unwrap();
        assert!(made < BLOCKS / 2, "{made} of {BLOCKS} blocks were made for a client that does not read");
    }
}

#[test]
fn an_application_with_threads_of_its_own_is_served_and_stopped() {
    let server = Server::start("background", &["--workers", "2"]);
    for _ in 0..10 {
        server.get("/work").expect(200);
    }
    eventually("the daemon threads work", || (server.get("/").text() != "0").then_some(()));
    server.stop();
}

#[test]
fn a_thread_that_the_import_starts_is_no_daemon_in_any_mode() {
    let interpreters = auto_tries_the_application().then_some("interpreters");
    for isolation in ["processes", "threads"].into_iter().chain(interpreters) {
        let server = Server::start("starting_a_thread", &["--isolation", isolation]);
        assert_eq!(server.get("/").expect(200).text(), "False False", "{isolation}");
        server.stop();
    }
}

#[test]
fn many_connections_at_once_are_all_answered() {
    let server = Server::start("upload", &["--workers", "2", "--threads", "4"]);
    let body = pattern(10_000);
    let expected = crate::harness::adler32(&body);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut connection = server.connect();
                for _ in 0..50 {
                    let answer = connection.request("POST", "/", &[], &body).expect(200).json();
                    assert_eq!(answer["adler32"], expected);
                }
            });
        }
    });
    server.stop();
}
