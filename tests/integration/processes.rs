//! Worker processes: what becomes of requests when one dies, and what works in one as in any Python process.

mod bodies;
mod dying;
mod ending;
mod python;
mod starting;

use std::fs;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::harness::{Connection, Server, Stack, serve};

/// A server with worker processes that run an application of `tests/apps/wsgi`.
fn in_processes(app: &str, arguments: &[&str]) -> Stack {
    serve(app, &["--isolation", "processes"]).arguments(arguments)
}

/// The application `dying`, with the folder of its marks.
fn dying(arguments: &[&str]) -> (Server, TempDir) {
    let marks = tempfile::tempdir().unwrap();
    (in_processes("dying", arguments).env("MARKS", marks.path()).server(), marks)
}

/// How often a request with this mark came to the application.
fn attempts(marks: &TempDir, mark: &str) -> usize {
    let names = fs::read_dir(marks).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(&format!("{mark}-"))).count()
}

/// The process that answers at `dying`.
fn worker(connection: &mut Connection) -> u32 {
    pid(&connection.get("/").expect(200).json())
}

fn pid(answer: &serde_json::Value) -> u32 {
    u32::try_from(answer["pid"].as_u64().expect("the application tells")).expect("Linux")
}

/// Sends a signal to a worker of a server that was started here.
fn signal(server: &Server, worker: u32, signal: Signal) {
    assert!(server.process().pids().contains(&worker), "{worker} does not belong to this server");
    let worker = Pid::from_raw(i32::try_from(worker).expect("Linux")).expect("not 0");
    kill_process(worker, signal).expect("it runs");
}
