//! The findings. What is public by `--json` is here: names of fields stay, new ones may come.

use std::path::PathBuf;

use serde::Serialize;
use stack_interp::Version;

use super::{Advice, ExtensionReport};
use crate::isolation::{
    Mode,
    protocol::{Import, PythonFacts},
};

/// All of it.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Of this program.
    pub(super) version: &'static str,
    pub(super) python: PythonReport,
    /// The virtual environment's folder.
    pub(super) venv: Option<PathBuf>,
    /// How many are installed where the application looks.
    pub(super) packages: usize,
    pub(super) application: ApplicationReport,
    pub(super) extension_modules: Vec<ExtensionReport>,
    pub(super) isolation: IsolationReport,
    pub(super) measured: Measures,
    pub(super) suggested: Advice,
    /// The same of the other applications.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) others: Vec<Report>,
}

/// The linked Python.
#[derive(Debug, Serialize)]
pub(super) struct PythonReport {
    pub(super) version: String,
    pub(super) executable: String,
    pub(super) library: Option<PathBuf>,
    /// Whether it was built without a GIL.
    pub(super) free_threaded: bool,
    /// Whether a GIL is in force once the application is imported.
    pub(super) gil: bool,
    /// Whether it can give an interpreter a GIL of its own.
    pub(super) interpreters: bool,
}

impl PythonReport {
    pub(super) fn new(facts: Option<PythonFacts>, linked: Version, gil: bool) -> Self {
        let PythonFacts { version, executable, library } = facts.unwrap_or_default();
        Self {
            version: if version.is_empty() { linked.to_string() } else { version },
            executable,
            library,
            free_threaded: linked.is_free_threaded(),
            gil,
            interpreters: linked.supports_own_gil(),
        }
    }
}

/// The application, as it is configured.
#[derive(Debug, Serialize)]
pub(super) struct ApplicationReport {
    pub(super) app: String,
    pub(super) directory: PathBuf,
    /// The sites and paths that it is served at.
    pub(super) at: String,
    /// Whether a server would start with it.
    pub(super) loads: bool,
    /// Why not.
    pub(super) error: Option<String>,
}

/// How it is run.
#[derive(Debug, Serialize)]
pub(super) struct IsolationReport {
    pub(super) configured: &'static str,
    /// What `auto` picks; `None` where it would be an error in every mode.
    pub(super) chosen: Option<Mode>,
    /// Why `auto` picks it; `None` for interpreters, which are its first choice.
    pub(super) why: Option<String>,
}

/// What a worker of each mode takes; `None` where the application does not load in it.
#[derive(Debug, Serialize)]
pub(super) struct Measures {
    pub(super) interpreters: Option<Measured>,
    pub(super) threads: Option<Measured>,
    pub(super) processes: Option<Measured>,
}

impl Measures {
    pub(super) fn of(&self, mode: Mode) -> Option<&Measured> {
        match mode {
            Mode::Interpreters => self.interpreters.as_ref(),
            Mode::Threads => self.threads.as_ref(),
            Mode::Processes => self.processes.as_ref(),
        }
    }
}

/// What one worker takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Measured {
    /// Milliseconds.
    pub(super) import_ms: u64,
    /// Private memory in bytes: what one worker more takes.
    pub(super) uss: Option<u64>,
    /// Memory in bytes, with a share of what is common to several processes.
    pub(super) pss: Option<u64>,
}

impl Measured {
    /// Of an import that succeeded.
    pub(super) fn new(import: &Import) -> Option<Self> {
        let Import { failure: None, load_time, memory, .. } = import else { return None };
        Some(Self {
            import_ms: u64::try_from(load_time.as_millis()).unwrap_or(u64::MAX),
            uss: memory.map(|memory| memory.private),
            pss: memory.map(|memory| memory.proportional),
        })
    }
}
