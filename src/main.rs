//! The executable: command line, wiring and exit codes. Everything else is in the crates.
//!
//! Exit codes: 0 after a clean end, 64 for bad usage or configuration (`EX_USAGE` of sysexits), 1 for a failed start.
//! The process exits only here.

mod cli;
mod commands;
mod control;
mod django;
mod environment;
mod isolation;
mod logging;
mod orders;
mod reloading;
mod relocation;
mod start;
mod worker_spec;
mod workers;
mod worn;

use std::{
    env,
    io::{self, Write},
};

use anyhow::Context;
use mimalloc::MiMalloc;
use stack_config::{Errors, Inputs, Loaded};
use stack_interp::{Runtime, end_by_sent_faults};

use crate::cli::{Flags, Invocation};

/// Many short-lived allocations on many threads: the case that glibc's allocator is slow at, and keeps memory after.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// A clean end.
    Success,
    /// A start that failed, or an end that did not wait.
    Failure,
    /// Bad usage or configuration: `EX_USAGE`.
    BadUsage,
    /// Whatever a server process has ended with.
    Other(u8),
}

impl Exit {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::BadUsage => 64,
            Self::Other(code) => code,
        }
    }
}

fn main() -> ! {
    end_by_sent_faults();
    let exit = run().unwrap_or_else(|failure| {
        failure.print();
        failure.exit()
    });
    // Not by returning: that would run the destructors of libraries that Python threads may still be in.
    Runtime::leave(exit.code())
}

fn run() -> Result<Exit, Failure> {
    if let Some(settings) = commands::supervise::read_before() {
        return commands::supervise::supervise(settings);
    }
    // Before Python changes them.
    environment::at_start();
    match cli::parse(env::args_os())? {
        Invocation::Serve(flags) => {
            let loaded = load(flags)?;
            let is_alone = !loaded.config.lifecycle.supervisor;
            if is_alone { Ok(commands::serve::run(loaded, None)?) } else { commands::supervise::run(loaded) }
        }
        Invocation::Ask { command, flags, json } => {
            commands::ask::run(command, stack_config::locate(inputs(flags)?)?, json)
        }
        Invocation::Server { control, flags } => commands::server::run(control, flags),
        Invocation::Check(flags) => Ok(commands::check::run(load(flags)?)?),
        Invocation::Doctor { flags, json } => Ok(commands::doctor::run(&load(flags)?, json)?),
        Invocation::Config(flags) => Ok(commands::config::run(&load(flags)?)?),
        Invocation::Ca(action) => Ok(commands::ca::run(action)?),
        Invocation::Completions(shell) => Ok(commands::completions::run(shell)?),
        Invocation::Man => Ok(commands::man::run()?),
        Invocation::Probe => Ok(commands::probe::run()?),
        Invocation::Worker => Ok(commands::worker::run()?),
    }
}

pub(crate) fn load(flags: Flags) -> Result<Loaded, Failure> {
    Ok(stack_config::load(inputs(flags)?)?)
}

fn inputs(flags: Flags) -> anyhow::Result<Inputs> {
    let current_dir = env::current_dir().context("no current directory to start in")?;
    // A variable that is not UTF-8 can only be a path, and then the check of that path names it.
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    let environment = env::vars_os().map(|(name, value)| (text(name), text(value)));
    let environment = environment.filter(|(name, _)| !name.starts_with("LISTEN_") || control::has_sockets()).collect();
    Ok(Inputs { flags, environment, current_dir })
}

/// Why the process ends with an error.
pub(crate) enum Failure {
    /// The command line, or a wish for help: clap decides where it goes.
    Usage(Box<clap::Error>),
    /// The configuration.
    Configuration(Errors),
    /// Everything that comes later.
    Start(anyhow::Error),
    /// A server process could not serve: its own words and exit code.
    Server { text: String, exit_code: u8 },
}

impl Failure {
    /// Says why, once. If even standard error is gone, the exit code still says it.
    fn print(&self) {
        let _ = match self {
            Self::Usage(error) => error.print(),
            other => io::stderr().lock().write_all(other.text().as_bytes()),
        };
    }

    /// What is said.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Usage(error) => error.to_string(),
            Self::Configuration(errors) => {
                let count = errors.problems().len();
                let problems = if count == 1 { "a problem" } else { &format!("{count} problems") };
                format!("stack: {problems} in the configuration\n\n{errors}\n")
            }
            Self::Start(error) => format!("stack: {error:#}\n"),
            Self::Server { text, exit_code: _ } => format!("{}\n", text.trim_end()),
        }
    }

    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Usage(error) if !error.use_stderr() => Exit::Success,
            Self::Usage(_) | Self::Configuration(_) => Exit::BadUsage,
            Self::Start(_) => Exit::Failure,
            Self::Server { text: _, exit_code } => Exit::Other(*exit_code),
        }
    }
}

impl From<clap::Error> for Failure {
    fn from(error: clap::Error) -> Self {
        Self::Usage(Box::new(error))
    }
}

impl From<Errors> for Failure {
    fn from(errors: Errors) -> Self {
        Self::Configuration(errors)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Start(error)
    }
}
