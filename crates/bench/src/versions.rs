//! Versions of all that was measured and of what measured it.

use std::time::Duration;

use crate::{
    Error,
    install::Program,
    measure::Bench,
    peer::{Need, Peer},
    process::Cpus,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// Of each peer, in their order.
pub(crate) fn of(bench: &Bench, peers: &[&Peer]) -> Result<Vec<String>, Error> {
    peers
        .iter()
        .map(|peer| {
            if peer.needs.is_empty() {
                return Ok(concat!("stack-bench ", env!("CARGO_PKG_VERSION")).to_owned());
            }
            Ok(peer.needs.iter().map(|need| version(bench, *need)).collect::<Result<Vec<_>, Error>>()?.join(", "))
        })
        .collect()
}

fn version(bench: &Bench, need: Need) -> Result<String, Error> {
    let programs = &bench.programs;
    match need {
        Need::Stack => {
            programs.stack.as_ref().map_or(Ok(String::new()), |program| first_line(bench, program, "--version"))
        }
        Need::Nginx => {
            let line = programs.nginx.as_ref().map_or(Ok(String::new()), |program| first_line(bench, program, "-v"))?;
            Ok(line.rsplit(": ").next().unwrap_or_default().replace('/', " "))
        }
        Need::Package(name) => {
            let script = format!("from importlib.metadata import version; print({name:?}, version({name:?}))");
            let mut command = programs.environment.program("python").command();
            command.args(["-c", &script]);
            Ok(bench.starter.run("version", command, &Cpus::All, PATIENCE)?.trim().to_owned())
        }
    }
}

/// Of the Python that all run with.
pub(crate) fn python(bench: &Bench) -> Result<String, Error> {
    first_line(bench, &bench.programs.environment.program("python"), "--version")
}

/// Of the load generators.
pub(crate) fn of_generators(bench: &Bench) -> Result<Vec<String>, Error> {
    // wrk says it along with its usage, and ends with 1.
    let line = match first_line(bench, &bench.wrk, "--version") {
        Err(Error::Command { output, .. }) => output.lines().next().unwrap_or_default().to_owned(),
        line => line?,
    };
    let mut versions = vec![line.split(" [").next().unwrap_or_default().to_owned()];
    if let Some(h2load) = &bench.h2load {
        versions.push(first_line(bench, h2load, "--version")?);
    }
    Ok(versions)
}

fn first_line(bench: &Bench, program: &Program, argument: &str) -> Result<String, Error> {
    let mut command = program.command();
    command.arg(argument);
    let said = bench.starter.run("version", command, &Cpus::All, PATIENCE)?;
    Ok(said.lines().next().unwrap_or_default().to_owned())
}
