//! The pool of workers in this process: all of one generation, from the import of the application to its end.

mod cohort;
mod keeper;
mod lives;
mod member;
mod permission;

use std::{
    ffi::OsString,
    num::NonZeroUsize,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use stack_bridge::{Queue, WorkerId, WorkerState};
use stack_config::{AppSpec, Isolation, Recycling};
use stack_interp::{CreateError, InterpreterHandle};

use self::{
    cohort::Cohort,
    keeper::{Keeper, Wish},
    lives::Lives,
    member::{Common, Started},
};
pub use self::{
    keeper::{WhenWorn, Worn},
    permission::{Decision, Permission},
};

use crate::{
    application::LoadError,
    gateway::WhenRefused,
    imported::WhenImported,
    watch::{Watch, WatchSettings},
    worker::{Worker, WorkerReport, WorkerSettings},
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
    /// Who is told of modules that the application imports.
    pub when_imported: Option<Arc<dyn WhenImported>>,
    /// When requests are told of and interrupted.
    pub watch: WatchSettings,
    /// When a worker is replaced by a new one.
    pub recycling: Recycling,
    /// What the workers wait for before they import the application; `None`: nothing. Their interpreters are made meanwhile.
    /// Their successors find it given.
    pub permission: Option<Permission>,
    /// Whether the pool is there with its first worker: [`Pool::take_rest`] tells of the others.
    pub opens_early: bool,
}

/// Where the workers of this process run the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// As many workers, each in an interpreter with a GIL of its own.
    OwnInterpreters(NonZeroUsize),
    /// One worker, in the main interpreter.
    MainInterpreter,
}

impl Place {
    fn isolation(self) -> Isolation {
        match self {
            Self::OwnInterpreters(_) => Isolation::Interpreters,
            Self::MainInterpreter => Isolation::Threads,
        }
    }
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
            isolation: self.place.isolation(),
            multiprocess: self.workers() > 1,
            when_refused: self.when_refused.clone(),
            all_threads: false,
            find_directories: self.find_directories,
            when_imported: self.when_imported.clone(),
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
    /// The workers were begun early, and are not wanted.
    #[error("the workers are not wanted")]
    NotWanted,
    /// The import is slow, or waits for what another worker has.
    #[error("the application was not loaded within {} s in a further interpreter", .0.as_secs())]
    TooLong(Duration),
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

/// The workers.
#[derive(Debug)]
pub struct Pool {
    common: Common,
    reports: Vec<WorkerReport>,
    rest: Option<Rest>,
}

/// The workers of a pool that its start did not wait for.
#[derive(Debug)]
pub struct Rest {
    started: mpsc::Receiver<Started>,
    workers: usize,
}

impl Rest {
    /// Waits until each of them has loaded the application, for which it may take so long after the one before. The first that can
    /// not is an error; the others are left as they are.
    pub fn wait(self, most: Duration) -> Result<(), StartError> {
        (0..self.workers).try_for_each(|_| match self.started.recv_timeout(most) {
            Ok(started) => started.map(drop),
            Err(mpsc::RecvTimeoutError::Timeout) => Err(StartError::TooLong(most)),
            // They have ended before they began.
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(StartError::NotWanted),
        })
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let _ = self.common.wishes.send(Wish::Over);
    }
}

impl Pool {
    /// Starts all workers and waits until each has loaded the application, or the first, if that is enough. One that can not
    /// ends the start.
    pub fn start(
        main: &InterpreterHandle,
        settings: PoolSettings,
        queue: Queue,
        when_worn: Option<Arc<dyn WhenWorn>>,
    ) -> Result<Self, StartError> {
        let (workers, first) = (settings.workers(), settings.first.0);
        let awaited = if settings.opens_early { 1 } else { workers };
        let watch = Watch::start(settings.watch).map_err(StartError::Thread)?;
        let (wishes, wished) = mpsc::channel();
        let (settings, main, lives) = (Arc::new(settings), main.clone(), Lives::default());
        let common = Common { settings, main, queue, watch, lives, wishes };
        let (started, reports) = mpsc::channel();
        let cohort = Cohort::default();
        let newcomers: Vec<_> = (0..workers).map(|_| common.settings.opens_early.then(|| cohort.newcomer())).collect();
        let start_all = || {
            for (number, newcomer) in newcomers.into_iter().enumerate() {
                let id = first.saturating_add(u16::try_from(number).unwrap_or(u16::MAX));
                common.start(WorkerId(id), started.clone(), newcomer)?;
            }
            reports.iter().take(awaited).collect::<Result<Vec<_>, StartError>>()
        };
        let give_up = || {
            // Workers that did come up are done, their atexit handlers run; others need not begin.
            common.lives.retire_all();
            common.settings.permission.iter().for_each(Permission::withdraw);
        };
        let loaded = start_all().inspect_err(|_| give_up())?;
        Keeper::spawn(common.clone(), when_worn, wished).inspect_err(|_| give_up())?;
        let rest = (awaited < workers).then(|| Rest { started: reports, workers: workers - awaited });
        Ok(Self { common, reports: loaded, rest })
    }

    /// The workers that the start did not wait for, if there are any; once.
    pub fn take_rest(&mut self) -> Option<Rest> {
        self.rest.take()
    }

    /// What each worker that was waited for told when it was ready.
    pub fn reports(&self) -> &[WorkerReport] {
        &self.reports
    }

    /// What each worker is doing; of those that are being replaced the old one first.
    pub fn states(&self) -> Vec<WorkerState> {
        self.common.lives.states()
    }

    /// Waits until `reached` is true of all states together, or for as long as `timeout`; gives the states.
    pub fn wait_for_states(
        &self,
        timeout: Duration,
        reached: impl Fn(&[WorkerState]) -> bool,
    ) -> Result<Vec<WorkerState>, Vec<WorkerState>> {
        self.common.lives.wait_for(Instant::now() + timeout, reached)
    }

    /// The workers' numbers.
    pub fn workers(&self) -> Vec<WorkerId> {
        self.common.lives.workers()
    }

    /// Closes the queue, lets the workers finish what they have, and runs each application's end; all within `timeout`. Those
    /// that were left to themselves, or have not loaded the application yet, are not waited for.
    pub fn stop(self, timeout: Duration) -> Stopped {
        self.common.queue.close();
        let _ = self.common.wishes.send(Wish::Over);
        let has_nothing =
            |state| matches!(state, WorkerState::Abandoned | WorkerState::Starting | WorkerState::Loading);
        let is_over = |state: &WorkerState| state.is_final() || has_nothing(*state);
        let all_over = |states: &[WorkerState]| states.iter().all(is_over);
        let (Ok(states) | Err(states)) = self.common.lives.wait_for(Instant::now() + timeout, all_over);
        Stopped { stuck: states.iter().filter(|state| !is_over(state)).count() }
    }
}
