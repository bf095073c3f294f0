//! Packages whose extension modules run in no interpreter but the main one, under the default flags: `tests/apps/packages`.

use std::{collections::BTreeSet, thread};

use serde_json::{Value, json};

use crate::harness::{Server, isolation, stack, tests_argument, virtual_environment};

fn server() -> Server {
    let venv = virtual_environment().to_str().unwrap();
    let chdir = tests_argument("apps/packages");
    // Nothing that a user would not write: the isolation is found, or the one under which all tests run.
    stack(["serve", "--chdir", &chdir, "--venv", venv, "--workers", "2"]).server()
}

fn answers(server: &Server, target: &str) -> Value {
    serde_json::from_slice(&server.get(target).expect(200).body).unwrap()
}

#[test]
fn every_package_answers_as_it_does_elsewhere() {
    if isolation().is_some_and(|isolation| isolation == "interpreters") {
        return;
    }
    let server = server();
    // Twice for each thread: one that worked once may not do so again.
    for _ in 0..16 {
        let expected = json!({
            "bcrypt": true,
            "cryptography": "hidden",
            "greenlet": true,
            "lxml": "tea",
            "numpy": 332_833_500,
            "pillow": [0, 0, 128],
            "psycopg2": "'it''s'",
            "pydantic": 1.5,
            "sqlalchemy": 42,
        });
        assert_eq!(answers(&server, "/"), expected);
    }
    server.stop();
}

#[test]
fn they_run_on_all_cores() {
    if isolation().is_some_and(|isolation| isolation != "processes") {
        return;
    }
    let server = server();
    let burn = || answers(&server, "/burn")["pid"].as_u64().unwrap();
    let pids: BTreeSet<u64> = thread::scope(|scope| {
        let burning = [scope.spawn(burn), scope.spawn(burn)];
        burning.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(pids.len(), 2, "two requests at once run in two processes");
    server.stop();
}

#[test]
fn the_log_says_why_it_runs_in_processes() {
    if isolation().is_some() || !crate::isolation::auto_tries_the_application() {
        return;
    }
    let server = server();
    let line = server.wait_for_line("sub-interpreters");
    // The first one that refuses ends the import.
    assert!(
        line.contains(
            "bcrypt 5.0.0 does not support sub-interpreters; running 2 worker processes instead (isolation=processes)"
        ),
        "{line}"
    );
    server.stop();
}
