//! The sentences, and what leads to which mode.

use std::{num::NonZeroUsize, os::unix::process::ExitStatusExt, process::ExitStatus, time::Duration};

use stack_config::{Application as Settings, Inputs};
use stack_wsgi::inspect::Package;

use super::{protocol::ImportFailure, *};

fn settings(workers: usize) -> Settings {
    let config = stack_config::load(Inputs { flags: Vec::new(), environment: Vec::new(), current_dir: "/".into() })
        .unwrap()
        .config;
    let application = config.layout().applications.remove(0).application;
    Settings { workers: NonZeroUsize::new(workers).unwrap(), ..application }
}

fn import(failure: Option<ImportFailure>) -> Import {
    Import {
        failure,
        load_time: Duration::ZERO,
        memory: None,
        gil: true,
        replaced: Vec::new(),
        left_out: Vec::new(),
        threads: Vec::new(),
        directories: Vec::new(),
    }
}

fn failure(raised: Option<&str>, refused: &[(&str, &str)]) -> ImportFailure {
    let refused = refused.iter().map(|(name, version)| Refused {
        package: Some(Package { name: (*name).into(), version: (*version).into() }),
        modules: vec!["module".into()],
    });
    ImportFailure { text: "no module named 'shop'".into(), raised: raised.map(Into::into), refused: refused.collect() }
}

fn sentence(import: Result<Import, ProbeFailure>, workers: usize) -> String {
    by_import(import).unwrap().sentence(&settings(workers))
}

#[test]
fn an_application_that_loads_runs_in_interpreters() {
    let choice = by_import(Ok(import(None))).unwrap();
    assert!(choice.mode == Mode::Interpreters && choice.why.is_none());
    assert_eq!(choice.sentence(&settings(2)), "running 2 interpreters (isolation=interpreters)");
}

#[test]
fn a_refusal_names_every_package_that_refused() {
    let one = failure(Some("ImportError: no driver"), &[("psycopg2-binary", "2.9.13")]);
    assert_eq!(
        sentence(Ok(import(Some(one))), 2),
        "psycopg2-binary 2.9.13 does not support sub-interpreters; running 2 worker processes instead \
         (isolation=processes)"
    );
    let two = failure(Some("ImportError: no driver"), &[("numpy", "2.5.5"), ("lxml", "6.0")]);
    assert_eq!(
        sentence(Ok(import(Some(two))), 1),
        "numpy 2.5.5 and lxml 6.0 do not support sub-interpreters; running 1 worker process instead \
         (isolation=processes)"
    );
}

#[test]
fn whatever_else_goes_wrong_there_is_said() {
    let start = "importing the application in an interpreter of its own ";
    let end = "; running 2 worker processes instead (isolation=processes)";
    let raised = failure(Some("ValueError: no settings"), &[]);
    assert_eq!(sentence(Ok(import(Some(raised))), 2), format!("{start}raised ValueError: no settings{end}"));
    for (problem, words) in [
        (ProbeFailure::TimedOut(TIME_LIMIT), "took longer than 30 s"),
        (ProbeFailure::Ended(ExitStatus::from_raw(11)), "crashed (SIGSEGV)"),
        (ProbeFailure::Ended(ExitStatus::from_raw(64)), "crashed (signal 64)"),
        (ProbeFailure::Ended(ExitStatus::from_raw(3 << 8)), "ended the process (exit code 3)"),
        (ProbeFailure::Garbled, "gave an answer that makes no sense"),
    ] {
        assert_eq!(sentence(Err(problem), 2), format!("{start}{words}{end}"));
    }
}

#[test]
fn what_no_mode_changes_is_an_error() {
    assert_eq!(by_import(Ok(import(Some(failure(None, &[]))))).unwrap_err(), "no module named 'shop'");
    // The module that was left out may be why the callable is not there.
    let left_out = Import { left_out: vec!["fast".into()], ..import(Some(failure(None, &[]))) };
    assert_eq!(by_import(Ok(left_out)).unwrap().mode, Mode::Processes);
}

#[test]
fn python_s_own_reasons_are_sentences_too() {
    let too_old = Choice::because(Mode::Processes, Why::TooOld(Version::parse("3.11").unwrap()));
    assert_eq!(
        too_old.sentence(&settings(2)),
        "Python 3.11 can not run several interpreters at once; running 2 worker processes (isolation=processes)"
    );
    let free = Choice::because(Mode::Threads, Why::FreeThreaded(Version::parse("3.14t").unwrap()));
    assert_eq!(
        free.sentence(&settings(2)),
        format!(
            "Python 3.14t is free-threaded; running {} threads in one interpreter (isolation=threads)",
            shape(&settings(2), Mode::Threads).1
        )
    );
    let preload = Choice::because(Mode::Processes, Why::Preload).sentence(&settings(2));
    assert!(preload.starts_with("preload imports the application once"), "{preload}");
}
