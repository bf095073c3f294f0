//! `stack status`, `stack reload`, `stack stop`: what the supervisor is asked for.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
};

use anyhow::Context;
use stack_config::{Errors, Located};
use stack_supervisor::command::{Answer, AskError, Command, GenerationStatus, Status, ask};

use crate::{Exit, Failure, control};

/// Asks, waits for the answer and prints it.
pub(crate) fn run(command: Command, mut located: Located, json: bool) -> Result<Exit, Failure> {
    if let Some(errors) = located.errors.take() {
        match command {
            // A new server would fail for the same reasons.
            Command::Reload => return Err(errors.into()),
            Command::Status | Command::Stop { .. } => warn(errors),
        }
    }
    let answer = ask_anywhere(command, &located)?;
    let text = if json {
        serde_json::to_string_pretty(&answer).context("the answer can not be written")? + "\n"
    } else {
        text(command, &answer).context("the answer can not be written")?
    };
    super::print(text.as_bytes()).context("standard output")?;
    match answer.error {
        Some(error) if !json => Err(Failure::Server { text: error, exit_code: Exit::Failure.code() }),
        _ => Ok(if answer.ok { Exit::Success } else { Exit::Failure }),
    }
}

/// Says what does not matter now, and will. If standard error is gone, nobody wants to know.
fn warn(errors: Errors) {
    let text = Failure::from(errors).text();
    let _ =
        write!(io::stderr().lock(), "{text}It does not matter to this command; a reload or a start would fail.\n\n");
}

fn ask_anywhere(command: Command, located: &Located) -> anyhow::Result<Answer> {
    let places = control::to_ask(located);
    let mut nobody = None;
    for path in &places {
        match ask(path, command) {
            Err(error @ AskError::NobodyThere { .. }) => {
                nobody.get_or_insert(error);
            }
            outcome => return Ok(outcome?),
        }
    }
    let Some(error) = nobody else { anyhow::bail!("there is no control socket (control_socket = \"off\")") };
    Err(anyhow::Error::new(error).context(
        "no server was found: ask from the directory that it was started in, with the same configuration file, or name its \
         control_socket",
    ))
}

fn text(command: Command, answer: &Answer) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    match (command, &answer.status) {
        _ if !answer.ok => {}
        (Command::Status, Some(status)) => describe(&mut text, status)?,
        (Command::Status, None) => {}
        (Command::Reload, _) => {
            let (generation, pid) = (answer.generation.unwrap_or_default(), answer.pid.unwrap_or_default());
            writeln!(text, "reloaded: generation {generation} serves (pid {pid})")?;
        }
        (Command::Stop { .. }, _) => match answer.cut_off {
            Some(cut_off @ 1..) => writeln!(text, "stopped, {cut_off} requests were cut off")?,
            _ => writeln!(text, "stopped")?,
        },
    }
    Ok(text)
}

fn describe(text: &mut String, status: &Status) -> std::fmt::Result {
    writeln!(text, "state        {}, for {} (pid {})", word(status.state), seconds(status.uptime_seconds), status.pid)?;
    writeln!(text, "version      {}", status.version)?;
    writeln!(text, "listen       {}", status.addresses.join(" "))?;
    for GenerationStatus { number, pid, state, age_seconds } in &status.generations {
        writeln!(text, "generation   {number} {}, for {} (pid {pid})", word(state), seconds(*age_seconds))?;
    }
    writeln!(text, "reloads      {}, failed {}", status.reloads, status.failed_reloads)?;
    if let Some(error) = &status.reload_error {
        writeln!(text, "last reload  failed: {}", error.lines().next().unwrap_or_default())?;
    }
    writeln!(text, "restarts     {}", status.restarts)?;
    if let Some(server) = status.server.as_ref().and_then(serde_json::Value::as_object) {
        for (name, value) in server {
            writeln!(text, "{:<12} {value}", name.replace('_', " "))?;
        }
    }
    Ok(())
}

fn seconds(seconds: u64) -> String {
    humantime::format_duration(std::time::Duration::from_secs(seconds)).to_string()
}

/// The word that a state has in JSON.
fn word(state: impl serde::Serialize) -> String {
    let value = serde_json::to_value(state).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}
