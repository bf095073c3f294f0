//! What is decided of all threads of a worker at once.

use super::{Consumer, Key, Queue, TaskConsumer, WorkerId};
use crate::sync::lock;

/// One life of a worker, as the queue knows it: its threads, and what is decided of all of them.
#[derive(Clone, Debug)]
pub struct Crew {
    pub(super) queue: Queue,
    pub(super) worker: WorkerId,
    pub(super) key: Key,
}

impl Crew {
    pub(super) fn new(queue: Queue, worker: WorkerId, key: Key) -> Self {
        Self { queue, worker, key }
    }

    /// The worker's number.
    pub fn worker(&self) -> WorkerId {
        self.worker
    }

    /// Adds a thread in this process. Each thread has one of its own.
    pub fn consumer(&self) -> Consumer {
        self.add_thread();
        Consumer::new(self.clone())
    }

    /// Adds a thread in another process, to which a task carries the jobs. Each thread has one of its own.
    pub fn task_consumer(&self) -> TaskConsumer {
        self.add_thread();
        TaskConsumer::new(self.clone())
    }

    fn add_thread(&self) {
        if let Some(worker) = lock(&self.queue.state).worker(self.key) {
            worker.consumers += 1;
        }
    }

    /// Gives it no more jobs: its threads are done with the job they run.
    pub fn retire(&self) {
        self.queue.retire_all(|known| known.key == self.key);
    }

    /// Gives it no jobs until it is released. Its threads stay.
    pub fn hold(&self) {
        if let Some(worker) = lock(&self.queue.state).worker(self.key) {
            worker.held = true;
        }
    }

    /// Gives it jobs again.
    pub fn release(&self) {
        let mut state = lock(&self.queue.state);
        let waiting = state.waiting.len();
        let Some(worker) = state.worker(self.key) else { return };
        worker.held = false;
        let wanted = worker.idle.len().min(waiting);
        drop(state);
        (0..wanted).for_each(|_| self.queue.remind());
    }

    /// Whether it is to get no more jobs.
    pub fn is_retired(&self) -> bool {
        lock(&self.queue.state).worker(self.key).is_none_or(|worker| worker.retired)
    }
}
