#![expect(clippy::unwrap_used, reason = "tests")]

use std::{os::unix::fs::FileExt, sync::mpsc, thread};

use http::StatusCode;

use super::*;
use crate::{
    Push,
    testing::{self, limits, ok_head},
};

fn push(block: &[u8], last: bool) -> Push<'_> {
    Push { head: None, block, last, may_wait: false }
}

fn first(block: &[u8], last: bool, flow: Flow) -> Push<'_> {
    Push { head: Some((ok_head(), flow)), block, last, may_wait: false }
}

/// Everything up to the end, and what ended it.
fn read_all(reply: &mut Reply) -> (Vec<u8>, Option<Failure>) {
    let mut body = Vec::new();
    loop {
        match testing::block_on(poll_fn(|context| reply.poll_chunk(context))) {
            None => return (body, None),
            Some(Err(failure)) => return (body, Some(failure)),
            Some(Ok(Chunk::Memory(bytes))) => body.extend_from_slice(&bytes),
            Some(Ok(Chunk::Spill { file, offset, length })) => {
                let mut block = vec![0; usize::try_from(length).unwrap()];
                file.read_exact_at(&mut block, offset).unwrap();
                body.extend_from_slice(&block);
                reply.consumed(length);
            }
            Some(Ok(Chunk::File(region))) => {
                let mut block = vec![0; usize::try_from(region.length).unwrap()];
                region.file.read_exact_at(&mut block, region.offset).unwrap();
                body.extend_from_slice(&block);
            }
        }
    }
}

#[test]
fn a_small_response_arrives_whole() {
    let (mut responder, mut reply) = exchange(limits(16, 0));
    assert!(responder.try_push(&mut first(b"hello", true, Flow::Buffered)).unwrap());
    assert_eq!(testing::head(&mut reply).unwrap().status, StatusCode::OK);
    assert_eq!(reply.whole().unwrap(), "hello");
    assert!(reply.is_end());
}

#[test]
fn what_memory_does_not_hold_goes_to_the_spill_file_without_waiting() {
    let (mut responder, mut reply) = exchange(limits(4, 1 << 20));
    let blocks: Vec<Vec<u8>> = (0..50u8).map(|n| vec![n; 100]).collect();
    responder.push(&mut first(&blocks[0], false, Flow::Buffered)).unwrap();
    for block in &blocks[1..] {
        responder.push(&mut push(block, false)).unwrap();
    }
    responder.push(&mut push(b"", true)).unwrap();
    assert!(reply.whole().is_none());
    assert_eq!(read_all(&mut reply), (blocks.concat(), None));
}

#[test]
fn a_full_spill_file_holds_the_worker_until_the_reader_goes_on() {
    for (spill, flow) in [(64, Flow::Buffered), (0, Flow::Buffered), (1 << 20, Flow::Streamed)] {
        let (mut responder, mut reply) = exchange(limits(16, spill));
        let (done, is_done) = mpsc::channel();
        let body: Vec<u8> = (0..4000u16).map(|n| (n % 251) as u8).collect();
        let sent = body.clone();
        let worker = thread::spawn(move || {
            let outcome = responder.push(&mut first(&sent, true, flow));
            done.send(()).unwrap();
            outcome
        });
        assert!(testing::head(&mut reply).is_ok());
        assert!(is_done.try_recv().is_err(), "the worker waits: 4000 bytes do not fit");
        assert_eq!(read_all(&mut reply), (body, None));
        worker.join().unwrap().unwrap();
    }
}

#[test]
fn a_disk_that_refuses_makes_the_worker_wait_instead() {
    let limits = BodyLimits { memory: 8, spill: 1 << 20, directory: Path::new("/nonexistent").into() };
    let (mut responder, mut reply) = exchange(limits);
    let worker = thread::spawn(move || responder.push(&mut first(&[7; 100], true, Flow::Buffered)));
    assert!(testing::head(&mut reply).is_ok());
    assert_eq!(read_all(&mut reply), (vec![7; 100], None));
    worker.join().unwrap().unwrap();
}

#[test]
fn a_reader_that_leaves_releases_a_waiting_worker() {
    let (mut responder, mut reply) = exchange(limits(8, 0));
    let worker = thread::spawn(move || responder.push(&mut first(&[7; 100], true, Flow::Buffered)));
    assert!(testing::head(&mut reply).is_ok());
    drop(reply);
    assert_eq!(worker.join().unwrap(), Err(SendError::ClientGone));
}

#[test]
fn a_dropped_responder_is_an_answer() {
    let (responder, mut reply) = exchange(limits(8, 0));
    drop(responder);
    assert_eq!(testing::head(&mut reply), Err(Failure::Dropped));
}

