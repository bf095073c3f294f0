//! The bounded job queue, and which thread gets a job.
//!
//! Every thread of every worker is a consumer: a [`Consumer`] where the thread is in this process, a [`TaskConsumer`] where
//! it is in another and a task carries its jobs. A job goes straight to a waiting thread of the worker with the fewest
//! unanswered jobs, so a CPU-bound request in one worker never delays a request while another is idle; with all threads
//! busy it waits in the queue, first in, first out, and with the queue full, or too slow (`overload.rs`), it is refused.

mod consumer;
mod crew;
#[cfg(all(test, not(loom)))]
mod crew_tests;
mod mailbox;
mod overload;
mod state;
#[cfg(all(test, not(loom)))]
mod tests;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

pub(crate) use self::state::{Counted, Unanswered};
pub use self::{
    consumer::{Consumer, TaskConsumer},
    crew::Crew,
};
use self::{
    mailbox::{Letter, Mailbox},
    overload::Overload,
    state::{Dispatch, Key, State, Waiting, Worker},
};
use crate::{
    Failure, Request, Responder,
    sync::{Arc, Mutex, lock},
};

/// How long a thread that has answered may take to come back for a job that is kept for it (its `close()` runs, or it waits
/// for a CPU), before the one in reserve looks; and how often that looks before it takes the job itself. In a worker that
/// computes the job would wait for the GIL, 5 ms and more.
const RESERVE_TIME: Duration = Duration::from_millis(1);
const RESERVE_TURNS: u32 = 10;

/// Names a worker: one interpreter, with its threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WorkerId(pub u16);

/// One request that crosses the bridge.
#[derive(Debug)]
pub struct Job {
    /// What the application is to answer. A job changes hands often, and this is the most of it.
    pub request: Box<Request>,
    /// Where the answer goes.
    pub responder: Responder,
    /// When the front gives the request up.
    pub deadline: Option<Instant>,
    /// Whether a worker died with it before: it is not run a third time.
    pub retried: bool,
}

/// Why a job was not taken. The job comes back with it.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// All threads are busy and the queue is full.
    #[error("the job queue is full")]
    Full(Box<Job>),
    /// All threads are busy, and those that wait have waited too long.
    #[error("the job queue is too slow")]
    Overloaded(Box<Job>),
    /// The server is stopping.
    #[error("the job queue is closed")]
    Closed(Box<Job>),
}

/// The queue is closed and empty: the thread's work is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the job queue is closed")]
pub struct Closed;

/// A look at the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Jobs that wait for a thread.
    pub queued: usize,
    /// Jobs that a thread runs.
    pub running: usize,
    /// Threads that wait for a job.
    pub idle: usize,
}

/// Where a worker's thread gets its jobs.
pub trait Jobs: Send {
    /// Waits for a job; the one taken before counts as done. Call it without the GIL.
    fn take(&mut self) -> Result<Job, Closed>;

    /// As [`Jobs::take`], but gives nothing where a signal may have come in while it waited, whose handler can run then.
    fn take_or_signal(&mut self) -> Result<Option<Job>, Closed> {
        self.take().map(Some)
    }
}

/// The queue. Clones share it.
#[derive(Clone, Debug)]
pub struct Queue {
    state: Arc<Mutex<State>>,
    capacity: usize,
    reserve_time: Duration,
}

impl Queue {
    /// A queue in which at most `capacity` jobs wait for a thread.
    pub fn new(capacity: usize) -> Self {
        Self::shedding(capacity, None)
    }

    /// The same, in which a job is refused as well when all that wait have waited for longer than `target` for a while.
    pub fn shedding(capacity: usize, target: Option<Duration>) -> Self {
        let overload = target.map(Overload::new);
        let state =
            State { waiting: VecDeque::new(), ahead: 0, workers: Vec::new(), next_key: 0, closed: false, overload };
        Self { state: Arc::new(Mutex::new(state)), capacity, reserve_time: RESERVE_TIME }
    }

