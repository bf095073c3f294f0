//! Every open connection: how many there may be, and how to reach them all.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{Connection, Order};
use crate::metrics::Metrics;

/// How long an acceptor waits for a connection to end before it closes an idle one.
const PATIENCE: Duration = Duration::from_millis(20);

/// The open connections.
#[derive(Debug)]
pub(crate) struct Registry {
    room: Arc<Semaphore>,
    open: Mutex<HashMap<u64, Arc<Connection>>>,
    next: AtomicU64,
    closed: Notify,
    metrics: Arc<Metrics>,
}

/// A connection's place. It is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    registry: Arc<Registry>,
    key: u64,
    _permit: OwnedSemaphorePermit,
}

impl Registry {
    pub(crate) fn new(max_connections: u64, metrics: Arc<Metrics>) -> Self {
        let room = usize::try_from(max_connections).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self {
            room: Arc::new(Semaphore::new(room)),
            open: Mutex::default(),
            next: AtomicU64::new(0),
            closed: Notify::new(),
            metrics,
        }
    }

    /// Waits for room. Where there is none, idle connections have to go, the longest idle first: a keep-alive is a
    /// favour to its client, and must not keep others out.
    pub(crate) async fn room(&self) -> OwnedSemaphorePermit {
        loop {
            let permit = Arc::clone(&self.room).acquire_owned();
            match timeout(PATIENCE, permit).await {
                Ok(permit) => return permit.expect("the semaphore is never closed"),
                Err(_) => self.close_longest_idle(),
            }
        }
    }

    /// Enters a connection.
    pub(crate) fn enter(self: &Arc<Self>, connection: &Arc<Connection>, permit: OwnedSemaphorePermit) -> Place {
        let key = self.next.fetch_add(1, Relaxed);
        self.metrics.connections.fetch_add(1, Relaxed);
        self.open().insert(key, Arc::clone(connection));
        Place { registry: Arc::clone(self), key, _permit: permit }
    }

    /// Has all leave: those that were idle for `quiet` at once, the others with their next response.
    pub(crate) fn leave(&self, quiet: Duration) {
        for connection in self.open().values() {
            let is_quiet = connection.idle_since().is_some_and(|since| since.elapsed() >= quiet);
            connection.command(if is_quiet { Order::Drain } else { Order::Leave });
        }
    }

    /// Gives an order to all.
    pub(crate) fn command(&self, order: Order) {
        for connection in self.open().values() {
            connection.command(order);
        }
    }

    /// Waits until no connection is left.
    pub(crate) async fn empty(&self) {
        loop {
            let closed = self.closed.notified();
            if self.open().is_empty() {
                return;
            }
            closed.await;
        }
    }

    fn close_longest_idle(&self) {
        let open = self.open();
        let idle = open.values().filter_map(|connection| Some((connection.idle_since()?, connection)));
        let still_serving = idle.filter(|(_, connection)| connection.order() == Order::Serve);
        if let Some((_, connection)) = still_serving.min_by_key(|(since, _)| *since) {
            connection.command(Order::Drain);
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, Arc<Connection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Puts another connection here, with the orders that the one before it had.
    pub(crate) fn hand_over(&self, connection: &Arc<Connection>) {
        let before = self.registry.open().insert(self.key, Arc::clone(connection));
        if let Some(before) = before {
            connection.command(before.order());
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.registry.metrics.connections.fetch_sub(1, Relaxed);
        let mut open = self.registry.open();
        open.remove(&self.key);
        if open.is_empty() {
            self.registry.closed.notify_waiters();
        }
    }
}
