//! `wsgi.file_wrapper` (PEP 3333 "Optional Platform-Specific File Handling").

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use crate::harness::{Server, eventually, pattern, serve};

const LENGTH: usize = 3_000_000;

fn server() -> (Server, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let big: PathBuf = directory.path().join("big");
    fs::write(&big, pattern(LENGTH)).unwrap();
    (serve("files", &[]).env("BIG_FILE", &big).server(), directory)
}

/// What has been closed, once that is `number` files: a response is complete before its `close()` has run.
fn closed(server: &Server, number: usize) -> serde_json::Value {
    eventually("the files are closed", || {
        let closed = server.get("/closed").expect(200).json();
        (closed.as_array()?.len() == number).then_some(closed)
    })
}

#[test]
fn a_file_is_sent_from_its_descriptor() {
    let (server, _directory) = server();
    let response = server.get("/descriptor").expect(200);
    assert!(response.body == pattern(LENGTH));
    assert_eq!(response.header("content-length"), Some("3000000"), "the file's size is known");
    assert_eq!(closed(&server, 1), serde_json::json!(["descriptor"]), "not read through Python");
    server.stop();
}

#[test]
fn a_file_is_sent_from_its_current_position() {
    let (server, _directory) = server();
    assert!(server.get("/descriptor?from=1000000").expect(200).body == pattern(LENGTH)[1_000_000..]);
    assert!(server.get("/opened").expect(200).body == pattern(LENGTH)[10..]);
    let beyond = server.get("/descriptor?from=5000000").expect(200);
    assert_eq!(beyond.body, b"");
}

#[test]
fn content_length_bounds_a_file() {
    let (server, _directory) = server();
    let mut connection = server.connect();
    let response = connection.get("/descriptor?from=5&length=1000").expect(200);
    assert!(response.body == pattern(LENGTH)[5..1005]);
    connection.get("/closed").expect(200);
}

#[test]
fn what_only_reads_like_a_file_is_read() {
    let (server, _directory) = server();
    for target in ["/like", "/bare", "/wrong", "/memory"] {
        assert_eq!(server.get(target).expect(200).text(), "like a file ".repeat(1000), "{target}");
    }
    assert_eq!(server.get("/pipe").expect(200).text(), "through a pipe");
    assert!(server.get("/text").expect(200).text().starts_with("\"\"\"Answers"));
}

#[test]
fn a_wrapper_can_be_iterated_by_the_application() {
    let (server, _directory) = server();
    assert_eq!(server.get("/iterated").expect(200).text(), "0123456789");
}

#[test]
fn a_file_is_closed_after_it_was_sent() {
    let (server, _directory) = server();
    server.get("/descriptor").expect(200);
    server.get("/like").expect(200);
    server.connect().request("HEAD", "/descriptor", &[], b"").expect(200);
    assert_eq!(closed(&server, 3), serde_json::json!(["descriptor", "like", "descriptor"]));
}

#[test]
fn a_head_request_for_a_file_gets_its_length() {
    let (server, _directory) = server();
    let mut connection = server.connect();
    let response = connection.request("HEAD", "/descriptor", &[], b"").expect(200);
    assert_eq!(response.header("content-length"), Some("3000000"));
    connection.get("/closed").expect(200);
}
