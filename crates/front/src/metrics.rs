//! Counters of the front. Plain atomics: counting never waits.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The counters, shared by all connections.
#[derive(Debug, Default)]
pub struct Metrics {
    pub(crate) connections: AtomicU64,
    pub(crate) parked: AtomicU64,
    pub(crate) in_flight: AtomicU64,
    pub(crate) requests: AtomicU64,
    pub(crate) refused: AtomicU64,
    /// In the order of the layout.
    pub(crate) applications: Box<[ApplicationMetrics]>,
}

/// The counters of one application.
#[derive(Debug, Default)]
pub(crate) struct ApplicationMetrics {
    pub(crate) requests: AtomicU64,
    pub(crate) refused: AtomicU64,
}

/// The counters of one application at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ApplicationSnapshot {
    /// Complete requests for it, since the start.
    pub requests: u64,
    /// Those that were shed because its queue was full.
    pub refused: u64,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Open connections, idle ones included.
    pub connections: u64,
    /// Those of them that hold nothing but their socket, because nothing is known of a next request.
    pub parked: u64,
    /// Requests whose head has been read and whose response has not been sent.
    pub in_flight: u64,
    /// Requests whose head has been read, since the start.
    pub requests: u64,
    /// Requests that were shed because the queue was full, since the start.
    pub refused: u64,
}

/// One more of what a counter counts, until it is dropped.
#[derive(Debug)]
pub(crate) struct Counted<'a>(&'a AtomicU64);

impl<'a> Counted<'a> {
    pub(crate) fn new(counter: &'a AtomicU64) -> Self {
        counter.fetch_add(1, Relaxed);
        Self(counter)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Metrics {
    pub(crate) fn new(applications: usize) -> Self {
        let applications = (0..applications).map(|_| ApplicationMetrics::default()).collect();
        Self { applications, ..Self::default() }
    }

    /// The counters of each application, in the order of the configuration's layout.
    pub fn applications(&self) -> Vec<ApplicationSnapshot> {
        let snapshot = |metrics: &ApplicationMetrics| ApplicationSnapshot {
            requests: metrics.requests.load(Relaxed),
            refused: metrics.refused.load(Relaxed),
        };
        self.applications.iter().map(snapshot).collect()
    }

    /// Reads every counter. They are read one after the other, so sums may be off by what happens meanwhile.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            connections: self.connections.load(Relaxed),
            parked: self.parked.load(Relaxed),
            in_flight: self.in_flight.load(Relaxed),
            requests: self.requests.load(Relaxed),
            refused: self.refused.load(Relaxed),
        }
    }
}
