//! `stack completions SHELL`: a script that completes the command line.

use clap_complete::Shell;

use crate::{Exit, cli};

/// Prints the script.
pub(crate) fn run(shell: Shell) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut cli::command(), cli::NAME, &mut script);
    super::print(&script)?;
    Ok(Exit::Success)
}
