//! What `serve` and `check` have in common: from the checked configuration to a running application.

mod sharing;

use std::{
    env,
    num::NonZeroU64,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context;
use stack_bridge::{Queue, WorkerId};
use stack_config::{AppSource, AppSpec, Application, Config, Isolation, Recycling, Served};
use stack_interp::{ExtensionRefusal, InterpreterHandle, Runtime, RuntimeError, RuntimeSettings, Venv, Version};
use stack_process::{ProcessPool, ProcessSettings, Program};
use stack_wsgi::{Permission, Place, Pool, PoolSettings, WatchSettings, WhenRefused, WhenWorn, discover};

use crate::{cli::WORKER, environment, isolation::Mode, reloading::Reloading, worker_spec::WorkerSpec, workers::shape};

pub(crate) use sharing::Apart;

/// Everything that is known about an application before Python starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// How it runs.
    pub(crate) settings: Application,
    pub(crate) app: AppSpec,
    /// The file that led to the application, where the user named none.
    pub(crate) because_of: Option<String>,
    pub(crate) venv: Option<Venv>,
    /// Variables for the application, beyond those of the process.
    pub(crate) env: Vec<(String, String)>,
    /// The sites and paths that it is served at.
    pub(crate) at: String,
    /// The number of its first worker: no two applications have workers of one number.
    pub(crate) first: WorkerId,
    /// The mode in which it ran a moment ago, when it was another version of itself: to try that again would take as long as the
    /// import.
    pub(crate) known: Option<Mode>,
    /// Why it can not run in this process.
    pub(crate) apart: Option<Apart>,
    /// Whether there is no other application.
    pub(crate) is_alone: bool,
    /// Whether it tells the directories of a Django project.
    pub(crate) find_directories: bool,
    /// When its requests are told of and interrupted.
    pub(crate) watch: WatchSettings,
    /// When its workers are replaced.
    pub(crate) recycling: Recycling,
}

/// Python in this process, for all applications that run here. It is started with the first, and only once, also where
/// that fails.
#[derive(Clone, Default)]
pub(crate) struct SharedPython(Arc<Mutex<Option<StartedPython>>>);

type StartedPython = Result<Runtime, Arc<RuntimeError>>;

impl SharedPython {
    /// The main interpreter, and Python's full version. It blocks until they are there.
    pub(crate) fn start(&self, venv: Option<&Venv>) -> anyhow::Result<(InterpreterHandle, String)> {
        let mut started = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let start = || Runtime::start(&RuntimeSettings { venv: venv.cloned() }).map_err(Arc::new);
        let runtime = started.get_or_insert_with(start).as_ref().map_err(Arc::clone)?;
        Ok((runtime.main().clone(), runtime.full_version()))
    }
}

/// Who wants to hear of an application's life.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listening {
    /// Replaces this process, where its interpreters can not be.
    pub(crate) when_worn: Option<Arc<dyn WhenWorn>>,
    /// Follows its files.
    pub(crate) reloading: Option<Reloading>,
    /// Nobody else serves meanwhile.
    pub(crate) is_first: bool,
}

impl Plan {
    /// Finds all applications and their virtual environments, in the order of the layout, and goes to the directory that the
    /// server's process has.
    pub(crate) fn all(config: &Config) -> anyhow::Result<Vec<Self>> {
        let served = config.layout().applications;
        let is_alone = served.len() == 1;
        let mut plans = Vec::with_capacity(served.len());
        let mut first = 0_usize;
        for served in served {
            let at = served.at.join(", ");
            let number =
                u16::try_from(first).with_context(|| format!("site {at}: there are too many workers in all"))?;
            let made = Self::make(served, WorkerId(number), is_alone, config);
            let plan = if is_alone { made } else { made.with_context(|| format!("site {at}")) }?;
            // Interpreters, and the processes that may take their place.
            first += 2 * plan.settings.workers.get();
            plans.push(Self { find_directories: config.files.django, ..plan });
        }
        let host = sharing::settle(&mut plans).unwrap_or(0);
        let directory = plans.get(host).map_or(&config.chdir, |plan| &plan.settings.chdir);
        env::set_current_dir(directory).with_context(|| format!("no way into {} (chdir)", directory.display()))?;
        Ok(plans)
    }

