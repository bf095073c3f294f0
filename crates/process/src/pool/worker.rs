//! One worker's place in the pool: start, watch, settle, start again.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::Method;
use stack_bridge::{Failure, Queue, WorkerId};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::sleep,
};

use super::{Exit, ProcessSettings, StartError, State, back_off::BackOff};
use crate::{
    control::{self, LastWords, Started},
    lane::{HangUp, Lost, LostJob, ServerLane},
    link::Link,
    wire::Order,
};

/// How long a process may live on that has closed a lane.
const LINGER_TIME: Duration = Duration::from_millis(500);
/// How long the lanes of a process that died may take to notice. One that waits for a slow client takes longer.
const NOTICE_TIME: Duration = Duration::from_millis(100);

type Lanes = JoinSet<Result<(), Box<Lost>>>;

/// One place in the pool.
pub(super) struct Worker {
    id: WorkerId,
    settings: Arc<ProcessSettings>,
    queue: Queue,
    state: watch::Sender<State>,
}

/// A process that serves.
struct Running {
    child: tokio::process::Child,
    pid: u32,
    /// Kept open: the worker takes its end for the server's.
    _link: Link,
    last_words: LastWords,
    lanes: Vec<ServerLane>,
    report: String,
}

/// How a process that served came to its end.
enum End {
    /// It was given no more jobs, and left.
    Regular,
    Died,
}

impl Worker {
    pub(super) fn new(id: WorkerId, settings: Arc<ProcessSettings>, queue: Queue, state: watch::Sender<State>) -> Self {
        Self { id, settings, queue, state }
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
        let mut back_off = BackOff::default();
        loop {
            self.set(State::Starting);
            let life = match self.start().await {
                Ok(mut running) => {
                    if let Some(started) = started.take() {
                        // The pool may have given up by now; then this task is about to be ended.
                        let _ = started.send(Ok(std::mem::take(&mut running.report))).await;
                    } else {
                        tracing::info!(worker = self.id.0, pid = running.pid, "a worker process was started again");
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
            sleep(back_off.after(life)).await;
        }
    }

    async fn start(&self) -> Result<Running, StartError> {
        let Started { mut link, mut child, mut last_words } = control::exec(&self.settings.arguments)?;
        let pid = child.id().unwrap_or_default();
        let threads = self.settings.threads.get();
        let prepared = async {
            let lanes = control::equip(&mut link, &last_words, threads).await.map_err(control::start_error)?;
            let start = Order::Start { worker: self.id.0, spec: &self.settings.spec };
            link.send(&start, &[], None).await.map_err(control::start_error)?;
            let report = control::wait_until_ready(&mut link).await?;
            Ok((lanes, report))
        };
        match prepared.await {
            Ok((lanes, report)) => Ok(Running { child, pid, _link: link, last_words, lanes, report }),
            // How it ended says more than that it is gone.
            Err(StartError::Gone) => match tokio::time::timeout(LINGER_TIME, child.wait()).await {
                Ok(status) => Err(StartError::Died { exit: status?.into(), last_words: last_words.read() }),
                Err(_) => Err(StartError::Gone),
            },
            Err(error) => Err(error),
        }
    }

    /// Has the process serve until it ends.
    async fn serve(&self, running: Running) -> End {
        let Running { mut child, pid, _link, mut last_words, lanes, report: _ } = running;
        let since = Instant::now();
        let mut serving = Lanes::new();
        let hang_ups: Vec<_> = lanes.iter().map(ServerLane::hang_up_handle).collect();
        for lane in lanes {
            serving.spawn(lane.run(self.queue.task_consumer(self.id)));
        }
        let mut lost = Vec::new();
        let exit: Exit = loop {
            let lingers = !lost.is_empty();
            tokio::select! {
                status = child.wait() => break status.map_or(Exit::UNKNOWN, Exit::from),
                Some(ended) = serving.join_next() => {
                    lost.extend(ended.ok().and_then(Result::err));
                    if serving.is_empty() && lost.is_empty() {
                        self.set(State::ShuttingDown);
                    }
                }
                () = sleep(LINGER_TIME), if lingers => {
                    // It lives, and is of no use.
                    let _ = child.start_kill();
                }
            }
        };
        if serving.is_empty() && lost.is_empty() {
            if exit.code != Some(0) {
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
        let all = tokio::time::timeout(NOTICE_TIME, noticed).await;
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
            self.settle(*lost);
        }
        if all.is_err() {
            let worker = Self::new(self.id, Arc::clone(&self.settings), self.queue.clone(), self.state.clone());
            tokio::spawn(async move {
                while let Some(ended) = serving.join_next().await {
                    if let Some(lost) = ended.ok().and_then(Result::err) {
                        worker.settle(*lost);
                    }
                }
            });
        }
        End::Died
    }

    /// Gives a lost job to another worker, or answers it.
    fn settle(&self, lost: Lost) {
        let Lost { job, error } = lost;
        tracing::debug!(worker = self.id.0, request_id = %job.request().id, %error, "a job was lost");
        match job {
            LostJob::Unsent(job) => self.queue.give_back(*job),
            LostJob::Unanswered(mut job) => {
                let is_safe = [Method::GET, Method::HEAD].contains(&job.request.method);
                if is_safe && !std::mem::replace(&mut job.retried, true) {
                    self.queue.give_back(*job);
                } else {
                    job.responder.fail(Failure::WorkerGone);
                }
            }
            LostJob::Begun(_) => {}
        }
    }
}

fn describe(lost: &Lost) -> String {
    let request = lost.job.request();
    // As it was sent: what is encoded there may be a line's end.
    let path = request.target.split(|byte| *byte == b'?').next().unwrap_or_default();
    format!("{} {} {}", request.id, request.method, String::from_utf8_lossy(path))
}
