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
    wire::{self, LENGTH_SIZE, WireError},
};

/// Frames that the socket had no room for. Nothing overtakes them.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// The frame that is being made. Kept, so that a small response needs no allocation.
    frame: Vec<u8>,
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    bytes: Vec<u8>,
    sent: usize,
    descriptor: Option<OwnedFd>,
}

impl Outbox {
    /// Sends a message with `rest` behind it; what does not go out without waiting is kept.
    pub(super) fn add(
        &mut self,
        socket: &UnixStream,
        message: &impl Serialize,
        rest: &[u8],
        descriptor: Option<OwnedFd>,
    ) -> Result<(), Unsendable> {
        self.frame.clear();
        wire::begin_frame(&mut self.frame, message)?;
        wire::end_frame(&mut self.frame, 0, rest.len())?;
        debug_assert!(self.frame.len() >= LENGTH_SIZE, "begun with a length");
        let sent = if self.flush(socket, false)? {
            let parts = [IoSlice::new(&self.frame), IoSlice::new(rest)];
            match link::send(socket.as_fd(), &parts, descriptor.as_ref().map(AsFd::as_fd), false) {
                Ok(sent) => sent,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(error) => return Err(error.into()),
            }
        } else {
            0
        };
        if sent < self.frame.len() + rest.len() {
            let bytes = [&self.frame[..], rest].concat();
            self.waiting.push_back(Waiting { bytes, sent, descriptor: descriptor.filter(|_| sent == 0) });
        }
        Ok(())
    }

    /// Sends what is kept. True when nothing is any more.
    pub(super) fn flush(&mut self, socket: &UnixStream, wait: bool) -> io::Result<bool> {
        while let Some(first) = self.waiting.front_mut() {
            let parts = [IoSlice::new(&first.bytes[first.sent..])];
            match link::send(socket.as_fd(), &parts, first.descriptor.as_ref().map(AsFd::as_fd), wait) {
                Ok(sent) => {
                    first.descriptor = None;
                    first.sent += sent;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
            if first.sent == first.bytes.len() {
                self.waiting.pop_front();
            }
        }
        Ok(true)
    }

    pub(super) fn is_empty(&self) -> bool {
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
