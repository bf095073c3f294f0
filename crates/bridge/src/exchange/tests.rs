#![expect(clippy::unwrap_used, reason = "tests")]

use std::{os::unix::fs::FileExt, sync::mpsc, thread};

use http::StatusCode;

use super::*;
use crate::testing::{self, limits, ok_head};

fn push(block: &[u8], last: bool) -> Push<'_> {
    Push { head: None, block, last }
}

fn first(block: &[u8], last: bool, flow: Flow) -> Push<'_> {
    Push { head: Some((ok_head(), flow)), block, last }
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
