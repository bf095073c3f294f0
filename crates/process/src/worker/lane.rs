//! One thread's lane: jobs come in, responses go out, one at a time.

use std::{
    borrow::Cow,
    fs::File,
    io,
    ops::Range,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{fs::FileExt, net::UnixStream},
    },
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Method, Version};
use stack_bridge::{
    ClientConnection, Closed, Failure, FileRegion, Flow, Job, Jobs, Local, Peer, Push, RemoteClient, RemoteResponder,
    Request, RequestBody, RequestId, Responder, ResponseHead, Scheme, SendError,
};

use super::{
    LargeBlocks,
    outbox::{Outbox, Unsendable},
    patience::Patience,
};
use crate::{
    claims::Claims,
    link::{self, Inbox, LinkError},
    wire::{self, BodyPlace, Head, HttpVersion, JobHead, ToServer, ToWorker, WireError},
};

/// While its jobs take less than this, a lane may be sent several at once: they are done before another thread had a turn.
const SHORT_TIME: Duration = Duration::from_micros(250);
/// A longer block goes out in several frames.
const PIECE_SIZE: usize = 128 * 1024;

/// Jobs for one thread of this process.
#[derive(Debug)]
pub struct Lane {
    shared: Arc<Shared>,
    claims: Claims,
    /// The listener of the last job: mostly the next one's too.
    local: Option<Arc<Local>>,
    /// When the last job was taken, where the server waits to hear that the thread is back.
    begun_at: Option<Instant>,
    /// It was sent with others.
    claimed: bool,
    /// Where the thread is the one that runs the handlers of signals.
    patience: Option<Patience>,
}

#[derive(Debug)]
struct Shared {
    /// Where jobs come in.
    jobs: UnixStream,
    /// Where responses go out.
    answers: UnixStream,
    /// Locked while the thread waits for a job; else after `state`, by whoever has the job that is being run.
    inbox: Mutex<Inbox>,
    /// Never locked for long: threads that hold the GIL lock it.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    outbox: Outbox,
    /// The job that is being run. What an application still holds of another says nothing on this lane.
    current: Option<RequestId>,
    /// Its client has gone, or the server.
    client_gone: bool,
    /// Its response is of several blocks, or in a file.
    has_blocks: bool,
    large: Option<LargeBlocks>,
}

impl State {
    /// The server is gone, and with it the client.
    fn lost(&mut self) -> SendError {
        self.client_gone = true;
        SendError::ClientGone
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks whether the server has said that the client is gone. Of a job that is over it always is.
    fn check_client(&self, state: &mut State, id: RequestId) -> Result<(), SendError> {
        if state.current != Some(id) {
            return Err(SendError::ClientGone);
        }
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        while !state.client_gone {
            // The jobs that were sent ahead are in between, and to be read later.
            match inbox.look_ahead() {
                Ok(Some(frame)) => {
                    let said = wire::read::<ToWorker<'_>>(inbox.frame(frame));
                    state.client_gone = match said {
                        Ok((ToWorker::ClientGone { id: gone }, _)) => gone == id.0,
                        Ok((ToWorker::Job(_), _)) => false,
                        Err(_) => true,
                    };
                }
                Ok(None) => match inbox.receive(self.jobs.as_fd(), false) {
                    Ok(_) => {}
                    Err(error) if link::is_interruption(&error) => return Ok(()),
                    Err(_) => state.client_gone = true,
                },
                Err(_) => state.client_gone = true,
            }
        }
        Err(SendError::ClientGone)
    }

    /// Puts a message about a job on its way, with `rest` behind it, never waiting.
    fn tell(&self, id: RequestId, message: &ToServer<'_>, rest: &[u8], descriptor: Option<OwnedFd>) {
        let mut state = self.lock();
        if state.current == Some(id) && state.outbox.add(&self.answers, message, rest, descriptor).is_err() {
            state.client_gone = true;
        }
    }
}

/// What a frame comes to.
enum Read {
    Job(Job),
    /// A job that the server has taken back.
    TakenBack,
    /// It speaks of a job that is over.
    Nothing,
}

impl Lane {
    pub(crate) fn new(jobs: UnixStream, answers: UnixStream, claims: Claims) -> Self {
        let state =
            State { outbox: Outbox::default(), current: None, client_gone: false, has_blocks: false, large: None };
        let (inbox, state) = (Mutex::new(Inbox::new()), Mutex::new(state));
        let shared = Arc::new(Shared { jobs, answers, inbox, state });
        Self { shared, claims, local: None, begun_at: None, claimed: false, patience: None }
    }

