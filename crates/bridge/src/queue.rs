//! The bounded job queue, and which thread gets a job.
//!
//! Every thread of every worker is a [`Consumer`]. A job goes straight to a waiting thread of the worker with the fewest
//! unanswered jobs, so a CPU-bound request in one worker never delays a request while another is idle; with all threads
//! busy it waits in the queue, first in, first out, and with the queue full it is refused.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::{
    Request, Responder,
    sync::{
        Arc, AtomicUsize, Mutex, Ordering, lock,
        mailbox::{Receiver, Sender, mailbox},
        pause,
    },
};

/// How long a thread that has answered may take to come back for a job that is kept for it: its `close()` runs.
const RESERVE_TIME: Duration = Duration::from_millis(1);

/// Names a worker: one interpreter, with its threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WorkerId(pub u16);

/// One request that crosses the bridge.
#[derive(Debug)]
pub struct Job {
    /// What the application is to answer.
    pub request: Request,
    /// Where the answer goes.
    pub responder: Responder,
    /// When the front gives the request up.
    pub deadline: Option<Instant>,
}

/// Why a job was not taken. The job comes back with it.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// All threads are busy and the queue is full.
    #[error("the job queue is full")]
    Full(Box<Job>),
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

#[derive(Debug)]
struct Worker {
    id: WorkerId,
    /// Jobs whose response is not complete. A client can send its next request before the thread that answered the last
    /// one is back; by its threads alone that worker would look as busy as one in the middle of a long computation.
    unanswered: Unanswered,
    /// Jobs that have a thread, up to the end of `close()`.
    running: usize,
    /// Threads that wait, the one that ran last at the end: its caches are warm.
    idle: Vec<Sender<Letter>>,
}

impl Worker {
    /// All it had is answered and its threads are on their way back: it is idle in a moment, which is better than a
    /// thread now in a worker that computes.
    fn is_returning(&self) -> bool {
        self.unanswered.count() == 0 && self.running > 0 && self.idle.is_empty()
    }
}

/// What an idle thread is sent.
#[derive(Debug)]
enum Letter {
    Job(Box<Job>),
    /// A job waits for a thread that is about to be back; take it, should that one stay away.
    Reserve,
    /// The queue is closed.
    Closed,
}

/// How many jobs of a worker have no complete response.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unanswered(Arc<AtomicUsize>);

impl Unanswered {
    fn count(&self) -> usize {
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
struct State {
    waiting: VecDeque<Job>,
    workers: Vec<Worker>,
    closed: bool,
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
        let state = State { waiting: VecDeque::new(), workers: Vec::new(), closed: false };
        Self { state: Arc::new(Mutex::new(state)), capacity, reserve_time: RESERVE_TIME }
    }

    /// Hands a job to an idle thread, or lets it wait. Never blocks.
    pub fn push(&self, mut job: Job) -> Result<(), Refused> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err(Refused::Closed(Box::new(job)));
        }
        let State { waiting, workers, closed: _ } = &mut *state;
        let is_returning = workers.iter().any(Worker::is_returning) && waiting.len() < self.capacity;
        let with_thread = workers.iter_mut().filter(|worker| !worker.idle.is_empty());
        let idlest = with_thread.min_by_key(|worker| (worker.unanswered.count(), worker.running));
        if let Some(worker) = idlest {
            let mailbox = worker.idle.pop().expect("filtered for one that is not empty");
            let letter = if is_returning && worker.unanswered.count() > 0 {
                waiting.push_back(job);
                Letter::Reserve
            } else {
                worker.running += 1;
                job.responder.count_in(&worker.unanswered);
                Letter::Job(Box::new(job))
            };
            drop(state);
            // Never blocks: a thread on the list has an empty mailbox. Were the thread gone, the job would be dropped,
            // which answers it.
            let _ = mailbox.send(letter);
            return Ok(());
        }
        let mut gone = VecDeque::new();
        if state.waiting.len() >= self.capacity {
            let (dead, alive) =
                std::mem::take(&mut state.waiting).into_iter().partition(|job| job.responder.is_client_gone());
            (gone, state.waiting) = (dead, alive);
        }
        let outcome = if state.waiting.len() >= self.capacity {
            Err(Refused::Full(Box::new(job)))
        } else {
            state.waiting.push_back(job);
            Ok(())
        };
        drop(state);
        drop(gone);
        outcome
    }

    /// Adds a thread of `worker`. Each thread has one of its own.
    pub fn consumer(&self, worker: WorkerId) -> Consumer {
        let mut state = lock(&self.state);
        if state.workers.iter().all(|known| known.id != worker) {
            state.workers.push(Worker { id: worker, unanswered: Unanswered::default(), running: 0, idle: Vec::new() });
        }
        let (sender, receiver) = mailbox();
        Consumer { queue: self.clone(), worker, sender, receiver, running: false }
    }

    /// Takes no more jobs. Those that wait are still run; then every [`Consumer::take`] answers [`Closed`].
    pub fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        let idle: Vec<_> = state.workers.iter_mut().flat_map(|worker| worker.idle.drain(..)).collect();
        drop(state);
        for mailbox in idle {
            let _ = mailbox.send(Letter::Closed);
        }
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
            queued: state.waiting.len(),
            running: state.workers.iter().map(|worker| worker.running).sum(),
            idle: state.workers.iter().map(|worker| worker.idle.len()).sum(),
        }
    }
}

