//! Bodies of every size, on their way to a worker process and back.

use std::fs;

use super::{attempts, dying, in_processes};
use crate::harness::{adler32, eventually, pattern};

/// In the frame; in a file in memory; in the file that the front made.
const LENGTHS: [usize; 5] = [0, 10, 100_000, 1_000_000, 3_000_000];
const BUFFER: [&str; 2] = ["--body-buffer-size", "2MiB"];

#[test]
fn a_request_body_arrives_whole_wherever_it_is_kept() {
    let (server, _marks) = dying(&BUFFER);
    let mut connection = server.connect();
    for length in LENGTHS {
        let body = pattern(length);
        let answer = connection.request("POST", "/", &[], &body).expect(200).json();
        assert_eq!((&answer["length"], &answer["adler32"]), (&length.into(), &adler32(&body).into()));
    }
    server.stop();
}

#[test]
fn a_request_body_is_whole_again_for_the_second_worker() {
    for threads in ["1", "2"] {
        let (server, marks) = dying(&["--workers", "2", "--threads", threads, BUFFER[0], BUFFER[1]]);
        let mut connection = server.connect();
        for length in LENGTHS {
            let body = pattern(length);
            let target = format!("/?die=kill&times=1&mark={length}");
            let answer = connection.request("GET", &target, &[], &body).expect(200).json();
            assert_eq!((&answer["length"], &answer["adler32"]), (&length.into(), &adler32(&body).into()));
            assert_eq!(attempts(&marks, &length.to_string()), 2);
        }
        server.stop();
    }
}

#[test]
fn a_block_above_the_response_buffer_goes_through_a_file_and_is_whole() {
    let server = in_processes("iterables", &["--response-buffer-size", "64KiB"]).server();
    let mut connection = server.connect();
    for _ in 0..3 {
        let body = connection.get("/large").expect(200).body;
        assert!(body.len() == 3_000_000 && body.iter().all(|byte| *byte == b'x'));
    }
    server.stop();
}

#[test]
fn a_block_that_finds_no_directory_for_its_file_is_sent_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let temp_dir = directory.path().join("temp");
    fs::create_dir(&temp_dir).unwrap();
    let arguments = ["--response-buffer-size", "64KiB", "--temp-dir", temp_dir.to_str().unwrap()];
    let server = in_processes("iterables", &arguments).server();
    fs::remove_dir(&temp_dir).unwrap();
    assert_eq!(server.get("/large").expect(200).body.len(), 3_000_000);
    server.stop();
}

#[test]
fn many_blocks_arrive_in_order() {
    let server = in_processes("iterables", &[]).server();
    let lines: Vec<_> = (0..20_000).map(|number| format!("{number:06}\n")).collect();
    let expected = lines.concat();
    let mut connection = server.connect();
    for _ in 0..3 {
        assert!(connection.get("/many").expect(200).text() == expected);
    }
    server.stop();
}

#[test]
fn an_unbuffered_stream_waits_for_its_reader_across_the_process() {
    const BLOCKS: u64 = 3200;
    let server = in_processes("download", &["--workers", "1", "--threads", "2"]).server();
    let mut slow = server.connect();
    slow.send(format!("GET /?unbuffered=1&size={} HTTP/1.1\r\nHost: a\r\n\r\n", BLOCKS * 65536));
    slow.response_head().unwrap().expect(200);
    let made = || server.get("/state").json()["blocks"].as_u64().unwrap();
    // It comes to a halt, and goes on when its reader does.
    let halted = eventually("no more blocks are made", || {
        let before = made();
        (0..20).all(|_| made() == before).then_some(before)
    });
    assert!(halted < BLOCKS / 2, "{halted} of {BLOCKS} blocks were made for a client that does not read");
    let mut body = 0;
    while let Some(chunk) = slow.chunk().unwrap() {
        body += chunk.len();
    }
    assert_eq!(body as u64, BLOCKS * 65536);
    server.stop();
}

#[test]
fn a_buffered_response_leaves_its_worker_before_its_client_has_read_it() {
    const SIZE: usize = 20_000_000;
    let server = in_processes("download", &["--workers", "1", "--threads", "1"]).server();
    let mut slow = server.connect();
    slow.send(format!("GET /?size={SIZE} HTTP/1.1\r\nHost: a\r\n\r\n"));
    eventually("it is finished", || (server.get("/state").json()["finished"] == 1).then_some(()));
    let block: Vec<u8> = (0..=255).collect();
    let body = slow.response("GET").unwrap().expect(200).body;
    assert!(body.len() == SIZE && body.chunks(256).all(|part| part == &block[..part.len()]));
    server.stop();
}

#[test]
fn a_wrapped_file_is_sent_from_the_worker_s_descriptor() {
    const LENGTH: usize = 3_000_000;
    let directory = tempfile::tempdir().unwrap();
    let big = directory.path().join("big");
    fs::write(&big, pattern(LENGTH)).unwrap();
    let server = in_processes("files", &["--workers", "1"]).env("BIG_FILE", &big).server();
    let mut connection = server.connect();
    let response = connection.get("/descriptor?from=1000").expect(200);
    assert_eq!(response.header("content-length"), Some("2999000"), "the file's size is known");
    assert!(response.body == pattern(LENGTH)[1000..]);
    assert_eq!(connection.get("/pipe").expect(200).text(), "through a pipe");
    assert!(connection.get("/like").expect(200).text().starts_with("like a file "));
    let closed = eventually("the files are closed", || {
        let closed = connection.get("/closed").expect(200).json();
        (closed.as_array()?.len() == 2).then_some(closed)
    });
    assert_eq!(closed, serde_json::json!(["descriptor", "like"]), "not read through Python");
    server.stop();
}
