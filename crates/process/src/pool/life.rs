//! One process that serves, from when it is ready to its end.

use std::{
    future::pending,
    ops::Range,
    pin::pin,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use stack_bridge::{Crew, Queue, WorkerId, WorkerState};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{sleep, sleep_until, timeout},
};

use super::{
    Exit, Recycling, WhenTold,
    process::{Process, memory_of},
    settle::{describe, first_error, settle},
};
use crate::{
    control::{LINGER_TIME, LastWords},
    lane::{Lost, ServerLane, Tally},
    link::HangUp,
    wire::{self, Notice},
};

/// How long the lanes of a process that died may take to notice. One that waits for a slow client takes longer.
const NOTICE_TIME: Duration = Duration::from_millis(100);
/// How long a process that is stuck may take to leave its stacks behind when it is told to.
const ABORT_TIME: Duration = Duration::from_secs(3);
/// How often its memory is looked at.
const MEMORY_TIME: Duration = Duration::from_secs(5);

type Lanes = JoinSet<Result<(), Box<Lost>>>;

/// A process that is ready to serve.
pub(super) struct Running {
    pub(super) process: Process,
    pub(super) last_words: LastWords,
    pub(super) lanes: Vec<ServerLane>,
    pub(super) report: String,
}

/// Why a process should have a successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    Stuck,
    MaxRequests,
    MaxMemory,
    MaxLifetime,
}

impl Cause {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Stuck => "a request does not end",
            Self::MaxRequests => "max_requests",
            Self::MaxMemory => "max_worker_memory",
            Self::MaxLifetime => "max_worker_lifetime",
        }
    }
}

/// How a process that served came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It was given no more jobs, and left.
    Regular,
    /// It died, or was ended, after so long.
    Died(Duration),
}

/// The life of a process.
pub(super) struct Life {
    pub(super) id: WorkerId,
    pub(super) queue: Queue,
    pub(super) crew: Crew,
    pub(super) recycling: Recycling,
    pub(super) when_told: Option<Arc<dyn WhenTold>>,
    pub(super) tally: Arc<Tally>,
    /// Where it is told that it should have a successor.
    pub(super) wishes: mpsc::UnboundedSender<Cause>,
    /// Of its place, as long as it has it.
    pub(super) place: watch::Sender<WorkerState>,
}

/// What a life comes to know of its process.
struct Course {
    process: Process,
    last_words: LastWords,
    since: Instant,
    lanes: Lanes,
    lost: Vec<Lost>,
    broken: bool,
    state: WorkerState,
    /// Requests that do not end.
    given_up: usize,
    /// When it is killed that was told to abort.
    kill_at: Option<Instant>,
    link_is_open: bool,
}

impl Life {
    /// The one place where its state changes.
    fn set(&self, course: &mut Course, to: WorkerState) {
        let from = std::mem::replace(&mut course.state, to);
        tracing::debug!(worker = self.id.0, pid = course.process.pid, ?from, ?to, "worker state");
        if !self.crew.is_retired() {
            self.place.send_replace(to);
        }
    }

    /// Has the process serve until it ends.
    pub(super) async fn serve(self, running: Running) -> End {
        let Running { process, last_words, lanes, report: _ } = running;
        let hang_ups: Vec<_> = lanes.iter().map(ServerLane::hang_up_handle).collect();
        let mut serving = Lanes::new();
        for lane in lanes {
            let (consumer, tally) = (self.crew.task_consumer(), Arc::clone(&self.tally));
            serving.spawn(lane.run(consumer, tally));
        }
        let mut course = Course {
            process,
            last_words,
            since: Instant::now(),
            lanes: serving,
            lost: Vec::new(),
            broken: false,
            state: WorkerState::Starting,
            given_up: 0,
            kill_at: None,
            link_is_open: true,
        };
        self.set(&mut course, WorkerState::Ready);
        let exit = {
            let old_age = old_age(&self.recycling, course.process.pid, &self.tally);
            self.watch(&mut course, old_age).await
        };
        if course.lanes.is_empty() && !course.broken {
            // What ends after the process that it was forked from can not be asked how.
            if exit.code != Some(0) && exit != Exit::UNKNOWN {
                tracing::warn!(code = "STACK0316", worker = self.id.0, pid = course.process.pid, %exit, "a worker process died at its end");
            }
            return End::Regular;
        }
        self.bury(course, exit, hang_ups).await
    }

