//! The server's side of a lane: a task that takes jobs from the queue for one thread of a worker process.

#[cfg(test)]
mod tests;

use std::{
    borrow::Cow,
    io::{self, IoSlice, Seek},
    net::Shutdown,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use http::{StatusCode, Version};
use stack_bridge::{
    ClientConnection, Failure, FileRegion, Flow, Job, Peer, Push, Request, RequestBody, RequestId, Responder,
    ResponseHead, Scheme, SendError, TaskConsumer, WhenClientGone,
};
use tokio::{sync::Notify, task::JoinError};

use crate::{
    link::{self, HangUp, Link, LinkError},
    wire::{self, BodyPlace, FailureKind, Head, HttpVersion, JobHead, TlsHead, ToServer, ToWorker, WireError},
    worker::memory_file,
};

/// A body in memory of more bytes crosses as a file in memory.
const LARGEST_INLINE_BODY: usize = 128 * 1024;

/// What the lanes of one process tell of their jobs.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Jobs that are over.
    pub(crate) ran: AtomicU64,
    /// As many jobs as the process was meant to run.
    pub(crate) enough: Option<u64>,
    /// They are over.
    pub(crate) is_enough: Notify,
    /// Threads that could not begin with a job, and are not back.
    pub(crate) unable: AtomicUsize,
    /// That number has changed, or something else that is decided by it.
    pub(crate) changed: Notify,
}

impl Tally {
    fn ran(&self) {
        if Some(self.ran.fetch_add(1, Ordering::Relaxed) + 1) == self.enough {
            self.is_enough.notify_one();
        }
    }
}

/// A job whose worker died, or broke the protocol.
#[derive(Debug)]
pub(crate) struct Lost {
    /// The job, where nothing of its response was sent; else only what it was.
    pub(crate) job: LostJob,
    pub(crate) error: LaneError,
    watch: Arc<ClientWatch>,
}

impl Lost {
    /// Whether the worker is gone and has not read all that was sent: the job, or word of a client that left, and then nobody runs
    /// the job again. Only its end tells: a process that ends closes its descriptors one by one.
    pub(crate) fn was_unread(&self) -> bool {
        matches!(self.watch.jobs.take_error(), Ok(Some(error)) if error.kind() == io::ErrorKind::ConnectionReset)
    }
}

#[derive(Debug)]
pub(crate) enum LostJob {
    /// The worker never read it whole.
    Unsent(Box<Job>),
    /// The client has seen nothing.
    Unanswered(Box<Job>),
    /// The response had begun, or was complete and the thread was not back yet.
    Begun(Box<Request>),
    /// The worker could not begin with it, and it was given back.
    GivenBack,
}