    fn make(served: Served, first: WorkerId, is_alone: bool, config: &Config) -> anyhow::Result<Self> {
        let Served { application: settings, at } = served;
        let directory = &settings.chdir;
        let mut env = settings.env.clone();
        let (app, because_of) = match &settings.app {
            AppSource::Named(app) => (app.clone(), None),
            AppSource::Search | AppSource::None => {
                let settings = |name: &str| env.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
                let settings = env::var("DJANGO_SETTINGS_MODULE").ok().or_else(|| settings("DJANGO_SETTINGS_MODULE"));
                let found = discover(directory, settings)?;
                env.extend(found.env);
                (found.app, Some(found.because_of.display().to_string()))
            }
        };
        let venv = Venv::find(settings.venv.as_deref(), env::var_os("VIRTUAL_ENV"), directory, Version::linked())?;
        let at = at.join(", ");
        let timeouts = &config.timeouts;
        let watch = WatchSettings {
            kill: timeouts.kill,
            pause: timeouts.request,
            slow: timeouts.slow_request,
            interrupt_on_disconnect: timeouts.interrupt_on_disconnect,
        };
        let (known, apart, find_directories, recycling) = (None, None, false, config.recycling.clone());
        Ok(Self {
            settings,
            app,
            because_of,
            venv,
            env,
            at,
            first,
            known,
            apart,
            is_alone,
            find_directories,
            watch,
            recycling,
        })
    }

    /// Starts the workers of this process and waits until each has imported the application, or the first, where nobody else
    /// serves and the application has another place to go if the others can not. They wait for the permission, if there is
    /// to be one. Gives Python's version, too.
    pub(crate) fn start_pool(
        &self,
        place: Place,
        python: &SharedPython,
        queue: Queue,
        when_refused: Option<Arc<dyn WhenRefused>>,
        listening: Listening,
        permission: Option<Permission>,
    ) -> anyhow::Result<(Pool, String)> {
        let mode = if place == Place::MainInterpreter { Mode::Threads } else { Mode::Interpreters };
        let settings = PoolSettings {
            app: self.app.clone(),
            directory: path_text(&self.settings.chdir)?,
            env: self.env.clone(),
            fresh_env: (!self.is_alone).then(|| Arc::clone(environment::at_start())),
            place,
            first: self.first,
            threads: shape(&self.settings, mode).1,
            when_refused,
            find_directories: self.find_directories,
            when_imported: listening.reloading.clone().map(|reloading| Arc::new(reloading) as Arc<_>),
            watch: self.watch,
            recycling: self.recycling.clone(),
            permission,
            opens_early: self.opens_early(&listening),
        };
        let (main, version) = python.start(self.venv.as_ref())?;
        let pool =
            Pool::start(&main, settings, queue, listening.when_worn).with_context(|| self.can_not_be_served())?;
        Ok((pool, version))
    }

    /// Whether it is served with its first worker. Other applications of this process must not see its variables change
    /// (`fresh_env`) while they serve, and where its files are followed all workers are to have the same.
    fn opens_early(&self, listening: &Listening) -> bool {
        let is_auto = self.settings.isolation == Isolation::Auto;
        listening.is_first && listening.reloading.is_none() && self.is_alone && is_auto
    }