    /// Waits for jobs end from time to time, for the handlers of signals.
    pub(super) fn look_for_signals(&mut self) -> io::Result<()> {
        self.patience = Some(Patience::begin(&self.shared.jobs)?);
        Ok(())
    }

    pub(super) fn set_large_blocks(&mut self, large: LargeBlocks) {
        self.shared.lock().large = Some(large);
    }

    /// Waits for a job, or for a signal.
    fn receive(&mut self) -> Result<Option<Job>, LinkError> {
        let shared = Arc::clone(&self.shared);
        let (mut outbox, has_blocks) = {
            let mut state = shared.lock();
            state.current = None;
            (std::mem::take(&mut state.outbox), std::mem::take(&mut state.has_blocks))
        };
        if let Some(begun_at) = self.begun_at.take() {
            // The server may have to wait for a client with that, and what is said next would wait as well.
            let left = if has_blocks && self.claimed { self.claims.take_back(usize::MAX)? } else { 0 };
            if left > 0 {
                outbox.hold(&ToServer::Left { jobs: left }, &[])?;
            }
            outbox.hold(&ToServer::Done { was_short: begun_at.elapsed() < SHORT_TIME }, &[])?;
        }
        outbox.flush(&shared.answers, true).map_err(link::gone)?;
        let mut inbox = shared.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(frame) = inbox.next_frame()? {
                let job = match self.job(&mut inbox, frame) {
                    Err(LinkError::Wire(WireError::NoRoom)) => {
                        tracing::error!(code = "STACK0305", error = %WireError::NoRoom, "a request body could not be taken over");
                        outbox.hold(&ToServer::Failed(Failure::Gateway.into()), &[])?;
                        outbox.hold(&ToServer::Done { was_short: false }, &[])?;
                        None
                    }
                    Ok(Read::TakenBack) => {
                        outbox.hold(&ToServer::Skipped, &[])?;
                        None
                    }
                    Ok(Read::Job(job)) => Some(job),
                    Ok(Read::Nothing) => None,
                    Err(error) => return Err(error),
                };
                if let Some(job) = job {
                    outbox.flush(&shared.answers, true).map_err(link::gone)?;
                    if let Some(patience) = &mut self.patience {
                        patience.reset(&shared.jobs)?;
                    }
                    let mut state = shared.lock();
                    state.outbox = outbox;
                    state.current = Some(job.request.id);
                    state.client_gone = false;
                    self.begun_at = Some(Instant::now());
                    return Ok(Some(job));
                }
                continue;
            }
            outbox.flush(&shared.answers, true).map_err(link::gone)?;
            match inbox.receive(shared.jobs.as_fd(), true) {
                Err(error) if link::is_interruption(&error) => {
                    if let Some(patience) = self.patience.as_mut().filter(|_| link::is_timeout(&error)) {
                        patience.grow(&shared.jobs)?;
                    }
                    shared.lock().outbox = outbox;
                    return Ok(None);
                }
                outcome => outcome?,
            };
        }
    }

    fn job(&mut self, inbox: &mut Inbox, frame: Range<usize>) -> Result<Read, LinkError> {
        let batch_received_at = inbox.received_at();
        let (message, rest) = wire::read::<ToWorker<'_>>(inbox.frame(frame))?;
        let ToWorker::Job(head) = message else { return Ok(Read::Nothing) };
        if head.to_claim && !self.claims.claim()? {
            return Ok(Read::TakenBack);
        }
        self.claimed = head.to_claim;
        // One that was sent alone may have come in with what was left of a batch.
        let received_at = if head.to_claim { batch_received_at } else { Instant::now() };
        let place = head.body;
        let deadline = head.time_left.and_then(|left| received_at.checked_add(left));
        let body = match place {
            BodyPlace::Inline => RequestBody::Memory(Bytes::copy_from_slice(rest)),
            BodyPlace::Nowhere | BodyPlace::File { .. } => RequestBody::Empty,
        };
        let mut request = self.request(*head, body, received_at)?;
        if let BodyPlace::File { length } = place {
            request.body = RequestBody::File { file: File::from(inbox.descriptor()?), length };
        }
        let shared = Arc::clone(&self.shared);
        let responder = LaneResponder { shared, id: request.id, begun: false, ended: false, streamed: false };
        let responder = Responder::remote(Box::new(responder));
        Ok(Read::Job(Job { request: Box::new(request), responder, deadline, retried: false }))
    }

