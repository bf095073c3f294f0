//! `stack serve`, the parent: starts the server process and looks after it.

use std::{env, os::unix::process::CommandExt, path::PathBuf, process::Command, time::Duration};

use anyhow::Context;
use rustix::thread::disable_transparent_huge_pages;
use serde::{Deserialize, Serialize};
use stack_config::{AccessLog, Loaded, Log, LogFormat, LogLevel};
use stack_supervisor::{ControlPath, Outcome, Program, Settings, Supervisor};

use crate::{
    Exit, Failure,
    cli::{self, DEV, SERVE, SERVER},
    control, logging,
};

/// The variable in which this program tells itself what it has read.
const VARIABLE: &str = "__stack_supervisor";

/// What the parent has to know of the configuration. Each server reads all of it for itself.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct OfParent {
    log_level: LogLevel,
    log_format: LogFormat,
    watchdog: Option<Duration>,
    /// The control socket's path, and whether it was named.
    control: Option<(PathBuf, bool)>,
}

/// Runs until the last server process has ended.
pub(crate) fn run(loaded: Loaded) -> Result<Exit, Failure> {
    let Log { level: log_level, format: log_format, access: _ } = loaded.config.log;
    let watchdog = loaded.config.lifecycle.watchdog;
    let control = control::to_bind(&loaded).map(|ControlPath { path, is_named }| (path, is_named));
    drop(loaded);
    let settings = OfParent { log_level, log_format, watchdog, control };
    begin_afresh(&settings);
    supervise(settings)
}

/// Becomes this program once more. Reading a configuration takes memory that an allocator keeps, some megabytes, and this
/// process is to be there for months.
fn begin_afresh(settings: &OfParent) {
    let (Ok(program), Ok(settings)) = (env::current_exe(), serde_json::to_string(settings)) else { return };
    let mut arguments = env::args_os();
    let mut command = Command::new(program);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    // Where the system gives every process large pages, the first kilobytes would take 2 MB each. It holds across the exec.
    let _ = disable_transparent_huge_pages(true);
    // Without all this it works as well, and takes more.
    let _ = command.args(arguments).env(VARIABLE, settings).exec();
}

/// What was read before this program began afresh, if it did.
pub(crate) fn read_before() -> Option<OfParent> {
    let settings =
        env::var(VARIABLE).ok().filter(|_| env::args_os().nth(1).is_some_and(|name| name == SERVE || name == DEV))?;
    serde_json::from_str(&settings).ok()
}

pub(crate) fn supervise(settings: OfParent) -> Result<Exit, Failure> {
    let OfParent { log_level, log_format, watchdog, control } = settings;
    logging::init(&Log { level: log_level, format: log_format, access: AccessLog::Off })?;
    let options = cli::of_server(&env::args_os().collect::<Vec<_>>());
    let program = Program::this(SERVER, options).context("this program does not find itself")?.without(VARIABLE);
    let control = control.map(|(path, is_named)| ControlPath { path, is_named });
    let supervisor = Supervisor::new(Settings { program, control, watchdog }).map_err(anyhow::Error::new)?;
    match supervisor.run().map_err(anyhow::Error::new)? {
        Outcome::Stopped(code) => Ok(if code == 0 { Exit::Success } else { Exit::Other(code) }),
        Outcome::Failed { text, exit_code } => Err(Failure::Server { text, exit_code }),
    }
}
