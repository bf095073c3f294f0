//! How jobs go out to a worker's thread.

use std::{
    borrow::Cow,
    io::{self, IoSlice, Seek},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    sync::Arc,
    time::Instant,
};

use http::Version;
use stack_bridge::{Job, Peer, Request, RequestBody, Scheme, TaskConsumer};

use super::{
    LaneError, ServerLane,
    ahead::{Ahead, MOST_BYTES},
};
use crate::{
    link::{self, LinkError},
    wire::{self, BodyPlace, HttpVersion, JobHead, TlsHead, ToWorker},
    worker::memory_file,
};

/// A body in memory of more bytes crosses as a file in memory.
const LARGEST_INLINE_BODY: usize = 128 * 1024;

impl ServerLane {
    /// Sends a job alone.
    pub(super) async fn send(&mut self, job: &mut Job, now: Instant) -> Result<(), LaneError> {
        let Job { request, responder: _, deadline, retried } = job;
        let (mut inline, mut memory): (&[u8], Option<OwnedFd>) = (&[], None);
        if let RequestBody::File { file, .. } = &mut request.body
            && *retried
        {
            // The worker that died may have read from it.
            file.rewind().map_err(LaneError::Body)?;
        }
        let body = match &request.body {
            RequestBody::Empty => BodyPlace::Nowhere,
            RequestBody::Memory(bytes) if bytes.len() > LARGEST_INLINE_BODY => {
                memory = Some(memory_file("request body", bytes).map_err(LaneError::Body)?);
                BodyPlace::File { length: bytes.len() as u64 }
            }
            RequestBody::Memory(bytes) => {
                inline = bytes;
                BodyPlace::Inline
            }
            RequestBody::File { file: _, length } => BodyPlace::File { length: *length },
        };
        let descriptor: Option<BorrowedFd<'_>> = match &request.body {
            RequestBody::File { file, .. } => Some(file.as_fd()),
            RequestBody::Empty | RequestBody::Memory(_) => memory.as_ref().map(AsFd::as_fd),
        };
        self.outgoing.clear();
        let head = job_head(request, body, false, *deadline, now);
        wire::begin_frame(&mut self.outgoing, &ToWorker::Job(Box::new(head)))?;
        wire::end_frame(&mut self.outgoing, 0, inline.len())?;
        self.send_out(inline, descriptor).await
    }

    /// Prepares a job and those behind it to be sent, as far as there is room for them; the others go back.
    pub(super) fn prepare_batch(
        &mut self,
        first: &Job,
        ahead: &mut Ahead,
        consumer: &mut TaskConsumer,
        now: Instant,
    ) -> Result<(), LaneError> {
        self.outgoing.clear();
        let mut jobs = 0;
        for Job { request, responder: _, deadline, retried: _ } in std::iter::once(first).chain(&ahead.jobs) {
            let start = self.outgoing.len();
            debug_assert!(!matches!(request.body, RequestBody::File { .. }), "its descriptor would not go along");
            let (body, inline): (_, &[u8]) = match &request.body {
                RequestBody::Memory(bytes) => (BodyPlace::Inline, bytes),
                RequestBody::Empty | RequestBody::File { .. } => (BodyPlace::Nowhere, &[]),
            };
            let head = job_head(request, body, true, *deadline, now);
            wire::begin_frame(&mut self.outgoing, &ToWorker::Job(Box::new(head)))?;
            wire::end_frame(&mut self.outgoing, start, inline.len())?;
            self.outgoing.extend_from_slice(inline);
            if jobs > 0 && self.outgoing.len() > MOST_BYTES {
                self.outgoing.truncate(start);
                break;
            }
            jobs += 1;
        }
        // The first is among those that go.
        consumer.give_back_ahead(None, ahead.jobs.split_off(jobs - 1));
        // Before they are there to be claimed.
        self.claims.offer(jobs).map_err(LaneError::Claims)
    }

    /// Sends what is outgoing, and these bytes behind it.
    pub(super) async fn send_out(&self, inline: &[u8], descriptor: Option<BorrowedFd<'_>>) -> Result<(), LaneError> {
        self.watch.set_writing(true);
        let sent = self.send_all(inline, descriptor).await;
        self.watch.set_writing(false);
        sent
    }

    async fn send_all(&self, inline: &[u8], descriptor: Option<BorrowedFd<'_>>) -> Result<(), LaneError> {
        let parts = [IoSlice::new(&self.outgoing), IoSlice::new(inline)];
        let sent = match link::send(self.watch.jobs.as_fd(), &parts, descriptor.as_slice(), false) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            outcome => outcome.map_err(link::gone)?,
        };
        if sent < self.outgoing.len() + inline.len() {
            let rest = [&self.outgoing[..], inline].concat().split_off(sent);
            let descriptor = descriptor.filter(|_| sent == 0).map(|descriptor| descriptor.try_clone_to_owned());
            let (descriptor, watch) = (descriptor.transpose().map_err(LaneError::Body)?, Arc::clone(&self.watch));
            tokio::task::spawn_blocking(move || send_rest(&watch.jobs, &rest, descriptor)).await??;
        }
        Ok(())
    }
}

/// Sends what the socket had no room for. A worker that takes a job reads on until it has all of it.
fn send_rest(socket: &UnixStream, mut bytes: &[u8], mut descriptor: Option<OwnedFd>) -> Result<(), LinkError> {
    while !bytes.is_empty() {
        let descriptors = descriptor.as_ref().map(AsFd::as_fd);
        let sent =
            link::send(socket.as_fd(), &[IoSlice::new(bytes)], descriptors.as_slice(), true).map_err(link::gone)?;
        descriptor = None;
        bytes = &bytes[sent..];
    }
    Ok(())
}

pub(super) fn job_head(
    request: &Request,
    body: BodyPlace,
    to_claim: bool,
    deadline: Option<Instant>,
    now: Instant,
) -> JobHead<'_> {
    JobHead {
        id: request.id.0,
        to_claim,
        method: request.method.as_str(),
        target: &request.target,
        path: &request.path,
        script_name: &request.script_name,
        query: &request.query,
        version: match request.version {
            Version::HTTP_09 => HttpVersion::Http09,
            Version::HTTP_10 => HttpVersion::Http10,
            Version::HTTP_2 => HttpVersion::Http2,
            Version::HTTP_3 => HttpVersion::Http3,
            _ => HttpVersion::Http11,
        },
        headers: Cow::Borrowed(&request.headers),
        https: request.scheme == Scheme::Https,
        tls: request.tls.as_deref().map(TlsHead::from),
        peer: match request.peer {
            Peer::Tcp(address) => Some(address),
            Peer::Unix => None,
        },
        local_name: &request.local.name,
        local_port: &request.local.port,
        body,
        age: now.saturating_duration_since(request.received_at),
        time_left: deadline.map(|deadline| deadline.saturating_duration_since(now)),
        details: request.details.map(wire::Form::from),
    }
}
