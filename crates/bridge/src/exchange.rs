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
    queue::{Counted, Unanswered},
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
    (Responder { shared: Arc::clone(&shared), disk_failed: false, done: false, counted: None }, Reply { shared })
}

/// The worker's end. Dropped before its end, it makes the reply fail: a job is never answered with silence.
#[derive(Debug)]
pub struct Responder {
    shared: Arc<Shared>,
    /// The disk refused a block: from then on the worker waits for the reader instead.
    disk_failed: bool,
    done: bool,
    /// While it is here the job counts as unanswered at its worker. It goes before the reader is woken, whose next request
    /// may be here at once.
    counted: Option<Counted>,
}

impl Responder {
    /// Counts the job in at the worker that gets it, until it is answered.
    pub(crate) fn count_in(&mut self, unanswered: &Unanswered) {
        self.counted = Some(Counted::new(unanswered));
    }

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
            self.counted = None;
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
        self.counted = None;
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
        self.counted = None;
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

#[cfg(all(test, loom))]
mod models;
#[cfg(all(test, not(loom)))]
mod tests;
