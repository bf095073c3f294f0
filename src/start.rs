//! What `serve` and `check` have in common: from the checked configuration to a running application.

use std::{env, path::Path, sync::Arc};

use anyhow::Context;
use stack_bridge::{Queue, WorkerId};
use stack_config::{AppSource, AppSpec, Config};
use stack_interp::{ExtensionRefusal, Runtime, RuntimeSettings, Venv, Version};
use stack_process::{ProcessPool, ProcessSettings};
use stack_wsgi::{Place, Pool, PoolSettings, WhenRefused, discover};

use crate::{cli::WORKER, isolation::Mode, worker_spec::WorkerSpec, workers::shape};

/// Everything that is known about the application before Python starts.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) app: AppSpec,
    /// The file that led to the application, where the user named none.
    pub(crate) because_of: Option<String>,
    pub(crate) venv: Option<Venv>,
    /// Variables for the application, beyond those of the process.
    pub(crate) env: Vec<(String, String)>,
}

impl Plan {
    /// Finds the application and its virtual environment, and goes to its directory.
    pub(crate) fn make(config: &Config) -> anyhow::Result<Self> {
        let directory = &config.chdir;
        env::set_current_dir(directory).with_context(|| format!("no way into {} (chdir)", directory.display()))?;
        let mut env = config.env.clone();
        let (app, because_of) = match &config.app {
            AppSource::Named(app) => (app.clone(), None),
            AppSource::Search => {
                let settings = |name: &str| env.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
                let settings = env::var("DJANGO_SETTINGS_MODULE").ok().or_else(|| settings("DJANGO_SETTINGS_MODULE"));
                let found = discover(directory, settings)?;
                env.extend(found.env);
                (found.app, Some(found.because_of.display().to_string()))
            }
        };
        let venv = Venv::find(config.venv.as_deref(), env::var_os("VIRTUAL_ENV"), directory, Version::linked())?;
        Ok(Self { app, because_of, venv, env })
    }

    /// Starts Python. Once in the life of the process.
    pub(crate) fn start_python(&self) -> anyhow::Result<Runtime> {
        Ok(Runtime::start(&RuntimeSettings { venv: self.venv.clone() })?)
    }

    /// Starts the workers of this process and waits until each has imported the application.
    pub(crate) fn start_pool(
        &self,
        config: &Config,
        place: Place,
        runtime: &Runtime,
        queue: Queue,
        when_refused: Option<Arc<dyn WhenRefused>>,
    ) -> anyhow::Result<Pool> {
        let mode = if place == Place::MainInterpreter { Mode::Threads } else { Mode::Interpreters };
        let settings = PoolSettings {
            app: self.app.clone(),
            directory: path_text(&config.chdir)?,
            env: self.env.clone(),
            place,
            threads: shape(config, mode).1,
            when_refused,
            find_directories: config.files.django,
        };
        let pool = Pool::start(runtime.main(), settings, queue);
        pool.with_context(|| format!("the application {} can not be served", spelled(&self.app)))
    }

    /// Starts worker processes, numbered from `first`, and waits until each has imported the application.
    pub(crate) async fn start_processes(
        &self,
        config: &Config,
        first: WorkerId,
        queue: Queue,
    ) -> anyhow::Result<ProcessPool> {
        let spec = WorkerSpec {
            app: self.app.clone(),
            directory: path_text(&config.chdir)?,
            env: self.env.clone(),
            venv: self.venv.as_ref().map(|venv| venv.path.clone()),
            multiprocess: config.workers.get() > 1,
            find_directories: config.files.django,
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
            workers: config.workers,
            threads: config.threads,
            first,
            arguments: vec![WORKER.into()],
            spec: serde_json::to_string(&spec).context("the configuration can not be passed on")?,
            preload: config.preload,
        };
        Ok(ProcessPool::start(settings, queue).await?)
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