    /// Waits for the end of the process, and does what is to be done meanwhile.
    async fn watch(&self, course: &mut Course, old_age: impl Future<Output = Cause>) -> Exit {
        let mut old_age = pin!(old_age);
        let mut is_old = false;
        loop {
            if self.is_left_alone(course) {
                self.set(course, WorkerState::Abandoned);
                course.process.abort();
                course.kill_at = Some(Instant::now() + ABORT_TIME);
            }
            tokio::select! {
                exit = course.process.kind.wait() => return exit,
                frame = course.process.link.receive(), if course.link_is_open => match frame {
                    Ok(frame) => self.take_note(course, frame),
                    Err(_) if course.process.kind.is_told_by_link() => return Exit::UNKNOWN,
                    Err(_) => course.link_is_open = false,
                },
                Some(ended) = course.lanes.join_next() => {
                    course.broken |= !matches!(ended, Ok(Ok(())));
                    course.lost.extend(ended.ok().and_then(Result::err).map(|lost| *lost));
                    if course.lanes.is_empty() && !course.broken {
                        self.set(course, WorkerState::ShuttingDown);
                    }
                }
                () = self.tally.changed.notified() => {}
                cause = &mut old_age, if !is_old => {
                    is_old = true;
                    self.wish(cause);
                }
                () = sleep_until(course.kill_at.unwrap_or(course.since).into()), if course.kill_at.is_some() => {
                    course.kill_at = None;
                    course.process.kill();
                }
                () = sleep(LINGER_TIME), if course.broken && course.kill_at.is_none() => {
                    // It lives, and is of no use.
                    tracing::error!(code = "STACK0315", worker = self.id.0, pid = course.process.pid, error = first_error(&course.lost), "a worker's lane is broken; the worker is ended");
                    course.process.kill();
                }
            }
        }
    }

    fn wish(&self, cause: Cause) {
        // A place that is gone has no successors.
        let _ = self.wishes.send(cause);
    }

    /// Whether nothing is left in the process but what does not end, and it has a successor.
    fn is_left_alone(&self, course: &Course) -> bool {
        let lost = course.given_up + self.tally.unable.load(Ordering::Relaxed);
        course.given_up > 0
            && course.state != WorkerState::Abandoned
            && self.crew.is_retired()
            && (1..=lost).contains(&course.lanes.len())
    }

    fn take_note(&self, course: &mut Course, frame: Range<usize>) {
        let said = match wire::read::<Notice<'_>>(course.process.link.inbox().frame(frame)) {
            Ok((said, _)) => said,
            Err(error) => {
                tracing::error!(code = "STACK0315", worker = self.id.0, pid = course.process.pid, %error, "a worker says what can not be understood");
                return;
            }
        };
        match said {
            Notice::Stalled => {
                self.crew.hold();
                if course.state == WorkerState::Ready {
                    self.set(course, WorkerState::Stalled);
                }
            }
            Notice::Recovered => {
                self.crew.release();
                if course.state == WorkerState::Stalled {
                    self.set(course, WorkerState::Ready);
                }
            }
            Notice::GivenUp => {
                course.given_up += 1;
                self.wish(Cause::Stuck);
            }
            Notice::CameBack => course.given_up = course.given_up.saturating_sub(1),
            Notice::Told { text } => {
                if let Some(when_told) = &self.when_told {
                    when_told.told(text);
                }
            }
            // Why it ends; that it does is seen.
            Notice::Failed { problem } => {
                tracing::error!(
                    code = "STACK0315",
                    worker = self.id.0,
                    pid = course.process.pid,
                    error = problem,
                    "a worker process can not go on"
                );
            }
            Notice::Ready { .. } | Notice::Forked { .. } | Notice::Exited { .. } => {}
        }
    }

    /// Settles what a process leaves behind that ended with jobs.
    async fn bury(&self, course: Course, exit: Exit, hang_ups: Vec<HangUp>) -> End {
        let was_alone = course.state == WorkerState::Abandoned;
        let Course { process, mut last_words, since, mut lanes, mut lost, .. } = course;
        self.crew.retire();
        hang_ups.into_iter().for_each(HangUp::hang_up);
        let noticed = async {
            while let Some(ended) = lanes.join_next().await {
                lost.extend(ended.ok().and_then(Result::err).map(|lost| *lost));
            }
        };
        let all = timeout(NOTICE_TIME, noticed).await;
        let requests: Vec<String> = lost.iter().filter_map(describe).collect();
        let (worker, pid, lived) = (self.id.0, process.pid, since.elapsed());
        let (requests, stack) = (requests.join(", "), last_words.read());
        if was_alone {
            tracing::error!(
                code = "STACK0345",
                worker,
                pid,
                %exit,
                ?lived,
                requests,
                stack,
                "a worker process was ended, because a request in it did not end"
            );
        } else {
            tracing::error!(code = "STACK0313", worker, pid, %exit, ?lived, requests, stack, "a worker process died");
        }
        for lost in lost {
            settle(&self.queue, self.id, lost);
        }
        if all.is_err() {
            let (queue, id) = (self.queue.clone(), self.id);
            tokio::spawn(async move {
                while let Some(ended) = lanes.join_next().await {
                    if let Some(lost) = ended.ok().and_then(Result::err) {
                        settle(&queue, id, *lost);
                    }
                }
            });
        }
        End::Died(lived)
    }
}

/// Waits until a process has served long enough.
async fn old_age(recycling: &Recycling, pid: u32, tally: &Tally) -> Cause {
    let requests = async {
        match tally.enough {
            Some(_) => tally.is_enough.notified().await,
            None => pending().await,
        }
    };
    let memory = async {
        let Some(most) = recycling.memory else { return pending().await };
        loop {
            sleep(MEMORY_TIME).await;
            if memory_of(pid).await > Some(most) {
                return;
            }
        }
    };
    let lifetime = async {
        match recycling.lifetime {
            Some(lifetime) => sleep(lifetime).await,
            None => pending().await,
        }
    };
    tokio::select! {
        () = requests => Cause::MaxRequests,
        () = memory => Cause::MaxMemory,
        () = lifetime => Cause::MaxLifetime,
    }
}
