//! One response on its way from a worker to the front: [`Responder`] sends, [`Reply`] receives.
//!
//! The two share one mutex, held for no longer than it takes to move a block. File input and output happen outside it.

use std::{
    collections::VecDeque,
    fs::File,
    future::poll_fn,
    path::Path,
    sync::Arc as StdArc,
    task::{Context, Poll, Waker},
    time::Instant,
};

use bytes::Bytes;

use crate::{
    Failure, FileRegion, ResponseHead, WorkerId,
    spill::{self, Spill},
    sync::{Arc, Condvar, Mutex, MutexGuard, lock},
};

/// How much of a response body may wait for its reader, and where.
#[derive(Clone, Debug)]
pub struct BodyLimits {
    /// Bytes held in memory.
    pub memory: usize,
    /// Bytes held in the spill file; past that the worker waits. 0 turns the file off.
    pub spill: u64,
    /// Where the spill file is made.
    pub directory: StdArc<Path>,
}

/// What happens when the reader is slower than the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Blocks go to memory, then to the spill file: the worker is free as soon as the application is done.
    Buffered,
    /// The worker waits for its reader (`X-Accel-Buffering: no`).
    Streamed,
}

/// The worker's end is told that nobody reads any more: stop, and close the iterable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The client left, or the front gave the request up.
    #[error("the client has gone")]
    ClientGone,
}

/// What a worker sends in one step. Taken over piece by piece: what has been accepted is gone from here.
#[derive(Debug)]
pub struct Push<'a> {
    /// The head, with the first block and only there.
    pub head: Option<(ResponseHead, Flow)>,
    /// Bytes of the body, possibly none.
    pub block: &'a [u8],
    /// Whether the response ends with this block.
    pub last: bool,
}

/// A piece of a response body.
#[derive(Debug)]
pub enum Chunk {
    /// Bytes.
    Memory(Bytes),
    /// Bytes in the spill file, valid until [`Reply::consumed`] is told of them.
    Spill {
        /// The spill file.
        file: StdArc<File>,
        /// First byte.
        offset: u64,
        /// Number of bytes, at least 1.
        length: u64,
    },
    /// Part of a file of the application's, the last piece of the body.
    File(FileRegion),
}

/// Where and when a job ran; for the access log and the metrics.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trace {
    /// The worker that took the job.
    pub worker: Option<WorkerId>,
    /// When it took it.
    pub started_at: Option<Instant>,
    /// When the application was done, its iterable closed.
    pub finished_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing has been sent.
    Waiting,
    /// The head is out, blocks may follow.
    Open,
    /// The last block has been sent.
    Finished,
    /// There will be no more, and what there was is not whole.
    Failed(Failure),
}

#[derive(Debug)]
struct State {
    phase: Phase,
    flow: Flow,
    head: Option<ResponseHead>,
    blocks: VecDeque<Bytes>,
    buffered: usize,
    spill: Option<Spill>,
    tail: Option<FileRegion>,
    trace: Trace,
    reader_gone: bool,
    waker: Option<Waker>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    room: Condvar,
    limits: BodyLimits,
}

/// Makes the two ends of one response.
pub fn exchange(limits: BodyLimits) -> (Responder, Reply) {
    let state = State {
        phase: Phase::Waiting,
        flow: Flow::Buffered,
        head: None,
        blocks: VecDeque::new(),
        buffered: 0,
        spill: None,
        tail: None,
        trace: Trace::default(),
        reader_gone: false,
        waker: None,
    };
    let shared = Arc::new(Shared { state: Mutex::new(state), room: Condvar::new(), limits });
    (Responder { shared: Arc::clone(&shared), disk_failed: false, done: false }, Reply { shared })
}

/// The worker's end. Dropped before its end, it makes the reply fail: a job is never answered with silence.
#[derive(Debug)]
pub struct Responder {
    shared: Arc<Shared>,
    /// The disk refused a block: from then on the worker waits for the reader instead.
    disk_failed: bool,
    done: bool,
}

