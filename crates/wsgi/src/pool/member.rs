//! One worker of the pool, from the OS thread that it begins on to its end.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
};

use stack_bridge::{Crew, Job, Jobs, Queue, WorkerId, WorkerState};
use stack_config::Recycling;
use stack_interp::{Interpreter, InterpreterHandle, Python};

use super::{
    Place, PoolSettings, StartError,
    cohort::Newcomer,
    keeper::Wish,
    lives::{LifeId, Lives},
};
use crate::{
    watch::{Overseer, Watch},
    worker::{STACK_SIZE, Watching, Worker, WorkerReport, thread_name},
};

/// What all workers of a pool have in common.
#[derive(Clone, Debug)]
pub(super) struct Common {
    pub(super) settings: Arc<PoolSettings>,
    pub(super) main: InterpreterHandle,
    pub(super) queue: Queue,
    pub(super) watch: Watch,
    pub(super) lives: Lives,
    pub(super) wishes: mpsc::Sender<Wish>,
}

/// How a worker's start went.
pub(super) type Started = Result<WorkerReport, StartError>;

/// One worker.
pub(super) struct Member {
    common: Common,
    crew: Crew,
    life: LifeId,
    /// Who waits to hear how the start went, once.
    started: Mutex<Option<mpsc::Sender<Started>>>,
}

impl Common {
    /// Starts a worker's first OS thread: it makes the interpreter, waits for those of its cohort, if it is of one, imports
    /// the application, and serves. How the start went goes to `started`.
    pub(super) fn start(
        &self,
        worker: WorkerId,
        started: mpsc::Sender<Started>,
        newcomer: Option<Newcomer>,
    ) -> Result<(LifeId, Crew), StartError> {
        let crew = self.queue.crew(worker);
        let life = self.lives.begin(crew.clone());
        let started = Mutex::new(Some(started));
        let member = Member { common: self.clone(), crew: crew.clone(), life, started };
        let builder = thread::Builder::new().name(thread_name(worker, 0)).stack_size(STACK_SIZE);
        let run = move || {
            if catch_unwind(AssertUnwindSafe(|| member.run(newcomer))).is_err() {
                member.fail(StartError::Panicked);
            }
        };
        match builder.spawn(run) {
            Ok(_) => Ok((life, crew)),
            Err(error) => {
                self.lives.set(life, WorkerState::Failed);
                Err(StartError::Thread(error))
            }
        }
    }
}

impl Member {
    fn fail(&self, error: StartError) {
        self.common.lives.set(self.life, WorkerState::Failed);
        self.tell(Err(error));
    }

    /// The pool may have given up by now; then nobody hears it.
    fn tell(&self, started: Started) {
        if let Some(sender) = self.started.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = sender.send(started);
        }
    }

    fn run(&self, newcomer: Option<Newcomer>) {
        let main = &self.common.main;
        let outcome = match self.common.settings.place {
            Place::OwnInterpreters(_) => Interpreter::run(main, |py, interpreter| {
                if let Some(newcomer) = newcomer {
                    py.detach(|| newcomer.wait());
                }
                self.live(py, interpreter)
            })
            .map(|(lived, _ending)| lived),
            Place::MainInterpreter => main.run(|py| self.live(py, main)),
        };
        match outcome.map_err(StartError::Interpreter).flatten() {
            // Only now its memory is given back.
            Ok(()) => self.common.lives.set(self.life, WorkerState::Ended),
            Err(error) => self.fail(error),
        }
    }

    fn live(&self, py: Python<'_>, interpreter: &InterpreterHandle) -> Result<(), StartError> {
        let Common { settings, lives, watch, .. } = &self.common;
        if let Some(permission) = &settings.permission
            && !py.detach(|| permission.wait())
        {
            return Err(StartError::NotWanted);
        }
        lives.set(self.life, WorkerState::Loading);
        let worker = settings.worker(self.crew.worker());
        let report = worker.load(py)?;
        let jobs = (0..settings.threads.get()).map(|_| Box::new(self.crew.consumer()) as Box<dyn Jobs>);
        let overseer: Arc<dyn Overseer> =
            Arc::new(Aid::new(&self.common, self.crew.clone(), self.life, worker.clone()));
        let watching = Watching { watch: watch.clone(), overseer };
        worker.serve(py, interpreter, jobs.collect(), &watching, |state| {
            // Its end is the interpreter's.
            if state != WorkerState::Ended {
                lives.set(self.life, state);
            }
            if state == WorkerState::Ready {
                self.tell(Ok(report.clone()));
            }
        })
    }
}

/// After how many requests a worker is replaced.
fn requests_of_a_life(recycling: &Recycling) -> Option<u64> {
    // Every state of this kind is keyed by chance, for use in hash maps; as chance goes, that is enough here.
    let chance = RandomState::new().build_hasher().finish();
    let more = recycling.jitter.checked_add(1).map_or(chance, |choices| chance % choices);
    recycling.max_requests.map(|requests| requests.get().saturating_add(more))
}

/// What is done about a worker that is stuck, or has run enough.
#[derive(Debug)]
pub(super) struct Aid {
    crew: Crew,
    life: LifeId,
    worker: Worker,
    place: Place,
    watch: Watch,
    queue: Queue,
    lives: Lives,
    wishes: mpsc::Sender<Wish>,
    ran: AtomicU64,
    /// The request with which it has run enough.
    last: Option<u64>,
}

impl Aid {
    fn new(common: &Common, crew: Crew, life: LifeId, worker: Worker) -> Self {
        let last = requests_of_a_life(&common.settings.recycling);
        let Common { watch, queue, lives, wishes, .. } = common.clone();
        let place = common.settings.place;
        Self { crew, life, worker, place, watch, queue, lives, wishes, ran: AtomicU64::new(0), last }
    }

    pub(super) fn life(&self) -> LifeId {
        self.life
    }

    /// Starts a thread in the place of one that does not come back.
    pub(super) fn replace_thread(self: Arc<Self>, interpreter: &InterpreterHandle) {
        let (worker, jobs, watch) = (self.worker.clone(), Box::new(self.crew.consumer()), self.watch.clone());
        worker.start_another_thread(interpreter, jobs, &Watching { watch, overseer: self });
    }

    fn wish(&self, wish: Wish) {
        // A pool that is gone has no wishes to fulfil.
        let _ = self.wishes.send(wish);
    }
}

impl Overseer for Aid {
    fn stalled(&self) {
        self.crew.hold();
        self.lives.change(self.life, WorkerState::Stalled, |from| from == WorkerState::Ready);
    }

    fn recovered(&self) {
        self.crew.release();
        self.lives.change(self.life, WorkerState::Ready, |from| from == WorkerState::Stalled);
    }

    fn given_up(self: Arc<Self>) {
        self.wish(Wish::GivenUp(Arc::clone(&self)));
    }

    /// In the main interpreter another thread has its place; elsewhere its worker gets no more jobs.
    fn came_back(&self) -> bool {
        self.place != Place::MainInterpreter
    }

    fn give_back(&self, job: Job) {
        self.queue.give_back(job);
    }

    fn ran(&self) {
        let Some(last) = self.last else { return };
        if self.ran.fetch_add(1, Ordering::Relaxed) + 1 == last {
            self.wish(Wish::RanEnough(self.life));
        }
    }
}
