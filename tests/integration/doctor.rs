//! `stack doctor`: everything about an application that decides how it runs.

use serde_json::Value;

use super::isolation::{APPLICATION, IN_MAIN, auto_tries_the_application};
use crate::harness::{Finished, stack, virtual_environment};

/// Examines an application that begins with this code.
fn doctor(code: &str, arguments: &[&str]) -> Finished {
    let venv = virtual_environment().to_str().unwrap();
    let source = format!("{IN_MAIN}{code}{APPLICATION}");
    stack(["doctor", "--workers", "2", "--venv", venv]).arguments(arguments).file("app.py", &source).run()
}

fn findings(finished: &Finished) -> Value {
    let shown = finished.stdout();
    serde_json::from_str(&shown).unwrap_or_else(|error| panic!("{error}:\n{shown}"))
}

/// The verdict on a module, with its package.
fn verdict(findings: &Value, module: &str) -> (String, String) {
    let modules = findings["extension_modules"].as_array().expect("a list");
    let found = modules.iter().find(|found| found["module"] == module);
    let found = found.unwrap_or_else(|| panic!("no {module} in {findings:#}"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&found["verdict"]), text(&found["package"]["name"]))
}

#[test]
fn every_extension_module_is_judged_although_the_first_refusal_ends_an_import() {
    if !auto_tries_the_application() {
        return;
    }
    let finished = doctor("import bcrypt, markupsafe, sqlalchemy.orm", &["--json"]).expect(0);
    let findings = findings(&finished);
    let judged = |module| verdict(&findings, module);
    assert_eq!(judged("bcrypt._bcrypt"), ("refuses".into(), "bcrypt".into()));
    assert_eq!(judged("markupsafe._speedups"), ("loads".into(), "MarkupSafe".into()));
    assert_eq!(judged("sqlalchemy.engine._row_cy"), ("replaced".into(), "SQLAlchemy".into()));
    assert_eq!(findings["isolation"]["chosen"], "processes");
    assert_eq!(findings["isolation"]["why"], "bcrypt 5.0.0 does not support sub-interpreters");
    assert_eq!(findings["measured"]["interpreters"], Value::Null);
    let process = &findings["measured"]["processes"];
    assert!(process["uss"].is_null() || process["uss"].as_u64() > Some(1 << 20), "{process}");
    assert_eq!(findings["measured"]["threads"], *process);
}

#[test]
fn what_loads_in_an_interpreter_is_measured_in_every_mode() {
    if !auto_tries_the_application() {
        return;
    }
    let findings = findings(&doctor("import flask", &["--json"]).expect(0));
    assert_eq!(findings["isolation"]["chosen"], "interpreters");
    assert_eq!(findings["isolation"]["why"], Value::Null);
    for mode in ["interpreters", "processes"] {
        assert!(findings["measured"][mode]["import_ms"].as_u64() > Some(0), "{findings:#}");
    }
}

#[test]
fn a_package_that_the_application_can_do_without_is_told_as_such() {
    if !auto_tries_the_application() {
        return;
    }
    let optional = "try:\n    import bcrypt\nexcept ImportError:\n    bcrypt = None";
    let shown = doctor(optional, &[]).expect(0).stdout();
    assert!(shown.contains("app runs, with isolation=interpreters"), "{shown}");
    assert!(shown.contains("bcrypt 5.0.0   refuses, and the application loads without it: bcrypt._bcrypt"), "{shown}");
}

#[test]
fn python_environment_and_machine_are_told() {
    let venv = virtual_environment().to_str().unwrap();
    let findings = findings(&doctor("", &["--json"]).expect(0));
    let python = &findings["python"];
    assert!(python["version"].as_str().is_some_and(|version| version.starts_with("3.")), "{python}");
    assert!(python["executable"].as_str().is_some_and(|path| path.starts_with(venv)), "{python}");
    assert!(python["library"].as_str().is_some_and(|path| path.contains("libpython")), "{python}");
    assert_eq!(findings["venv"], venv);
    assert!(findings["packages"].as_u64() > Some(5), "{findings:#}");
    let suggested = &findings["suggested"];
    assert!(suggested["workers"].as_u64() > Some(0) && suggested["workers"].as_u64() <= suggested["cpus"].as_u64());
    assert!(suggested["threads"].as_u64() > Some(0) && suggested["memory"].as_u64() > Some(1 << 20), "{suggested}");
}

#[test]
fn an_application_that_does_not_import_is_told_with_everything_else() {
    let finished = doctor("import markupsafe\nraise KeyError('database')", &[]).expect(1);
    let shown = finished.stdout();
    for part in ["app does not start", "KeyError: 'database'", "app.py", "libpython", "MarkupSafe 3.0.4", "--workers"] {
        assert!(shown.contains(part), "no {part:?} in:\n{shown}");
    }
    let missing = stack(["doctor", "--app", "shopp", "--json"]).run().expect(1);
    let findings = findings(&missing);
    assert_eq!(findings["application"]["loads"], false);
    let error = findings["application"]["error"].as_str().unwrap_or_default();
    assert!(error.contains("no module named 'shopp'"), "{error}");
}

#[test]
fn a_crash_is_a_finding() {
    if !auto_tries_the_application() {
        return;
    }
    let findings = findings(&doctor("import ctypes\nif not in_main:\n    ctypes.string_at(0)", &["--json"]).expect(0));
    assert_eq!(findings["isolation"]["chosen"], "processes");
    assert!(findings["isolation"]["why"].as_str().is_some_and(|why| why.contains("SIGSEGV")), "{findings:#}");
    let shown = doctor("import ctypes\nctypes.string_at(0)", &[]).expect(1).stdout();
    assert!(shown.contains("app does not start") && shown.contains("crashed (SIGSEGV)"), "{shown}");
}

#[test]
fn what_the_application_prints_is_not_among_the_findings() {
    let code = "import os, sys\nprint('{')\nos.write(1, b'garbage')\nos.write(2, b'garbage')";
    let finished = doctor(code, &["--json"]).expect(0);
    assert_eq!(findings(&finished)["application"]["loads"], true);
    finished.never_says(&["garbage"]);
}

#[test]
fn the_mode_that_is_configured_is_the_one_that_counts() {
    if !auto_tries_the_application() {
        return;
    }
    let shown = doctor("import bcrypt", &["--isolation", "interpreters"]).expect(1).stdout();
    for part in ["app does not start (isolation=interpreters)", "auto picks processes", "bcrypt 5.0.0 does not support"]
    {
        assert!(shown.contains(part), "no {part:?} in:\n{shown}");
    }
    let shown = doctor("import bcrypt", &["--isolation", "processes"]).expect(0).stdout();
    assert!(shown.contains("app runs, with isolation=processes as configured"), "{shown}");
}
