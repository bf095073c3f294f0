//! The two ways to take jobs out of the queue: a thread that blocks, and a task that waits.

use std::{collections::VecDeque, future::poll_fn, time::Duration};

use super::{
    Closed, Crew, Job, Jobs, RESERVE_TURNS,
    mailbox::{Letter, Mailbox, TaskMailbox},
};
use crate::sync::{
    mailbox::{Receiver, Sender, mailbox},
    pause,
};

/// One thread's access to the queue.
#[derive(Debug)]
pub struct Consumer {
    crew: Crew,
    sender: Sender<Letter>,
    receiver: Receiver<Letter>,
    running: bool,
}

impl Consumer {
    pub(super) fn new(crew: Crew) -> Self {
        let (sender, receiver) = mailbox();
        Self { crew, sender, receiver, running: false }
    }

    /// Waits for a job; the one taken before counts as done. Call it without the GIL.
    pub fn take(&mut self) -> Result<Job, Closed> {
        loop {
            let ran = std::mem::replace(&mut self.running, false);
            let job = match self.crew.queue.next(self.crew.key, ran, || Mailbox::Thread(self.sender.clone()))? {
                Some(job) => job,
                None => match self.receiver.recv() {
                    Ok(Letter::Job(job)) => job,
                    Ok(Letter::Reserve) => {
                        for _ in 0..RESERVE_TURNS {
                            pause(self.crew.queue.reserve_time);
                            if !self.crew.queue.is_kept_from(self.crew.key) {
                                break;
                            }
                        }
                        continue;
                    }
                    Ok(Letter::Closed) | Err(_) => return Err(Closed),
                },
            };
            self.running = true;
            if job.responder.start(self.crew.worker) {
                return Ok(job);
            }
        }
    }
}

impl Jobs for Consumer {
    fn take(&mut self) -> Result<Job, Closed> {
        Self::take(self)
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        // It is on no list: whoever drops it does not wait in it.
        if self.running {
            self.crew.queue.left(self.crew.key, true, |_| false);
        }
        self.crew.queue.gone(self.crew.key);
    }
}

/// One thread of another process, as the task sees it that carries jobs there.
#[derive(Debug)]
pub struct TaskConsumer {
    crew: Crew,
    mailbox: TaskMailbox,
    running: bool,
    /// Jobs it has taken ahead, and not begun.
    ahead: usize,
    /// It is on the list of the idle, or a letter is on its way.
    is_waiting: bool,
    /// A job waits in the queue for this one to look again.
    in_reserve: bool,
}

impl TaskConsumer {
    pub(super) fn new(crew: Crew) -> Self {
        Self { crew, mailbox: TaskMailbox::default(), running: false, ahead: 0, is_waiting: false, in_reserve: false }
    }

    /// Waits for a job; the one taken before counts as done. `sleep` is the runtime's. It may be dropped before it is ready
    /// and called again; no job is lost by that.
    pub async fn take<S: Future<Output = ()>>(&mut self, sleep: impl Fn(Duration) -> S) -> Result<Job, Closed> {
        loop {
            if self.in_reserve {
                for _ in 0..RESERVE_TURNS {
                    sleep(self.crew.queue.reserve_time).await;
                    if !self.crew.queue.is_kept_from(self.crew.key) {
                        break;
                    }
                }
                self.in_reserve = false;
            }
            let job = if self.is_waiting { None } else { self.next()? };
            let job = if let Some(job) = job {
                job
            } else {
                let letter = poll_fn(|context| self.mailbox.poll_receive(context)).await;
                self.is_waiting = false;
                match letter {
                    Letter::Job(job) => job,
                    Letter::Reserve => {
                        self.in_reserve = true;
                        continue;
                    }
                    Letter::Closed => return Err(Closed),
                }
            };
            self.running = true;
            if job.responder.start(self.crew.worker) {
                return Ok(job);
            }
        }
    }

    /// Takes jobs for the thread to run after the one it has: its share of those that wait, `most` at most, and none behind one
    /// that does not fit or has come back. They are queued still until the thread begins with them ([`TaskConsumer::begin`]), and
    /// whoever drops the consumer before has them.
    pub fn take_ahead(&mut self, most: usize, fits: impl Fn(&Job) -> bool) -> VecDeque<Job> {
        let mut jobs = self.crew.queue.next_ahead(self.crew.key, most, fits);
        self.ahead += jobs.len();
        // Nobody waits for these any more.
        while let Some(gone) = jobs.iter().position(|job| job.responder.is_client_gone()) {
            self.are_ahead_no_more(1);
            jobs.remove(gone);
        }
        jobs
    }

    /// The thread has begun with a job that was taken ahead; the one before counts as done.
    pub fn begin(&mut self, job: &Job) {
        self.are_ahead_no_more(1);
        // Should the client have left, whoever carries the job is told as of any that runs.
        let _ = job.responder.start(self.crew.worker);
    }

    /// Gives back jobs that were taken ahead, because the thread takes long with the one it has, or has not even begun with that:
    /// then `current` is it.
    pub fn give_back_ahead(&mut self, current: Option<Job>, mut jobs: VecDeque<Job>) {
        let ahead = jobs.len();
        jobs.extend(current);
        if jobs.len() > ahead {
            jobs.rotate_right(1);
        }
        if !jobs.is_empty() {
            self.ahead -= ahead;
            self.crew.queue.give_back_ahead(jobs, ahead);
        }
    }

    fn are_ahead_no_more(&mut self, jobs: usize) {
        self.ahead -= jobs;
        self.crew.queue.are_ahead_no_more(jobs);
    }

    /// Gives back the job that was taken last, which could not be begun. The thread counts as busy until the next is asked for.
    pub fn give_back(&self, job: Job) {
        self.crew.queue.give_back(job);
    }

    fn next(&mut self) -> Result<Option<Job>, Closed> {
        let ran = std::mem::replace(&mut self.running, false);
        let job = self.crew.queue.next(self.crew.key, ran, || Mailbox::Task(self.mailbox.clone()))?;
        self.is_waiting = job.is_none();
        Ok(job)
    }
}

impl Drop for TaskConsumer {
    fn drop(&mut self) {
        self.crew.queue.left(self.crew.key, self.running, |mailbox| self.mailbox.is(mailbox));
        self.crew.queue.are_ahead_no_more(self.ahead);
        match self.mailbox.close() {
            Some(Letter::Job(job)) => {
                self.crew.queue.left(self.crew.key, true, |_| false);
                self.crew.queue.give_back(job);
            }
            Some(Letter::Reserve) => self.crew.queue.remind(),
            Some(Letter::Closed) | None if self.in_reserve => self.crew.queue.remind(),
            Some(Letter::Closed) | None => {}
        }
        self.crew.queue.gone(self.crew.key);
    }
}
