//! What the parent can be asked for over its control socket: one line of JSON there, one back.

use std::{
    io::{self, BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::Path,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{GenerationState, State};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// How things are.
    Status,
    /// Another generation. The answer comes when it serves, or will not.
    Reload,
    /// The end. The answer comes when the last server is gone.
    Stop {
        /// Without waiting for what is in flight.
        #[serde(default)]
        at_once: bool,
    },
}

/// What comes back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Answer {
    /// Whether it was done.
    pub ok: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The generation that serves after a reload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// Its process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// Requests that a stop has cut off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut_off: Option<usize>,
    /// How things are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
}

/// How things are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// What the parent does.
    pub state: State,
    /// The parent's process.
    pub pid: u32,
    /// The version of its program.
    pub version: String,
    /// How long it runs.
    pub uptime_seconds: u64,
    /// How often a server was started in place of one that had ended.
    pub restarts: u64,
    /// How many reloads there were that took over.
    pub reloads: u64,
    /// How many did not.
    pub failed_reloads: u64,
    /// Why the last one did not, if it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reload_error: Option<String>,
    /// Server processes, the oldest first.
    pub generations: Vec<GenerationStatus>,
    /// Where the one that serves listens.
    pub addresses: Vec<String>,
    /// What that one says of itself; nothing if it does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Value>,
}

/// One server process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerationStatus {
    /// Its number.
    pub number: u64,
    /// Its process.
    pub pid: i32,
    /// What it does.
    pub state: GenerationState,
    /// How long ago it was started.
    pub age_seconds: u64,
}

impl Answer {
    pub(crate) fn done() -> Self {
        Self { ok: true, ..Self::default() }
    }

    pub(crate) fn failed(error: &str) -> Self {
        Self { error: Some(error.trim_end().to_owned()), ..Self::default() }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody is there.
    #[error("no supervisor answers at {}", path.display())]
    NobodyThere {
        /// The socket.
        path: std::path::PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// It went away before it answered.
    #[error("the supervisor has ended without an answer")]
    Gone,
    /// The connection does not work.
    #[error("the supervisor can not be asked")]
    Io(#[from] io::Error),
    /// It answers nonsense.
    #[error("the supervisor's answer is not understood")]
    Nonsense(#[from] serde_json::Error),
}

/// Asks the parent whose control socket is at `path`, and waits for its answer.
pub fn ask(path: &Path, command: Command) -> Result<Answer, AskError> {
    let stream = UnixStream::connect(path).map_err(|source| AskError::NobodyThere { path: path.to_owned(), source })?;
    let mut line = serde_json::to_vec(&command)?;
    line.push(b'\n');
    (&stream).write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(&stream).read_line(&mut answer)?;
    if answer.is_empty() {
        return Err(AskError::Gone);
    }
    Ok(serde_json::from_str(&answer)?)
}
