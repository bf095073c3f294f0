//! What a probe is asked and what it answers: JSON, one document in, a line for each answer out.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use stack_config::AppSpec;
use stack_wsgi::{
    LoadError, ProjectDirectory, Refused,
    inspect::{Extension, Package, Trial},
};

use super::memory::Memory;

/// What a probe is asked.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    /// Who asks: without this process the probe has nobody to answer to.
    pub(crate) parent: u32,
    pub(crate) application: Application,
    pub(crate) task: Task,
}

/// The application, and what its import depends on beside the environment and the current directory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Application {
    pub(crate) app: AppSpec,
    pub(crate) directory: String,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) venv: Option<PathBuf>,
    /// Whether the import tells the directories of a Django project.
    pub(crate) find_directories: bool,
}

/// What a probe does with it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Imports it in an interpreter of its own GIL.
    Import,
    /// Imports it in the main interpreter.
    ImportInMain,
    /// The same, and then tells about Python and the extension modules that it loaded.
    Survey,
    /// Loads extension modules, each by itself, in an interpreter of its own GIL: module and file.
    Try(Vec<(String, String)>),
}

/// What a probe answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// Python could not be started, or an interpreter not be made.
    NoPython(String),
    Python(PythonFacts),
    Imported(Import),
    /// The number of installed packages, and the extension modules with the packages they belong to.
    Extensions(usize, Vec<(Extension, Option<Package>)>),
    /// It begins with this module: if it is not heard of again, this one is to blame.
    Trying(usize),
    Tried(usize, Trial),
    /// There is no more to come.
    Done,
}

/// The running Python.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct PythonFacts {
    pub(crate) version: String,
    pub(crate) executable: String,
    /// The shared library that it runs from.
    pub(crate) library: Option<PathBuf>,
}

/// How an import went.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Import {
    pub(crate) failure: Option<ImportFailure>,
    pub(crate) load_time: Duration,
    /// What the interpreter and the import took.
    pub(crate) memory: Option<Memory>,
    /// Whether a GIL was in force afterwards: an extension module may have switched it on.
    pub(crate) gil: bool,
    /// Extension modules that run as their pure-Python twin.
    pub(crate) replaced: Vec<String>,
    /// Those that refused and have none.
    pub(crate) left_out: Vec<String>,
    /// Threads that run since.
    pub(crate) threads: Vec<String>,
    /// The directories of a Django project, where they were asked for.
    pub(crate) directories: Vec<ProjectDirectory>,
}

/// Why an import failed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ImportFailure {
    /// All of it, traceback included.
    pub(crate) text: String,
    /// `ValueError: no settings`; `None` where the code raised nothing, but there is no application in it.
    pub(crate) raised: Option<String>,
    /// The packages whose extension modules are to blame.
    pub(crate) refused: Vec<Refused>,
}

impl From<&LoadError> for ImportFailure {
    fn from(error: &LoadError) -> Self {
        let raised = match error {
            LoadError::ImportRaised { exception, .. }
            | LoadError::FactoryRaised { exception, .. }
            | LoadError::Refused { exception, .. }
            | LoadError::Prepare(exception) => Some(exception.to_string()),
            LoadError::ModuleNotFound { .. }
            | LoadError::CallableMissing { .. }
            | LoadError::OtherParameters { .. }
            | LoadError::NotCallable { .. } => None,
        };
        let refused = match error {
            LoadError::Refused { refused, .. } => refused.clone(),
            _ => Vec::new(),
        };
        Self { text: error.to_string(), raised, refused }
    }
}