impl Responder {
    /// Marks the job as taken by `worker`. False where the client has gone: the job must not run.
    pub(crate) fn start(&self, worker: WorkerId) -> bool {
        let mut state = lock(&self.shared.state);
        state.trace.worker = Some(worker);
        state.trace.started_at = Some(Instant::now());
        !state.reader_gone
    }

    /// Whether nobody reads the response any more.
    pub fn is_client_gone(&self) -> bool {
        lock(&self.shared.state).reader_gone
    }

    /// Sends what memory has room for, without waiting. True when all of `push` was taken.
    pub fn try_push(&mut self, push: &mut Push<'_>) -> Result<bool, SendError> {
        let mut state = lock(&self.shared.state);
        if state.reader_gone {
            return Err(SendError::ClientGone);
        }
        if let Some((head, flow)) = push.head.take() {
            state.head = Some(head);
            state.flow = flow;
            state.phase = Phase::Open;
        }
        let room = match &state.spill {
            // What is in the file comes first.
            Some(spill) if spill.unread() > 0 => 0,
            _ => self.shared.limits.memory.saturating_sub(state.buffered),
        };
        let (now, later) = push.block.split_at(room.min(push.block.len()));
        push.block = later;
        if !now.is_empty() {
            state.blocks.push_back(Bytes::copy_from_slice(now));
            state.buffered += now.len();
        }
        if !later.is_empty() {
            wake(state);
            return Ok(false);
        }
        if push.last {
            self.done = true;
            finish(&mut state, Phase::Finished);
        }
        wake(state);
        Ok(true)
    }

    /// Sends all of `push`; waits while the body is over its limits. Call it without the GIL.
    pub fn push(&mut self, push: &mut Push<'_>) -> Result<(), SendError> {
        while !self.try_push(push)? {
            if !self.spill(push)? {
                self.wait_for_room()?;
            }
        }
        Ok(())
    }

    /// Ends the response with part of a file, after all blocks sent before.
    pub fn finish_with_file(
        &mut self,
        head: Option<(ResponseHead, Flow)>,
        region: FileRegion,
    ) -> Result<(), SendError> {
        let mut state = lock(&self.shared.state);
        if state.reader_gone {
            return Err(SendError::ClientGone);
        }
        if let Some((head, flow)) = head {
            state.head = Some(head);
            state.flow = flow;
        }
        state.tail = Some(region);
        self.done = true;
        finish(&mut state, Phase::Finished);
        wake(state);
        Ok(())
    }

    /// Ends the response as one that is not whole: an error where the head is still here, else a cut connection.
    pub fn fail(mut self, failure: Failure) {
        self.end_with(failure);
    }

    fn end_with(&mut self, failure: Failure) {
        if std::mem::replace(&mut self.done, true) {
            return;
        }
        let mut state = lock(&self.shared.state);
        finish(&mut state, Phase::Failed(failure));
        wake(state);
    }

    /// Writes the next part of the block to the spill file. False where that is not to be had.
    fn spill(&mut self, push: &mut Push<'_>) -> Result<bool, SendError> {
        let limits = &self.shared.limits;
        if self.disk_failed || limits.spill == 0 {
            return Ok(false);
        }
        let mut state = lock(&self.shared.state);
        if state.reader_gone {
            return Err(SendError::ClientGone);
        }
        if state.flow == Flow::Streamed {
            return Ok(false);
        }
        if state.spill.is_none() {
            drop(state);
            match Spill::create(&limits.directory) {
                Ok(spill) => {
                    state = lock(&self.shared.state);
                    state.spill = Some(spill);
                }
                Err(error) => {
                    self.disk_failed(&error);
                    return Ok(false);
                }
            }
        }
        let spill = state.spill.as_mut().expect("made above, and only this end removes it");
        let (file, offset) = (spill.file(), spill.write_offset());
        let room = usize::try_from(limits.spill.saturating_sub(offset)).unwrap_or(usize::MAX);
        drop(state);
        if room == 0 {
            return Ok(false);
        }
        let (written, outcome) = spill::write_at(&file, &push.block[..room.min(push.block.len())], offset);
        push.block = &push.block[written..];
        let mut state = lock(&self.shared.state);
        state.spill.as_mut().expect("as above").wrote(written as u64);
        wake(state);
        if let Err(error) = outcome {
            self.disk_failed(&error);
        }
        Ok(written > 0)
    }