    fn request(&mut self, head: JobHead<'_>, body: RequestBody, received_at: Instant) -> Result<Request, WireError> {
        let JobHead {
            id,
            to_claim: _,
            method,
            target,
            path,
            script_name,
            query,
            version,
            headers,
            https,
            tls,
            peer,
            local_name,
            local_port,
            body: _,
            age,
            time_left: _,
            details,
        } = head;
        Ok(Request {
            id: RequestId(id),
            method: Method::from_bytes(method.as_bytes()).map_err(|_| WireError::OutOfPlace)?,
            target: Bytes::copy_from_slice(target),
            path: Bytes::copy_from_slice(path),
            script_name: Bytes::copy_from_slice(script_name),
            query: Bytes::copy_from_slice(query),
            version: match version {
                HttpVersion::Http09 => Version::HTTP_09,
                HttpVersion::Http10 => Version::HTTP_10,
                HttpVersion::Http11 => Version::HTTP_11,
                HttpVersion::Http2 => Version::HTTP_2,
                HttpVersion::Http3 => Version::HTTP_3,
            },
            headers: headers.into_owned(),
            scheme: if https { Scheme::Https } else { Scheme::Http },
            tls: tls.map(|tls| Arc::new(tls.into())),
            peer: peer.map_or(Peer::Unix, Peer::Tcp),
            local: self.local(local_name, local_port),
            body,
            connection: Some(Arc::new(LaneConnection(Arc::clone(&self.shared), RequestId(id)))),
            received_at: received_at.checked_sub(age).unwrap_or(received_at),
            details: details.map(Into::into),
        })
    }

    fn local(&mut self, name: &str, port: &str) -> Arc<Local> {
        if let Some(known) = self.local.as_ref().filter(|known| known.name == name && known.port == port) {
            return Arc::clone(known);
        }
        let local = Arc::new(Local { name: name.to_owned(), port: port.to_owned() });
        Arc::clone(self.local.insert(local))
    }
}

impl Jobs for Lane {
    fn take(&mut self) -> Result<Job, Closed> {
        loop {
            if let Some(job) = self.take_or_signal()? {
                return Ok(job);
            }
        }
    }

    /// Whatever ends the lane, there is no more to do here: a server that is gone is noticed by the control connection, one
    /// that says something that is no job ends the worker.
    fn take_or_signal(&mut self) -> Result<Option<Job>, Closed> {
        self.receive().map_err(|error| {
            if !matches!(error, LinkError::Closed) {
                tracing::error!(code = "STACK0315", %error, "a worker's lane is broken");
            }
            Closed
        })
    }
}

/// The client's connection, which is in the server.
#[derive(Debug)]
struct LaneConnection(Arc<Shared>, RequestId);

impl ClientConnection for LaneConnection {
    fn close(&self) {
        self.0.tell(self.1, &ToServer::CloseConnection, &[], None);
    }
}

/// The client of a job, which the server may have said is gone.
#[derive(Debug)]
struct LaneClient(Arc<Shared>, RequestId);

impl RemoteClient for LaneClient {
    fn is_gone(&self) -> bool {
        // The thread may hold it for long where it waits for the server to read.
        let state = self.0.state.try_lock();
        state.is_ok_and(|mut state| self.0.check_client(&mut state, self.1).is_err())
    }
}

/// The worker's end of a response that goes over a lane.
#[derive(Debug)]
struct LaneResponder {
    shared: Arc<Shared>,
    id: RequestId,
    /// Something was sent.
    begun: bool,
    /// The end was sent.
    ended: bool,
    /// The application wants back-pressure: its blocks stay out of files.
    streamed: bool,
}

