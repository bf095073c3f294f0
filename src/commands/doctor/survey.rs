//! The application in a main interpreter, where everything loads: what it consists of.

use stack_wsgi::inspect::{Extension, Package};

use crate::isolation::{
    probe::{self, ProbeFailure, TIME_LIMIT},
    protocol::{Answer, Application, Import, PythonFacts, Task},
};

/// What a look at it has shown, as far as it came.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) python: Option<PythonFacts>,
    pub(super) import: Result<Import, ProbeFailure>,
    /// How many packages are installed.
    pub(super) installed: usize,
    /// The extension modules that it has loaded by the end of its import, or until that failed.
    pub(super) extensions: Vec<(Extension, Option<Package>)>,
}

impl Survey {
    pub(super) fn make(application: &Application) -> Self {
        let mut survey =
            Self { python: None, import: Err(ProbeFailure::Garbled), installed: 0, extensions: Vec::new() };
        let mut heard = None;
        let asked = probe::ask(application, Task::Survey, TIME_LIMIT, |answer| match answer {
            Answer::Python(python) => survey.python = Some(python),
            Answer::Imported(import) => heard = Some(import),
            Answer::Extensions(installed, extensions) => {
                survey.installed = installed;
                survey.extensions = extensions;
            }
            _ => {}
        });
        survey.import = match (heard, asked) {
            (Some(import), _) => Ok(import),
            (None, Err(failure)) => Err(failure),
            (None, Ok(())) => Err(ProbeFailure::Garbled),
        };
        survey
    }
}