/// One thread's access to the queue.
#[derive(Debug)]
pub struct Consumer {
    queue: Queue,
    worker: WorkerId,
    sender: Sender<Letter>,
    receiver: Receiver<Letter>,
    running: bool,
}

impl Consumer {
    /// Waits for a job; the one taken before counts as done. Call it without the GIL.
    pub fn take(&mut self) -> Result<Job, Closed> {
        loop {
            let mut state = lock(&self.queue.state);
            let State { waiting, workers, closed } = &mut *state;
            let worker =
                workers.iter_mut().find(|known| known.id == self.worker).expect("added with the first consumer");
            if std::mem::replace(&mut self.running, false) {
                worker.running -= 1;
            }
            let mut job = waiting.pop_front();
            if let Some(job) = &mut job {
                worker.running += 1;
                job.responder.count_in(&worker.unanswered);
            } else if *closed {
                return Err(Closed);
            } else {
                worker.idle.push(self.sender.clone());
            }
            drop(state);
            let job = match job {
                Some(job) => job,
                None => match self.receiver.recv() {
                    Ok(Letter::Job(job)) => *job,
                    Ok(Letter::Reserve) => {
                        pause(self.queue.reserve_time);
                        continue;
                    }
                    Ok(Letter::Closed) | Err(_) => return Err(Closed),
                },
            };
            self.running = true;
            if job.responder.start(self.worker) {
                return Ok(job);
            }
        }
    }

