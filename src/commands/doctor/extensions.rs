//! What becomes of each of an application's extension modules in an interpreter of its own GIL.

use serde::Serialize;
use stack_interp::Version;
use stack_wsgi::inspect::{Package, Trial};

use super::Survey;
use crate::isolation::{
    probe::{self, ProbeFailure, TIME_LIMIT},
    protocol::{Answer, Application, Import, Task},
};

/// One extension module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct ExtensionReport {
    pub(super) module: String,
    /// The shared library; `None` for one that only the import in an interpreter has met.
    pub(super) file: Option<String>,
    pub(super) package: Option<Package>,
    pub(super) verdict: Verdict,
    /// What there is to say about it.
    pub(super) detail: Option<String>,
}

/// What an interpreter of its own GIL makes of a module, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// It loads.
    Loads,
    /// It refuses, and its pure-Python twin runs in its place.
    Replaced,
    /// It was not tried: this Python has no such interpreters.
    Untried,
    /// By itself it raised something else; in its package it may load.
    Fails,
    /// It needs another one that refuses.
    Needs,
    /// It refuses.
    Refuses,
    /// It did not come back.
    Hangs,
    /// It ended the process.
    Crashes,
}

/// Said of a module that refuses where the application's import succeeds all the same.
pub(super) const DISPENSABLE: &str = "the application loads without it";

/// Python's own modules are left out, unless one of them refused.
pub(super) fn examine(
    application: &Application,
    survey: &Survey,
    interpreter: Option<&Result<Import, ProbeFailure>>,
) -> Vec<ExtensionReport> {
    let known: Vec<_> = survey.extensions.iter().filter(|(extension, _)| !extension.is_standard).collect();
    let modules: Vec<_> =
        known.iter().map(|(extension, _)| (extension.module.clone(), extension.file.clone())).collect();
    let can_try = Version::linked().supports_own_gil();
    let verdicts = if can_try {
        try_each(&modules, |modules, heard| probe::ask(application, Task::Try(modules), TIME_LIMIT, heard))
    } else {
        vec![(Verdict::Untried, None); modules.len()]
    };
    let mut reports: Vec<_> = known
        .into_iter()
        .zip(verdicts)
        .map(|((extension, package), (verdict, detail))| ExtensionReport {
            module: extension.module.clone(),
            file: Some(extension.file.clone()),
            package: package.clone(),
            verdict,
            detail,
        })
        .collect();
    if let Some(Ok(import)) = interpreter {
        let met = import.replaced.iter().map(|module| (module, Verdict::Replaced));
        for (module, verdict) in met.chain(import.left_out.iter().map(|module| (module, Verdict::Refuses))) {
            if !reports.iter().any(|report| report.module == *module) {
                reports.push(ExtensionReport {
                    module: module.clone(),
                    file: None,
                    package: None,
                    verdict,
                    detail: None,
                });
            }
        }
    }
    if let Some(Ok(Import { failure: None, .. })) = interpreter {
        for report in reports.iter_mut().filter(|report| report.verdict == Verdict::Refuses) {
            report.detail = Some(DISPENSABLE.to_owned());
        }
    }
    reports
}

type Named = (String, String);

/// Tries the modules in one child after the other: one that ends its child is not tried again, and the next child goes on
/// behind it.
fn try_each(
    modules: &[Named],
    mut ask: impl FnMut(Vec<Named>, &mut dyn FnMut(Answer)) -> Result<(), ProbeFailure>,
) -> Vec<(Verdict, Option<String>)> {
    let total = modules.len();
    let mut verdicts = Vec::with_capacity(total);
    while verdicts.len() < total {
        let mut trying = false;
        let outcome = ask(modules[verdicts.len()..].to_vec(), &mut |answer| match answer {
            Answer::Trying(_) => trying = true,
            Answer::Tried(_, trial) => {
                trying = false;
                verdicts.push(verdict(trial));
            }
            _ => {}
        });
        match outcome {
            Err(failure @ ProbeFailure::TimedOut(_)) if trying => {
                verdicts.push((Verdict::Hangs, Some(failure.to_string())));
            }
            Err(failure) if trying => verdicts.push((Verdict::Crashes, Some(failure.to_string()))),
            // All are done, or no child comes so far as to try one.
            Ok(()) | Err(_) => break,
        }
    }
    verdicts.resize(total, (Verdict::Untried, None));
    verdicts
}

fn verdict(trial: Trial) -> (Verdict, Option<String>) {
    match trial {
        Trial::Loads => (Verdict::Loads, None),
        Trial::Replaced(twin) => (Verdict::Replaced, Some(twin)),
        Trial::Refuses(_) => (Verdict::Refuses, None),
        Trial::Needs(modules) => (Verdict::Needs, Some(modules.join(", "))),
        Trial::Fails(text) => (Verdict::Fails, Some(text)),
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::ExitStatusExt, process::ExitStatus};

    use super::*;

    fn modules(names: &[&str]) -> Vec<Named> {
        names.iter().map(|name| ((*name).to_owned(), format!("/{name}.so"))).collect()
    }

    #[test]
    fn a_module_that_ends_its_child_is_marked_and_the_rest_goes_on_in_another() {
        let mut children = 0;
        let verdicts = try_each(&modules(&["good", "crashes", "hangs", "refuses"]), |modules, heard| {
            children += 1;
            for (place, (module, _)) in modules.iter().enumerate() {
                heard(Answer::Trying(place));
                match module.as_str() {
                    "crashes" => return Err(ProbeFailure::Ended(ExitStatus::from_raw(11))),
                    "hangs" => return Err(ProbeFailure::TimedOut(TIME_LIMIT)),
                    "refuses" => heard(Answer::Tried(place, Trial::Refuses(String::new()))),
                    _ => heard(Answer::Tried(place, Trial::Loads)),
                }
            }
            Ok(())
        });
        let found: Vec<_> = verdicts.iter().map(|(verdict, _)| *verdict).collect();
        assert_eq!(found, [Verdict::Loads, Verdict::Crashes, Verdict::Hangs, Verdict::Refuses]);
        assert_eq!((children, verdicts[1].1.as_deref()), (3, Some("crashed (SIGSEGV)")));
    }

    #[test]
    fn where_no_child_starts_nothing_is_said_about_any() {
        let verdicts = try_each(&modules(&["one", "two"]), |_, _| Err(ProbeFailure::NoPython("broken".into())));
        assert!(verdicts.iter().all(|(verdict, _)| *verdict == Verdict::Untried) && verdicts.len() == 2);
    }
}
