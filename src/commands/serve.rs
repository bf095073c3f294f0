//! `stack serve`: runs the server.

use std::process::ExitCode;

use stack_config::Loaded;

use crate::logging;

/// Serves until it is told to stop.
pub(crate) fn run(loaded: Loaded) -> anyhow::Result<ExitCode> {
    let config = loaded.config;
    logging::init(&config.log)?;
    Ok(ExitCode::SUCCESS)
}
