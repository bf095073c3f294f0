//! `stack doctor`: will this application run, in which isolation, and why.
//!
//! Everything is tried in throw-away children, so an application that crashes, hangs or does not import is a finding like
//! any other. The findings are one [`Report`], shown to people as text and to programs as JSON.

mod advice;
mod extensions;
mod report;
mod resources;
mod survey;
mod text;

use stack_config::{Isolation, Loaded};
use stack_interp::Version;

use self::{
    advice::Advice,
    extensions::ExtensionReport,
    report::{ApplicationReport, IsolationReport, Measured, Measures, PythonReport, Report},
    survey::Survey,
};
use crate::{
    Exit,
    isolation::{
        self, Choice, Mode, Tried,
        probe::ProbeFailure,
        protocol::{Application, Import, ImportFailure},
    },
    logging,
    start::{Plan, spelled},
};

/// Examines the application and prints the report. A failure where it would not start as it is configured.
pub(crate) fn run(loaded: &Loaded, json: bool) -> anyhow::Result<Exit> {
    let config = &loaded.config;
    logging::init(&config.log)?;
    let mut reports = Vec::new();
    for plan in Plan::all(config)? {
        reports.push(examine(&plan, &isolation::application(&plan)?));
    }
    let all_load = reports.iter().all(|report| report.application.loads);
    let mut reports = reports.into_iter();
    let Some(mut report) = reports.next() else {
        anyhow::bail!("there is no application to examine: only files and fixed answers are served");
    };
    report.others = reports.collect();
    let text = if json { serde_json::to_string_pretty(&report)? + "\n" } else { report.to_string() };
    super::print(text.as_bytes())?;
    Ok(if all_load { Exit::Success } else { Exit::Failure })
}

fn examine(plan: &Plan, application: &Application) -> Report {
    let linked = Version::linked();
    let survey = Survey::make(application);
    let interpreter = linked.supports_own_gil().then(|| isolation::try_import(application, Mode::Interpreters));
    let interpreter = interpreter.map(|tried| tried.map(|Tried { python: _, import }| import));
    let extension_modules = extensions::examine(application, &survey, interpreter.as_ref());

    let measured = |import: &Result<Import, ProbeFailure>| Measured::new(import.as_ref().ok()?);
    let in_main = measured(&survey.import);
    let measured = Measures {
        interpreters: interpreter.as_ref().and_then(measured),
        threads: in_main.clone(),
        processes: in_main,
    };
    let in_main = problem(&survey.import);
    let in_interpreter = interpreter.as_ref().and_then(problem);
    let apart = isolation::decide_apart(plan).map(|choice| choice.map_err(|error| error.to_string()));
    let barred = apart.as_ref().and_then(|choice| choice.as_ref().err()).cloned();
    let chosen = match (apart, isolation::by_python(), interpreter) {
        (Some(choice), _, _) => choice,
        (None, Some(choice), _) => Ok(choice),
        (None, None, Some(import)) => isolation::by_import(import),
        (None, None, None) => unreachable!("a Python without interpreters decides by itself"),
    };
    let mode = served_in(plan, chosen.as_ref().ok());
    let error = match mode {
        _ if barred.is_some() => barred,
        None => chosen.as_ref().err().cloned(),
        Some(Mode::Interpreters) if !linked.supports_own_gil() => {
            Some(format!("Python {linked} can not give each interpreter a GIL of its own"))
        }
        Some(Mode::Interpreters) => in_interpreter,
        Some(Mode::Threads | Mode::Processes) => in_main,
    };
    let gil = survey.import.as_ref().map_or(!linked.is_free_threaded(), |import| import.gil);
    Report {
        version: env!("CARGO_PKG_VERSION"),
        python: PythonReport::new(survey.python, linked, gil),
        venv: plan.venv.as_ref().map(|venv| venv.path.clone()),
        packages: survey.installed,
        application: ApplicationReport {
            app: spelled(&plan.app),
            directory: plan.settings.chdir.clone(),
            at: plan.at.clone(),
            loads: error.is_none(),
            error,
        },
        suggested: Advice::new(mode, mode.and_then(|mode| measured.of(mode))),
        extension_modules,
        measured,
        others: Vec::new(),
        isolation: IsolationReport {
            configured: plan.settings.isolation.as_str(),
            chosen: chosen.as_ref().ok().map(|choice| choice.mode),
            why: chosen.as_ref().ok().and_then(|choice| choice.why.as_ref()).map(ToString::to_string),
        },
    }
}

/// The mode that a server with this configuration runs in; `None` where it would not start.
fn served_in(plan: &Plan, chosen: Option<&Choice>) -> Option<Mode> {
    match plan.settings.isolation {
        Isolation::Interpreters => Some(Mode::Interpreters),
        Isolation::Threads => Some(Mode::Threads),
        Isolation::Processes => Some(Mode::Processes),
        Isolation::Auto if plan.settings.preload => Some(Mode::Processes),
        Isolation::Auto => chosen.map(|choice| choice.mode),
    }
}

/// What an import failed of.
fn problem(import: &Result<Import, ProbeFailure>) -> Option<String> {
    match import {
        Ok(Import { failure, .. }) => failure.as_ref().map(|ImportFailure { text, .. }| text.clone()),
        Err(failure) => Some(format!("importing it {failure}")),
    }
}
