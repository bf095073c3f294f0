//! One worker's place in the pool: start, watch, settle, start again.

use std::{
    os::unix::net::UnixStream,
    sync::Arc,
    time::{Duration, Instant},
};

use http::Method;
use rustix::process::{Pid, Signal, kill_process};
use stack_bridge::{Failure, Queue, WorkerId};
use tokio::{
    process::Child,
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{Exit, ProcessSettings, StartError, State, back_off::BackOff, template::Templates};
use crate::{
    control::{self, LINGER_TIME, LastWords},
    lane::{Lost, LostJob, ServerLane},
    link::{HangUp, Link},
    wire::Order,
};

/// How long a process that is started again may take until it is ready: at least this, and as many times as long as the first.
const LEAST_START_TIME: Duration = Duration::from_mins(1);
const START_TIME_FACTOR: u32 = 10;
/// How long the lanes of a process that died may take to notice. One that waits for a slow client takes longer.
const NOTICE_TIME: Duration = Duration::from_millis(100);

type Lanes = JoinSet<Result<(), Box<Lost>>>;

/// One place in the pool.
pub(super) struct Worker {
    id: WorkerId,
    settings: Arc<ProcessSettings>,
    /// Where workers are forked; without it each is started by exec.
    templates: Option<Arc<Templates>>,
    queue: Queue,
    state: watch::Sender<State>,
    /// True from when the pool is stopped.
    stopping: watch::Receiver<bool>,
}

/// A process that serves.
struct Running {
    process: Process,
    last_words: LastWords,
    lanes: Vec<ServerLane>,
    report: String,
}

/// A worker's process. Dropping it ends the process.
struct Process {
    /// The worker takes its end for the server's.
    link: Link,
    pid: u32,
    kind: Kind,
}

enum Kind {
    /// Our child.
    Exec(Child),
    /// Another's child, which tells when it has ended. Without it, its end is that of its connection.
    Forked(Option<oneshot::Receiver<Exit>>),
}

impl Process {
    /// Waits for its end. It may be dropped and called again.
    async fn wait(&mut self) -> Exit {
        let forked = match &mut self.kind {
            Kind::Exec(child) => return child.wait().await.map_or(Exit::UNKNOWN, Exit::from),
            Kind::Forked(forked) => forked,
        };
        if let Some(exit) = forked {
            let exit = exit.await;
            *forked = None;
            if let Ok(exit) = exit {
                return exit;
            }
        }
        while self.link.receive().await.is_ok() {}
        Exit::UNKNOWN
    }

    fn kill(&mut self) {
        match &mut self.kind {
            // It has ended already.
            Kind::Exec(child) => drop(child.start_kill()),
            Kind::Forked(Some(_)) => {
                // Its parent waits for it, so the number is still its own.
                if let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) {
                    let _ = kill_process(pid, Signal::KILL);
                }
            }
            // It leaves at the end of its connection.
            Kind::Forked(None) => self.link.hang_up_handle().hang_up(),
        }
    }
}

/// How a process that served came to its end.
enum End {
    /// It was given no more jobs, and left.
    Regular,
    Died,
}

impl Worker {
    pub(super) fn new(
        id: WorkerId,
        settings: Arc<ProcessSettings>,
        templates: Option<Arc<Templates>>,
        queue: Queue,
        state: watch::Sender<State>,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        Self { id, settings, templates, queue, state, stopping }
    }

    /// The one place where the state changes.
    fn set(&self, state: State) {
        let before = self.state.send_replace(state);
        tracing::debug!(worker = self.id.0, from = ?before, to = ?state, "worker state");
    }

    /// Starts a process, and another for each one that dies, until the queue is closed. What became of the first start goes
    /// to `started`.
    pub(super) async fn live(self, started: mpsc::Sender<Result<String, StartError>>) {
        let mut started = Some(started);
        let (mut back_off, mut limit) = (BackOff::default(), None);
        loop {
            self.set(State::Starting);
            let begun = Instant::now();
            let start = async {
                match limit {
                    Some(limit) => timeout(limit, self.start()).await.unwrap_or(Err(StartError::TooLong(limit))),
                    None => self.start().await,
                }
            };
            let outcome = tokio::select! {
                outcome = start => outcome,
                // Nothing waits for a process that is only now being started again.
                () = self.stopped(), if started.is_none() => return self.set(State::Ended),
            };
            let life = match outcome {
                Ok(mut running) => {
                    limit = limit.or_else(|| Some(LEAST_START_TIME.max(begun.elapsed() * START_TIME_FACTOR)));
                    if let Some(started) = started.take() {
                        // The pool may have given up by now; then this task is about to be ended.
                        let _ = started.send(Ok(std::mem::take(&mut running.report))).await;
                    } else {
                        tracing::info!(
                            worker = self.id.0,
                            pid = running.process.pid,
                            "a worker process was started again"
                        );
                    }
                    self.set(State::Ready);
                    let ready = Instant::now();
                    match self.serve(running).await {
                        End::Regular => return self.set(State::Ended),
                        End::Died => ready.elapsed(),
                    }
                }
                Err(error) => {
                    if let Some(started) = started.take() {
                        self.set(State::Failed);
                        let _ = started.send(Err(error)).await;
                        return;
                    }
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::error!(code = "STACK0314", worker = self.id.0, %error, cause, "a worker process could not be started again");
                    Duration::ZERO
                }
            };
            if self.queue.is_closed() {
                return self.set(State::Ended);
            }
            self.set(State::Waiting);
            tokio::select! {
                () = sleep(back_off.after(life)) => {}
                () = self.stopped() => return self.set(State::Ended),
            }
        }
    }

