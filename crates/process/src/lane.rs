//! The server's side of a lane: a task that takes jobs from the queue for one thread of a worker process.

mod ahead;
#[cfg(test)]
mod ahead_tests;
mod current;
mod sending;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    net::Shutdown,
    os::{fd::AsFd, unix::net::UnixStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::StatusCode;
use stack_bridge::{Failure, FileRegion, Flow, Job, Request, RequestId, ResponseHead, TaskConsumer, WhenClientGone};
use tokio::{sync::Notify, task::JoinError};

use self::{
    ahead::{AHEAD_TIME, Ahead, LARGEST_BATCH},
    current::{Answer, Current},
};
use crate::{
    claims::Claims,
    link::{self, HangUp, Link, LinkError},
    wire::{self, FailureKind, Head, ToServer, ToWorker, WireError},
};

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
    /// Those behind it, which the worker has not claimed.
    pub(crate) ahead: VecDeque<Job>,
    pub(crate) error: LaneError,
    /// Where it can be told whether the worker has read it.
    unknown: Option<Arc<ClientWatch>>,
}

impl Lost {
    /// Whether the worker is gone and has not read all that was sent: the job, or word of a client that left, and then nobody runs
    /// the job again. Only its end tells: a process that ends closes its descriptors one by one.
    pub(crate) fn was_unread(&self) -> bool {
        let reset = |watch: &Arc<ClientWatch>| match watch.jobs.take_error() {
            Ok(Some(error)) => error.kind() == io::ErrorKind::ConnectionReset,
            Ok(None) | Err(_) => false,
        };
        self.unknown.as_ref().is_some_and(reset)
    }
}

