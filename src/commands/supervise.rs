//! `stack serve`, the parent: starts the server process and looks after it.

use std::env;

use anyhow::Context;
use stack_config::Loaded;
use stack_supervisor::{Outcome, Program, Settings, Supervisor};

use crate::{Exit, Failure, cli::SERVER, control, logging};

/// The name of the program and that of the subcommand.
const BEFORE_OPTIONS: usize = 2;

/// Runs until the last server process has ended. Each reads the configuration for itself: here only that is used which is
/// about the parent.
pub(crate) fn run(loaded: Loaded) -> Result<Exit, Failure> {
    logging::init(&loaded.config.log)?;
    let control = control::to_bind(&loaded);
    drop(loaded);
    let options = env::args_os().skip(BEFORE_OPTIONS).collect();
    let program = Program::this(SERVER, options).context("this program does not find itself")?;
    let supervisor = Supervisor::new(Settings { program, control }).map_err(anyhow::Error::new)?;
    match supervisor.run().map_err(anyhow::Error::new)? {
        Outcome::Stopped(code) => Ok(if code == 0 { Exit::Success } else { Exit::Other(code) }),
        Outcome::Failed { text, exit_code } => Err(Failure::Server { text, exit_code }),
    }
}
