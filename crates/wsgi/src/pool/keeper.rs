//! Keeps the pool at full strength: replaces workers that are stuck or have served long enough, one at a time.

use std::{
    fmt,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use stack_bridge::{Crew, WorkerState};
use stack_interp::Version;

use super::{
    Place, StartError,
    lives::LifeId,
    member::{Aid, Common},
};

/// How long to wait before a worker is started again that did not come up.
const PAUSE: Duration = Duration::from_secs(5);

/// Is asked for what a process can not do for itself.
pub trait WhenWorn: fmt::Debug + Send + Sync {
    /// This process should make place for a new one. Says whether it will.
    fn replace_process(&self, why: Worn) -> bool;
}

/// Why a process should make place for a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worn {
    /// Requests in it do not end, and what they hold is lost to it.
    Abandoned,
    /// Its workers have served long enough, and can not be replaced one by one.
    Recycled,
    /// Not all of its workers could load the application.
    Incomplete,
}

/// What the keeper is asked for.
#[derive(Debug)]
pub(super) enum Wish {
    /// A thread of the worker is not to be counted on.
    GivenUp(Arc<Aid>),
    /// The worker has run as many requests as it was meant to.
    RanEnough(LifeId),
    /// The pool is being stopped.
    Over,
}

/// Why a worker is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Stuck,
    MaxRequests,
    MaxLifetime,
}

impl Cause {
    fn as_str(self) -> &'static str {
        match self {
            Self::Stuck => "a request does not end",
            Self::MaxRequests => "max_requests",
            Self::MaxLifetime => "max_worker_lifetime",
        }
    }
}

/// The keeper. Its thread ends with the pool.
pub(super) struct Keeper {
    common: Common,
    when_worn: Option<Arc<dyn WhenWorn>>,
    /// A new process will take over: nothing is recycled in this one.
    is_leaving: bool,
    /// It has been said that nothing can be recycled here.
    told: bool,
    /// It has been said that too much is lost here.
    told_of_loss: bool,
    /// Threads of the main interpreter that were given up.
    lost_threads: usize,
    /// Nothing is recycled before.
    pause_until: Option<Instant>,
}

impl Keeper {
    pub(super) fn spawn(
        common: Common,
        when_worn: Option<Arc<dyn WhenWorn>>,
        wishes: mpsc::Receiver<Wish>,
    ) -> Result<(), StartError> {
        let keeper = Self {
            common,
            when_worn,
            is_leaving: false,
            told: false,
            told_of_loss: false,
            lost_threads: 0,
            pause_until: None,
        };
        let spawned = thread::Builder::new().name("keeper".into()).spawn(move || keeper.run(&wishes));
        spawned.map(drop).map_err(StartError::Thread)
    }

    fn run(mut self, wishes: &mpsc::Receiver<Wish>) {
        loop {
            let wish = match self.next_end_of_life() {
                None => wishes.recv().ok().map(Some),
                Some((end, _)) => match wishes.recv_timeout(end.saturating_duration_since(Instant::now())) {
                    Ok(wish) => Some(Some(wish)),
                    Err(mpsc::RecvTimeoutError::Timeout) => Some(None),
                    Err(mpsc::RecvTimeoutError::Disconnected) => None,
                },
            };
            let Some(wish) = wish else { return };
            if self.common.queue.is_closed() {
                return;
            }
            match wish {
                Some(Wish::Over) => return,
                Some(Wish::GivenUp(aid)) => self.give_up(aid),
                Some(Wish::RanEnough(life)) => self.recycle(life, Cause::MaxRequests),
                None => {
                    if let Some((_, life)) = self.next_end_of_life().filter(|(end, _)| *end <= Instant::now()) {
                        self.recycle(life, Cause::MaxLifetime);
                    }
                }
            }
        }
    }

    /// The worker that has served for long enough first, and when.
    fn next_end_of_life(&self) -> Option<(Instant, LifeId)> {
        let lifetime = self.common.settings.recycling.max_lifetime.filter(|_| !self.is_leaving && !self.told)?;
        let ends = self.common.lives.serving().into_iter().map(|(life, ready_at)| (ready_at + lifetime, life));
        let (end, life) = ends.min_by_key(|(end, _)| *end)?;
        Some((self.pause_until.map_or(end, |pause| pause.max(end)), life))
    }