    fn disk_failed(&mut self, error: &std::io::Error) {
        self.disk_failed = true;
        let directory = &self.shared.limits.directory;
        tracing::warn!(code = "STACK0301", directory = %directory.display(), %error, "response not buffered on disk; the worker waits for its client");
    }

    fn wait_for_room(&self) -> Result<(), SendError> {
        let mut state = lock(&self.shared.state);
        loop {
            if state.reader_gone {
                return Err(SendError::ClientGone);
            }
            let unread = state.spill.as_ref().map_or(0, Spill::unread);
            if unread == 0 && state.buffered < self.shared.limits.memory {
                return Ok(());
            }
            state = self.shared.room.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.end_with(Failure::Dropped);
    }
}

/// The front's end. Dropping it tells the worker, at its next block, that the client has gone; a job that no worker has
/// taken yet is then never run.
#[derive(Debug)]
pub struct Reply {
    shared: Arc<Shared>,
}

impl Reply {
    /// Waits for the head of the response.
    pub async fn head(&mut self) -> Result<ResponseHead, Failure> {
        poll_fn(|context| self.poll_head(context)).await
    }

    /// The head, once: the application's own, or why there is none.
    pub fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<Result<ResponseHead, Failure>> {
        let mut state = lock(&self.shared.state);
        if let Some(head) = state.head.take() {
            return Poll::Ready(Ok(head));
        }
        if let Phase::Failed(failure) = state.phase {
            return Poll::Ready(Err(failure));
        }
        park(&mut state, context)
    }

    /// The body, where it is complete and in at most one block: the common small response needs no stream.
    pub fn whole(&mut self) -> Option<Bytes> {
        let mut state = lock(&self.shared.state);
        let unread = state.spill.as_ref().map_or(0, Spill::unread);
        if state.phase != Phase::Finished || state.blocks.len() > 1 || state.tail.is_some() || unread > 0 {
            return None;
        }
        state.buffered = 0;
        Some(state.blocks.pop_front().unwrap_or_default())
    }

    /// The next piece of the body; `None` at its regular end, an error where it was cut short.
    pub fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Chunk, Failure>>> {
        let mut state = lock(&self.shared.state);
        if let Some(block) = state.blocks.pop_front() {
            state.buffered -= block.len();
            drop(state);
            self.shared.room.notify_one();
            return Poll::Ready(Some(Ok(Chunk::Memory(block))));
        }
        if let Some(spill) = state.spill.as_ref().filter(|spill| spill.unread() > 0) {
            let (file, offset, length) = (spill.file(), spill.read_offset(), spill.unread());
            return Poll::Ready(Some(Ok(Chunk::Spill { file, offset, length })));
        }
        if let Some(region) = state.tail.take() {
            return Poll::Ready(Some(Ok(Chunk::File(region))));
        }
        match state.phase {
            Phase::Finished => Poll::Ready(None),
            Phase::Failed(failure) => Poll::Ready(Some(Err(failure))),
            Phase::Waiting | Phase::Open => park(&mut state, context),
        }
    }

    /// Whether the whole body has been handed out.
    pub fn is_end(&self) -> bool {
        let state = lock(&self.shared.state);
        let unread = state.spill.as_ref().map_or(0, Spill::unread);
        state.phase == Phase::Finished && state.blocks.is_empty() && unread == 0 && state.tail.is_none()
    }

