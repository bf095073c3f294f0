//! One worker's place in the pool: start, replace, start again.

use std::{
    os::unix::net::UnixStream,
    sync::Arc,
    time::{Duration, Instant},
};

use stack_bridge::{Crew, Queue, WorkerId, WorkerState};
use tokio::{
    sync::{Semaphore, SemaphorePermit, mpsc, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    Exit, ProcessSettings, StartError,
    back_off::BackOff,
    life::{Cause, End, Life, Running},
    process::{Kind, Process},
    template::Templates,
};
use crate::{
    control::{self, LINGER_TIME, LastWords},
    lane::{ServerLane, Tally},
    link::Link,
    wire::Order,
};

/// How long a process that is started again may take until it is ready: at least this, and as many times as long as the first.
const LEAST_START_TIME: Duration = Duration::from_mins(1);
const START_TIME_FACTOR: u32 = 10;

/// One place in the pool.
pub(super) struct Worker {
    pub(super) id: WorkerId,
    pub(super) settings: Arc<ProcessSettings>,
    /// Where workers are forked; without it each is started by exec.
    pub(super) templates: Option<Arc<Templates>>,
    pub(super) queue: Queue,
    pub(super) state: watch::Sender<WorkerState>,
    /// True from when the pool is stopped.
    pub(super) stopping: watch::Receiver<bool>,
    /// Whose turn it is to be replaced that could go on.
    pub(super) turns: Arc<Semaphore>,
}

/// The process that has a place now.
struct Incumbent {
    number: u64,
    crew: Crew,
    tally: Arc<Tally>,
    wishes: mpsc::UnboundedReceiver<Cause>,
}

impl Incumbent {
    /// It has a successor.
    fn retire(&self) {
        self.crew.retire();
        self.tally.changed.notify_one();
    }
}

/// The lives of a place: that of its incumbent, and those that have a successor and end.
type Lives = JoinSet<(u64, End)>;

/// What comes to pass in a place whose process serves.
enum Event {
    Ended(End),
    Wish(Cause),
}

impl Worker {
    /// Where the state of a place changes before it has a process and when it has none any more.
    fn set(&self, to: WorkerState) {
        let from = self.state.send_replace(to);
        if from == to {
            return;
        }
        tracing::debug!(worker = self.id.0, ?from, ?to, "worker state");
    }

    /// Starts a process, and another for each one that dies or has served its time, until the queue is closed. What became of
    /// the first start goes to `started`.
    pub(super) async fn live(self, started: mpsc::Sender<Result<String, StartError>>) {
        let mut started = Some(started);
        let (mut back_off, mut limit) = (BackOff::default(), None);
        let (mut lives, mut number) = (Lives::new(), 0);
        // Serves on until its successor is ready.
        let mut predecessor: Option<(Incumbent, Cause)> = None;
        loop {
            if predecessor.is_none() {
                self.set(WorkerState::Starting);
            }
            let turn = self.turn(predecessor.as_ref().map(|(_, cause)| *cause)).await;
            let begun = Instant::now();
            let outcome = tokio::select! {
                outcome = self.start_within(limit) => outcome,
                // Nothing waits for a process that is only now being started again.
                () = self.stopped(), if started.is_none() => return self.end(lives).await,
            };
            let life = match outcome {
                Ok(mut running) => {
                    limit = limit.or_else(|| Some(LEAST_START_TIME.max(begun.elapsed() * START_TIME_FACTOR)));
                    let pid = running.process.pid;
                    if let Some(started) = started.take() {
                        // The pool may have given up by now; then this task is about to be ended.
                        let _ = started.send(Ok(std::mem::take(&mut running.report))).await;
                    } else if let Some((incumbent, cause)) = predecessor.take() {
                        incumbent.retire();
                        tracing::info!(worker = self.id.0, pid, cause = cause.as_str(), took = ?begun.elapsed(), "a worker has a successor");
                    } else {
                        tracing::info!(worker = self.id.0, pid, "a worker process was started again");
                    }
                    drop(turn);
                    number += 1;
                    let mut incumbent = self.begin(running, number, &mut lives);
                    match next(&mut incumbent, &mut lives).await {
                        Event::Ended(End::Regular) => return self.end(lives).await,
                        Event::Ended(End::Died(life)) => life,
                        Event::Wish(cause) => {
                            predecessor = Some((incumbent, cause));
                            continue;
                        }
                    }
                }
                Err(error) => {
                    drop(turn);
                    if let Some(started) = started.take() {
                        self.set(WorkerState::Failed);
                        let _ = started.send(Err(error)).await;
                        return;
                    }
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::error!(code = "STACK0314", worker = self.id.0, %error, cause, "a worker process could not be started again");
                    Duration::ZERO
                }
            };
            if self.queue.is_closed() {
                return self.end(lives).await;
            }
            predecessor = predecessor.filter(|(incumbent, _)| !has_ended(incumbent, &mut lives));
            if predecessor.is_none() {
                self.set(WorkerState::Waiting);
            }
            tokio::select! {
                () = sleep(back_off.after(life)) => {}
                () = self.stopped() => return self.end(lives).await,
            }
        }
    }

    /// Waits for the lives that are left, whose queue is closed.
    async fn end(&self, mut lives: Lives) {
        while lives.join_next().await.is_some() {}
        self.set(WorkerState::Ended);
    }

    /// Waits until no other worker is being replaced that could go on as well.
    async fn turn(&self, cause: Option<Cause>) -> Option<SemaphorePermit<'_>> {
        match cause {
            None | Some(Cause::Stuck) => None,
            // It is never closed.
            Some(_) => self.turns.acquire().await.ok(),
        }
    }

    fn begin(&self, running: Running, number: u64, lives: &mut Lives) -> Incumbent {
        let crew = self.queue.crew(self.id);
        let tally = Arc::new(Tally { enough: self.settings.recycling.requests_of_a_life(), ..Tally::default() });
        let (wishes, wished) = mpsc::unbounded_channel();
        let life = Life {
            id: self.id,
            queue: self.queue.clone(),
            crew: crew.clone(),
            recycling: self.settings.recycling,
            when_told: self.settings.when_told.clone(),
            tally: Arc::clone(&tally),
            wishes,
            place: self.state.clone(),
        };
        lives.spawn(async move { (number, life.serve(running).await) });
        Incumbent { number, crew, tally, wishes: wished }
    }

    /// Waits until the pool is being stopped.
    async fn stopped(&self) {
        let mut stopping = self.stopping.clone();
        // Where the pool is gone this task is about to be ended.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    }

    async fn start_within(&self, limit: Option<Duration>) -> Result<Running, StartError> {
        match limit {
            Some(limit) => timeout(limit, self.start()).await.unwrap_or(Err(StartError::TooLong(limit))),
            None => self.start().await,
        }
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
}

/// Waits for what comes to pass with the process that has the place.
async fn next(incumbent: &mut Incumbent, lives: &mut Lives) -> Event {
    loop {
        tokio::select! {
            Some(cause) = incumbent.wishes.recv() => return Event::Wish(cause),
            Some(ended) = lives.join_next() => match ended {
                // One that had a successor.
                Ok((number, _)) if number != incumbent.number => {}
                Ok((_, end)) => return Event::Ended(end),
                // Its task panicked, and has said so; with it went the process.
                Err(_) => return Event::Ended(End::Died(Duration::ZERO)),
            },
        }
    }
}

/// Whether the process has ended that was to serve until it has a successor.
fn has_ended(incumbent: &Incumbent, lives: &mut Lives) -> bool {
    let mut has_ended = false;
    while let Some(ended) = lives.try_join_next() {
        has_ended |= ended.is_ok_and(|(number, _)| number == incumbent.number);
    }
    has_ended
}
