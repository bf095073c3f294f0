//! A task for each stream, which ends where its client stops reading.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::Duration,
};

use hyper::rt::Executor;
use tokio::task::JoinSet;

use super::super::{Connection, stream::StreamClock};
use crate::timer::LazyTimer;

/// The streams of one connection.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    connection: Arc<Connection>,
    send_timeout: Duration,
    tasks: Mutex<JoinSet<()>>,
    /// Of the stream whose task comes next: hyper asks for the answer first, and then for the task that sends it.
    next: Mutex<Option<Open>>,
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
    pub(super) fn new(connection: Arc<Connection>, send_timeout: Duration) -> Self {
        let inner = Inner { connection, send_timeout, tasks: Mutex::default(), next: Mutex::default() };
        Self { inner: Arc::new(inner) }
    }

    /// Begins a stream.
    pub(super) fn open(&self) -> Arc<StreamClock> {
        let clock = Arc::new(StreamClock::new());
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
        let send_timeout = self.inner.send_timeout;
        let mut tasks = lock(&self.inner.tasks);
        // What has ended is forgotten here: nobody waits for it.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(run(work, open, send_timeout));
    }
}

/// Drives a stream to its end, or to where its client has taken nothing for too long: its drop resets it.
async fn run(work: impl Future<Output = ()>, open: Option<Open>, send_timeout: Duration) {
    let mut work = pin!(work);
    let mut timer = LazyTimer::default();
    poll_fn(|cx| {
        if work.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let waits_since = open.as_ref().and_then(|open| open.clock.waits_since());
        match waits_since.and_then(|since| since.checked_add(send_timeout)) {
            Some(deadline) if timer.is_past(deadline, cx) => {
                tracing::debug!(code = "STACK0108", "client stopped reading a stream");
                Poll::Ready(())
            }
            _ => Poll::Pending,
        }
    })
    .await;
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