#[derive(Debug)]
pub(crate) enum LostJob {
    /// The worker never read it whole, or never claimed it.
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
    #[error("the counter of a lane's claims is of no use")]
    Claims(#[source] io::Error),
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
    claims: Claims,
    outgoing: Vec<u8>,
    /// How many jobs it may send at once.
    window: usize,
    /// [`AHEAD_TIME`].
    ahead_time: Duration,
    /// Jobs that were taken back, and that the worker has not come to yet.
    skips: usize,
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

impl ServerLane {
    pub(crate) fn new(jobs: UnixStream, answers: UnixStream, claims: Claims) -> io::Result<Self> {
        let watch = Arc::new(ClientWatch { jobs, writing: Mutex::new(false) });
        let answers = Link::new(answers)?;
        Ok(Self { answers, watch, claims, outgoing: Vec::new(), window: 1, ahead_time: AHEAD_TIME, skips: 0 })
    }

    /// A way to end it when its process has ended.
    pub(crate) fn hang_up_handle(&self) -> HangUp {
        self.answers.hang_up_handle()
    }

    /// Carries jobs until the queue has none any more for this worker, or the worker is gone.
    pub(crate) async fn run(mut self, mut consumer: TaskConsumer, tally: Arc<Tally>) -> Result<(), Box<Lost>> {
        let outcome = loop {
            let Ok(job) = consumer.take(tokio::time::sleep).await else { break Ok(()) };
            if let Err(lost) = self.serve(job, &mut consumer, &tally).await {
                break Err(lost);
            }
        };
        // A response that is still being read keeps the watch: the worker is to see the end of its jobs now.
        let _ = self.watch.jobs.shutdown(Shutdown::Both);
        outcome
    }

    /// Carries a job, and behind it those of the ones that wait which are sent with it.
    async fn serve(&mut self, mut job: Job, consumer: &mut TaskConsumer, tally: &Tally) -> Result<(), Box<Lost>> {
        let begun = Instant::now();
        let mut ahead = self.take_ahead(&job, consumer);
        let is_alone = ahead.jobs.is_empty();
        let sent = if is_alone {
            self.send(&mut job, begun).await
        } else {
            if let Err(error) = self.prepare_batch(&job, &mut ahead, consumer, begun) {
                // None of them was offered.
                let job = LostJob::Unsent(Box::new(job));
                return Err(Box::new(Lost { job, ahead: ahead.jobs, error, unknown: None }));
            }
            self.send_out(&[], None).await
        };
        match sent {
            Ok(()) => {}
            Err(LaneError::Body(error)) => {
                // Nothing has been sent: the worker is as it was.
                tracing::error!(code = "STACK0305", request_id = %job.request.id, %error, "a request body could not be passed on");
                job.responder.fail(Failure::Gateway);
                return Ok(());
            }
            Err(error) => {
                let job = LostJob::Unsent(Box::new(job));
                return Err(Box::new(self.lose(job, error, is_alone, ahead, consumer)));
            }
        }
        let mut were_short = true;
        loop {
            match self.carry(job, &mut ahead, consumer, tally).await {
                Ok(Carried::Done { was_short }) => {
                    tally.ran();
                    were_short &= was_short;
                }
                Ok(Carried::TakenBack) => {
                    were_short = false;
                    break;
                }
                Err((job, error)) => return Err(Box::new(self.lose(job, error, is_alone, ahead, consumer))),
            }
            match ahead.jobs.pop_front() {
                Some(next) => job = next,
                None => break,
            }
            consumer.begin(&job);
        }
        self.window = if were_short { (self.window * 2).min(LARGEST_BATCH) } else { 1 };
        Ok(())
    }

    /// Carries the job that the worker runs now.
    async fn carry(
        &mut self,
        job: Job,
        ahead: &mut Ahead,
        consumer: &mut TaskConsumer,
        tally: &Tally,
    ) -> Result<Carried, (LostJob, LaneError)> {
        let Job { request, responder, deadline, retried } = job;
        responder.when_client_gone(self.watch.clone(), request.id);
        let mut current = Current { request: Some(request), answer: Answer::Waiting(responder), deadline, retried };
        let received = self.receive(&mut current, ahead, consumer, tally).await;
        if current.request.is_none() && matches!(received, Ok(Carried::Done { .. })) {
            tally.unable.fetch_sub(1, Ordering::Relaxed);
        }
        received.map_err(|error| (current.lost(), error))
    }

    /// What becomes of the jobs that the worker has when it is gone, or of no use: those it has not claimed were not begun.
    fn lose(
        &self,
        job: LostJob,
        error: LaneError,
        is_alone: bool,
        mut ahead: Ahead,
        consumer: &mut TaskConsumer,
    ) -> Lost {
        let unclaimed = self.claims.take_back(ahead.jobs.len() + 1).unwrap_or_default();
        let is_claimed = unclaimed <= ahead.jobs.len();
        let job = match job {
            LostJob::Unsent(job) | LostJob::Unanswered(job) if !is_alone => {
                if is_claimed {
                    LostJob::Unanswered(job)
                } else {
                    LostJob::Unsent(job)
                }
            }
            job => job,
        };
        let unbegun = ahead.jobs.split_off(ahead.jobs.len().saturating_sub(unclaimed));
        for job in ahead.jobs {
            // Its answer is behind what could not be understood.
            consumer.begin(&job);
            job.responder.fail(Failure::WorkerGone);
        }
        Lost { job, ahead: unbegun, error, unknown: is_alone.then(|| Arc::clone(&self.watch)) }
    }

    /// Hands the response on until the worker's thread is done with the job.
    async fn receive(
        &mut self,
        current: &mut Current,
        ahead: &mut Ahead,
        consumer: &mut TaskConsumer,
        tally: &Tally,
    ) -> Result<Carried, LaneError> {
        let connection = current.request.as_ref().and_then(|request| request.connection.clone());
        loop {
            let frame = tokio::select! {
                biased;
                // First, because a worker may have something to say for as long as it likes.
                () = ahead.is_late() => {
                    if self.withdraw(current, ahead, consumer)? {
                        return Ok(Carried::TakenBack);
                    }
                    continue;
                }
                frame = self.answers.receive() => frame?,
            };
            let inbox = self.answers.inbox();
            let (message, rest) = wire::read::<ToServer<'_>>(inbox.frame(frame))?;
            match message {
                ToServer::Block { head, last } => {
                    let head = head.map(response_head).transpose()?;
                    let block = Bytes::copy_from_slice(rest);
                    if !last {
                        self.withdraw_for_blocks(current, ahead, consumer)?;
                    }
                    current.answer.block(head, block, last).await?;
                }
                ToServer::FileBlock { head, offset, length, last } => {
                    let head = head.map(response_head).transpose()?;
                    match inbox.descriptor() {
                        Ok(file) => {
                            let region = FileRegion { file: file.into(), offset, length };
                            self.withdraw_for_blocks(current, ahead, consumer)?;
                            current.answer.file_block(head, region, last).await?;
                        }
                        Err(error @ WireError::NoRoom) => current.lacks_file(&error),
                        Err(error) => return Err(error.into()),
                    }
                }
                ToServer::FileTail { head, offset, length } => {
                    let head = head.map(response_head).transpose()?;
                    match inbox.descriptor() {
                        Ok(file) => {
                            let region = FileRegion { file: file.into(), offset, length };
                            if let Some(mut responder) = current.answer.take() {
                                // Where the client has gone the worker has nothing more to send anyway.
                                let _ = responder.finish_with_file(head, region);
                            }
                        }
                        Err(error @ WireError::NoRoom) => current.lacks_file(&error),
                        Err(error) => return Err(error.into()),
                    }
                }
                // Only of a job that the application has not seen.
                ToServer::Failed(FailureKind::NotRun) => {
                    if let Some(job) = current.take_job() {
                        tally.unable.fetch_add(1, Ordering::Relaxed);
                        tally.changed.notify_one();
                        consumer.give_back(job);
                    }
                }
                ToServer::Failed(kind) => {
                    if let Some(responder) = current.answer.take() {
                        let details = (!rest.is_empty()).then(|| rest.to_vec());
                        responder.fail_with(kind.into(), details);
                    }
                }
                ToServer::CloseConnection => {
                    if let Some(connection) = &connection {
                        connection.close();
                    }
                }
                ToServer::Done { was_short } => return Ok(Carried::Done { was_short }),
                ToServer::Left { jobs } => {
                    if self.give_back(jobs, current, ahead, consumer)? {
                        return Err(WireError::OutOfPlace.into());
                    }
                }
                ToServer::Skipped => self.skips = self.skips.checked_sub(1).ok_or(WireError::OutOfPlace)?,
            }
        }
    }
}

/// How the worker is done with a job.
enum Carried {
    Done {
        was_short: bool,
    },
    /// It had not begun.
    TakenBack,
}

fn response_head(head: Head<'_>) -> Result<(ResponseHead, Flow), WireError> {
    let flow = head.flow();
    let status = StatusCode::from_u16(head.status).map_err(|_| WireError::OutOfPlace)?;
    let Head { status: _, reason, headers, streamed: _ } = head;
    Ok((ResponseHead { status, reason: reason.map(str::to_owned), headers: headers.into_owned() }, flow))
}