    /// Hands a job to an idle thread, or lets it wait. Never blocks.
    pub fn push(&self, job: Job) -> Result<(), Refused> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err(Refused::Closed(Box::new(job)));
        }
        let now = job.request.received_at;
        if let Some(pick) = state.pick(self.capacity) {
            let dispatch = state.dispatch(pick, job);
            drop(state);
            self.send(dispatch);
            return Ok(());
        }
        let mut gone = VecDeque::new();
        let mut is_overloaded = state.is_overloaded(now);
        if is_overloaded || state.queued() >= self.capacity {
            // Nobody waits for these any more.
            let (dead, alive) = std::mem::take(&mut state.waiting)
                .into_iter()
                .partition(|waiting| waiting.job.responder.is_client_gone());
            (gone, state.waiting) = (dead, alive);
            is_overloaded = is_overloaded && (gone.is_empty() || state.is_overloaded(now));
        }
        let outcome = if is_overloaded {
            Err(Refused::Overloaded(Box::new(job)))
        } else if state.queued() >= self.capacity {
            Err(Refused::Full(Box::new(job)))
        } else {
            state.waiting.push_back(Waiting::new(job));
            Ok(())
        };
        drop(state);
        drop(gone);
        outcome
    }

    /// Gives a job back that a worker took and could not run: it goes before all that wait, whatever the capacity. On a
    /// queue that is closed its threads may be gone already, so there it fails.
    pub fn give_back(&self, mut job: Job) {
        job.responder.count_out();
        let mut state = lock(&self.state);
        if state.closed {
            drop(state);
            return job.responder.fail(Failure::WorkerGone);
        }
        let Some(pick) = state.pick(0) else {
            return state.waiting.push_front(Waiting { job, since: None });
        };
        let dispatch = state.dispatch(pick, job);
        drop(state);
        self.send(dispatch);
    }

    /// Gives back jobs that a thread took and did not begin with, `ahead` of them taken ahead. They are never refused: of a queue
    /// that is closed no thread has gone as long as some are ahead.
    fn give_back_ahead(&self, jobs: VecDeque<Job>, ahead: usize) {
        let (mut dispatches, most) = (Vec::new(), jobs.len());
        let mut state = lock(&self.state);
        for mut job in jobs.into_iter().rev() {
            job.responder.count_out();
            state.waiting.push_front(Waiting { job, since: None });
        }
        while dispatches.len() < most
            && let Some(pick) = state.pick(0)
        {
            let Some(Waiting { job, .. }) = state.waiting.pop_front() else { break };
            dispatches.push(state.dispatch(pick, job));
        }
        let idle = state.are_ahead_no_more(ahead);
        drop(state);
        for dispatch in dispatches {
            self.send(dispatch);
        }
        dismiss(idle);
    }

    /// Never blocks: a thread that was on the list has an empty mailbox. One that left it meanwhile gives the letter back.
    fn send(&self, Dispatch { worker, mailbox, letter }: Dispatch) {
        let Err(letter) = mailbox.send(letter) else { return };
        match letter {
            Letter::Job(job) => {
                if let Some(worker) = lock(&self.state).worker(worker) {
                    worker.running -= 1;
                }
                self.give_back(job);
            }
            Letter::Reserve => self.remind(),
            Letter::Closed => {}
        }
    }

    /// Has an idle thread look for the job that waits.
    fn remind(&self) {
        let mut state = lock(&self.state);
        let idle = state.workers.iter_mut().find(|worker| worker.has_idle_thread());
        let dispatch = idle.map(|worker| Dispatch {
            worker: worker.key,
            mailbox: worker.idle.pop().expect("searched for one that is not empty"),
            letter: Letter::Reserve,
        });
        drop(state);
        if let Some(dispatch) = dispatch {
            self.send(dispatch);
        }
    }

    /// Adds a worker that begins its life, beside another of the same number that has not ended its own.
    pub fn crew(&self, worker: WorkerId) -> Crew {
        let key = lock(&self.state).add_worker(worker);
        Crew::new(self.clone(), worker, key)
    }

    fn current_crew(&self, worker: WorkerId) -> Crew {
        let key = lock(&self.state).current(worker);
        Crew::new(self.clone(), worker, key)
    }

    /// Adds a thread of `worker` in this process. Each thread has one of its own.
    pub fn consumer(&self, worker: WorkerId) -> Consumer {
        self.current_crew(worker).consumer()
    }

    /// Adds a thread of `worker` in another process, to which a task carries the jobs. Each thread has one of its own.
    pub fn task_consumer(&self, worker: WorkerId) -> TaskConsumer {
        self.current_crew(worker).task_consumer()
    }

    /// Gives all workers of this number no more jobs: their threads are done with the job they run.
    pub fn retire(&self, worker: WorkerId) {
        self.retire_all(|known| known.id == worker);
    }

    fn retire_all(&self, is_meant: impl Fn(&Worker) -> bool) {
        let mut state = lock(&self.state);
        let mut idle = Vec::new();
        state.workers.retain_mut(|worker| {
            if is_meant(worker) {
                worker.retired = true;
                idle.append(&mut worker.idle);
            }
            !worker.retired || worker.consumers > 0
        });
        drop(state);
        dismiss(idle);
    }

    /// Takes no more jobs. Those that wait are still run; then every thread is told that it is [`Closed`].
    pub fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        // With some ahead they stay: those may come back.
        let idle = state.are_ahead_no_more(0);
        drop(state);
        dismiss(idle);
    }

    /// Whether it takes no more jobs.
    pub fn is_closed(&self) -> bool {
        lock(&self.state).closed
    }

    /// Drops every job that still waits; their clients get an error. For an end without patience.
    pub fn clear(&self) -> usize {
        let dropped = std::mem::take(&mut lock(&self.state).waiting);
        dropped.len()
    }

    /// How busy it is now.
    pub fn depth(&self) -> Depth {
        let state = lock(&self.state);
        Depth {
            queued: state.queued(),
            running: state.workers.iter().map(|worker| worker.running).sum(),
            idle: state.workers.iter().map(|worker| worker.idle.len()).sum(),
        }
    }

    /// Workers that can get jobs now.
    pub fn workers(&self) -> usize {
        lock(&self.state).workers.iter().filter(|worker| !worker.retired).count()
    }

    /// Whether a job still waits for a worker that is about to be back, rather than for this one, which computes.
    fn is_kept_from(&self, worker: Key) -> bool {
        let mut state = lock(&self.state);
        let is_returning = state.workers.iter().any(|other| other.key != worker && other.is_returning());
        let is_busy = state.worker(worker).is_some_and(|worker| worker.unanswered.count() > 0);
        is_returning && !state.waiting.is_empty() && is_busy
    }

    /// A thread of `worker` wants its next job, and is done with the one before if it `ran`.
    fn next(&self, worker: Key, ran: bool, mailbox: impl FnOnce() -> Mailbox) -> Result<Option<Job>, Closed> {
        let mut state = lock(&self.state);
        let State { waiting, ahead, workers, next_key: _, closed, overload } = &mut *state;
        let Some(worker) = workers.iter_mut().find(|known| known.key == worker) else { return Err(Closed) };
        if ran {
            worker.running -= 1;
        }
        if worker.retired {
            return Err(Closed);
        }
        let waiting = if worker.held { None } else { waiting.pop_front() };
        match waiting {
            Some(Waiting { mut job, since }) => {
                if let (Some(overload), Some(since)) = (overload, since) {
                    let now = Instant::now();
                    overload.waited(now, now.saturating_duration_since(since));
                }
                worker.running += 1;
                job.responder.count_in(&worker.unanswered);
                Ok(Some(job))
            }
            None if *closed && *ahead == 0 => Err(Closed),
            None => {
                worker.idle.push(mailbox());
                Ok(None)
            }
        }
    }

    /// Jobs that a thread of `worker` is to run after the one it has: no more than its share, so that those that are about to
    /// be back find some as well.
    fn next_ahead(&self, worker: Key, most: usize, fits: impl Fn(&Job) -> bool) -> VecDeque<Job> {
        let mut jobs = VecDeque::new();
        let mut state = lock(&self.state);
        let State { waiting, ahead, workers, next_key: _, closed: _, overload } = &mut *state;
        // With fewer than one for each worker there is none for each thread, and nothing to add up under the lock.
        if waiting.len() < workers.len() {
            return jobs;
        }
        let threads: usize = workers.iter().filter(|worker| worker.gets_jobs()).map(|worker| worker.consumers).sum();
        let Some(worker) = workers.iter().find(|known| known.key == worker && known.gets_jobs()) else { return jobs };
        let share = waiting.len().checked_div(threads).unwrap_or_default();
        // One that came back is not sent ahead again: it has waited for a thread that took long.
        let may_go = |waiting: &mut Waiting| waiting.since.is_some() && fits(&waiting.job);
        while jobs.len() < share.min(most)
            && let Some(Waiting { mut job, since: Some(since) }) = waiting.pop_front_if(may_go)
        {
            if let Some(overload) = &mut *overload {
                let now = Instant::now();
                overload.waited(now, now.saturating_duration_since(since));
            }
            job.responder.count_in(&worker.unanswered);
            jobs.push_back(job);
        }
        *ahead += jobs.len();
        jobs
    }

    /// So many jobs that were taken ahead were begun, or came back.
    fn are_ahead_no_more(&self, jobs: usize) {
        let idle = lock(&self.state).are_ahead_no_more(jobs);
        dismiss(idle);
    }

    /// A thread of `worker` waits for no letter any more, and runs nothing.
    fn left(&self, worker: Key, ran: bool, is_its_mailbox: impl Fn(&Mailbox) -> bool) {
        let mut state = lock(&self.state);
        let Some(worker) = state.worker(worker) else { return };
        worker.running -= usize::from(ran);
        worker.idle.retain(|mailbox| !is_its_mailbox(mailbox));
    }

    /// One thread of `worker` less.
    fn gone(&self, worker: Key) {
        let mut state = lock(&self.state);
        if let Some(known) = state.worker(worker) {
            known.consumers -= 1;
        }
        state.forget(worker);
    }
}

fn dismiss(idle: Vec<Mailbox>) {
    for mailbox in idle {
        // One that is gone needs no dismissal.
        let _ = mailbox.send(Letter::Closed);
    }
}
