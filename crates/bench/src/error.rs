//! What can go wrong, in words that say what to do.

use std::{error::Error as _, io, path::PathBuf, time::Duration};

/// Why a benchmark, or one measurement of it, ends early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name on the command line that nothing has, or options that exclude each other.
    #[error("{0}")]
    Usage(String),
    /// SIGINT, SIGTERM or SIGHUP.
    #[error("interrupted")]
    Interrupted,
    /// Something that the machine has to have.
    #[error("{what} is missing: {hint}")]
    Missing {
        /// What was looked for.
        what: String,
        /// What to do about it.
        hint: String,
    },
    /// A command that had to succeed did not.
    #[error("`{command}` ended with {status}{}", indented(.output))]
    Command {
        /// Its command line.
        command: String,
        /// Its exit code or signal.
        status: String,
        /// The end of what it printed.
        output: String,
    },
    /// A server that did not answer in time, or ended.
    #[error("{peer} did not start: {reason}{}", indented(.log))]
    Start {
        /// The peer's name.
        peer: String,
        /// What was seen instead of the expected answer.
        reason: String,
        /// The end of what it printed.
        log: String,
    },
    /// A command that runs for a known time and was not back long after.
    #[error("`{command}` was not back after {} s", limit.as_secs())]
    Hung {
        /// Its command line.
        command: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// An answer of a load generator, or of `/proc`, that is not understood.
    #[error("what {source_name} says is not understood: {detail}")]
    Unreadable {
        /// Who said it.
        source_name: &'static str,
        /// What it was.
        detail: String,
    },
    /// A file that is there and can not be what it is taken for.
    #[error("{}: {reason}", path.display())]
    Content {
        /// Its path.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// Instruction counts that the baseline does not allow, or does not know.
    #[error("{0}")]
    Counts(String),
    /// A file.
    #[error("{}", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Something else that the system refused.
    #[error("{what}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// A certificate, or a TLS connection to be checked, that could not be made.
    #[error("TLS: {0}")]
    Tls(String),
}

impl Error {
    /// With its causes, in a line.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }

    /// What a program ends with: 64 for bad usage (`EX_USAGE` of sysexits), 130 after a signal, 1 for everything else.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 64,
            Self::Interrupted => 130,
            _ => 1,
        }
    }

    /// For `map_err` on what was done with a file.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }

    /// For `map_err` on a call to the system.
    pub(crate) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}

/// The last lines of an output, below the sentence that they belong to.
fn indented(output: &str) -> String {
    let lines: Vec<_> = output.trim().lines().collect();
    lines[lines.len().saturating_sub(15)..].iter().fold(String::new(), |text, line| text + "\n    " + line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_shows_the_end_of_an_output() {
        let output = (0..40).map(|number| format!("line {number}")).collect::<Vec<_>>().join("\n");
        let error = Error::Command { command: "pip install".to_owned(), status: "exit status: 1".to_owned(), output };
        let text = error.to_string();
        assert!(text.starts_with("`pip install` ended with exit status: 1\n    line 25\n"), "{text}");
        assert!(text.ends_with("\n    line 39"), "{text}");
    }

    #[test]
    fn an_error_without_an_output_is_one_line() {
        let status = "signal: 9".to_owned();
        let error = Error::Command { command: "wrk".to_owned(), status, output: String::new() };
        assert_eq!(error.to_string(), "`wrk` ended with signal: 9");
    }
}
