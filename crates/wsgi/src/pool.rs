//! The pool of workers in this process: all of one generation, from the import of the application to its end.

use std::{
    ffi::OsString,
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use stack_bridge::{Jobs, Queue, WorkerId};
use stack_config::AppSpec;
use stack_interp::{CreateError, Interpreter, InterpreterHandle, Python};

use crate::{
    application::LoadError,
    gateway::WhenRefused,
    worker::{STACK_SIZE, Worker, WorkerReport, WorkerSettings, WorkerState, thread_name},
};

/// What a pool is started with.
#[derive(Clone, Debug)]
pub struct PoolSettings {
    /// The application.
    pub app: AppSpec,
    /// The directory that goes first on `sys.path`.
    pub directory: String,
    /// Variables for the application's `os.environ`.
    pub env: Vec<(String, String)>,
    /// The variables that the server was started with, where other applications run in this process: what those have
    /// changed is undone before the import.
    pub fresh_env: Option<Arc<[(OsString, OsString)]>>,
    /// Where the application runs.
    pub place: Place,
    /// The number of the first worker; the others follow.
    pub first: WorkerId,
    /// Threads of each worker.
    pub threads: NonZeroUsize,
    /// Who is told of extension modules that refuse to load in a request.
    pub when_refused: Option<Arc<dyn WhenRefused>>,
    /// Whether the workers tell the directories of a Django project.
    pub find_directories: bool,
}

/// Where the workers of this process run the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// As many workers, each in an interpreter with a GIL of its own.
    OwnInterpreters(NonZeroUsize),
    /// One worker, in the main interpreter.
    MainInterpreter,
}

impl PoolSettings {
    fn workers(&self) -> usize {
        match self.place {
            Place::OwnInterpreters(workers) => workers.get(),
            Place::MainInterpreter => 1,
        }
    }

    fn worker(&self, id: WorkerId) -> Worker {
        Worker::new(WorkerSettings {
            id,
            app: self.app.clone(),
            directory: self.directory.clone(),
            env: self.env.clone(),
            fresh_env: self.fresh_env.clone(),
            threads: self.threads,
            multiprocess: self.workers() > 1,
            when_refused: self.when_refused.clone(),
            all_threads: false,
            find_directories: self.find_directories,
        })
    }
}

/// Why a pool did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The application could not be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// No interpreter could be made for it.
    #[error("no interpreter for a worker")]
    Interpreter(#[source] CreateError),
    /// This server's own fault.
    #[error("a worker panicked while it started")]
    Panicked,
    /// Some of its threads could not be started, and it can not do without.
    #[error(
        "only {started} of {wanted} threads of a worker could be started; raise the limit of threads, or lower threads"
    )]
    TooFewThreads {
        /// As many run.
        started: usize,
        /// As many were asked for.
        wanted: usize,
    },
    /// The system refused a thread.
    #[error("no thread for a worker")]
    Thread(#[source] std::io::Error),
}

/// How a pool ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Workers that were not done in time: requests that still ran, threads of the application's that did not end.
    pub stuck: usize,
}

/// Every worker's state, to be watched.
#[derive(Clone, Debug, Default)]
pub(crate) struct States {
    /// The number of the first.
    first: u16,
    states: Arc<(Mutex<Vec<WorkerState>>, Condvar)>,
}

impl States {
    fn new(first: WorkerId, workers: usize) -> Self {
        let states = Mutex::new(vec![WorkerState::Starting; workers]);
        Self { first: first.0, states: Arc::new((states, Condvar::new())) }
    }