    /// Fills the place of a worker in which a request does not end.
    fn give_up(&mut self, aid: Arc<Aid>) {
        if self.common.settings.place == Place::MainInterpreter {
            return self.give_up_thread(aid);
        }
        let life = aid.life();
        let Some(crew) = self.common.lives.succeed(life) else { return };
        if crew.is_retired() {
            self.common.lives.set(life, WorkerState::Abandoned);
            return;
        }
        // Its other threads go on until the successor is there, if they can.
        if self.common.lives.state(life) == Some(WorkerState::Stalled) {
            self.leave_alone(life, &crew);
        }
        while !self.replace(&crew, Cause::Stuck) {
            thread::park_timeout(PAUSE);
            if self.common.queue.is_closed() {
                return;
            }
        }
        self.leave_alone(life, &crew);
        let (abandoned, most) = (self.common.lives.abandoned(), self.common.settings.workers());
        if abandoned > most {
            self.ask_for_process(abandoned);
        }
    }

    fn leave_alone(&self, life: LifeId, crew: &Crew) {
        crew.retire();
        let serves = |from| matches!(from, WorkerState::Ready | WorkerState::Stalled);
        self.common.lives.change(life, WorkerState::Abandoned, serves);
    }

    /// There is one main interpreter: only the thread can be replaced.
    fn give_up_thread(&mut self, aid: Arc<Aid>) {
        self.lost_threads += 1;
        let is_stalled = self.common.lives.state(aid.life()) == Some(WorkerState::Stalled);
        aid.replace_thread(&self.common.main);
        if is_stalled || self.lost_threads > self.common.settings.threads.get() {
            self.ask_for_process(self.lost_threads);
        }
    }

    fn ask_for_process(&mut self, abandoned: usize) {
        // Urgent, even where another process is on its way for a lesser reason.
        if std::mem::replace(&mut self.told_of_loss, true) {
            return;
        }
        self.is_leaving = self.when_worn.as_ref().is_some_and(|when_worn| when_worn.replace_process(Worn::Abandoned));
        tracing::error!(
            code = "STACK0339",
            abandoned,
            replaced = self.is_leaving,
            "too many requests do not end: what they hold comes back with a new server process only"
        );
    }

    /// Replaces a worker that has served long enough.
    fn recycle(&mut self, life: LifeId, cause: Cause) {
        if self.is_leaving || !self.common.lives.serving().iter().any(|(serving, _)| *serving == life) {
            return;
        }
        if !can_end_interpreters() || self.common.settings.place == Place::MainInterpreter {
            return self.recycle_process(cause);
        }
        let Some(crew) = self.common.lives.succeed(life) else { return };
        if crew.is_retired() {
            return;
        }
        if self.replace(&crew, cause) {
            self.common.lives.change(life, WorkerState::Retiring, |from| !from.is_final());
            crew.retire();
        } else {
            self.common.lives.has_no_successor(life);
            self.pause_until = Some(Instant::now() + PAUSE);
        }
    }

    /// What an interpreter took comes back with its process only.
    fn recycle_process(&mut self, cause: Cause) {
        self.is_leaving = self.when_worn.as_ref().is_some_and(|when_worn| when_worn.replace_process(Worn::Recycled));
        if self.is_leaving {
            tracing::info!(
                cause = cause.as_str(),
                "the workers have served long enough: a new server process is asked for"
            );
        } else if !std::mem::replace(&mut self.told, true) {
            tracing::warn!(
                code = "STACK0340",
                cause = cause.as_str(),
                "the workers can not be replaced: this Python keeps an interpreter's memory until its process ends, and there is no supervisor"
            );
        }
    }

    /// Starts a successor, and waits until it is ready. The worker itself is left as it is.
    fn replace(&self, crew: &Crew, cause: Cause) -> bool {
        let worker = crew.worker();
        let begun = Instant::now();
        let (sender, started) = mpsc::channel();
        let successor = self.common.start(worker, sender, None);
        let outcome = successor.and_then(|successor| match started.recv() {
            Ok(started) => started.map(|_| successor),
            Err(mpsc::RecvError) => Err(StartError::Panicked),
        });
        match outcome {
            Ok((_, successor)) => {
                // The application has moved elsewhere meanwhile.
                if crew.is_retired() && cause != Cause::Stuck {
                    successor.retire();
                }
                let cause = cause.as_str();
                tracing::info!(worker = worker.0, cause, took = ?begun.elapsed(), "a worker has a successor");
                true
            }
            Err(error) => {
                let reason = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(code = "STACK0343", worker = worker.0, %error, reason, "a worker could not be replaced");
                false
            }
        }
    }
}

/// Whether an interpreter gives its memory back when it ends.
fn can_end_interpreters() -> bool {
    Version::linked() >= (Version { major: 3, minor: 14, free_threaded: false })
        && !Version::linked().is_free_threaded()
}
