//! What a lane's thread has yet to send.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use serde::Serialize;

use crate::{
    link,
    wire::{self, WireError},
};

/// Frames on their way. What the socket has no room for is kept, and nothing overtakes it.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// What the socket had no room for, the oldest first.
    waiting: VecDeque<Waiting>,
    /// Frames that are sent with whatever comes next. Its memory is kept, so that a small response needs no allocation.
    held: Vec<u8>,
}

#[derive(Debug)]
struct Waiting {
    bytes: Vec<u8>,
    sent: usize,
    descriptor: Option<OwnedFd>,
}

impl Outbox {
    /// Keeps a message, with `rest` behind it, until the next that is added or flushed.
    pub(super) fn hold(&mut self, message: &impl Serialize, rest: &[u8]) -> Result<(), WireError> {
        let start = self.held.len();
        wire::begin_frame(&mut self.held, message)?;
        wire::end_frame(&mut self.held, start, rest.len())?;
        self.held.extend_from_slice(rest);
        Ok(())
    }

    /// Sends a message with `rest` behind it; what does not go out without waiting is kept.
    pub(super) fn add(
        &mut self,
        socket: &UnixStream,
        message: &impl Serialize,
        rest: &[u8],
        descriptor: Option<OwnedFd>,
    ) -> Result<(), Unsendable> {
        let start = self.held.len();
        wire::begin_frame(&mut self.held, message)?;
        wire::end_frame(&mut self.held, start, rest.len())?;
        self.send_held(socket, rest, descriptor)?;
        Ok(())
    }

    /// Sends what is kept. True when nothing is any more.
    pub(super) fn flush(&mut self, socket: &UnixStream, wait: bool) -> io::Result<bool> {
        self.send_held(socket, &[], None)?;
        self.send_waiting(socket, wait)
    }

    /// Sends what is held and `rest` behind it, as far as it goes without waiting.
    fn send_held(&mut self, socket: &UnixStream, rest: &[u8], descriptor: Option<OwnedFd>) -> io::Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        let sent = if self.send_waiting(socket, false)? {
            let parts = [IoSlice::new(&self.held), IoSlice::new(rest)];
            match link::send(socket.as_fd(), &parts, descriptor.as_ref().map(AsFd::as_fd).as_slice(), false) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                outcome => outcome?,
            }
        } else {
            0
        };
        if sent < self.held.len() + rest.len() {
            let bytes = [&self.held[..], rest].concat();
            self.waiting.push_back(Waiting { bytes, sent, descriptor: descriptor.filter(|_| sent == 0) });
        }
        self.held.clear();
        Ok(())
    }

    fn send_waiting(&mut self, socket: &UnixStream, wait: bool) -> io::Result<bool> {
        while let Some(first) = self.waiting.front_mut() {
            let parts = [IoSlice::new(&first.bytes[first.sent..])];
            let sent = link::send(socket.as_fd(), &parts, first.descriptor.as_ref().map(AsFd::as_fd).as_slice(), wait);
            match sent {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                outcome => first.sent += outcome?,
            }
            first.descriptor = None;
            if first.sent == first.bytes.len() {
                self.waiting.pop_front();
            }
        }
        Ok(true)
    }

    /// Whether nothing waits for the socket.
    pub(super) fn is_clear(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// Why a frame could not be sent, now or later.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unsendable {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Wire(#[from] WireError),
}