    /// The one place where a worker's state changes.
    pub(crate) fn set(&self, worker: WorkerId, state: WorkerState) {
        let place = usize::from(worker.0 - self.first);
        let mut states = self.states.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut states[place], state);
        drop(states);
        tracing::debug!(worker = worker.0, from = ?before, to = ?state, "worker state");
        self.states.1.notify_all();
    }

    fn all(&self) -> Vec<WorkerState> {
        self.states.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until `reached` is true of all states, or until the deadline.
    fn wait(&self, deadline: Instant, reached: impl Fn(WorkerState) -> bool) -> Vec<WorkerState> {
        let mut states = self.states.0.lock().unwrap_or_else(PoisonError::into_inner);
        while !states.iter().all(|state| reached(*state)) {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else { break };
            states = self.states.1.wait_timeout(states, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        states.clone()
    }
}

/// The workers.
#[derive(Debug)]
pub struct Pool {
    states: States,
    queue: Queue,
    reports: Vec<WorkerReport>,
}

/// One worker's share of the pool.
struct Member {
    id: WorkerId,
    settings: Arc<PoolSettings>,
    queue: Queue,
    states: States,
    started: mpsc::Sender<Result<WorkerReport, StartError>>,
}

impl Pool {
    /// Starts all workers and waits until each has loaded the application. The first that can not ends the start.
    pub fn start(main: &InterpreterHandle, settings: PoolSettings, queue: Queue) -> Result<Self, StartError> {
        let workers = settings.workers();
        let first = settings.first;
        let (settings, states) = (Arc::new(settings), States::new(first, workers));
        let (started, reports) = mpsc::channel();
        for id in numbers(first, workers) {
            let member = Member {
                id,
                settings: Arc::clone(&settings),
                queue: queue.clone(),
                states: states.clone(),
                started: started.clone(),
            };
            member.spawn(main.clone()).inspect_err(|_| retire(&queue, first, workers))?;
        }
        drop(started);
        // Workers that did come up are done, their atexit handlers run.
        let reports =
            reports.iter().take(workers).collect::<Result<_, _>>().inspect_err(|_| retire(&queue, first, workers))?;
        Ok(Self { states, queue, reports })
    }

    /// What each worker told when it was ready.
    pub fn reports(&self) -> &[WorkerReport] {
        &self.reports
    }

    /// What each worker is doing.
    pub fn states(&self) -> Vec<WorkerState> {
        self.states.all()
    }

    /// The workers' numbers.
    pub fn workers(&self) -> impl Iterator<Item = WorkerId> {
        numbers(WorkerId(self.states.first), self.states.all().len())
    }

    /// Closes the queue, lets the workers finish what they have, and runs each application's end; all within `timeout`.
    pub fn stop(self, timeout: Duration) -> Stopped {
        self.queue.close();
        let ended = |state| matches!(state, WorkerState::Ended | WorkerState::Failed);
        let states = self.states.wait(Instant::now() + timeout, ended);
        Stopped { stuck: states.into_iter().filter(|state| !ended(*state)).count() }
    }
}

fn numbers(first: WorkerId, workers: usize) -> impl Iterator<Item = WorkerId> {
    (0..workers).map(move |number| WorkerId(first.0.saturating_add(u16::try_from(number).unwrap_or(u16::MAX))))
}

/// Gives the workers no more jobs. The queue goes on.
fn retire(queue: &Queue, first: WorkerId, workers: usize) {
    numbers(first, workers).for_each(|worker| queue.retire(worker));
}

impl Member {
    /// Starts the worker's first OS thread: it makes the interpreter, imports the application, and serves.
    fn spawn(self, main: InterpreterHandle) -> Result<(), StartError> {
        let builder = thread::Builder::new().name(thread_name(self.id, 0)).stack_size(STACK_SIZE);
        let run = move || {
            if catch_unwind(AssertUnwindSafe(|| self.run(&main))).is_err() {
                self.fail(StartError::Panicked);
            }
        };
        builder.spawn(run).map(drop).map_err(StartError::Thread)
    }

    /// The pool may have given up by now; then nobody hears it.
    fn fail(&self, error: StartError) {
        self.states.set(self.id, WorkerState::Failed);
        let _ = self.started.send(Err(error));
    }

    fn run(&self, main: &InterpreterHandle) {
        let outcome = match self.settings.place {
            Place::OwnInterpreters(_) => {
                Interpreter::run(main, |py, interpreter| self.live(py, interpreter)).map(|(lived, _ending)| lived)
            }
            Place::MainInterpreter => main.run(|py| self.live(py, main)),
        };
        if let Err(error) = outcome.map_err(StartError::Interpreter).flatten() {
            self.fail(error);
        }
    }

    fn live(&self, py: Python<'_>, interpreter: &InterpreterHandle) -> Result<(), StartError> {
        self.states.set(self.id, WorkerState::Loading);
        let worker = self.settings.worker(self.id);
        let report = worker.load(py)?;
        let jobs = (0..self.settings.threads.get()).map(|_| Box::new(self.queue.consumer(self.id)) as Box<dyn Jobs>);
        worker.serve(py, interpreter, jobs.collect(), |state| {
            self.states.set(self.id, state);
            if state == WorkerState::Ready {
                let _ = self.started.send(Ok(report.clone()));
            }
        })
    }
}
