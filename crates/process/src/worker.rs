//! The worker's side: a process that was started to run jobs.

mod lane;
mod outbox;
mod patience;
mod template;

use std::{
    fs::File,
    io::{self, IoSlice},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::PathBuf,
};

use serde::Serialize;
use stack_bridge::WorkerId;

pub use self::{
    lane::Lane,
    template::{ForkError, Forked, Preload},
};
use crate::{
    claims::Claims,
    link::{self, Inbox, LinkError},
    wire::{self, Notice, Order, WireError},
};

/// Why a worker process can not go on.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Standard input is not the connection to a server.
    #[error("standard input is no control connection: this command is only started by a server")]
    NotConnected(#[source] io::Error),
    /// The server is gone.
    #[error("the server is gone")]
    ServerGone,
    /// What came can not be understood.
    #[error("a control message can not be understood")]
    Garbled(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<LinkError> for ControlError {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Closed | LinkError::CutShort => Self::ServerGone,
            other => Self::Garbled(Box::new(other)),
        }
    }
}

impl From<WireError> for ControlError {
    fn from(error: WireError) -> Self {
        Self::Garbled(Box::new(error))
    }
}

/// The connection to the server that started this process. It lives as long as the process; the server takes its end for the
/// process's.
#[derive(Debug)]
pub struct Control {
    socket: UnixStream,
    inbox: Inbox,
}

/// What a process is to be.
#[derive(Debug)]
pub enum Assignment {
    /// A worker.
    Serve(Start),
    /// One that workers are forked from.
    Preload(Preload),
}

/// What a worker is started with.
#[derive(Debug)]
pub struct Start {
    /// Its number.
    pub worker: WorkerId,
    /// What it is to run, as the server's side was given it.
    pub spec: String,
    /// One for each thread.
    pub lanes: Vec<Lane>,
    /// Where a process that dies of a signal leaves its stack.
    pub last_words: File,
}

/// Where a worker puts blocks that are too large for a lane.
#[derive(Clone, Debug)]
pub struct LargeBlocks {
    /// A block of more bytes goes into a file.
    pub threshold: usize,
    /// The directory of the files, which have no names.
    pub directory: PathBuf,
}

impl Control {
    /// Takes over standard input, which is the connection where a server started this process, and puts nothing in its place.
    pub fn from_stdin() -> Result<Self, ControlError> {
        let take = || -> io::Result<UnixStream> {
            let stdin = io::stdin().as_fd().try_clone_to_owned()?;
            let socket = UnixStream::from(stdin);
            // Fails on what is no socket of this kind.
            socket.peer_addr()?;
            let nothing = File::open("/dev/null")?;
            rustix::stdio::dup2_stdin(&nothing)?;
            Ok(socket)
        };
        take().map(Self::new).map_err(ControlError::NotConnected)
    }

    fn new(socket: UnixStream) -> Self {
        Self { socket, inbox: Inbox::new() }
    }

    /// Waits for what this process is to do.
    pub fn receive(&mut self) -> Result<Assignment, ControlError> {
        let (mut lanes, mut last_words) = (Vec::new(), None);
        loop {
            let frame = self.next_frame()?;
            // The message borrows the inbox, from which its descriptor is taken next.
            let (worker, spec) = match wire::read::<Order<'_>>(self.inbox.frame(frame))?.0 {
                Order::Lane => {
                    let jobs = UnixStream::from(self.inbox.descriptor()?);
                    let answers = UnixStream::from(self.inbox.descriptor()?);
                    let mut lane = Lane::new(jobs, answers, Claims::from(self.inbox.descriptor()?));
                    // The first one is the main thread's.
                    if lanes.is_empty() {
                        lane.look_for_signals().map_err(LinkError::from)?;
                    }
                    lanes.push(lane);
                    continue;
                }
                Order::LastWords => {
                    last_words = Some(File::from(self.inbox.descriptor()?));
                    continue;
                }
                Order::Start { worker, spec } => (Some(WorkerId(worker)), spec.to_owned()),
                Order::Preload { spec } => (None, spec.to_owned()),
                Order::Fork { .. } => return Err(WireError::OutOfPlace.into()),
            };
            let last_words = last_words.ok_or(WireError::NoDescriptor)?;
            return Ok(match worker {
                Some(worker) => Assignment::Serve(Start { worker, spec, lanes, last_words }),
                None => Assignment::Preload(Preload { spec, last_words }),
            });
        }
    }

    fn next_frame(&mut self) -> Result<std::ops::Range<usize>, ControlError> {
        loop {
            if let Some(frame) = self.inbox.next_frame()? {
                return Ok(frame);
            }
            match self.inbox.receive(self.socket.as_fd(), true) {
                Err(error) if !link::is_interruption(&error) => return Err(error.into()),
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// Tells the server that the application is loaded. `report` is passed on.
    pub fn ready(&self, report: &str) -> Result<(), ControlError> {
        self.notify(&Notice::Ready { report })
    }

    /// Tells the server why this process is of no use.
    pub fn failed(&self, problem: &str) -> Result<(), ControlError> {
        self.notify(&Notice::Failed { problem })
    }

    /// Tells the server whether the worker is able to run anything at all.
    pub fn stalled(&self, stalled: bool) -> Result<(), ControlError> {
        self.notify(if stalled { &Notice::Stalled } else { &Notice::Recovered })
    }

    /// Tells the server that a request does not end.
    pub fn given_up(&self) -> Result<(), ControlError> {
        self.notify(&Notice::GivenUp)
    }

    /// Tells the server that such a request has ended after all.
    pub fn came_back(&self) -> Result<(), ControlError> {
        self.notify(&Notice::CameBack)
    }

    /// Tells the server something that is passed on as it is ([`WhenTold`](crate::WhenTold)).
    pub fn tell(&self, text: &str) -> Result<(), ControlError> {
        self.notify(&Notice::Told { text })
    }

    fn notify(&self, notice: &impl Serialize) -> Result<(), ControlError> {
        let mut frame = Vec::new();
        wire::begin_frame(&mut frame, notice)?;
        wire::end_frame(&mut frame, 0, 0)?;
        let mut rest = &frame[..];
        while !rest.is_empty() {
            let sent = link::send(self.socket.as_fd(), &[IoSlice::new(rest)], &[], true).map_err(link::gone)?;
            rest = &rest[sent..];
        }
        Ok(())
    }

    /// Waits until the server closes the connection, which it does not do while it wants this process.
    pub fn wait_for_end(mut self) {
        while self.next_frame().is_ok() {}
    }

    /// A second handle to wait with, while the first one reports.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self::new(self.socket.try_clone()?))
    }
}

impl Start {
    /// Sets where blocks go that are too large for a lane.
    pub fn set_large_blocks(&mut self, large: &LargeBlocks) {
        for lane in &mut self.lanes {
            lane.set_large_blocks(large.clone());
        }
    }
}

/// The descriptor of a new file in memory with this content.
pub(crate) fn memory_file(name: &str, content: &[u8]) -> io::Result<OwnedFd> {
    let file = rustix::fs::memfd_create(name, rustix::fs::MemfdFlags::CLOEXEC)?;
    std::os::unix::fs::FileExt::write_all_at(&File::from(file.try_clone()?), content, 0)?;
    Ok(file)
}
