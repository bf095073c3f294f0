//! Which of the isolation modes an application runs in, and why that one.
//!
//! `auto` is a question to Python first (is there a GIL, can it run several interpreters) and then to the application:
//! a probe imports it in an interpreter of its own GIL. Whatever does not go well there is no error, but a reason for
//! worker processes, in which everything loads.

pub(crate) mod memory;
pub(crate) mod probe;
pub(crate) mod protocol;
mod purity;

use std::{env, fmt};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use stack_config::{Application as Settings, Isolation};
use stack_interp::Version;
use stack_wsgi::{Refused, listed};

use self::{
    probe::{ProbeFailure, TIME_LIMIT},
    protocol::{Answer, Application, Import, PythonFacts, Task},
};
use crate::{
    start::{Apart, Plan, path_text, spelled},
    workers::shape,
};

/// What a worker is, decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// An interpreter of its own GIL in this process.
    Interpreters,
    /// Threads in the main interpreter of this process.
    Threads,
    /// A child process.
    Processes,
}

impl Mode {
    /// The word a user writes.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Interpreters => Isolation::Interpreters.as_str(),
            Self::Threads => Isolation::Threads.as_str(),
            Self::Processes => Isolation::Processes.as_str(),
        }
    }
}

/// A decision.
#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) mode: Mode,
    /// Why it is not what one would expect: `None` where the user chose, and where the application loads in an
    /// interpreter.
    pub(crate) why: Option<Why>,
}

/// What led to a decision.
#[derive(Debug)]
pub(crate) enum Why {
    /// Worker processes are forked from the preloaded application.
    Preload,
    /// Another application has this process.
    Apart(String, Apart),
    /// The linked Python has no GIL.
    FreeThreaded(Version),
    /// The linked Python can not give an interpreter a GIL of its own.
    TooOld(Version),
    /// These packages refuse.
    Refused(Vec<Refused>),
    /// The import raised this.
    Raised(String),
    /// The probe's interpreter loaded it, the workers' interpreters did not.
    Failed(String),
    /// The probe crashed, hung, or could not be started.
    Probe(ProbeFailure),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Apart(app, apart) => write!(f, "{app} can not run in the server's process: {apart}"),
            Self::Preload => f.write_str("preload imports the application once and forks from there"),
            Self::FreeThreaded(version) => write!(f, "Python {version} is free-threaded"),
            Self::TooOld(version) => write!(f, "Python {version} can not run several interpreters at once"),
            Self::Refused(refused) => {
                let verb = if refused.len() == 1 { "does" } else { "do" };
                write!(f, "{} {verb} not support sub-interpreters", listed(refused))
            }
            Self::Raised(exception) => {
                write!(f, "importing the application in an interpreter of its own raised {exception}")
            }
            Self::Failed(problem) => write!(f, "interpreters of their own did not all load the application: {problem}"),
            Self::Probe(failure) => write!(f, "importing the application in an interpreter of its own {failure}"),
        }
    }
}

impl Choice {
    /// What is going to run, and why, in a sentence: `psycopg2-binary 2.9.13 does not support sub-interpreters; running 2
    /// worker processes instead (isolation=processes)`.
    pub(crate) fn sentence(&self, settings: &Settings) -> String {
        let (workers, threads) = shape(settings, self.mode);
        let plural = |count: usize, one: &str, several: &str| {
            if count == 1 { format!("1 {one}") } else { format!("{count} {several}") }
        };
        let running = match self.mode {
            Mode::Interpreters => plural(workers.get(), "interpreter", "interpreters"),
            Mode::Threads => format!("{} in one interpreter", plural(threads.get(), "thread", "threads")),
            Mode::Processes => plural(workers.get(), "worker process", "worker processes"),
        };
        let instead = matches!(
            self.why,
            Some(Why::Apart(..) | Why::Refused(_) | Why::Raised(_) | Why::Failed(_) | Why::Probe(_))
        );
        let instead = if instead { " instead" } else { "" };
        let mode = self.mode.as_str();
        match &self.why {
            Some(why) => format!("{why}; running {running}{instead} (isolation={mode})"),
            None => format!("running {running} (isolation={mode})"),
        }
    }

    fn chosen(mode: Mode) -> Self {
        Self { mode, why: None }
    }

    fn because(mode: Mode, why: Why) -> Self {
        Self { mode, why: Some(why) }
    }
}

/// Decides in which mode the application runs. Under `auto` that may take an import, for which it blocks for up to
/// [`TIME_LIMIT`].
///
/// An error is what no mode changes: the application is not there, or is none; or what the user insists on can not be.
pub(crate) fn decide(plan: &Plan) -> anyhow::Result<Choice> {
    match (settled(plan), plan.known) {
        (Some(choice), _) => choice,
        (None, Some(mode)) => Ok(Choice::chosen(mode)),
        (None, None) => Ok(decide_by_import(plan, &application(plan)?)?.0),
    }
}

/// Whether [`decide`] is going to ask the application, and its answer is as good as known: it runs in interpreters. Those can
/// be begun while it looks.
pub(crate) fn is_foreseen(plan: &Plan) -> bool {
    // What else it names may be anything.
    let is_all = env::var_os("PYTHONPATH").is_none();
    plan.known.is_none() && is_all && settled(plan).is_none() && purity::is_pure(plan.venv.as_ref())
}