    /// Tells the worker that the first `bytes` of the last [`Chunk::Spill`] have been read.
    pub fn consumed(&mut self, bytes: u64) {
        if let Some(spill) = &mut lock(&self.shared.state).spill {
            spill.consume(bytes);
        }
        self.shared.room.notify_one();
    }

    /// Where and when the job ran, as far as is known by now.
    pub fn trace(&self) -> Trace {
        lock(&self.shared.state).trace
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        let mut state = lock(&self.shared.state);
        state.reader_gone = true;
        state.waker = None;
        let leftovers = (std::mem::take(&mut state.blocks), state.tail.take());
        drop(state);
        self.shared.room.notify_one();
        drop(leftovers);
    }
}

fn finish(state: &mut State, phase: Phase) {
    state.phase = phase;
    state.trace.finished_at = Some(Instant::now());
}

fn park<T>(state: &mut State, context: &Context<'_>) -> Poll<T> {
    if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
        state.waker = Some(context.waker().clone());
    }
    Poll::Pending
}

/// Releases the lock, then wakes the reader.
fn wake(mut state: MutexGuard<'_, State>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::{os::unix::fs::FileExt, sync::mpsc, thread};

    use http::StatusCode;

    use super::*;
    use crate::testing::{self, limits, ok_head};

    fn push<'a>(block: &'a [u8], last: bool) -> Push<'a> {
        Push { head: None, block, last }
    }

    fn first<'a>(block: &'a [u8], last: bool, flow: Flow) -> Push<'a> {
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
}

/// Every interleaving of the two ends, under loom: `RUSTFLAGS="--cfg loom" cargo test -p stack-bridge --release`.
#[cfg(all(test, loom))]
mod models {
    use loom::{future::block_on, thread};

    use super::*;
    use crate::{
        Queue,
        testing::{limits, ok_head},
    };

    fn drain(reply: &mut Reply) -> (usize, Option<Failure>) {
        let mut bytes = 0;
        loop {
            match block_on(poll_fn(|context| reply.poll_chunk(context))) {
                None => return (bytes, None),
                Some(Err(failure)) => return (bytes, Some(failure)),
                Some(Ok(Chunk::Memory(block))) => bytes += block.len(),
                Some(Ok(Chunk::Spill { .. } | Chunk::File(_))) => unreachable!("no file in this model"),
            }
        }
    }

    #[test]
    fn a_waiting_reader_is_woken_and_a_waiting_worker_goes_on() {
        loom::model(|| {
            let (mut responder, mut reply) = exchange(limits(1, 0));
            let worker = thread::spawn(move || {
                responder.push(&mut Push { head: Some((ok_head(), Flow::Buffered)), block: b"ab", last: true })
            });
            assert!(block_on(reply.head()).is_ok());
            assert_eq!(drain(&mut reply), (2, None));
            worker.join().unwrap().unwrap();
        });
    }

    #[test]
    fn a_reader_that_leaves_at_any_point_releases_the_worker() {
        loom::model(|| {
            let (mut responder, reply) = exchange(limits(1, 0));
            let reader = thread::spawn(move || drop(reply));
            let outcome =
                responder.push(&mut Push { head: Some((ok_head(), Flow::Buffered)), block: b"ab", last: true });
            assert_eq!(outcome, Err(SendError::ClientGone));
            reader.join().unwrap();
        });
    }

    #[test]
    fn a_job_is_answered_whether_it_is_pushed_taken_or_dropped() {
        loom::model(|| {
            let queue = Queue::new(1);
            let mut consumer = queue.consumer(WorkerId(0));
            let worker = thread::spawn(move || {
                while let Ok(job) = consumer.take() {
                    job.responder.fail(Failure::Application);
                }
            });
            let (job, mut reply) = crate::testing::job();
            queue.push(job).unwrap();
            queue.close();
            assert_eq!(block_on(reply.head()), Err(Failure::Application));
            worker.join().unwrap();
        });
    }
}