impl LostJob {
    pub(crate) fn request(&self) -> Option<&Request> {
        match self {
            Self::Unsent(job) | Self::Unanswered(job) => Some(&job.request),
            Self::Begun(request) => Some(request),
            Self::GivenBack => None,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum LaneError {
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("a request body could not be passed on")]
    Body(#[source] io::Error),
    #[error("a response could not be handed on")]
    Join(#[from] JoinError),
}

impl From<WireError> for LaneError {
    fn from(error: WireError) -> Self {
        Self::Link(error.into())
    }
}

/// One lane.
#[derive(Debug)]
pub(crate) struct ServerLane {
    /// Where responses come in. Nothing is sent there: the event loop would be woken by the room that becomes free.
    answers: Link,
    watch: Arc<ClientWatch>,
    outgoing: Vec<u8>,
}

/// Tells the worker when the client of the current job leaves.
#[derive(Debug)]
struct ClientWatch {
    /// Where jobs go out.
    jobs: UnixStream,
    /// A job is being written: nothing may come between its parts.
    writing: Mutex<bool>,
}

impl WhenClientGone for ClientWatch {
    fn client_gone(&self, request: RequestId) {
        let writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever writes looks afterwards. Of a job that is over the worker knows that it is.
        if !*writing {
            let mut frame = Vec::with_capacity(16);
            let made = wire::begin_frame(&mut frame, &ToWorker::ClientGone { id: request.0 })
                .and_then(|()| wire::end_frame(&mut frame, 0, 0));
            debug_assert!(made.is_ok(), "a short message");
            // Without room for these few bytes the worker reads nothing, and would not read them either.
            let _ = link::send(self.jobs.as_fd(), &[IoSlice::new(&frame)], &[], false);
        }
    }
}

impl ClientWatch {
    fn set_writing(&self, writing: bool) {
        *self.writing.lock().unwrap_or_else(PoisonError::into_inner) = writing;
    }
}

/// Where the response to the current job goes.
enum Answer {
    /// Nothing has been sent.
    Waiting(Responder),
    Begun(Responder),
    /// It is complete, has failed, or nobody reads it.
    Over,
}

impl ServerLane {
    pub(crate) fn new(jobs: UnixStream, answers: UnixStream) -> io::Result<Self> {
        let watch = ClientWatch { jobs, writing: Mutex::new(false) };
        Ok(Self { answers: Link::new(answers)?, watch: Arc::new(watch), outgoing: Vec::new() })
    }

    /// A way to end it when its process has ended.
    pub(crate) fn hang_up_handle(&self) -> HangUp {
        self.answers.hang_up_handle()
    }

    /// Carries jobs until the queue has none any more for this worker, or the worker is gone.
    pub(crate) async fn run(mut self, mut consumer: TaskConsumer, tally: Arc<Tally>) -> Result<(), Box<Lost>> {
        let outcome = loop {
            let Ok(job) = consumer.take(tokio::time::sleep).await else { break Ok(()) };
            if let Err(lost) = self.carry(job, &consumer, &tally).await {
                break Err(lost);
            }
            tally.ran();
        };
        // A response that is still being read keeps the watch: the worker is to see the end of its jobs now.
        let _ = self.watch.jobs.shutdown(Shutdown::Both);
        outcome
    }

    async fn carry(&mut self, mut job: Job, consumer: &TaskConsumer, tally: &Tally) -> Result<(), Box<Lost>> {
        self.watch.set_writing(true);
        let sent = self.send(&mut job).await;
        self.watch.set_writing(false);
        match sent {
            Ok(()) => {}
            Err(LaneError::Body(error)) => {
                // Nothing has been sent: the worker is as it was.
                tracing::error!(code = "STACK0305", request_id = %job.request.id, %error, "a request body could not be passed on");
                job.responder.fail(Failure::Gateway);
                return Ok(());
            }
            Err(error) => {
                let watch = Arc::clone(&self.watch);
                return Err(Box::new(Lost { job: LostJob::Unsent(Box::new(job)), error, watch }));
            }
        }
        let Job { request, responder, deadline, retried } = job;
        responder.when_client_gone(self.watch.clone(), request.id);
        let (id, connection) = (request.id, request.connection.clone());
        let (mut answer, mut request) = (Answer::Waiting(responder), Some(request));
        let give_back = |responder| {
            if let Some(request) = request.take() {
                tally.unable.fetch_add(1, Ordering::Relaxed);
                tally.changed.notify_one();
                consumer.give_back(Job { request, responder, deadline, retried });
            }
        };
        let received = self.receive(id, connection.as_deref(), &mut answer, give_back).await;
        if request.is_none() && received.is_ok() {
            tally.unable.fetch_sub(1, Ordering::Relaxed);
        }
        received.map_err(|error| {
            let job = match (request, answer) {
                (None, _) => LostJob::GivenBack,
                (Some(request), Answer::Waiting(responder)) => {
                    let job = Box::new(Job { request, responder, deadline, retried });
                    LostJob::Unanswered(job)
                }
                (Some(request), Answer::Begun(responder)) => {
                    responder.fail(Failure::WorkerGone);
                    LostJob::Begun(request)
                }
                (Some(request), Answer::Over) => LostJob::Begun(request),
            };
            Box::new(Lost { job, error, watch: Arc::clone(&self.watch) })
        })
    }

    async fn send(&mut self, job: &mut Job) -> Result<(), LaneError> {
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
        wire::begin_frame(&mut self.outgoing, &ToWorker::Job(Box::new(job_head(request, body, *deadline))))?;
        wire::end_frame(&mut self.outgoing, 0, inline.len())?;
        let parts = [IoSlice::new(&self.outgoing), IoSlice::new(inline)];
        let sent = match link::send(self.watch.jobs.as_fd(), &parts, descriptor.as_slice(), false) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            outcome => outcome.map_err(link::gone)?,
        };
        if sent < self.outgoing.len() + inline.len() {
            let rest = [&self.outgoing[..], inline].concat().split_off(sent);
            let descriptor = descriptor.filter(|_| sent == 0).map(|descriptor| descriptor.try_clone_to_owned());
            let (descriptor, watch) = (descriptor.transpose().map_err(LaneError::Body)?, Arc::clone(&self.watch));
            tokio::task::spawn_blocking(move || send_all(&watch.jobs, &rest, descriptor)).await??;
        }
        Ok(())
    }

    /// Hands the response on until the worker's thread is done with the job.
    async fn receive(
        &mut self,
        id: RequestId,
        connection: Option<&dyn ClientConnection>,
        answer: &mut Answer,
        mut give_back: impl FnMut(Responder),
    ) -> Result<(), LaneError> {
        loop {
            let frame = self.answers.receive().await?;
            let inbox = self.answers.inbox();
            let (message, rest) = wire::read::<ToServer<'_>>(inbox.frame(frame))?;
            match message {
                ToServer::Block { head, last } => {
                    let head = head.map(response_head).transpose()?;
                    let block = Bytes::copy_from_slice(rest);
                    answer.block(head, block, last).await?;
                }
                ToServer::FileBlock { head, offset, length, last } => {
                    let head = head.map(response_head).transpose()?;
                    match inbox.descriptor() {
                        Ok(file) => {
                            let region = FileRegion { file: file.into(), offset, length };
                            answer.file_block(head, region, last).await?;
                        }
                        Err(error @ WireError::NoRoom) => answer.lacks_file(id, &error),
                        Err(error) => return Err(error.into()),
                    }
                }
                ToServer::FileTail { head, offset, length } => {
                    let head = head.map(response_head).transpose()?;
                    match inbox.descriptor() {
                        Ok(file) => {
                            let region = FileRegion { file: file.into(), offset, length };
                            if let Some(mut responder) = answer.take() {
                                // Where the client has gone the worker has nothing more to send anyway.
                                let _ = responder.finish_with_file(head, region);
                            }
                        }
                        Err(error @ WireError::NoRoom) => answer.lacks_file(id, &error),
                        Err(error) => return Err(error.into()),
                    }
                }
                // Only of a job that the application has not seen.
                ToServer::Failed(FailureKind::NotRun) => {
                    if let Some(responder) = answer.take() {
                        give_back(responder);
                    }
                }
                ToServer::Failed(kind) => {
                    if let Some(responder) = answer.take() {
                        let details = (!rest.is_empty()).then(|| rest.to_vec());
                        responder.fail_with(kind.into(), details);
                    }
                }
                ToServer::CloseConnection => {
                    if let Some(connection) = connection {
                        connection.close();
                    }
                }
                ToServer::Done => return Ok(()),
            }
        }
    }
}

impl Answer {
    fn take(&mut self) -> Option<Responder> {
        match std::mem::replace(self, Self::Over) {
            Self::Waiting(responder) | Self::Begun(responder) => Some(responder),
            Self::Over => None,
        }
    }

    /// A part of the response is in a file that this process could not open: the response is cut, the worker goes on.
    fn lacks_file(&mut self, request: RequestId, error: &WireError) {
        if let Some(responder) = self.take() {
            tracing::error!(code = "STACK0305", request_id = %request, %error, "a part of a response could not be taken over");
            responder.fail(Failure::Gateway);
        }
    }

    fn put_back(&mut self, responder: Responder, sent: Result<(), SendError>, last: bool) {
        if sent.is_ok() && !last {
            *self = Self::Begun(responder);
        }
    }

    async fn block(&mut self, head: Option<(ResponseHead, Flow)>, block: Bytes, last: bool) -> Result<(), LaneError> {
        let Some(mut responder) = self.take() else { return Ok(()) };
        match responder.try_push_bytes(head, block, last) {
            Ok(None) => self.put_back(responder, Ok(()), last),
            Ok(Some(left)) => {
                // Disk, or a reader that must be waited for.
                let (responder, sent) = tokio::task::spawn_blocking(move || {
                    let sent = responder.push(&mut Push { head: None, block: &left, last, may_wait: false });
                    (responder, sent)
                })
                .await?;
                self.put_back(responder, sent, last);
            }
            Err(gone) => self.put_back(responder, Err(gone), last),
        }
        Ok(())
    }

    async fn file_block(
        &mut self,
        head: Option<(ResponseHead, Flow)>,
        region: FileRegion,
        last: bool,
    ) -> Result<(), LaneError> {
        let Some(mut responder) = self.take() else { return Ok(()) };
        let (responder, sent) = tokio::task::spawn_blocking(move || {
            let sent = responder.push_file(head, region, last);
            (responder, sent)
        })
        .await?;
        self.put_back(responder, sent, last);
        Ok(())
    }
}

/// Sends what the socket had no room for. A worker that takes a job reads on until it has all of it.
fn send_all(socket: &UnixStream, mut bytes: &[u8], mut descriptor: Option<OwnedFd>) -> Result<(), LinkError> {
    while !bytes.is_empty() {
        let descriptors = descriptor.as_ref().map(AsFd::as_fd);
        let sent =
            link::send(socket.as_fd(), &[IoSlice::new(bytes)], descriptors.as_slice(), true).map_err(link::gone)?;
        descriptor = None;
        bytes = &bytes[sent..];
    }
    Ok(())
}

fn job_head(request: &Request, body: BodyPlace, deadline: Option<Instant>) -> JobHead<'_> {
    let now = Instant::now();
    JobHead {
        id: request.id.0,
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

fn response_head(head: Head<'_>) -> Result<(ResponseHead, Flow), WireError> {
    let flow = head.flow();
    let status = StatusCode::from_u16(head.status).map_err(|_| WireError::OutOfPlace)?;
    let Head { status: _, reason, headers, streamed: _ } = head;
    Ok((ResponseHead { status, reason: reason.map(str::to_owned), headers: headers.into_owned() }, flow))
}