/// Decides as [`decide`] does, and imports the application in the mode that is chosen, if it was not for the choice.
pub(crate) fn decide_and_try(plan: &Plan) -> anyhow::Result<(Choice, Tried)> {
    let application = Application { find_directories: plan.find_directories, ..application(plan)? };
    let (choice, tried) = match settled(plan) {
        Some(choice) => (choice?, None),
        None => decide_by_import(plan, &application)?,
    };
    let tried = match tried {
        Some(tried) => tried,
        None => try_import(&application, choice.mode)
            .map_err(|failure| can_not_be_served(plan, format!("importing it {failure}")))?,
    };
    match tried.import.failure {
        Some(failure) => Err(can_not_be_served(plan, failure.text)),
        None => Ok((choice, tried)),
    }
}

/// What is decided without an import.
fn settled(plan: &Plan) -> Option<anyhow::Result<Choice>> {
    let linked = Version::linked();
    let settings = &plan.settings;
    if let Some(choice) = decide_apart(plan) {
        return Some(choice);
    }
    match settings.isolation {
        Isolation::Interpreters if !linked.supports_own_gil() => Some(Err(anyhow::anyhow!(
            "this stack is linked with Python {linked}, which can not give each worker an interpreter of its own \
             (isolation=interpreters); it takes 3.13 or newer with a GIL: install one (with its shared libpython) and build \
             stack again, or use isolation=processes or auto"
        ))),
        Isolation::Interpreters => Some(Ok(Choice::chosen(Mode::Interpreters))),
        Isolation::Threads => Some(Ok(Choice::chosen(Mode::Threads))),
        Isolation::Processes => Some(Ok(Choice::chosen(Mode::Processes))),
        Isolation::Auto if settings.preload => Some(Ok(Choice::because(Mode::Processes, Why::Preload))),
        Isolation::Auto => by_python().map(Ok),
    }
}

/// What an import in an interpreter decides; and that import, if workers do the same.
fn decide_by_import(plan: &Plan, application: &Application) -> anyhow::Result<(Choice, Option<Tried>)> {
    let (import, tried) = match try_import(application, Mode::Interpreters) {
        Ok(tried) => (Ok(tried.import.clone()), Some(tried)),
        Err(failure) => (Err(failure), None),
    };
    let choice = by_import(import).map_err(|text| can_not_be_served(plan, text))?;
    let is_the_workers = choice.mode == Mode::Interpreters;
    Ok((choice, tried.filter(|_| is_the_workers)))
}

/// What is decided about an application that can not run in this process beside another one: processes, where it may.
pub(crate) fn decide_apart(plan: &Plan) -> Option<anyhow::Result<Choice>> {
    let apart = plan.apart.clone()?;
    let app = spelled(&plan.app);
    match plan.settings.isolation {
        Isolation::Processes => None,
        Isolation::Auto if plan.settings.preload => None,
        Isolation::Auto => Some(Ok(Choice::because(Mode::Processes, Why::Apart(app, apart)))),
        insisted @ (Isolation::Interpreters | Isolation::Threads) => Some(Err(anyhow::anyhow!(
            "{app} (at {}) can not run with isolation={} beside the others: {apart}; set isolation=processes or auto for it",
            plan.at,
            insisted.as_str()
        ))),
    }
}

/// The error about an application that does not load.
pub(crate) fn can_not_be_served(plan: &Plan, why: String) -> anyhow::Error {
    anyhow::Error::msg(why).context(plan.can_not_be_served())
}

/// What an application's probes are told about it.
pub(crate) fn application(plan: &Plan) -> anyhow::Result<Application> {
    let directory = path_text(&plan.settings.chdir).context("chdir")?;
    let venv = plan.venv.as_ref().map(|venv| venv.path.clone());
    Ok(Application { app: plan.app.clone(), directory, env: plan.env.clone(), venv, find_directories: false })
}

/// What Python alone decides.
pub(crate) fn by_python() -> Option<Choice> {
    let linked = Version::linked();
    if linked.is_free_threaded() {
        Some(Choice::because(Mode::Threads, Why::FreeThreaded(linked)))
    } else if !linked.supports_own_gil() {
        Some(Choice::because(Mode::Processes, Why::TooOld(linked)))
    } else {
        None
    }
}

/// What a probe found out about the import of an application.
#[derive(Debug)]
pub(crate) struct Tried {
    pub(crate) python: PythonFacts,
    pub(crate) import: Import,
}

/// Imports the application in a probe, as a worker of this mode does.
pub(crate) fn try_import(application: &Application, mode: Mode) -> Result<Tried, ProbeFailure> {
    let task = match mode {
        Mode::Interpreters => Task::Import,
        Mode::Threads | Mode::Processes => Task::ImportInMain,
    };
    let (mut python, mut import) = (PythonFacts::default(), None);
    probe::ask(application, task, TIME_LIMIT, |answer| match answer {
        Answer::Python(facts) => python = facts,
        Answer::Imported(imported) => import = Some(imported),
        _ => {}
    })?;
    import.map(|import| Tried { python, import }).ok_or(ProbeFailure::Garbled)
}

/// What a trial import decides. The error is what would be wrong in any mode.
pub(crate) fn by_import(import: Result<Import, ProbeFailure>) -> Result<Choice, String> {
    let why = match import {
        Err(failure) => Why::Probe(failure),
        Ok(import) => match import.failure {
            None => return Ok(Choice::chosen(Mode::Interpreters)),
            Some(failure) if !failure.refused.is_empty() => Why::Refused(failure.refused),
            Some(failure) => match failure.raised {
                Some(raised) => Why::Raised(raised),
                // Where something was left out, its absence may have led there.
                None if import.left_out.is_empty() => return Err(failure.text),
                None => Why::Raised(failure.text),
            },
        },
    };
    Ok(Choice::because(Mode::Processes, why))
}

#[cfg(test)]
mod tests;