#[test]
fn a_response_cut_short_ends_in_an_error() {
    let (mut responder, mut reply) = exchange(limits(8, 0));
    responder.push(&mut first(b"part", false, Flow::Buffered)).unwrap();
    responder.fail(Failure::Application);
    assert!(testing::head(&mut reply).is_ok());
    assert_eq!(read_all(&mut reply), (b"part".to_vec(), Some(Failure::Application)));
}

#[test]
fn a_file_comes_after_the_blocks() {
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(b"..file..", 0).unwrap();
    let (mut responder, mut reply) = exchange(limits(16, 0));
    responder.push(&mut first(b"block ", false, Flow::Buffered)).unwrap();
    responder.finish_with_file(None, FileRegion { file, offset: 2, length: 4 }).unwrap();
    assert!(reply.whole().is_none());
    assert_eq!(read_all(&mut reply), (b"block file".to_vec(), None));
}

fn file_of(content: &[u8]) -> FileRegion {
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(content, 0).unwrap();
    FileRegion { file, offset: 0, length: content.len() as u64 }
}

#[test]
fn a_block_in_a_file_keeps_its_place_among_the_others() {
    let (mut responder, mut reply) = exchange(limits(16, 1 << 20));
    responder.push(&mut first(b"one ", false, Flow::Buffered)).unwrap();
    responder.push_file(None, file_of(b"two "), false).unwrap();
    responder.push(&mut push(b"three ", false)).unwrap();
    responder.push_file(None, file_of(b"four"), true).unwrap();
    assert!(reply.whole().is_none());
    assert_eq!(read_all(&mut reply), (b"one two three four".to_vec(), None));
}

#[test]
fn a_block_in_a_file_comes_after_what_is_in_the_spill_file() {
    let (mut responder, mut reply) = exchange(limits(4, 1 << 20));
    responder.push(&mut first(b"more than memory holds, ", false, Flow::Buffered)).unwrap();
    responder.push_file(None, file_of(b"then the file"), true).unwrap();
    assert_eq!(read_all(&mut reply), (b"more than memory holds, then the file".to_vec(), None));
}

#[test]
fn blocks_in_files_over_the_limit_wait_for_the_reader() {
    let (mut responder, mut reply) = exchange(limits(4, 8));
    responder.push_file(Some((ok_head(), Flow::Buffered)), file_of(b"longer than the limit"), false).unwrap();
    let (done, is_done) = mpsc::channel();
    let worker = thread::spawn(move || {
        responder.push_file(None, file_of(b", and more"), true).unwrap();
        done.send(()).unwrap();
    });
    assert!(is_done.recv_timeout(std::time::Duration::from_millis(50)).is_err(), "it waits");
    assert_eq!(read_all(&mut reply), (b"longer than the limit, and more".to_vec(), None));
    worker.join().unwrap();
}

#[test]
fn bytes_that_memory_does_not_hold_come_back() {
    let (mut responder, mut reply) = exchange(limits(4, 0));
    let left =
        responder.try_push_bytes(Some((ok_head(), Flow::Buffered)), Bytes::from_static(b"abcdef"), true).unwrap();
    assert_eq!(left.as_deref(), Some(&b"ef"[..]));
    assert!(matches!(testing::block_on(poll_fn(|context| reply.poll_chunk(context))), Some(Ok(Chunk::Memory(_)))));
    assert_eq!(responder.try_push_bytes(None, left.unwrap(), true).unwrap(), None);
    assert_eq!(read_all(&mut reply), (b"ef".to_vec(), None));
}

#[derive(Debug, Default)]
struct Gone(Mutex<Vec<u64>>);

impl WhenClientGone for Gone {
    fn client_gone(&self, request: RequestId) {
        self.0.lock().unwrap().push(request.0);
    }
}

#[test]
fn a_client_that_leaves_before_the_end_is_told_of_once_and_one_that_leaves_after_it_is_not() {
    let gone = StdArc::new(Gone::default());
    for (id, last) in [(1, false), (2, true)] {
        let (mut responder, reply) = exchange(limits(16, 0));
        responder.when_client_gone(gone.clone(), RequestId(id));
        responder.push(&mut first(b"x", last, Flow::Buffered)).unwrap();
        drop(reply);
    }
    let (responder, reply) = exchange(limits(16, 0));
    drop(reply);
    responder.when_client_gone(gone.clone(), RequestId(3));
    assert_eq!(*gone.0.lock().unwrap(), [1, 3]);
}

#[test]
fn what_a_client_is_to_see_of_a_failure_comes_with_it_once() {
    let (responder, mut reply) = exchange(limits(4, 0));
    responder.fail_with(Failure::Application, Some(b"longer than memory holds".to_vec()));
    assert_eq!(testing::head(&mut reply), Err(Failure::Application));
    assert_eq!(reply.take_details().as_deref(), Some(&b"longer than memory holds"[..]));
    assert_eq!(reply.take_details(), None);
}
