//! Probes: throw-away children in which an application is imported to see what comes of it. A crash or a hang there is
//! an answer like any other.
//!
//! A probe is this executable again, by exec, since a fork of a process with Python in it would not be of use. Its
//! answers come through a pipe that the application in it does not know; what that prints goes nowhere, since the worker
//! that is started later prints it again.

use std::{
    fmt,
    io::{BufRead, BufReader},
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};

use super::protocol::{Answer, Application, Order, Task};
use crate::environment;

/// How long a probe may take.
pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(30);

/// Why a probe did not answer to the end. Read behind what it was doing: `importing the application …`.
#[derive(Debug)]
pub(crate) enum ProbeFailure {
    /// It took too long and was killed.
    TimedOut(Duration),
    /// It ended before its time.
    Ended(ExitStatus),
    /// It wrote what is no answer.
    Garbled,
    /// It could not be started.
    NotStarted(std::io::Error),
    /// Python did not start in it.
    NoPython(String),
}

impl fmt::Display for ProbeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut(limit) => write!(f, "took longer than {} s", limit.as_secs_f32()),
            Self::Ended(status) => match (status.signal(), status.code()) {
                (Some(signal), _) => write!(f, "crashed ({})", signal_name(signal)),
                (None, Some(code)) => write!(f, "ended the process (exit code {code})"),
                (None, None) => f.write_str("ended the process"),
            },
            Self::Garbled => f.write_str("gave an answer that makes no sense"),
            Self::NotStarted(error) => write!(f, "was not possible in a process of its own ({error})"),
            Self::NoPython(text) => write!(f, "was not possible ({text})"),
        }
    }
}

fn signal_name(signal: i32) -> String {
    let names = [
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::ILL, "SIGILL"),
        (Signal::KILL, "SIGKILL"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::TERM, "SIGTERM"),
        (Signal::TRAP, "SIGTRAP"),
    ];
    let known = names.iter().find(|(known, _)| known.as_raw() == signal);
    known.map_or_else(|| format!("signal {signal}"), |(_, name)| (*name).to_owned())
}

/// Starts a probe and passes each answer to `heard`, until the last one or until the limit, which begins anew with each
/// answer. The probe has ended when this returns. It blocks.
pub(crate) fn ask(
    application: &Application,
    task: Task,
    limit: Duration,
    mut heard: impl FnMut(Answer),
) -> Result<(), ProbeFailure> {
    let order = Order { parent: std::process::id(), application: application.clone(), task };
    let order = serde_json::to_vec(&order).expect("plain data");
    let mut probe = Probe::start().map_err(ProbeFailure::NotStarted)?;
    let answers = probe.talk(order);
    let mut deadline = Instant::now() + limit;
    loop {
        match answers.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(Some(Answer::Done)) => return Ok(()),
            Ok(Some(Answer::NoPython(text))) => return Err(ProbeFailure::NoPython(text)),
            Ok(Some(answer)) => heard(answer),
            Ok(None) => return Err(ProbeFailure::Garbled),
            Err(RecvTimeoutError::Timeout) => return Err(ProbeFailure::TimedOut(limit)),
            // The pipe is closed when the process ends, and by then it is settled how.
            Err(RecvTimeoutError::Disconnected) => {
                return Err(probe.end().map_or_else(ProbeFailure::NotStarted, ProbeFailure::Ended));
            }
        }
        deadline = Instant::now() + limit;
    }
}

/// The child. It is killed, with all that it started, when this is dropped.
struct Probe(Child);

impl Probe {
    fn start() -> std::io::Result<Self> {
        let mut command = Command::new("/proc/self/exe");
        command.env_clear().envs(environment::at_start().iter().map(|(name, value)| (name, value)));
        command.arg0(crate::cli::NAME).arg(crate::cli::PROBE);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
        command.spawn().map(Self)
    }

    /// Sends the order and reads the answers: `None` is one that can not be read. Both on threads of their own, since neither
    /// a pipe that nobody empties nor one that nobody fills may hold this one.
    fn talk(&mut self, order: Vec<u8>) -> mpsc::Receiver<Option<Answer>> {
        let (sender, answers) = mpsc::channel();
        if let Some(mut stdin) = self.0.stdin.take() {
            // It fails where the probe has ended already, and then the answers say so.
            thread::spawn(move || std::io::Write::write_all(&mut stdin, &order));
        }
        if let Some(stdout) = self.0.stdout.take() {
            thread::spawn(move || {
                for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
                    if sender.send(serde_json::from_slice(&line).ok()).is_err() {
                        break;
                    }
                }
            });
        }
        answers
    }

    fn end(&mut self) -> std::io::Result<ExitStatus> {
        // It fails where the probe has ended and nothing is left of its group.
        let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
        self.0.wait()
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        // A status that was read before is kept.
        let _ = self.end();
    }
}
