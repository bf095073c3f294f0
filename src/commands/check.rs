//! `stack check`: tries everything short of serving.

use std::process::ExitCode;

use stack_config::Loaded;

use crate::logging;

/// Checks the configuration.
pub(crate) fn run(loaded: Loaded) -> anyhow::Result<ExitCode> {
    let config = loaded.config;
    logging::init(&config.log)?;
    Ok(ExitCode::SUCCESS)
}
