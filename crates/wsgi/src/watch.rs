//! Watches requests while they run: those that are slow are told of, those past their deadline are interrupted, and those that
//! do not end even so are given up.
//!
//! One thread watches the workers of a process. It is attached to no interpreter, and waits for none: what has to be done
//! attached (to look at a stack, to raise an exception) it has done by an attendant, a thread of each worker that needs one. An
//! attendant that does not come back in time says that a C call holds the interpreter's GIL. Then the worker is stalled:
//! its threads can not even begin with a job, so what they have not begun is taken back.

mod attendant;
mod post;
mod slot;
mod tell;

use std::{
    fmt, io,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use stack_bridge::{Job, WorkerId};
use stack_interp::{InterpreterHandle, widen_signal_stack};

pub(crate) use self::slot::{SharedSlot, Slot};
use self::{attendant::Report, post::Post};

/// When requests are told of and interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchSettings {
    /// From the interruption of a request until nobody counts on its end any more.
    pub kill: Duration,
    /// How long the application may pause in a response that has begun, until its request is interrupted.
    pub pause: Option<Duration>,
    /// A request that runs for longer is told of.
    pub slow: Option<Duration>,
    /// Whether a request is interrupted whose client has left.
    pub interrupt_on_disconnect: bool,
}

/// Is told how a worker fares, mostly by the thread that watches: it must not block.
pub trait Overseer: fmt::Debug + Send + Sync {
    /// No thread can enter its interpreter: it is to get no jobs for now.
    fn stalled(&self);
    /// They can again.
    fn recovered(&self);
    /// One of its threads is not to be counted on any more: it needs a successor.
    fn given_up(self: Arc<Self>);
    /// Such a thread has come to the end of its request after all. Says whether it goes on.
    fn came_back(&self) -> bool;
    /// The application has not seen this job, and will not in this worker.
    fn give_back(&self, job: Job);
    /// A request is over. Told by its thread.
    fn ran(&self);
}

/// The watch. Clones share it; with the last one it ends.
#[derive(Clone, Debug)]
pub struct Watch(Arc<Handle>);

#[derive(Debug)]
struct Handle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: WatchSettings,
    /// Locked while the watch does what is due, and that includes writing to the log.
    posts: Mutex<Posts>,
    /// Never locked for long: threads lock it that have a request to run.
    bell: Mutex<Bell>,
    rings: Condvar,
    /// When it wakes by itself, in nanoseconds since `epoch`; the greatest number while it is awake.
    wakes_at: AtomicU64,
    epoch: Instant,
}

#[derive(Debug, Default)]
struct Posts {
    all: Vec<Post>,
    next_key: u64,
}

/// What wakes the watch.
#[derive(Debug, Default)]
struct Bell {
    reports: Vec<Report>,
    /// Something has changed since it looked last.
    rang: bool,
    closed: bool,
}

/// A worker that is watched, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Watched {
    watch: Watch,
    key: u64,
}

impl Drop for Watched {
    fn drop(&mut self) {
        lock(&self.watch.0.0.posts).all.retain(|post| post.key() != self.key);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        lock(&self.0.bell).closed = true;
        self.0.rings.notify_one();
    }
}

impl Watch {
    /// Begins to watch, with a thread of its own.
    pub fn start(settings: WatchSettings) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            settings,
            posts: Mutex::default(),
            bell: Mutex::default(),
            rings: Condvar::new(),
            wakes_at: AtomicU64::new(u64::MAX),
            epoch: Instant::now(),
        });
        let watching = Arc::clone(&shared);
        thread::Builder::new().name("watch".into()).spawn(move || watching.run())?;
        Ok(Self(Arc::new(Handle(shared))))
    }

    /// Watches a worker's threads. Called detached.
    pub(crate) fn watch(
        &self,
        worker: WorkerId,
        interpreter: &InterpreterHandle,
        slots: Vec<SharedSlot>,
        overseer: Arc<dyn Overseer>,
    ) -> Watched {
        let mut posts = lock(&self.0.0.posts);
        let key = posts.next_key;
        posts.next_key += 1;
        posts.all.push(Post::new(key, worker, interpreter.clone(), slots, overseer));
        Watched { watch: self.clone(), key }
    }

    /// Whether it wants to know of clients that leave.
    pub(crate) fn watches_clients(&self) -> bool {
        self.0.0.settings.interrupt_on_disconnect
    }

    /// A thread has left a job in its slot: from now on somebody looks after it in time.
    pub(crate) fn expect(&self, now: Instant, deadline: Option<Instant>) {
        let shared = &self.0.0;
        let due = post::first_look(now, deadline, &shared.settings);
        if shared.nanoseconds(due) < shared.wakes_at.load(Ordering::SeqCst) {
            lock(&shared.bell).rang = true;
            shared.rings.notify_one();
        }
    }
}

impl Shared {
    fn nanoseconds(&self, instant: Instant) -> u64 {
        u64::try_from(instant.saturating_duration_since(self.epoch).as_nanos()).unwrap_or(u64::MAX - 1)
    }

    fn report(&self, report: Report) {
        let mut bell = lock(&self.bell);
        bell.reports.push(report);
        bell.rang = true;
        drop(bell);
        self.rings.notify_one();
    }

    fn run(self: &Arc<Self>) {
        widen_signal_stack();
        loop {
            let mut bell = lock(&self.bell);
            if bell.closed {
                return;
            }
            bell.rang = false;
            let reports = std::mem::take(&mut bell.reports);
            drop(bell);
            // What begins from here on is seen now, or rings.
            self.wakes_at.store(u64::MAX, Ordering::SeqCst);
            let due = self.tend(reports);
            self.wakes_at.store(due.map_or(u64::MAX - 1, |due| self.nanoseconds(due)), Ordering::SeqCst);
            let mut bell = lock(&self.bell);
            while !bell.rang && !bell.closed {
                bell = match due.map(|due| due.saturating_duration_since(Instant::now())) {
                    Some(Duration::ZERO) => break,
                    Some(left) => self.rings.wait_timeout(bell, left).unwrap_or_else(PoisonError::into_inner).0,
                    None => self.rings.wait(bell).unwrap_or_else(PoisonError::into_inner),
                };
            }
        }
    }

    /// Does what is due; says when there is something again.
    fn tend(self: &Arc<Self>, reports: Vec<Report>) -> Option<Instant> {
        let mut posts = lock(&self.posts);
        for report in reports {
            // Of a worker that has ended nothing is told.
            if let Some(post) = posts.all.iter_mut().find(|post| post.key() == report.key) {
                post.take_report(report);
            }
        }
        posts.all.iter_mut().filter_map(|post| post.tend(Instant::now(), &self.settings, self)).min()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
