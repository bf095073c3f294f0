//! The process that workers are forked from: it has the application imported, one thread, and serves nothing itself.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid},
};

use super::{Control, ControlError};
use crate::wire::{self, Notice, Order, WireError};

/// What the template is started with.
#[derive(Debug)]
pub struct Preload {
    /// What is to be imported, as the server's side was given it.
    pub spec: String,
    /// Where a process that dies of a signal leaves its stack.
    pub last_words: File,
}

/// Which side of a fork this is.
#[derive(Debug)]
pub enum Forked {
    /// A worker, with a control connection of its own.
    Worker(Control),
    /// The template, whose server is gone or wants no more workers.
    Over,
}

/// A worker that was forked and lives.
#[derive(Debug)]
struct Child {
    pid: Pid,
    /// Readable when it has ended.
    descriptor: OwnedFd,
}

impl Control {
    /// Forks a worker whenever the server asks for one, and tells it when one has ended. `fork` is `fork(2)`: 0 in the child,
    /// which returns from here at once, and the child's number in this process, which returns when the server is gone.
    pub fn serve_forks<E: std::error::Error + 'static>(
        mut self,
        fork: impl FnMut() -> Result<u32, E>,
    ) -> Result<Forked, ForkError<E>> {
        self.fork_when_asked(fork).inspect_err(|error| {
            let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
            // Where the server is gone there is nobody to tell.
            let _ = self.failed(&format!("{error}{cause}"));
        })
    }

    fn fork_when_asked<E>(&mut self, mut fork: impl FnMut() -> Result<u32, E>) -> Result<Forked, ForkError<E>> {
        let mut children: Vec<Child> = Vec::new();
        loop {
            while let Some(frame) = self.inbox.next_frame().map_err(ControlError::from)? {
                let message = wire::read::<Order<'_>>(self.inbox.frame(frame)).map_err(ControlError::from)?;
                let (Order::Fork { worker }, _) = message else {
                    return Err(ControlError::from(WireError::OutOfPlace).into());
                };
                let socket = UnixStream::from(self.inbox.descriptor().map_err(ControlError::from)?);
                let number = fork().map_err(ForkError::Fork)?;
                let Some(pid) = i32::try_from(number).ok().and_then(Pid::from_raw) else {
                    return Ok(Forked::Worker(Self::new(socket)));
                };
                let descriptor = pidfd_open(pid, PidfdFlags::empty()).map_err(io::Error::from)?;
                children.push(Child { pid, descriptor });
                self.notify(&Notice::Forked { worker, pid: number })?;
            }
            let ended = wait(&self.socket, &children).map_err(ForkError::Io)?;
            for child in children.extract_if(.., |child| ended.contains(&child.pid)) {
                self.tell_end(&child)?;
            }
            // Children that ended are told of first; whether the server has said something is seen without waiting.
            if ended.is_empty()
                && let Err(error) = self.inbox.receive(self.socket.as_fd(), true)
            {
                return match ControlError::from(error) {
                    ControlError::ServerGone => Ok(Forked::Over),
                    error => Err(error.into()),
                };
            }
        }
    }

    fn tell_end(&self, child: &Child) -> Result<(), ControlError> {
        let status = waitid(WaitId::PidFd(child.descriptor.as_fd()), WaitIdOptions::EXITED).ok().flatten();
        self.notify(&Notice::Exited {
            pid: child.pid.as_raw_nonzero().get().unsigned_abs(),
            code: status.as_ref().and_then(rustix::process::WaitIdStatus::exit_status),
            signal: status.as_ref().and_then(rustix::process::WaitIdStatus::terminating_signal),
            core_dumped: status.is_some_and(|status| status.dumped()),
        })
    }
}

/// Waits until the server says something or a child ends; gives the children that have.
fn wait(server: &UnixStream, children: &[Child]) -> io::Result<Vec<Pid>> {
    let mut watched: Vec<_> = children.iter().map(|child| PollFd::new(&child.descriptor, PollFlags::IN)).collect();
    watched.push(PollFd::new(server, PollFlags::IN));
    loop {
        match poll(&mut watched, None) {
            Err(rustix::io::Errno::INTR) => {}
            outcome => {
                outcome?;
                break;
            }
        }
    }
    let ended = children.iter().zip(&watched).filter(|(_, watched)| !watched.revents().is_empty());
    Ok(ended.map(|(child, _)| child.pid).collect())
}

/// Why a template can not go on.
#[derive(Debug, thiserror::Error)]
pub enum ForkError<E> {
    /// The control connection.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The fork itself.
    #[error("a worker could not be forked")]
    Fork(#[source] E),
    /// The system refused something.
    #[error("the forked workers can not be watched")]
    Io(#[from] io::Error),
}
