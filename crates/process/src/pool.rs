//! The pool of worker processes: one task watches each, and fills its place again when it dies.

mod back_off;
mod exit;
mod life;
mod process;
mod recycling;
mod settle;
mod template;
mod worker;

use std::{ffi::OsString, fmt, io, num::NonZeroUsize, sync::Arc, time::Duration};

use stack_bridge::{Queue, WorkerId, WorkerState};
use tokio::sync::{Semaphore, mpsc, watch};

pub use self::{exit::Exit, recycling::Recycling};
use self::{template::Templates, worker::Worker};

/// What a pool is started with.
#[derive(Clone, Debug)]
pub struct ProcessSettings {
    /// Processes.
    pub workers: NonZeroUsize,
    /// Threads of each.
    pub threads: NonZeroUsize,
    /// The number of the first worker; the others follow.
    pub first: WorkerId,
    /// How this program becomes a worker process.
    pub program: Program,
    /// What a worker is to run; it is passed on as it is.
    pub spec: String,
    /// Whether it is loaded once, in a process that workers are forked from.
    pub preload: bool,
    /// When a worker is replaced that could go on.
    pub recycling: Recycling,
    /// Who hears what workers have to tell beyond their own life.
    pub when_told: Option<Arc<dyn WhenTold>>,
}

/// Hears what workers tell ([`Control::tell`](crate::worker::Control::tell)).
pub trait WhenTold: fmt::Debug + Send + Sync {
    /// One of them has told this. Not to be slow: the worker's other messages wait.
    fn told(&self, text: &str);
}

/// How this program is started again.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// All its variables: those of this process may be an application's by now.
    pub environment: Arc<[(OsString, OsString)]>,
}

/// Why a pool did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The worker says why.
    #[error("{0}")]
    Failed(String),
    /// It ended before it was ready.
    #[error("a worker process ended while it imported the application: {exit}{}", below(.last_words.as_ref()))]
    Died {
        /// How.
        exit: Exit,
        /// Its Python stack, where there is one.
        last_words: Option<String>,
    },
    /// It, or the one it is forked from, closed its control connection.
    #[error("a worker process closed its connection to the server")]
    Gone,
    /// It was started again and is not ready after this time.
    #[error("a worker process was not ready after {} s", .0.as_secs())]
    TooLong(Duration),
    /// The system refused something.
    #[error("a worker process could not be started")]
    Io(#[from] io::Error),
}

fn below(text: Option<&String>) -> String {
    text.map(|text| format!("\n{text}")).unwrap_or_default()
}

/// How a pool ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Workers that were not done in time, and were killed.
    pub stuck: usize,
}

/// The worker processes.
#[derive(Debug)]
pub struct ProcessPool {
    queue: Queue,
    places: Vec<Place>,
    reports: Vec<String>,
    stopping: watch::Sender<bool>,
}

#[derive(Debug)]
struct Place {
    state: watch::Receiver<WorkerState>,
    task: tokio::task::AbortHandle,
}

impl Drop for Place {
    /// With the task goes its process.
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ProcessPool {
    /// Starts all workers and waits until each has loaded the application. The first that can not ends the start, and the
    /// others with it.
    pub async fn start(settings: ProcessSettings, queue: Queue) -> Result<Self, StartError> {
        let templates = settings.preload.then(|| Templates::new(settings.program.clone(), settings.spec.clone()));
        let (settings, templates) = (Arc::new(settings), templates.map(Arc::new));
        let (stopping, is_stopping) = watch::channel(false);
        let (started, mut reports) = mpsc::channel(settings.workers.get());
        let (mut places, turns) = (Vec::new(), Arc::new(Semaphore::new(1)));
        for number in 0..settings.workers.get() {
            let id = WorkerId(settings.first.0.saturating_add(u16::try_from(number).unwrap_or(u16::MAX)));
            let (state, watched) = watch::channel(WorkerState::Starting);
            let worker = Worker {
                id,
                settings: Arc::clone(&settings),
                templates: templates.clone(),
                queue: queue.clone(),
                state,
                stopping: is_stopping.clone(),
                turns: Arc::clone(&turns),
            };
            let task = tokio::spawn(worker.live(started.clone())).abort_handle();
            places.push(Place { state: watched, task });
        }
        drop(started);
        let mut pool = Self { queue, places, reports: Vec::new(), stopping };
        while let Some(report) = reports.recv().await {
            pool.reports.push(report?);
        }
        Ok(pool)
    }

    /// What each worker told when it was ready.
    pub fn reports(&self) -> &[String] {
        &self.reports
    }

    /// What each worker is doing.
    pub fn states(&self) -> Vec<WorkerState> {
        self.places.iter().map(|place| *place.state.borrow()).collect()
    }

    /// Closes the queue and lets the workers finish what they have, and their applications' end; what is not over after
    /// `timeout` is killed.
    pub async fn stop(mut self, timeout: Duration) -> Stopped {
        self.queue.close();
        self.stopping.send_replace(true);
        let ended = async {
            for place in &mut self.places {
                // A task that is gone has no state to wait for.
                let _ = place.state.wait_for(|state| state.is_final()).await;
            }
        };
        // Those that are not over are counted.
        let _ = tokio::time::timeout(timeout, ended).await;
        Stopped { stuck: self.states().into_iter().filter(|state| !state.is_final()).count() }
    }
}
