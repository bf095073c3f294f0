//! One request's share of its connection: all of an HTTP/1 connection, or a stream of an HTTP/2 one.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::time::{Duration, Instant};

use super::{Connection, Order, Phase};
use crate::access_log::Entry;

/// What a request and its response tell their connection, and what they may ask of it.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    connection: Arc<Connection>,
    /// HTTP/2 only: the connection's own phase says nothing of one of its streams.
    clock: Option<Arc<StreamClock>>,
}

impl Stream {
    /// The connection is the stream.
    pub(crate) fn http1(connection: Arc<Connection>) -> Self {
        Self { connection, clock: None }
    }

    pub(super) fn http2(connection: Arc<Connection>, clock: Arc<StreamClock>) -> Self {
        Self { connection, clock: Some(clock) }
    }

    pub(crate) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    pub(crate) fn is_http2(&self) -> bool {
        self.clock.is_some()
    }

    /// Whether the connection goes on behind this response.
    pub(crate) fn is_last(&self) -> bool {
        self.connection.order() > Order::Serve
    }

    pub(crate) fn enter(&self, phase: Phase) {
        if self.clock.is_none() {
            self.connection.enter(phase);
        }
    }

    /// Whether bytes of the request are still to come, should it be answered now and the connection closed. A stream of
    /// HTTP/2 is reset instead, which needs no such care.
    pub(crate) fn set_lingering(&self, lingering: bool) {
        if self.clock.is_none() {
            self.connection.set_lingering(lingering);
        }
    }

    /// Asks that what there is be sent, before the response is cut.
    pub(crate) fn wish_for_flush(&self) {
        if self.clock.is_none() {
            self.connection.wish_for_flush();
        }
    }

    pub(crate) fn awaits_flush(&self) -> bool {
        self.clock.is_none() && self.connection.awaits_flush()
    }

    /// Keeps the entry of a complete response until the socket has taken it. Of HTTP/2 only the end of the body is known.
    pub(crate) fn await_flush(&self, entry: Entry) {
        match self.clock {
            None => self.connection.await_flush(entry),
            Some(_) => entry.finish(false),
        }
    }

    /// The response waits for its client from now on.
    pub(crate) fn block_is_sent(&self) {
        if let Some(clock) = &self.clock {
            clock.begin();
        }
    }

    /// The response waits for the application, or is over.
    pub(crate) fn awaits_block(&self) {
        if let Some(clock) = &self.clock {
            clock.stop();
        }
    }
}

/// Since when a stream of HTTP/2 waits for its client to take what it has been sent.
#[derive(Debug)]
pub(super) struct StreamClock {
    started_at: Instant,
    /// Milliseconds after `started_at`, plus one; 0 while it does not wait.
    since: AtomicU64,
}

impl StreamClock {
    pub(super) fn new() -> Self {
        Self { started_at: Instant::now(), since: AtomicU64::new(0) }
    }

    fn begin(&self) {
        let age = u64::try_from(self.started_at.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.since.store(age + 1, Ordering::Relaxed);
    }

    fn stop(&self) {
        self.since.store(0, Ordering::Relaxed);
    }

    pub(super) fn waits_since(&self) -> Option<Instant> {
        let age = self.since.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.started_at + Duration::from_millis(age))
    }
}
