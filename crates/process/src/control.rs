//! The server's side of a control connection: how a worker process is started.

use std::{
    fs::File,
    io::{self, Read, Seek},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{net::UnixStream, process::ExitStatusExt},
    },
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::process::{Child, Command};

use crate::{
    claims::Claims,
    lane::ServerLane,
    link::{Link, LinkError},
    pool::{Exit, Program, StartError},
    wire::{self, Notice, Order},
    worker::memory_file,
};

/// The running program, whatever has become of its file.
const THIS_PROGRAM: &str = "/proc/self/exe";
/// How long a process may live on that has closed a connection to the server.
pub(crate) const LINGER_TIME: Duration = Duration::from_millis(500);
/// Much more than all threads' stacks.
const LONGEST_LAST_WORDS: u64 = 64 * 1024;

/// A process that was started, and has not said yet that it is ready.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) link: Link,
    pub(crate) child: Child,
    pub(crate) last_words: LastWords,
}

/// Starts this program with a control connection as its standard input.
pub(crate) fn exec(program: &Program) -> io::Result<Started> {
    let (ours, theirs) = UnixStream::pair()?;
    let mut command = Command::new(THIS_PROGRAM);
    command.env_clear().envs(program.environment.iter().map(|(name, value)| (name, value)));
    command.arg0("stack").args(&program.arguments).stdin(Stdio::from(OwnedFd::from(theirs))).kill_on_drop(true);
    let child = command.spawn()?;
    Ok(Started { link: Link::new(ours)?, child, last_words: LastWords::new()? })
}

/// Sends what a worker starts with, and gives back the server's ends of its lanes.
pub(crate) async fn equip(
    link: &mut Link,
    last_words: &LastWords,
    threads: usize,
) -> Result<Vec<ServerLane>, LinkError> {
    link.send(&Order::LastWords, &[], &[last_words.0.as_fd()]).await?;
    let mut lanes = Vec::with_capacity(threads);
    for _ in 0..threads {
        let (jobs, their_jobs) = UnixStream::pair()?;
        let (answers, their_answers) = UnixStream::pair()?;
        let claims = Claims::new()?;
        let theirs = [their_jobs.as_fd(), their_answers.as_fd(), claims.descriptor().as_fd()];
        link.send(&Order::Lane, &[], &theirs).await?;
        lanes.push(ServerLane::new(jobs, answers, claims)?);
    }
    Ok(lanes)
}

/// Waits until the application is loaded; gives what the process reports.
pub(crate) async fn wait_until_ready(link: &mut Link) -> Result<String, StartError> {
    let frame = link.receive().await.map_err(start_error)?;
    let (notice, _) = wire::read::<Notice<'_>>(link.inbox().frame(frame)).map_err(|error| start_error(error.into()))?;
    match notice {
        Notice::Ready { report } => Ok(report.to_owned()),
        Notice::Failed { problem } => Err(StartError::Failed(problem.to_owned())),
        _ => Err(start_error(wire::WireError::OutOfPlace.into())),
    }
}

pub(crate) fn start_error(error: LinkError) -> StartError {
    match error {
        LinkError::Closed | LinkError::CutShort => StartError::Gone,
        LinkError::Io(error) => StartError::Io(error),
        LinkError::Wire(error) => StartError::Io(io::Error::new(io::ErrorKind::InvalidData, error)),
    }
}

/// What a failed start comes to: how the process ended says more than that it is gone.
pub(crate) async fn why(error: StartError, child: &mut Child, last_words: &mut LastWords) -> StartError {
    match error {
        StartError::Gone => StartError::Died { exit: end_of(child).await, last_words: last_words.read() },
        other => other,
    }
}

/// How a process ended that has closed its connection. One that lives on is killed.
pub(crate) async fn end_of(child: &mut Child) -> Exit {
    if let Ok(status) = tokio::time::timeout(LINGER_TIME, child.wait()).await {
        return status.map_or(Exit::UNKNOWN, Exit::from);
    }
    let _ = child.start_kill();
    child.wait().await.map_or(Exit::UNKNOWN, Exit::from)
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        Self { code: status.code(), signal: status.signal(), core_dumped: status.core_dumped() }
    }
}

/// The file in memory in which a process that dies of a signal leaves its Python stack.
#[derive(Debug)]
pub(crate) struct LastWords(File);

impl LastWords {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(memory_file("last words", b"")?.into()))
    }

    pub(crate) fn read(&mut self) -> Option<String> {
        let mut text = Vec::new();
        self.0.rewind().ok()?;
        (&mut self.0).take(LONGEST_LAST_WORDS).read_to_end(&mut text).ok()?;
        let text = String::from_utf8_lossy(&text).trim_end().to_owned();
        Some(text).filter(|text| !text.is_empty())
    }
}
