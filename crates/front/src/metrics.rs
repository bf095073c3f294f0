//! Counters of the front. Plain atomics: counting never waits.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use crate::admission::Rejected;

/// The counters, shared by all connections.
#[derive(Debug, Default)]
pub struct Metrics {
    lineage: OnceLock<Lineage>,
    pub(crate) connections: AtomicU64,
    pub(crate) parked: AtomicU64,
    pub(crate) in_flight: AtomicU64,
    pub(crate) requests: AtomicU64,
    pub(crate) ready: AtomicU64,
    pub(crate) direct: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) shed: AtomicU64,
    pub(crate) denied: AtomicU64,
    pub(crate) rate_limited: AtomicU64,
    denied_connections: AtomicU64,
    crowded_connections: AtomicU64,
    foreign_connections: AtomicU64,
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

/// What the supervisor has told of this server and those before it; all 0 without a supervisor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lineage {
    /// The number of this server among those that the supervisor has started.
    pub generation: u64,
    /// How often a server was started in the place of one that had ended.
    pub ended: u64,
    /// How often in the place of one that did not respond.
    pub unresponsive: u64,
    /// How many reloads that were asked for took over.
    pub reloads: u64,
    /// How often a server took over from one that was worn.
    pub worn: u64,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The servers before this one.
    pub lineage: Lineage,
    /// Open connections, idle ones included.
    pub connections: u64,
    /// Those of them that hold nothing but their socket, because nothing is known of a next request.
    pub parked: u64,
    /// Requests whose head has been read and whose response has not been sent.
    pub in_flight: u64,
    /// Requests whose head has been read, since the start.
    pub requests: u64,
    /// Those of them that were answered at once with a file, in memory or sent by the kernel, since the start.
    pub ready: u64,
    /// Those of them that went to an application as soon as they were read, since the start.
    pub direct: u64,
    /// Requests that were refused because the queue was full, since the start.
    pub refused: u64,
    /// Requests that were refused because those before them waited too long, since the start.
    pub shed: u64,
    /// Requests of clients that are not allowed, since the start.
    pub denied: u64,
    /// Requests that were more than their client may make, since the start.
    pub rate_limited: u64,
    /// Connections of peers that are not allowed, since the start.
    pub denied_connections: u64,
    /// Connections that were more than their address may have, since the start.
    pub crowded_connections: u64,
    /// Connections without the PROXY protocol header of a trusted proxy, since the start.
    pub foreign_connections: u64,
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

    /// Notes what the supervisor has told of this server.
    pub fn started_as(&self, lineage: Lineage) {
        // It is told once, before this server serves.
        let _ = self.lineage.set(lineage);
    }

    pub(crate) fn rejected(&self, rejected: Rejected) {
        let counter = match rejected {
            Rejected::Denied => &self.denied_connections,
            Rejected::TooMany => &self.crowded_connections,
            Rejected::NoProxy => &self.foreign_connections,
        };
        counter.fetch_add(1, Relaxed);
    }

    /// Reads every counter. They are read one after the other, so sums may be off by what happens meanwhile.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            lineage: self.lineage.get().copied().unwrap_or_default(),
            connections: self.connections.load(Relaxed),
            parked: self.parked.load(Relaxed),
            in_flight: self.in_flight.load(Relaxed),
            requests: self.requests.load(Relaxed),
            ready: self.ready.load(Relaxed),
            direct: self.direct.load(Relaxed),
            refused: self.refused.load(Relaxed),
            shed: self.shed.load(Relaxed),
            denied: self.denied.load(Relaxed),
            rate_limited: self.rate_limited.load(Relaxed),
            denied_connections: self.denied_connections.load(Relaxed),
            crowded_connections: self.crowded_connections.load(Relaxed),
            foreign_connections: self.foreign_connections.load(Relaxed),
        }
    }
}