    /// The worker this thread belongs to.
    pub fn worker(&self) -> WorkerId {
        self.worker
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        if self.running {
            let mut state = lock(&self.queue.state);
            if let Some(worker) = state.workers.iter_mut().find(|known| known.id == self.worker) {
                worker.running -= 1;
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::{sync::mpsc, thread};

    use super::*;
    use crate::{Failure, Push, Reply, testing};

    fn wait_for(queue: &Queue, reached: impl Fn(Depth) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !reached(queue.depth()) {
            assert!(Instant::now() < deadline, "stuck at {:?}", queue.depth());
            thread::yield_now();
        }
    }

    /// A thread that takes jobs, says which worker took one, and keeps it until it is told to go on.
    fn worker(queue: &Queue, id: u16, took: &mpsc::Sender<u16>) -> mpsc::Sender<()> {
        let (go_on, wait) = mpsc::channel();
        let (mut consumer, took) = (queue.consumer(WorkerId(id)), took.clone());
        thread::spawn(move || {
            while let Ok(job) = consumer.take() {
                took.send(id).unwrap();
                let _ = wait.recv();
                job.responder.fail(Failure::Application);
            }
        });
        go_on
    }

    fn push(queue: &Queue) -> Reply {
        let (job, reply) = testing::job();
        queue.push(job).unwrap();
        reply
    }

    #[test]
    fn idle_workers_get_jobs_before_busy_ones() {
        let queue = Queue::new(8);
        let (took, took_by) = mpsc::channel();
        let threads: Vec<_> = [0, 0, 0, 1, 1, 1].map(|id| worker(&queue, id, &took)).into();
        wait_for(&queue, |depth| depth.idle == 6);
        let mut replies = Vec::new();
        for busy in 1..=3 {
            replies.push(push(&queue));
            replies.push(push(&queue));
            let mut pair = [took_by.recv().unwrap(), took_by.recv().unwrap()];
            pair.sort_unstable();
            assert_eq!(pair, [0, 1], "both workers run {busy} jobs before one runs more");
        }
        assert_eq!(queue.depth(), Depth { queued: 0, running: 6, idle: 0 });
        drop(threads);
        queue.close();
    }

    #[test]
    fn a_worker_that_has_answered_goes_before_one_that_computes() {
        let queue = Queue::new(8);
        let mut consumers: Vec<_> = [0, 0, 1, 1].map(|id| queue.consumer(WorkerId(id))).into();
        let _replies = [push(&queue), push(&queue)];
        let computing = consumers[0].take().unwrap();
        let mut answered = consumers[2].take().unwrap();
        let mut whole = Push { head: None, block: b"", last: true };
        answered.responder.try_push(&mut whole).unwrap();
        // Both have a second thread that waits, and one that is not back yet.
        let (took, took_by) = mpsc::channel();
        let _threads = [worker(&queue, 0, &took), worker(&queue, 1, &took)];
        wait_for(&queue, |depth| depth.idle == 2);
        let _next = push(&queue);
        assert_eq!(took_by.recv().unwrap(), 1);
        drop((computing, answered));
    }

    /// One worker computes, with an idle thread; the other has answered with its only one, which is not back yet.
    fn computing_and_returning(queue: &Queue) -> (Vec<Reply>, [Job; 2], [Consumer; 2]) {
        let [mut first, mut second] = [0, 1].map(|id| queue.consumer(WorkerId(id)));
        let replies = vec![push(queue), push(queue)];
        let computing = first.take().unwrap();
        let mut answered = second.take().unwrap();
        answered.responder.try_push(&mut Push { head: None, block: b"", last: true }).unwrap();
        (replies, [computing, answered], [first, second])
    }

    #[test]
    fn a_job_is_kept_for_the_worker_that_is_about_to_be_idle() {
        let queue = Queue { reserve_time: Duration::from_mins(1), ..Queue::new(8) };
        let (_replies, _jobs, [_computing, mut returning]) = computing_and_returning(&queue);
        let (took, took_by) = mpsc::channel();
        let _thread = worker(&queue, 0, &took);
        wait_for(&queue, |depth| depth.idle == 1);
        let _next = push(&queue);
        assert!(returning.take().is_ok());
        assert!(took_by.try_recv().is_err());
    }

    #[test]
    fn a_job_that_is_kept_too_long_goes_to_the_thread_in_reserve() {
        let queue = Queue::new(8);
        let (_replies, _jobs, _consumers) = computing_and_returning(&queue);
        let (took, took_by) = mpsc::channel();
        let _thread = worker(&queue, 0, &took);
        wait_for(&queue, |depth| depth.idle == 1);
        let _next = push(&queue);
        assert_eq!(took_by.recv_timeout(Duration::from_secs(10)), Ok(0));
    }

    #[test]
    fn a_full_queue_refuses_and_gives_the_job_back() {
        let queue = Queue::new(1);
        let _waits = push(&queue);
        let (job, _reply) = testing::job();
        assert!(matches!(queue.push(job), Err(Refused::Full(_))));
    }

    #[test]
    fn a_job_whose_client_left_frees_its_place_and_never_runs() {
        let queue = Queue::new(1);
        drop(push(&queue));
        let _waits = push(&queue);
        let mut consumer = queue.consumer(WorkerId(0));
        queue.close();
        drop(consumer.take().expect("the one whose client waits"));
        assert_eq!(consumer.take().unwrap_err(), Closed);
    }

    #[test]
    fn a_closed_queue_runs_what_waits_and_takes_no_more() {
        let queue = Queue::new(2);
        let _waits = push(&queue);
        queue.close();
        let (job, _reply) = testing::job();
        assert!(matches!(queue.push(job), Err(Refused::Closed(_))));
        let mut consumer = queue.consumer(WorkerId(0));
        assert!(consumer.take().is_ok());
        assert!(consumer.take().is_err());
    }

    #[test]
    fn close_wakes_idle_threads() {
        let queue = Queue::new(1);
        let mut consumer = queue.consumer(WorkerId(0));
        let thread = thread::spawn(move || consumer.take().map(|_| ()));
        wait_for(&queue, |depth| depth.idle == 1);
        queue.close();
        assert_eq!(thread.join().unwrap(), Err(Closed));
    }

    #[test]
    fn cleared_jobs_are_answered() {
        let queue = Queue::new(1);
        let mut reply = push(&queue);
        assert_eq!(queue.clear(), 1);
        assert_eq!(testing::head(&mut reply), Err(Failure::Dropped));
    }
}