impl LaneResponder {
    fn send(&mut self, push: &mut Push<'_>, wait: bool) -> Result<bool, SendError> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        // A small response that is sent in one piece is not worth a look at the client.
        if self.begun || !push.last || state.current != Some(self.id) {
            self.shared.check_client(&mut state, self.id)?;
        }
        loop {
            if !state.outbox.is_clear() {
                match state.outbox.flush(&shared.answers, wait) {
                    Ok(true) => {}
                    Ok(false) => return Ok(false),
                    Err(_) => return Err(state.lost()),
                }
            }
            if push.head.is_none() && push.block.is_empty() && (!push.last || self.ended) {
                return Ok(true);
            }
            let (now, later) = push.block.split_at(push.block.len().min(PIECE_SIZE));
            let head = self.take_head(push);
            let last = push.last && later.is_empty();
            let message = ToServer::Block { head: head.as_ref().map(head_message), last };
            push.block = later;
            self.begun = true;
            self.ended |= last;
            state.has_blocks |= !last;
            let sent = if last && push.may_wait {
                state.outbox.hold(&message, now).map_err(Unsendable::from)
            } else {
                state.outbox.add(&shared.answers, &message, now, None)
            };
            if sent.is_err() {
                return Err(state.lost());
            }
        }
    }

    fn take_head(&mut self, push: &mut Push<'_>) -> Option<(ResponseHead, Flow)> {
        let head = push.head.take();
        self.streamed |= matches!(head, Some((_, Flow::Streamed)));
        head
    }

    /// The file that a block goes into which is too large for the lane. Without one it goes over the lane all the same.
    fn in_file(&self, push: &Push<'_>) -> Option<File> {
        let (threshold, directory) = {
            let state = self.shared.lock();
            let large = state.large.as_ref()?;
            (large.threshold, large.directory.clone())
        };
        let is_streamed = self.streamed || matches!(push.head, Some((_, Flow::Streamed)));
        if push.block.len() <= threshold || is_streamed {
            return None;
        }
        let write = || -> io::Result<File> {
            let file = tempfile::tempfile_in(&directory)?;
            file.write_all_at(push.block, 0)?;
            Ok(file)
        };
        // A full disk is the server's to tell of: it will find it full as well.
        write().ok()
    }

    fn finish(&mut self, message: &ToServer<'_>, rest: &[u8], descriptor: Option<OwnedFd>) {
        if !std::mem::replace(&mut self.ended, true) {
            self.shared.tell(self.id, message, rest, descriptor);
        }
    }
}

fn head_message((head, flow): &(ResponseHead, Flow)) -> Head<'_> {
    Head {
        status: head.status.as_u16(),
        reason: head.reason.as_deref(),
        headers: Cow::Borrowed(&head.headers),
        streamed: *flow == Flow::Streamed,
    }
}

impl RemoteResponder for LaneResponder {
    fn is_client_gone(&self) -> bool {
        let mut state = self.shared.lock();
        self.shared.check_client(&mut state, self.id).is_err()
    }

    fn client(&self) -> Arc<dyn RemoteClient> {
        Arc::new(LaneClient(Arc::clone(&self.shared), self.id))
    }

    fn try_push(&mut self, push: &mut Push<'_>) -> Result<bool, SendError> {
        let is_large = self.shared.lock().large.as_ref().is_some_and(|large| push.block.len() > large.threshold);
        // That may take a while, and is for a thread that holds no GIL.
        if is_large { Ok(false) } else { self.send(push, false) }
    }

    fn push(&mut self, push: &mut Push<'_>) -> Result<(), SendError> {
        if let Some(file) = self.in_file(push) {
            let shared = Arc::clone(&self.shared);
            let mut state = shared.lock();
            self.shared.check_client(&mut state, self.id)?;
            let length = push.block.len() as u64;
            let head = self.take_head(push);
            let head = head.as_ref().map(head_message);
            let message = ToServer::FileBlock { head, offset: 0, length, last: push.last };
            self.begun = true;
            self.ended |= push.last;
            state.has_blocks = true;
            push.block = &[];
            if state.outbox.add(&shared.answers, &message, &[], Some(file.into())).is_err() {
                return Err(state.lost());
            }
        }
        self.send(push, true).map(|_| ())
    }

    fn finish_with_file(&mut self, head: Option<(ResponseHead, Flow)>, region: FileRegion) -> Result<(), SendError> {
        let FileRegion { file, offset, length } = region;
        self.begun = true;
        let message = ToServer::FileTail { head: head.as_ref().map(head_message), offset, length };
        self.finish(&message, &[], Some(file.into()));
        Ok(())
    }

    fn fail_with(mut self: Box<Self>, failure: Failure, details: Option<Vec<u8>>) {
        self.finish(&ToServer::Failed(failure.into()), &details.unwrap_or_default(), None);
    }
}

impl Drop for LaneResponder {
    fn drop(&mut self) {
        self.finish(&ToServer::Failed(Failure::Dropped.into()), &[], None);
    }
}
