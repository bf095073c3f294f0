//! A task for each stream, which ends where its client stops reading.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::Duration,
};

use hyper::rt::Executor;
use stack_config::Rates;
use tokio::task::JoinSet;

use super::{
    super::Connection,
    outflow::{Outflow, StreamClock},
};
use crate::{rate::MinimumRate, timer::LazyTimer};

/// The streams of one connection.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    connection: Arc<Connection>,
    outflow: Arc<Outflow>,
    limits: SendLimits,
    tasks: Mutex<JoinSet<()>>,
    /// Of the stream whose task comes next: hyper asks for the answer first, and then for the task that sends it.
    next: Mutex<Option<Open>>,
}

/// How slow a client may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct SendLimits {
    /// For so long it may take nothing of a response.
    pub(super) timeout: Duration,
    pub(super) rates: Rates,
}

/// An open stream. Its drop closes it.
#[derive(Debug)]
struct Open {
    connection: Arc<Connection>,
    clock: Arc<StreamClock>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.connection.stream_closed();
    }
}

/// Ends the tasks when it is dropped.
#[derive(Debug)]
pub(super) struct Tasks(Arc<Inner>);

impl Drop for Tasks {
    fn drop(&mut self) {
        lock(&self.0.tasks).abort_all();
    }
}

impl Streams {
    pub(super) fn new(connection: Arc<Connection>, outflow: Arc<Outflow>, limits: SendLimits) -> Self {
        let inner = Inner { connection, outflow, limits, tasks: Mutex::default(), next: Mutex::default() };
        Self { inner: Arc::new(inner) }
    }

    /// Begins a stream.
    pub(super) fn open(&self) -> Arc<StreamClock> {
        let clock = Arc::new(StreamClock::new(Arc::clone(&self.inner.outflow)));
        let connection = Arc::clone(&self.inner.connection);
        connection.stream_opened();
        *lock(&self.inner.next) = Some(Open { connection, clock: Arc::clone(&clock) });
        clock
    }

    pub(super) fn end_with_this(&self) -> Tasks {
        Tasks(Arc::clone(&self.inner))
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, work: F) {
        let open = lock(&self.inner.next).take();
        let (limits, outflow) = (self.inner.limits, Arc::clone(&self.inner.outflow));
        let mut tasks = lock(&self.inner.tasks);
        // What has ended is forgotten here: nobody waits for it.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(run(work, open, outflow, limits));
    }
}

/// Drives a stream to its end, or to where its client has taken nothing for too long, or too little: its drop resets it.
async fn run(work: impl Future<Output = ()>, open: Option<Open>, outflow: Arc<Outflow>, limits: SendLimits) {
    let mut work = pin!(work);
    let mut timer = LazyTimer::default();
    let SendLimits { timeout, rates } = limits;
    let mut rate = MinimumRate::new(rates.min_send, rates.grace);
    let mut excused = 0;
    poll_fn(|cx| {
        if let Some(open) = &open {
            open.clock.listen(cx);
        }
        if work.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let waits_since = open.as_ref().and_then(|open| open.clock.waits_since());
        if let Some(deadline) = waits_since.and_then(|since| since.checked_add(timeout))
            && timer.is_past(deadline, cx)
        {
            tracing::debug!(code = "STACK0108", "client stopped reading a stream");
            return Poll::Ready(());
        }
        let wait = if waits_since.is_some() { Poll::Pending } else { Poll::Ready(()) };
        // Of all streams: a slow client takes little of each of many, and that is no fault of theirs.
        let progress = || {
            if outflow.is_held_up() {
                excused += rates.min_send.saturating_mul(rates.grace.as_secs() + 1);
            }
            outflow.taken().saturating_add(excused)
        };
        if let Poll::Ready(None) = rate.watch(wait, progress, &mut timer, cx) {
            tracing::debug!(code = "STACK0121", "client nearly stopped reading a stream");
            return Poll::Ready(());
        }
        Poll::Pending
    })
    .await;
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
