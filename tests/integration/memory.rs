//! Bodies wait on disk, not in memory. The soak scripts do the same in large.

use std::fs;

use crate::harness::{Server, adler32, eventually, pattern, stack};

const BODY: usize = 50_000_000;
const CLIENTS: usize = 8;
const BOUND: u64 = 64 << 20;

/// Peak memory over what was there at the reset.
fn growth(server: &Server, quiet: u64) -> u64 {
    server.peak_memory().saturating_sub(quiet)
}

#[test]
fn uploads_at_once_do_not_raise_memory() {
    let server = Server::start("upload", &["--workers", "2", "--threads", "2", "--max-body-size", "64MiB"]);
    let body = pattern(BODY);
    let checksum = adler32(&body);
    server.connect().request("POST", "/", &[], &body[..1_000_000]).expect(200);
    server.reset_peak_memory();
    let quiet = server.memory();
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let answer = server.connect().request("POST", "/", &[], &body).expect(200).json();
                assert_eq!(answer["length"], BODY);
                assert_eq!(answer["adler32"], checksum);
            });
        }
    });
    let growth = growth(&server, quiet);
    assert!(growth < BOUND, "{CLIENTS} uploads of 50 MB raised memory by {} MiB", growth >> 20);
    server.stop();
}

#[test]
fn clients_that_stop_reading_do_not_raise_memory() {
    let server = Server::start("download", &["--workers", "1", "--threads", "2"]);
    server.get("/?size=1000000").expect(200);
    server.reset_peak_memory();
    let quiet = server.memory();
    let mut stalled: Vec<_> = (0..CLIENTS).map(|_| server.connect()).collect();
    for connection in &mut stalled {
        connection.send(format!("GET /?size={BODY} HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
    eventually("the application is done with all of them", || {
        (server.get("/state").json()["finished"] == CLIENTS + 1).then_some(())
    });
    let growth = growth(&server, quiet);
    assert!(growth < BOUND, "{CLIENTS} stalled readers of 50 MB raised memory by {} MiB", growth >> 20);
}

/// What a client that stops reading a file may take.
const FOR_A_FILE: u64 = 512 << 10;

#[test]
fn clients_that_stop_reading_a_large_file_take_no_memory_and_get_it_later() {
    let folder = tempfile::tempdir().unwrap();
    let content = pattern(BODY);
    fs::write(folder.path().join("large.bin"), &content).unwrap();
    let files = format!("/files={}", folder.path().display());
    let server = Server::start("hello", &["--workers", "1", "--threads", "1", "--static", &files]);
    assert!(server.get("/files/large.bin").expect(200).body == content);
    server.reset_peak_memory();
    let quiet = server.memory();
    let mut stalled: Vec<_> = (0..4 * CLIENTS).map(|_| server.connect()).collect();
    for connection in &mut stalled {
        connection.send("GET /files/large.bin HTTP/1.1\r\nHost: a\r\n\r\nGET /files/none HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    for connection in &mut stalled {
        connection.response_head().unwrap().expect(200);
    }
    // It is there for others meanwhile.
    server.get("/").expect(200);
    let (growth, bound) = (growth(&server, quiet), stalled.len() as u64 * FOR_A_FILE);
    assert!(growth < bound, "{} clients raised memory by {} KiB", stalled.len(), growth >> 10);
    for connection in stalled.iter_mut().take(2) {
        assert!(connection.read_exactly(BODY).unwrap() == content);
        connection.response("GET").unwrap().expect(404);
    }
}

/// Whether the system gives large pages to memory that nobody asked them for.
fn gives_large_pages() -> bool {
    let enabled = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
    enabled.contains("[always]")
}

#[test]
fn neither_process_takes_large_pages_for_a_little_memory() {
    if gives_large_pages() {
        return;
    }
    let server = stack(["serve", "--app", "none", "--static", "."]).file("a.txt", "a\n").server();
    server.get("/a.txt").expect(200);
    let anonymous = server.anonymous_memory();
    let [parent, front] = anonymous[..] else { panic!("a parent and a server: {anonymous:?}") };
    assert!(parent < 4 << 20, "the parent holds {parent} bytes");
    assert!(front < 8 << 20, "the server holds {front} bytes");
}
