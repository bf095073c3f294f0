//! The workers, wherever they run.

use std::{num::NonZeroUsize, sync::Arc, thread, time::Duration};

use anyhow::Context;
use stack_bridge::{Queue, WorkerId};
use stack_config::{Config, Isolation};
use stack_interp::Version;
use stack_process::ProcessPool;
use stack_wsgi::{Place, Pool, ProjectDirectory};
use tokio::{sync::Mutex, task::AbortHandle};

use crate::{
    isolation::{self, Choice, Mode, Why},
    relocation::{Policy, Relocation},
    start::Plan,
    worker_spec::ProcessReport,
};

/// The consumers of the job queue.
pub(crate) struct Workers {
    /// Why they run where they do.
    pub(crate) choice: Choice,
    /// The full version of the Python that they run.
    pub(crate) python: String,
    /// The directories of a Django project.
    pub(crate) directories: Vec<ProjectDirectory>,
    /// Those in this process.
    pub(crate) here: Option<Pool>,
    /// Those in processes of their own. Under `auto` they may come later, in the place of those here.
    processes: Arc<Mutex<Option<ProcessPool>>>,
    /// Waits for a reason to move there, and moves.
    moving: Option<AbortHandle>,
}

impl Workers {
    /// Decides where the application runs, and starts it there.
    pub(crate) async fn start(config: &Config, plan: &Plan, queue: &Queue) -> anyhow::Result<Self> {
        let (for_choice, plan_for_choice) = (config.clone(), plan.clone());
        let deciding = tokio::task::spawn_blocking(move || isolation::decide(&for_choice, &plan_for_choice));
        let choice = deciding.await.context("the choice of the isolation ended")??;
        match choice.mode {
            Mode::Processes => Self::start_processes(choice, WorkerId(0), config, plan, queue).await,
            Mode::Threads => Self::start_here(choice, config, plan, queue, None).await,
            Mode::Interpreters => {
                let policy = if config.isolation == Isolation::Auto { Policy::Move } else { Policy::Explain };
                let relocation = Relocation::new(policy, queue.clone());
                let watch = Some(Arc::clone(&relocation));
                let mut workers = match Self::start_here(choice, config, plan, queue, watch).await {
                    Ok(workers) => workers,
                    // What one interpreter loads may still refuse a second one.
                    Err(error) if policy == Policy::Move => {
                        // The first line says what; a traceback has no place in a sentence.
                        let problem = format!("{error:#}").lines().next().unwrap_or_default().to_owned();
                        let choice = Choice { mode: Mode::Processes, why: Some(Why::Failed(problem)) };
                        return Self::start_processes(choice, behind(config), config, plan, queue).await;
                    }
                    Err(error) => return Err(error),
                };
                relocation.all_loaded();
                if policy == Policy::Move {
                    let moving = workers.move_when_wanted(relocation, config.clone(), plan.clone(), queue.clone());
                    workers.moving = Some(tokio::spawn(moving).abort_handle());
                }
                Ok(workers)
            }
        }
    }

    async fn start_processes(
        choice: Choice,
        first: WorkerId,
        config: &Config,
        plan: &Plan,
        queue: &Queue,
    ) -> anyhow::Result<Self> {
        let pool = plan.start_processes(config, first, queue.clone()).await?;
        let report = pool.reports().first().and_then(|report| serde_json::from_str(report).ok());
        let (python, directories) =
            report.map(|report: ProcessReport| (report.python, report.directories)).unwrap_or_default();
        Ok(Self { choice, python, directories, here: None, processes: Arc::new(Mutex::new(Some(pool))), moving: None })
    }

    async fn start_here(
        choice: Choice,
        config: &Config,
        plan: &Plan,
        queue: &Queue,
        relocation: Option<Arc<Relocation>>,
    ) -> anyhow::Result<Self> {
        let place = match choice.mode {
            Mode::Threads => Place::MainInterpreter,
            Mode::Interpreters | Mode::Processes => Place::OwnInterpreters(config.workers),
        };
        let (config, plan, queue) = (config.clone(), plan.clone(), queue.clone());
        let starting = tokio::task::spawn_blocking(move || {
            let python = plan.start_python()?;
            let pool = plan.start_pool(&config, place, &python, queue, relocation.map(|watch| watch as Arc<_>))?;
            anyhow::Ok((pool, python.full_version()))
        });
        let (pool, python) = starting.await.context("the start ended")??;
        let directories = pool.reports().first().map(|report| report.directories.clone()).unwrap_or_default();
        Ok(Self { choice, python, directories, here: Some(pool), processes: Arc::default(), moving: None })
    }

    /// Waits for a request that shows that the application does not run in interpreters of their own, and then moves it.
    fn move_when_wanted(
        &self,
        relocation: Arc<Relocation>,
        config: Config,
        plan: Plan,
        queue: Queue,
    ) -> impl Future<Output = ()> + Send + 'static {
        let processes = Arc::clone(&self.processes);
        let retire: Vec<WorkerId> = self.here.as_ref().map(|pool| pool.workers().collect()).unwrap_or_default();
        async move {
            relocation.wanted().await;
            let mut processes = processes.lock().await;
            match plan.start_processes(&config, behind(&config), queue.clone()).await {
                Ok(pool) => {
                    *processes = Some(pool);
                    for worker in retire {
                        queue.retire(worker);
                    }
                    relocation.moved();
                    tracing::info!(
                        workers = config.workers,
                        "the application has moved to worker processes (isolation=processes)"
                    );
                }
                Err(error) => {
                    relocation.stays();
                    tracing::error!(
                        code = "STACK0319",
                        error = format!("{error:#}"),
                        "the application could not move to worker processes"
                    );
                }
            }
        }
    }

    /// Ends them; gives the number of those that were not done in time.
    pub(crate) async fn stop(self, timeout: Duration) -> anyhow::Result<usize> {
        if let Some(moving) = &self.moving {
            // Processes that are only being started end with the task.
            moving.abort();
        }
        let here = async {
            let Some(pool) = self.here else { return anyhow::Ok(0) };
            let ending = tokio::task::spawn_blocking(move || pool.stop(timeout));
            Ok(ending.await.context("the workers ended")?.stuck)
        };
        let processes = async {
            match self.processes.lock().await.take() {
                Some(pool) => pool.stop(timeout).await.stuck,
                None => 0,
            }
        };
        let (here, processes) = tokio::join!(here, processes);
        Ok(here? + processes)
    }
}

/// The number of the first worker process behind those of the interpreters, which may still be there.
fn behind(config: &Config) -> WorkerId {
    WorkerId(u16::try_from(config.workers.get()).unwrap_or(u16::MAX))
}

/// The number of workers and of their threads that an isolation comes to.
pub(crate) fn shape(config: &Config, mode: Mode) -> (NonZeroUsize, NonZeroUsize) {
    match mode {
        Mode::Interpreters | Mode::Processes => (config.workers, config.threads),
        // One interpreter, which without a GIL runs on all cores.
        Mode::Threads if Version::linked().is_free_threaded() && !config.threads_given => {
            let cpus = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
            (NonZeroUsize::MIN, config.threads.max(cpus))
        }
        Mode::Threads => (NonZeroUsize::MIN, config.threads),
    }
}
