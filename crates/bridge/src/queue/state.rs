//! What the queue knows of workers and of jobs that wait, and the choice of the thread that gets the next one.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{
    Job, WorkerId,
    mailbox::{Letter, Mailbox},
    overload::Overload,
};
use crate::sync::{Arc, AtomicUsize, Ordering};

/// One life of a worker. Its successor may begin under the same number before it has ended.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) key: Key,
    pub(super) id: WorkerId,
    /// Jobs whose response is not complete. A client can send its next request before the thread that answered the last
    /// one is back; by its threads alone that worker would look as busy as one in the middle of a long computation.
    pub(super) unanswered: Unanswered,
    /// Jobs that have a thread, up to the end of `close()`.
    pub(super) running: usize,
    /// Threads that wait, the one that ran last at the end: its caches are warm.
    pub(super) idle: Vec<Mailbox>,
    /// It gets no more jobs.
    pub(super) retired: bool,
    /// It gets none for now.
    pub(super) held: bool,
    /// Its threads that are left.
    pub(super) consumers: usize,
}

/// Tells the lives of workers apart.
pub(super) type Key = u64;

impl Worker {
    /// All it had is answered and its threads are on their way back: it is idle in a moment, which is better than a
    /// thread now in a worker that computes.
    pub(super) fn is_returning(&self) -> bool {
        self.unanswered.count() == 0 && self.running > 0 && self.idle.is_empty() && !self.retired && !self.held
    }

    pub(super) fn gets_jobs(&self) -> bool {
        !self.retired && !self.held
    }

    pub(super) fn has_idle_thread(&self) -> bool {
        !self.idle.is_empty() && !self.held
    }
}

/// How many jobs of a worker have no complete response.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unanswered(Arc<AtomicUsize>);

impl Unanswered {
    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Counted(Unanswered);

impl Counted {
    pub(crate) fn new(unanswered: &Unanswered) -> Self {
        unanswered.0.fetch_add(1, Ordering::Relaxed);
        Self(unanswered.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) waiting: VecDeque<Waiting>,
    /// Jobs that threads have taken ahead, and not begun.
    pub(super) ahead: usize,
    pub(super) workers: Vec<Worker>,
    pub(super) next_key: Key,
    pub(super) closed: bool,
    pub(super) overload: Option<Overload>,
}

/// A job that waits for a thread.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) job: Job,
    /// When it came; not known of one that was given back, whose wait says nothing about the queue.
    pub(super) since: Option<Instant>,
}

impl Waiting {
    /// A job that has just come.
    pub(super) fn new(job: Job) -> Self {
        Self { since: Some(job.request.received_at), job }
    }
}

impl State {
    /// A worker that has consumers left.
    pub(super) fn worker(&mut self, key: Key) -> Option<&mut Worker> {
        self.workers.iter_mut().find(|known| known.key == key)
    }

    pub(super) fn add_worker(&mut self, id: WorkerId) -> Key {
        let key = self.next_key;
        self.next_key += 1;
        self.workers.push(Worker {
            key,
            id,
            unanswered: Unanswered::default(),
            running: 0,
            idle: Vec::new(),
            retired: false,
            held: false,
            consumers: 0,
        });
        key
    }

    /// Jobs that wait, for a thread or behind what one runs.
    pub(super) fn queued(&self) -> usize {
        self.waiting.len() + self.ahead
    }

    /// So many jobs that were taken ahead were begun, or came back. Gives the idle threads that are to be told that it is over.
    pub(super) fn are_ahead_no_more(&mut self, jobs: usize) -> Vec<Mailbox> {
        self.ahead -= jobs;
        if !self.closed || self.ahead > 0 {
            return Vec::new();
        }
        self.workers.iter_mut().flat_map(|worker| worker.idle.drain(..)).collect()
    }

    /// The worker that goes by this number now.
    pub(super) fn current(&mut self, id: WorkerId) -> Key {
        let current = self.workers.iter().find(|known| known.id == id && !known.retired).map(|worker| worker.key);
        current.unwrap_or_else(|| self.add_worker(id))
    }

    /// Forgets a worker that gets no more jobs and has no thread left.
    pub(super) fn forget(&mut self, key: Key) {
        self.workers.retain(|worker| worker.key != key || !worker.retired || worker.consumers > 0);
    }

    /// The idle thread that is to get the next job; it is idle no longer. `None` with all threads busy.
    pub(super) fn pick(&mut self, capacity: usize) -> Option<Pick> {
        let mut least: Option<(usize, (usize, usize))> = None;
        for (index, worker) in self.workers.iter().enumerate().filter(|(_, worker)| worker.has_idle_thread()) {
            let load = (worker.unanswered.count(), worker.running);
            if least.is_none_or(|(_, least)| load < least) {
                least = Some((index, load));
            }
            // The others need not be looked at. All of this is under the lock, and there may be many.
            if load == (0, 0) {
                break;
            }
        }
        let (index, (unanswered, _)) = least?;
        let in_reserve =
            unanswered > 0 && self.waiting.len() < capacity && self.workers.iter().any(Worker::is_returning);
        let mailbox = self.workers[index].idle.pop().expect("filtered for one that is not empty");
        Some(Pick { index, mailbox, in_reserve })
    }

    /// Gives the job to the thread that was picked for it, or keeps it for one that is about to be back.
    pub(super) fn dispatch(&mut self, Pick { index, mailbox, in_reserve }: Pick, mut job: Job) -> Dispatch {
        let worker = &mut self.workers[index];
        let letter = if in_reserve {
            self.waiting.push_back(Waiting::new(job));
            Letter::Reserve
        } else {
            if let Some(overload) = &mut self.overload {
                overload.not_waited();
            }
            worker.running += 1;
            job.responder.count_in(&worker.unanswered);
            Letter::Job(job)
        };
        Dispatch { worker: worker.key, mailbox, letter }
    }

    /// Whether one job more would wait too long.
    pub(super) fn is_overloaded(&mut self, now: Instant) -> bool {
        let queued = self.queued();
        let Some(overload) = &mut self.overload else { return false };
        let longest = self.waiting.iter().find_map(|waiting| waiting.since);
        let longest = longest.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let threads = self.workers.iter().filter(|worker| !worker.held).map(|worker| worker.running).sum();
        // Where no thread is at work, a worker is about to be replaced, and what waits says nothing of the next one's speed.
        threads > 0 && overload.refuses(now, queued, longest, threads)
    }
}

/// An idle thread that was chosen.
pub(super) struct Pick {
    pub(super) index: usize,
    pub(super) mailbox: Mailbox,
    pub(super) in_reserve: bool,
}

/// A letter on its way.
pub(super) struct Dispatch {
    pub(super) worker: Key,
    pub(super) mailbox: Mailbox,
    pub(super) letter: Letter,
}