    /// Starts worker processes, numbered from `first`, and waits until each has imported the application.
    pub(crate) async fn start_processes(
        &self,
        config: &Config,
        first: WorkerId,
        queue: Queue,
        reloading: Option<&Reloading>,
    ) -> anyhow::Result<ProcessPool> {
        let application = &self.settings;
        let spec = WorkerSpec {
            app: self.app.clone(),
            directory: path_text(&application.chdir)?,
            env: self.env.clone(),
            venv: self.venv.as_ref().map(|venv| venv.path.clone()),
            multiprocess: application.workers.get() > 1,
            find_directories: self.find_directories,
            tell_imports: reloading.is_some(),
            watch: self.watch,
            log_level: config.log.level,
            log_format: config.log.format,
            // With no disk for responses every block goes through the socket, and waits there.
            largest_block: match config.limits.max_response_spill {
                0 => usize::MAX,
                _ => config.limits.response_buffer_size,
            },
            temp_dir: config.limits.temp_dir.clone(),
        };
        let settings = ProcessSettings {
            workers: application.workers,
            threads: application.threads,
            first,
            program: Program { arguments: vec![WORKER.into()], environment: Arc::clone(environment::at_start()) },
            spec: serde_json::to_string(&spec).context("the configuration can not be passed on")?,
            preload: application.preload,
            recycling: stack_process::Recycling {
                requests: self.recycling.max_requests.map(NonZeroU64::get),
                jitter: self.recycling.jitter,
                memory: self.recycling.max_memory.map(NonZeroU64::get),
                lifetime: self.recycling.max_lifetime,
            },
            when_told: reloading.cloned().map(|reloading| Arc::new(reloading) as Arc<_>),
        };
        let started = ProcessPool::start(settings, queue).await;
        // The worker says which application; which site that is it does not know.
        if self.is_alone { Ok(started?) } else { started.with_context(|| format!("site {}", self.at)) }
    }

    /// What stands above the reason: the application, and its site where there are others.
    pub(crate) fn can_not_be_served(&self) -> String {
        let place = if self.is_alone { String::new() } else { format!(" at {}", self.at) };
        format!("the application {} can not be served{place}", spelled(&self.app))
    }

    /// The environment's folder, or that there is none.
    pub(crate) fn venv_text(&self) -> String {
        self.venv.as_ref().map_or_else(|| "none".into(), |venv| venv.path.display().to_string())
    }
}

/// As the user would write it.
pub(crate) fn spelled(app: &AppSpec) -> String {
    let Some(callable) = &app.callable else { return app.module.clone() };
    format!("{}:{}{}", app.module, callable.path, if callable.factory { "()" } else { "" })
}

/// Refuses to fork from an application whose import left these threads behind.
pub(crate) fn can_be_preloaded(app: &AppSpec, threads: &[String]) -> anyhow::Result<()> {
    anyhow::ensure!(
        threads.is_empty(),
        "the application {} can not be preloaded: importing it starts threads ({}), and a process with threads can not be \
         forked safely; have it start them with the first request, or serve it without preload (numpy starts none with \
         OPENBLAS_NUM_THREADS=1 in the environment)",
        spelled(app),
        threads.join(", ")
    );
    Ok(())
}

/// One line about the extension modules that run without their accelerator, and one about those that are left out.
pub(crate) fn report_refusals(pool: &Pool) {
    let Some(report) = pool.reports().first() else { return };
    let named = |with_twin: bool| {
        let wanted = |refusal: &&ExtensionRefusal| refusal.twin.is_some() == with_twin;
        let modules: Vec<_> = report.refusals.iter().filter(wanted).map(|refusal| refusal.module.as_str()).collect();
        modules.join(", ")
    };
    let (replaced, left_out) = (named(true), named(false));
    if !replaced.is_empty() {
        tracing::info!(modules = replaced, "extension modules without support for interpreters run as pure Python");
    }
    if !left_out.is_empty() {
        tracing::info!(modules = left_out, "extension modules without support for interpreters count as not installed");
    }
}

pub(crate) fn path_text(path: &Path) -> anyhow::Result<String> {
    path.to_str().map(str::to_owned).with_context(|| format!("{} is not UTF-8, and sys.path is text", path.display()))
}
