//! The pool: all workers of one generation, from the import of the application to its end.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Condvar, Mutex, PoisonError, mpsc},
    time::{Duration, Instant},
};

use stack_bridge::{Queue, WorkerId};
use stack_config::AppSpec;
use stack_interp::{CreateError, InterpreterHandle};

use crate::{
    application::LoadError,
    worker::{Worker, WorkerReport, WorkerState},
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
    /// Interpreters.
    pub workers: NonZeroUsize,
    /// Threads of each.
    pub threads: NonZeroUsize,
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
pub(crate) struct States(Arc<(Mutex<Vec<WorkerState>>, Condvar)>);

impl States {
    fn new(workers: usize) -> Self {
        Self(Arc::new((Mutex::new(vec![WorkerState::Starting; workers]), Condvar::new())))
    }

    /// The one place where a worker's state changes.
    pub(crate) fn set(&self, worker: WorkerId, state: WorkerState) {
        let before = std::mem::replace(
            &mut self.0.0.lock().unwrap_or_else(PoisonError::into_inner)[usize::from(worker.0)],
            state,
        );
        tracing::debug!(worker = worker.0, from = ?before, to = ?state, "worker state");
        self.0.1.notify_all();
    }

    fn all(&self) -> Vec<WorkerState> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until `reached` is true of all states, or until the deadline.
    fn wait(&self, deadline: Instant, reached: impl Fn(WorkerState) -> bool) -> Vec<WorkerState> {
        let mut states = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        while !states.iter().all(|state| reached(*state)) {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else { break };
            states = self.0.1.wait_timeout(states, left).unwrap_or_else(PoisonError::into_inner).0;
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

impl Pool {
    /// Starts all workers and waits until each has loaded the application. The first that can not ends the start.
    pub fn start(main: &InterpreterHandle, settings: PoolSettings, queue: Queue) -> Result<Self, StartError> {
        let workers = settings.workers.get();
        let (settings, states) = (Arc::new(settings), States::new(workers));
        let (started, reports) = mpsc::channel();
        for number in 0..workers {
            let id = WorkerId(u16::try_from(number).unwrap_or(u16::MAX));
            let worker = Worker {
                id,
                settings: Arc::clone(&settings),
                queue: queue.clone(),
                states: states.clone(),
                started: started.clone(),
            };
            worker.spawn(main.clone()).inspect_err(|_| queue.close())?;
        }
        drop(started);
        // Workers that did come up end with the queue, their atexit handlers run.
        let reports = reports.iter().take(workers).collect::<Result<_, _>>().inspect_err(|_| queue.close())?;
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

    /// Closes the queue, lets the workers finish what they have, and runs each application's end; all within `timeout`.
    pub fn stop(self, timeout: Duration) -> Stopped {
        self.queue.close();
        let ended = |state| matches!(state, WorkerState::Ended | WorkerState::Failed);
        let states = self.states.wait(Instant::now() + timeout, ended);
        Stopped { stuck: states.into_iter().filter(|state| !ended(*state)).count() }
    }
}
