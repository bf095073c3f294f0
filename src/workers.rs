//! The workers, wherever they run.

use std::{num::NonZeroUsize, sync::Arc, thread, time::Duration};

use anyhow::Context;
use stack_bridge::{Queue, WorkerId};
use stack_config::{Application, Config, Isolation};
use stack_interp::Version;
use stack_process::ProcessPool;
use stack_wsgi::{Permission, Place, Pool, ProjectDirectory, Rest, StartError, WhenImported as _, Worn};
use tokio::{sync::Mutex, task::AbortHandle};

use crate::{
    isolation::{self, Choice, Mode, Why, probe::TIME_LIMIT},
    relocation::{Policy, Relocation},
    start::{Listening, Plan, SharedPython, spelled},
    worker_spec::ProcessReport,
};

/// How long a further interpreter may take to load what a probe has loaded within its own limit.
const MOST: Duration = TIME_LIMIT.saturating_mul(2);

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
    /// Those that were not waited for.
    rest: Option<Rest>,
    /// Waits for them.
    following: Option<AbortHandle>,
}

impl Workers {
    /// Decides where the application runs, and starts it there.
    pub(crate) async fn start(
        config: &Config,
        plan: &Plan,
        queue: &Queue,
        python: &SharedPython,
        listening: Listening,
    ) -> anyhow::Result<Self> {
        let (for_choice, for_outlook) = (plan.clone(), plan.clone());
        let deciding = tokio::task::spawn_blocking(move || isolation::decide(&for_choice));
        let outlook = tokio::task::spawn_blocking(move || isolation::is_foreseen(&for_outlook));
        let decided = async { deciding.await.context("the choice of the isolation ended")? };
        let here =
            Here { plan: plan.clone(), queue: queue.clone(), python: python.clone(), listening: listening.clone() };
        let ahead = outlook.await.is_ok_and(|is_foreseen| is_foreseen).then(|| {
            let (decision, permission) = Permission::pending();
            (decision, tokio::spawn(here.clone().start_interpreters(Some(permission))))
        });
        // Any other choice leaves alone what was begun: it ends by itself, and is not waited for.
        let choice = decided.await?;
        if choice.mode != Mode::Processes && plan.recycling.max_memory.is_some() {
            let isolation = choice.mode.as_str();
            tracing::warn!(
                code = "STACK0344",
                isolation,
                "max_worker_memory has no effect: what one interpreter takes can not be told"
            );
        }
        match choice.mode {
            Mode::Processes => {
                drop(ahead);
                Self::start_processes(choice, plan.first, config, plan, queue, &listening).await
            }
            Mode::Threads => here.start(choice, None, None).await,
            Mode::Interpreters => {
                let (started, relocation) = match ahead {
                    Some((decision, starting)) => {
                        decision.give();
                        starting.await.context("the start ended")?
                    }
                    None => here.start_interpreters(None).await,
                };
                let policy = policy(plan);
                let mut workers = match started {
                    Ok(workers) => workers,
                    // What one interpreter loads may still refuse a second one.
                    Err(error) if policy == Policy::Move => {
                        let choice = Choice { mode: Mode::Processes, why: Some(Why::Failed(first_line(&error))) };
                        return Self::start_processes(choice, behind(plan), config, plan, queue, &listening).await;
                    }
                    Err(error) => return Err(error),
                };
                if policy == Policy::Move {
                    workers.follow_rest(Arc::clone(&relocation), spelled(&plan.app));
                    let application = (config.clone(), plan.clone());
                    let moving = workers.move_when_wanted(relocation, application, queue.clone(), listening);
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
        listening: &Listening,
    ) -> anyhow::Result<Self> {
        let pool = plan.start_processes(config, first, queue.clone(), listening.reloading.as_ref()).await?;
        let report = pool.reports().first().and_then(|report| serde_json::from_str(report).ok()).unwrap_or_default();
        let ProcessReport { load_ms: _, python, directories, modules } = report;
        if let Some(reloading) = &listening.reloading {
            reloading.imported(modules);
        }
        let processes = Arc::new(Mutex::new(Some(pool)));
        Ok(Self { choice, python, directories, here: None, processes, moving: None, rest: None, following: None })
    }

    /// Waits for the workers that the start did not wait for. Where one can not load the application, that moves.
    fn follow_rest(&mut self, relocation: Arc<Relocation>, app: String) {
        let Some(rest) = self.rest.take() else { return };
        let following = async move {
            match tokio::task::spawn_blocking(|| rest.wait(MOST)).await {
                Ok(Ok(())) => tracing::info!(app, "all workers have loaded the application"),
                // The server is ending.
                Ok(Err(StartError::NotWanted)) | Err(_) => {}
                Ok(Err(error)) => relocation.can_not_load(&app, &format!("{:#}", anyhow::Error::from(error))),
            }
        };
        self.following = Some(tokio::spawn(following).abort_handle());
    }

    /// The server is about to end: what workers that still load come to is of no interest.
    pub(crate) fn ends(&self) {
        if let Some(following) = &self.following {
            following.abort();
        }
    }

    /// Waits for a request that shows that the application does not run in interpreters of their own, and then moves it.
    fn move_when_wanted(
        &self,
        relocation: Arc<Relocation>,
        (config, plan): (Config, Plan),
        queue: Queue,
        listening: Listening,
    ) -> impl Future<Output = ()> + Send + 'static {
        let processes = Arc::clone(&self.processes);
        let retire: Vec<WorkerId> = self.here.as_ref().map(Pool::workers).unwrap_or_default();
        async move {
            relocation.wanted().await;
            let mut processes = processes.lock().await;
            match plan.start_processes(&config, behind(&plan), queue.clone(), listening.reloading.as_ref()).await {
                Ok(pool) => {
                    *processes = Some(pool);
                    for worker in retire {
                        queue.retire(worker);
                    }
                    relocation.moved();
                    tracing::info!(
                        app = spelled(&plan.app),
                        workers = plan.settings.workers,
                        "the application has moved to worker processes (isolation=processes)"
                    );
                }
                Err(error) => {
                    relocation.stays();
                    tracing::error!(
                        code = "STACK0319",
                        app = spelled(&plan.app),
                        error = format!("{error:#}"),
                        "the application could not move to worker processes"
                    );
                    if let Some(when_worn) = listening.when_worn.filter(|_| relocation.is_incomplete()) {
                        when_worn.replace_process(Worn::Incomplete);
                    }
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

/// What workers of this process are started with.
#[derive(Clone)]
struct Here {
    plan: Plan,
    queue: Queue,
    python: SharedPython,
    listening: Listening,
}

impl Here {
    /// Starts interpreters. With a permission they can be begun while a probe looks at the application: they import it once
    /// that has been given.
    async fn start_interpreters(self, permission: Option<Permission>) -> (anyhow::Result<Workers>, Arc<Relocation>) {
        let relocation = Relocation::new(policy(&self.plan), self.queue.clone());
        let choice = Choice { mode: Mode::Interpreters, why: None };
        (self.start(choice, Some(Arc::clone(&relocation)), permission).await, relocation)
    }

    async fn start(
        self,
        choice: Choice,
        relocation: Option<Arc<Relocation>>,
        permission: Option<Permission>,
    ) -> anyhow::Result<Workers> {
        let Self { plan, queue, python, listening } = self;
        let place = match choice.mode {
            Mode::Threads => Place::MainInterpreter,
            Mode::Interpreters | Mode::Processes => Place::OwnInterpreters(plan.settings.workers),
        };
        let starting = tokio::task::spawn_blocking(move || {
            let when_refused = relocation.map(|watch| watch as Arc<_>);
            plan.start_pool(place, &python, queue, when_refused, listening, permission)
        });
        let (mut pool, python) = starting.await.context("the start ended")??;
        let rest = pool.take_rest();
        let directories = pool.reports().first().map(|report| report.directories.clone()).unwrap_or_default();
        Ok(Workers {
            choice,
            python,
            directories,
            here: Some(pool),
            processes: Arc::default(),
            moving: None,
            rest,
            following: None,
        })
    }
}

/// What says what: a traceback has no place in a sentence.
fn first_line(error: &anyhow::Error) -> String {
    format!("{error:#}").lines().next().unwrap_or_default().to_owned()
}

/// What is done about an application that proves not to run in interpreters.
fn policy(plan: &Plan) -> Policy {
    if plan.settings.isolation == Isolation::Auto { Policy::Move } else { Policy::Explain }
}

/// The number of the first worker process behind those of the interpreters, which may still be there.
fn behind(plan: &Plan) -> WorkerId {
    let workers = u16::try_from(plan.settings.workers.get()).unwrap_or(u16::MAX);
    WorkerId(plan.first.0.saturating_add(workers))
}

/// The number of workers and of their threads that an isolation comes to.
pub(crate) fn shape(settings: &Application, mode: Mode) -> (NonZeroUsize, NonZeroUsize) {
    match mode {
        Mode::Interpreters | Mode::Processes => (settings.workers, settings.threads),
        // One interpreter, which without a GIL runs on all cores.
        Mode::Threads if Version::linked().is_free_threaded() && !settings.threads_given => {
            let cpus = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
            (NonZeroUsize::MIN, settings.threads.max(cpus))
        }
        Mode::Threads => (NonZeroUsize::MIN, settings.threads),
    }
}
