//! What a client has taken of its responses, byte by byte.
//!
//! h2 is handed small pieces, and asks for each only when there is room in the client's windows for a part of it. So of a
//! stream whose client stalls it holds less than a piece that it may not send. A piece knows when it is sent, in whole
//! or in part: that is the progress for which a stream is kept.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use atomic_waker::AtomicWaker;
use axum::Error;
use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use crate::sent_body::SentBody;

/// What all streams of a connection have in common.
#[derive(Debug, Default)]
pub(super) struct Outflow {
    /// Bytes of bodies that were sent.
    taken: AtomicU64,
    is_held_up: AtomicBool,
    has_failed: AtomicBool,
}

impl Outflow {
    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Whether the socket takes nothing at the moment, or is given nothing: then no stream waits for its window, and who
    /// watches the socket decides how long that may last.
    pub(super) fn is_held_up(&self) -> bool {
        self.is_held_up.load(Ordering::Relaxed)
    }

    pub(super) fn set_held_up(&self, is_held_up: bool) {
        self.is_held_up.store(is_held_up, Ordering::Relaxed);
    }

    /// The socket has failed or been given up: nobody is there to hear what is still to be said.
    pub(super) fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }

    pub(super) fn fail(&self) {
        self.has_failed.store(true, Ordering::Relaxed);
    }
}

/// Since when a stream waits for its client to take what there is for it.
#[derive(Debug)]
pub(super) struct StreamClock {
    outflow: Arc<Outflow>,
    started_at: Instant,
    /// Bytes that are there and not sent.
    waiting: AtomicU64,
    /// Milliseconds after `started_at` at which the client last took some, or was first offered some after it had all.
    since: AtomicU64,
    /// The stream's task, to be woken when all is sent.
    waker: AtomicWaker,
}

impl StreamClock {
    pub(super) fn new(outflow: Arc<Outflow>) -> Self {
        Self {
            outflow,
            started_at: Instant::now(),
            waiting: AtomicU64::new(0),
            since: AtomicU64::new(0),
            waker: AtomicWaker::new(),
        }
    }

    /// `None` while the client has all that there is.
    pub(super) fn waits_since(&self) -> Option<Instant> {
        let since = Duration::from_millis(self.since.load(Ordering::Acquire));
        (self.waiting.load(Ordering::Acquire) > 0).then(|| self.started_at + since)
    }

    /// Wakes the task of `cx` when the client has all. To be called before that is looked at.
    pub(super) fn listen(&self, cx: &Context<'_>) {
        self.waker.register(cx.waker());
    }

    fn offer(&self, bytes: usize) {
        if self.waiting.fetch_add(bytes as u64, Ordering::AcqRel) == 0 {
            self.note_time();
        }
    }

    fn took(&self, bytes: usize) {
        self.outflow.taken.fetch_add(bytes as u64, Ordering::Relaxed);
        self.note_time();
        self.subtract(bytes);
    }

    fn subtract(&self, bytes: usize) {
        let bytes = bytes as u64;
        if bytes > 0 && self.waiting.fetch_sub(bytes, Ordering::AcqRel) == bytes {
            self.waker.wake();
        }
    }

    fn note_time(&self) {
        let age = u64::try_from(self.started_at.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.since.store(age, Ordering::Release);
    }
}

/// A response body whose pieces tell its stream when they are sent.
#[derive(Debug)]
pub(super) struct Outbound {
    body: SentBody,
    clock: Arc<StreamClock>,
}

impl Outbound {
    pub(super) fn new(body: SentBody, clock: Arc<StreamClock>) -> Self {
        Self { body, clock }
    }
}

impl Body for Outbound {
    type Data = Piece;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Piece>, Error>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        let clock = &this.clock;
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(|bytes| Piece::new(bytes, Arc::clone(clock))))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Bytes on their way to the client. h2 advances over what the socket has taken, or has surely room for.
#[derive(Debug)]
pub(super) struct Piece {
    bytes: Bytes,
    clock: Arc<StreamClock>,
}

impl Piece {
    fn new(bytes: Bytes, clock: Arc<StreamClock>) -> Self {
        clock.offer(bytes.len());
        Self { bytes, clock }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        self.clock.took(count);
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.clock.subtract(self.bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stream_waits_from_the_last_byte_that_its_client_took() {
        let outflow = Arc::new(Outflow::default());
        let clock = Arc::new(StreamClock::new(Arc::clone(&outflow)));
        let start = Instant::now();
        let second = Duration::from_secs(1);
        assert_eq!(clock.waits_since(), None);
        let mut first = Piece::new(Bytes::from_static(b"abc"), Arc::clone(&clock));
        tokio::time::advance(second).await;
        // More of it changes nothing.
        let other = Piece::new(Bytes::from_static(b"de"), Arc::clone(&clock));
        assert_eq!(clock.waits_since(), Some(start));
        first.advance(1);
        assert_eq!((clock.waits_since(), outflow.taken()), (Some(start + second), 1));
        tokio::time::advance(second).await;
        // What is dropped was not taken.
        drop(first);
        assert_eq!(clock.waits_since(), Some(start + second));
        drop(other);
        assert_eq!((clock.waits_since(), outflow.taken()), (None, 1));
        let _next = Piece::new(Bytes::from_static(b"f"), Arc::clone(&clock));
        assert_eq!(clock.waits_since(), Some(start + 2 * second));
    }
}
