//! What a worker process is told: the part of the configuration that it needs, as the server resolved it.

use std::path::PathBuf;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use stack_config::{AppSpec, LogFormat, LogLevel};
use stack_wsgi::{ModuleFile, ProjectDirectory, WatchSettings};

/// Crosses as JSON: both ends are the same program.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct WorkerSpec {
    pub(crate) app: AppSpec,
    /// The directory that goes first on `sys.path`.
    pub(crate) directory: String,
    /// Variables for the application's `os.environ`.
    pub(crate) env: Vec<(String, String)>,
    /// The virtual environment's folder.
    pub(crate) venv: Option<PathBuf>,
    /// Whether there are other workers.
    pub(crate) multiprocess: bool,
    /// Whether it tells the directories of a Django project.
    pub(crate) find_directories: bool,
    /// Whether it tells of modules that the application imports.
    pub(crate) tell_imports: bool,
    /// When its requests are told of and interrupted.
    pub(crate) watch: WatchSettings,
    pub(crate) log_level: LogLevel,
    pub(crate) log_format: LogFormat,
    /// Blocks of more bytes go through a file.
    pub(crate) largest_block: usize,
    /// Where such files are made.
    pub(crate) temp_dir: PathBuf,
}

impl WorkerSpec {
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        serde_json::from_str(text).context("a worker's specification can not be read")
    }
}

/// What a worker process tells when it is ready.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ProcessReport {
    /// How long the import of the application took.
    pub(crate) load_ms: u64,
    /// The running Python.
    pub(crate) python: String,
    /// The directories of a Django project.
    pub(crate) directories: Vec<ProjectDirectory>,
    /// What was imported, where it was asked for.
    pub(crate) modules: Vec<ModuleFile>,
}