    /// Waits until the pool is being stopped.
    async fn stopped(&self) {
        let mut stopping = self.stopping.clone();
        // Where the pool is gone this task is about to be ended.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    }

    async fn start(&self) -> Result<Running, StartError> {
        let mut last_words;
        let (mut process, preloaded) = if let Some(templates) = &self.templates {
            let (ours, theirs) = UnixStream::pair()?;
            let (worker, report) = templates.fork(self.id.0, theirs).await?;
            last_words = LastWords::new()?;
            let kind = Kind::Forked(Some(worker.exit));
            (Process { link: Link::new(ours)?, pid: worker.pid, kind }, Some(report))
        } else {
            let started = control::exec(&self.settings.program)?;
            last_words = started.last_words;
            let pid = started.child.id().unwrap_or_default();
            (Process { link: started.link, pid, kind: Kind::Exec(started.child) }, None)
        };
        match self.prepare(&mut process.link, &last_words).await {
            Ok((lanes, report)) => Ok(Running { process, last_words, lanes, report: preloaded.unwrap_or(report) }),
            // How it ended says more than that it is gone.
            Err(StartError::Gone) => {
                let ended = timeout(LINGER_TIME, process.wait()).await;
                let exit = ended.unwrap_or(Exit::UNKNOWN);
                process.kill();
                Err(StartError::Died { exit, last_words: last_words.read() })
            }
            Err(error) => Err(error),
        }
    }

    async fn prepare(&self, link: &mut Link, last_words: &LastWords) -> Result<(Vec<ServerLane>, String), StartError> {
        let threads = self.settings.threads.get();
        let lanes = control::equip(link, last_words, threads).await.map_err(control::start_error)?;
        let start = Order::Start { worker: self.id.0, spec: &self.settings.spec };
        link.send(&start, &[], &[]).await.map_err(control::start_error)?;
        Ok((lanes, control::wait_until_ready(link).await?))
    }

    /// Has the process serve until it ends.
    async fn serve(&self, running: Running) -> End {
        let Running { mut process, mut last_words, lanes, report: _ } = running;
        let pid = process.pid;
        let since = Instant::now();
        let mut serving = Lanes::new();
        let hang_ups: Vec<_> = lanes.iter().map(ServerLane::hang_up_handle).collect();
        for lane in lanes {
            serving.spawn(lane.run(self.queue.task_consumer(self.id)));
        }
        let (mut lost, mut broken) = (Vec::new(), false);
        let exit: Exit = loop {
            tokio::select! {
                exit = process.wait() => break exit,
                Some(ended) = serving.join_next() => {
                    broken |= !matches!(ended, Ok(Ok(())));
                    lost.extend(ended.ok().and_then(Result::err));
                    if serving.is_empty() && !broken {
                        self.set(State::ShuttingDown);
                    }
                }
                () = sleep(LINGER_TIME), if broken => {
                    // It lives, and is of no use.
                    tracing::error!(code = "STACK0315", worker = self.id.0, pid, error = first_error(&lost), "a worker's lane is broken; the worker is ended");
                    process.kill();
                }
            }
        };
        if serving.is_empty() && !broken {
            // What ends after the process that it was forked from can not be asked how.
            if exit.code != Some(0) && exit != Exit::UNKNOWN {
                tracing::warn!(code = "STACK0316", worker = self.id.0, pid, %exit, "a worker process died at its end");
            }
            return End::Regular;
        }
        self.queue.retire(self.id);
        hang_ups.into_iter().for_each(HangUp::hang_up);
        let noticed = async {
            while let Some(ended) = serving.join_next().await {
                lost.extend(ended.ok().and_then(Result::err));
            }
        };
        let all = timeout(NOTICE_TIME, noticed).await;
        let requests: Vec<String> = lost.iter().map(|lost| describe(lost)).collect();
        tracing::error!(
            code = "STACK0313",
            worker = self.id.0,
            pid,
            %exit,
            lived = ?since.elapsed(),
            requests = requests.join(", "),
            stack = last_words.read(),
            "a worker process died"
        );
        for lost in lost {
            settle(&self.queue, self.id, *lost);
        }
        if all.is_err() {
            let (queue, id) = (self.queue.clone(), self.id);
            tokio::spawn(async move {
                while let Some(ended) = serving.join_next().await {
                    if let Some(lost) = ended.ok().and_then(Result::err) {
                        settle(&queue, id, *lost);
                    }
                }
            });
        }
        End::Died
    }
}

/// Gives a lost job to another worker, or answers it. Its process has ended.
fn settle(queue: &Queue, worker: WorkerId, lost: Lost) {
    let was_unread = lost.was_unread();
    tracing::debug!(worker = worker.0, request_id = %lost.job.request().id, error = %lost.error, was_unread, "a job was lost");
    match lost.job {
        LostJob::Unsent(job) => queue.give_back(*job),
        LostJob::Unanswered(job) if was_unread => queue.give_back(*job),
        LostJob::Unanswered(mut job) => {
            let is_safe = [Method::GET, Method::HEAD].contains(&job.request.method);
            if is_safe && !std::mem::replace(&mut job.retried, true) {
                queue.give_back(*job);
            } else {
                job.responder.fail(Failure::WorkerGone);
            }
        }
        LostJob::Begun(_) => {}
    }
}

/// Why a lane is of no use any more.
fn first_error(lost: &[Box<Lost>]) -> String {
    // A task that ended without a word panicked; its thread has said so.
    lost.first().map_or_else(|| "its task ended".into(), |lost| lost.error.to_string())
}

fn describe(lost: &Lost) -> String {
    let request = lost.job.request();
    // As it was sent: what is encoded there may be a line's end.
    let path = request.target.split(|byte| *byte == b'?').next().unwrap_or_default();
    format!("{} {} {}", request.id, request.method, String::from_utf8_lossy(path))
}
