//! One response on its way from a worker to the front: [`Responder`] sends, [`Reply`] receives.
//!
//! The two share one mutex, held for no longer than it takes to move a block. File input and output happen outside it.

mod sending;

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

pub(crate) use self::sending::{Reader, Sending};
use crate::{
    Failure, FileRegion, RequestId, Responder, ResponseHead, WhenClientGone, WorkerId,
    spill::Spill,
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
    /// Part of a file.
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
    pieces: VecDeque<Piece>,
    /// Bytes in the pieces, in memory and in files.
    buffered: usize,
    in_files: u64,
    /// What comes after the pieces.
    spill: Option<Spill>,
    /// What comes after the spill file.
    tail: Option<FileRegion>,
    /// What the client is to see of a failure.
    details: Option<Vec<u8>>,
    trace: Trace,
    reader_gone: bool,
    /// The worker waits for room. Without it nobody is to be notified, which costs a system call.
    worker_waits: bool,
    watch: Option<(StdArc<dyn WhenClientGone>, RequestId)>,
    waker: Option<Waker>,
}

#[derive(Debug)]
enum Piece {
    Memory(Bytes),
    /// A block that its worker has put into a file.
    File(FileRegion),
}

impl State {
    /// Bytes that memory has room for.
    fn room(&self, limits: &BodyLimits) -> usize {
        match &self.spill {
            // What is in the file comes first.
            Some(spill) if spill.unread() > 0 => 0,
            _ => limits.memory.saturating_sub(self.buffered),
        }
    }

    fn add(&mut self, block: Bytes) {
        self.buffered += block.len();
        self.pieces.push_back(Piece::Memory(block));
    }
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
        pieces: VecDeque::new(),
        buffered: 0,
        in_files: 0,
        spill: None,
        tail: None,
        details: None,
        trace: Trace::default(),
        reader_gone: false,
        worker_waits: false,
        watch: None,
        waker: None,
    };
    let shared = Arc::new(Shared { state: Mutex::new(state), room: Condvar::new(), limits });
    (Responder::local(Sending::new(Arc::clone(&shared))), Reply { shared })
}

impl Shared {
    /// Releases the lock, then tells the worker that there may be room.
    fn notify(&self, state: MutexGuard<'_, State>) {
        let worker_waits = state.worker_waits;
        drop(state);
        if worker_waits {
            self.room.notify_one();
        }
    }

    /// Waits until the reader has taken something or left.
    fn wait<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        state.worker_waits = true;
        let mut state = self.room.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
        state.worker_waits = false;
        state
    }

    /// The state, with the head in it, unless nobody reads any more.
    fn open(&self, head: Option<(ResponseHead, Flow)>) -> Result<MutexGuard<'_, State>, SendError> {
        let mut state = lock(&self.state);
        if state.reader_gone {
            return Err(SendError::ClientGone);
        }
        if let Some((head, flow)) = head {
            state.head = Some(head);
            state.flow = flow;
            state.phase = Phase::Open;
        }
        Ok(state)
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

    /// What the client is to see of the failure that [`Self::head`] gave, in the form that its request names; once.
    pub fn take_details(&mut self) -> Option<Vec<u8>> {
        lock(&self.shared.state).details.take()
    }

    /// The body, where it is complete and in at most one block: the common small response needs no stream.
    pub fn whole(&mut self) -> Option<Bytes> {
        let mut state = lock(&self.shared.state);
        let unread = state.spill.as_ref().map_or(0, Spill::unread);
        if state.phase != Phase::Finished || state.pieces.len() > 1 || state.tail.is_some() || unread > 0 {
            return None;
        }
        match state.pieces.pop_front() {
            None => Some(Bytes::new()),
            Some(Piece::Memory(block)) => Some(block),
            Some(piece @ Piece::File(_)) => {
                state.pieces.push_front(piece);
                None
            }
        }
    }

    /// The next piece of the body; `None` at its regular end, an error where it was cut short.
    pub fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Chunk, Failure>>> {
        let mut state = lock(&self.shared.state);
        if let Some(piece) = state.pieces.pop_front() {
            let chunk = match piece {
                Piece::Memory(block) => {
                    state.buffered -= block.len();
                    Chunk::Memory(block)
                }
                Piece::File(region) => {
                    state.in_files -= region.length;
                    Chunk::File(region)
                }
            };
            self.shared.notify(state);
            return Poll::Ready(Some(Ok(chunk)));
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
        state.phase == Phase::Finished && state.pieces.is_empty() && unread == 0 && state.tail.is_none()
    }

    /// Tells the worker that the first `bytes` of the last [`Chunk::Spill`] have been read.
    pub fn consumed(&mut self, bytes: u64) {
        let mut state = lock(&self.shared.state);
        if let Some(spill) = &mut state.spill {
            spill.consume(bytes);
        }
        self.shared.notify(state);
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
        let leftovers = (std::mem::take(&mut state.pieces), state.tail.take());
        let watch = state.watch.take().filter(|_| matches!(state.phase, Phase::Waiting | Phase::Open));
        self.shared.notify(state);
        if let Some((watch, request)) = watch {
            watch.client_gone(request);
        }
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
