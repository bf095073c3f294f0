//! `stack completions SHELL`: a script that completes the command line.

use std::process::ExitCode;

use clap_complete::Shell;

use crate::cli;

/// Prints the script.
pub(crate) fn run(shell: Shell) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut cli::command(), cli::NAME, &mut script);
    super::print(&script)?;
    Ok(ExitCode::SUCCESS)
}
