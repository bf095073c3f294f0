//! Which isolation mode is chosen, and what is said about it.

use std::fs;

use rustix::process::Signal;

use crate::harness::{Finished, eventually, run, stack, virtual_environment};

/// Whether `auto` has a question to the application: a Python with a GIL that can give an interpreter one of its own.
pub(crate) fn auto_tries_the_application() -> bool {
    const ASK: &str =
        "import sys\nprint(sys.version_info >= (3, 13) and getattr(sys, '_is_gil_enabled', lambda: True)())";
    let mut python = std::process::Command::new(env!("LINKED_PYTHON_EXECUTABLE"));
    run(python.args(["-c", ASK])) == "True"
}

/// What Python code knows as `in_main`: whether it runs in the main interpreter.
pub(crate) const IN_MAIN: &str = "
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
in_main = interpreters.get_current() == interpreters.get_main()
";

pub(crate) const APPLICATION: &str = "
def application(environ, start_response):
    start_response('200 OK', [])
    return [b'fine']
";

/// Checks an application that begins with this code.
fn check(code: &str, arguments: &[&str]) -> Finished {
    let venv = virtual_environment().to_str().unwrap();
    let source = format!("{IN_MAIN}{code}{APPLICATION}");
    // Also where all other tests run in one isolation.
    let stack = stack(["check", "--workers", "2", "--venv", venv]).arguments(arguments).default("--isolation", "auto");
    stack.file("app.py", &source).run()
}

#[track_caller]
fn chosen(code: &str, arguments: &[&str]) -> String {
    let shown = check(code, arguments).expect(0).stdout();
    let line = shown.lines().find_map(|line| line.strip_prefix("isolation "));
    line.unwrap_or_else(|| panic!("no isolation in:\n{shown}")).trim().to_owned()
}

#[test]
fn an_application_that_loads_runs_in_interpreters() {
    if !auto_tries_the_application() {
        return;
    }
    assert_eq!(chosen("import flask, markupsafe", &[]), "running 2 interpreters (isolation=interpreters)");
    // It has pure-Python twins of its extension modules.
    assert_eq!(chosen("import sqlalchemy.orm", &[]), "running 2 interpreters (isolation=interpreters)");
}

#[test]
fn a_package_that_refuses_is_named_and_leads_to_processes() {
    if !auto_tries_the_application() {
        return;
    }
    let sentence = "bcrypt 5.0.0 does not support sub-interpreters; running 2 worker processes instead \
                    (isolation=processes)";
    assert_eq!(chosen("import bcrypt", &[]), sentence);
    let raises =
        "try:\n    import bcrypt\nexcept ImportError as error:\n    raise RuntimeError('no hashes') from error";
    assert_eq!(chosen(raises, &[]), sentence);
    // What a package can do without is no reason.
    let optional = "try:\n    import bcrypt\nexcept ImportError:\n    bcrypt = None";
    let shown = check(optional, &[]).expect(0).stdout();
    assert!(shown.contains("(isolation=interpreters)"), "{shown}");
    assert!(shown.contains("bcrypt._bcrypt count as not installed"), "{shown}");
}

#[test]
fn who_insists_on_interpreters_is_told_which_package_does_not_fit() {
    if !auto_tries_the_application() {
        return;
    }
    check("import bcrypt", &["--isolation", "interpreters"]).expect(1).says(&[
        "bcrypt 5.0.0 does not support sub-interpreters",
        "isolation=processes",
        "newer version",
        "app.py",
    ]);
}

#[test]
fn an_import_that_raises_in_interpreters_only_leads_to_processes() {
    if !auto_tries_the_application() {
        return;
    }
    let sentence = chosen("if not in_main:\n    raise ValueError('not here')", &[]);
    assert!(sentence.contains("raised ValueError: not here; running 2 worker processes instead"), "{sentence}");
}

#[test]
fn a_crash_in_an_interpreter_hurts_nothing_and_leads_to_processes() {
    if !auto_tries_the_application() {
        return;
    }
    let sentence = chosen("import ctypes\nif not in_main:\n    ctypes.string_at(0)", &[]);
    assert!(sentence.contains("in an interpreter of its own crashed (SIGSEGV); running 2 worker"), "{sentence}");
    let sentence = chosen("import os\nif not in_main:\n    os._exit(0)", &[]);
    assert!(sentence.contains("ended the process (exit code 0); running 2 worker"), "{sentence}");
}

#[test]
fn an_import_that_hangs_is_given_up() {
    if !auto_tries_the_application() {
        return;
    }
    let sentence = chosen("import threading\nif not in_main:\n    threading.Event().wait()", &[]);
    assert!(sentence.contains("took longer than 30 s; running 2 worker processes instead"), "{sentence}");
}

#[test]
fn what_the_application_prints_while_it_is_tried_reaches_neither_the_answer_nor_the_log() {
    let code = "import os, sys\nprint('{\"Imported\": 1}')\nos.write(1, b'garbage\\n')\nprint('more', file=sys.stderr)\n\
                os.system('echo from a child')";
    let finished = check(&code.replace("os.system", "in_main and os.system"), &[]).expect(0);
    let said = finished.stdout() + &finished.stderr();
    assert!(!["Imported", "garbage", "more", "from a child"].iter().any(|part| said.contains(part)), "{said}");
    // One that closes what it does not know can not be answered for.
    if auto_tries_the_application() {
        let sentence = chosen("import os\nif not in_main:\n    os.closerange(3, 256)", &[]);
        assert!(sentence.contains("(isolation=processes)"), "{sentence}");
    }
}

#[test]
fn a_trial_does_not_outlive_the_one_who_made_it() {
    let code = "import os, threading\nwith open('trial', 'w') as file:\n    file.write(str(os.getpid()))\n\
                os.rename('trial', 'pid')\nthreading.Event().wait()\n";
    let process = stack(["check", "--app", "app", "--isolation", "processes"]).file("app.py", code).start();
    let pid = eventually("the trial begins", || fs::read_to_string(process.directory().join("pid")).ok());
    let is_running = || {
        let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // One that nobody has waited for yet is a zombie.
        status.rsplit_once(") ").is_some_and(|(_, fields)| !fields.starts_with(['Z', 'X']))
    };
    assert!(is_running());
    process.signal(Signal::KILL);
    eventually("the trial ends", || (!is_running()).then_some(()));
}

#[test]
fn a_mode_that_was_named_is_taken() {
    for mode in ["threads", "processes"] {
        let sentence = chosen("assert in_main", &["--isolation", mode]);
        assert!(sentence.ends_with(&format!("(isolation={mode})")), "{sentence}");
    }
    let sentence = chosen("assert in_main", &["--preload"]);
    assert!(sentence.starts_with("preload ") && sentence.ends_with("(isolation=processes)"), "{sentence}");
}

#[test]
fn an_application_that_fails_in_every_mode_shows_its_own_error() {
    check("raise KeyError('database')", &[]).expect(1).says(&["KeyError: 'database'", "app.py"]);
    stack(["check", "--app", "shopp"]).run().expect(1).says(&["shopp", "sys.path"]);
}

#[test]
fn a_probe_that_nobody_asked_does_nothing() {
    stack(["probe"]).run().expect(1).says(&["standard input"]);
    stack(["probe", "--help"]).run().expect(64);
    let help = stack(["--help"]).run().expect(0).stdout();
    assert!(!help.contains("probe"), "{help}");
}
