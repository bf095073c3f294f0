//! One line for each request, written when its response has been sent or cut.

use std::{
    sync::{Arc, OnceLock, atomic::Ordering::Relaxed},
    time::{Instant, SystemTime},
};

use http::{HeaderValue, Method, StatusCode, Uri, Version, header, request::Parts};
use stack_bridge::{Peer, RequestId, TlsFacts, Trace};

use crate::{connection::Connection, error, metrics::Metrics};

mod format;
mod writer;

pub use writer::{AccessLogError, ReopenLog};
pub(crate) use writer::{Sender, Writer};

/// What happens to one request. Dropped before [`Self::finish`], it counts as cut off.
#[derive(Debug)]
pub(crate) struct Entry {
    record: Option<Box<Record>>,
    log: Option<Sender>,
    metrics: Arc<Metrics>,
    /// There from when somebody may note it.
    passage: Option<Arc<OnceLock<Passage>>>,
}

/// What the log says of a request.
#[derive(Debug)]
pub(crate) struct Described {
    pub(crate) method: Method,
    pub(crate) target: Uri,
    pub(crate) version: Version,
    pub(crate) referer: Option<HeaderValue>,
    pub(crate) user_agent: Option<HeaderValue>,
}

/// A request's way through the queue and the application. Noted once, by whoever reads its reply.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passage {
    /// When the job was complete.
    pub(crate) queued_at: Instant,
    pub(crate) trace: Trace,
}

/// One line of the access log.
#[derive(Debug)]
pub(crate) struct Record {
    request_id: RequestId,
    peer: Peer,
    tls: Option<Arc<TlsFacts>>,
    described: Described,
    /// The first line of what was refused before it was a request, in the place of method, target and version.
    refused: Option<Box<[u8]>>,
    /// `None` until there is a response.
    status: Option<StatusCode>,
    bytes: u64,
    started_at: Instant,
    finished_at: Instant,
    time: SystemTime,
    passage: Option<Passage>,
    aborted: bool,
}

impl Described {
    pub(crate) fn of(request: &Parts) -> Self {
        let headers = &request.headers;
        Self {
            method: request.method.clone(),
            target: request.uri.clone(),
            version: request.version,
            referer: headers.get(header::REFERER).cloned(),
            user_agent: headers.get(header::USER_AGENT).cloned(),
        }
    }
}

impl Entry {
    /// Counts the request. It is described only where there is a log.
    pub(crate) fn new(
        log: Option<&Sender>,
        metrics: &Arc<Metrics>,
        request_id: RequestId,
        connection: &Connection,
        described: impl FnOnce() -> Described,
    ) -> Self {
        metrics.requests.fetch_add(1, Relaxed);
        metrics.in_flight.fetch_add(1, Relaxed);
        let record = log.map(|_| {
            let now = Instant::now();
            Box::new(Record {
                request_id,
                peer: connection.origin.peer,
                tls: connection.tls.get().cloned(),
                described: described(),
                refused: None,
                status: None,
                bytes: 0,
                started_at: now,
                finished_at: now,
                time: SystemTime::UNIX_EPOCH,
                passage: None,
                aborted: true,
            })
        });
        Self { record, log: log.cloned(), metrics: Arc::clone(metrics), passage: None }
    }

    /// What came was no request, and this is its first line.
    pub(crate) fn refused(&mut self, line: Box<[u8]>) {
        if let Some(record) = &mut self.record {
            record.refused = Some(line);
        }
    }

    /// Where the request's passage is to be noted.
    pub(crate) fn passage(&mut self) -> Arc<OnceLock<Passage>> {
        Arc::clone(self.passage.get_or_insert_default())
    }

    /// The request is that of a client behind its peer.
    pub(crate) fn set_client(&mut self, client: Peer) {
        if let Some(record) = &mut self.record {
            record.peer = client;
        }
    }

    /// Whether anything is to be written of the request.
    pub(crate) fn is_written(&self) -> bool {
        self.record.is_some()
    }

    /// Nothing is to be written of the request.
    pub(crate) fn silence(&mut self) {
        self.record = None;
    }

    pub(crate) fn answered(&mut self, status: StatusCode) {
        if let Some(record) = &mut self.record {
            record.status = Some(status);
        }
    }

    pub(crate) fn sent(&mut self, bytes: u64) {
        if let Some(record) = &mut self.record {
            record.bytes += bytes;
        }
    }

    pub(crate) fn finish(mut self, aborted: bool) {
        if let Some(record) = &mut self.record {
            record.aborted = aborted;
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.metrics.in_flight.fetch_sub(1, Relaxed);
        if let (Some(mut record), Some(log)) = (self.record.take(), &self.log) {
            record.finished_at = Instant::now();
            record.time = SystemTime::now();
            record.passage = self.passage.as_ref().and_then(|passage| passage.get().copied());
            record.status.get_or_insert_with(error::client_closed_request);
            log.send(record);
        }
    }
}
