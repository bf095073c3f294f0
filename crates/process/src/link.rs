//! One connection between a server and a worker process: bytes and descriptors, in frames.

use std::{
    collections::VecDeque,
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    ops::Range,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    sync::{Arc, Weak},
    time::Instant,
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::Serialize;
use tokio::io::Interest;

use crate::wire::{self, LENGTH_SIZE, LONGEST_FRAME, WireError};

/// Room for the frames of small requests and responses; it grows to the longest frame that comes.
const INBOX_SIZE: usize = 16 * 1024;
/// What is kept after a long frame.
const KEPT_SIZE: usize = 256 * 1024;

/// No message has more descriptors.
const MOST_DESCRIPTORS: usize = 3;

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// The other side has closed it, or is gone.
    #[error("the connection is closed")]
    Closed,
    /// The other side went in the middle of a frame.
    #[error("the connection ended in the middle of a frame")]
    CutShort,
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// Sends once. Without `wait` it gives `WouldBlock` where the socket has no room.
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    parts: &[IoSlice<'_>],
    descriptors: &[BorrowedFd<'_>],
    wait: bool,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        let has_room = control.push(SendAncillaryMessage::ScmRights(descriptors));
        debug_assert!(has_room, "no message has more of them");
    }
    let flags = if wait { SendFlags::NOSIGNAL } else { SendFlags::NOSIGNAL | SendFlags::DONTWAIT };
    loop {
        match sendmsg(socket, parts, &mut control, flags) {
            Err(rustix::io::Errno::INTR) => {}
            outcome => return Ok(outcome?),
        }
    }
}

/// Whether waiting ended without a result: a signal came in, or the socket's time is up.
pub(crate) fn is_interruption(error: &LinkError) -> bool {
    use io::ErrorKind::{Interrupted, WouldBlock};
    matches!(error, LinkError::Io(error) if matches!(error.kind(), Interrupted | WouldBlock))
}

/// Whether a wait has ended because it had lasted long enough.
pub(crate) fn is_timeout(error: &LinkError) -> bool {
    matches!(error, LinkError::Io(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// Frames as they come in.
#[derive(Debug)]
pub(crate) struct Inbox {
    buffer: Vec<u8>,
    /// Where the bytes are that have not been read: all of them lie in the buffer.
    start: usize,
    end: usize,
    /// Frames up to there were looked at before they are read.
    looked: usize,
    /// When the first of those bytes came.
    received_at: Instant,
    /// `None` stands for one that this process had no room for.
    descriptors: VecDeque<Option<OwnedFd>>,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        let received_at = Instant::now();
        Self { buffer: Vec::new(), start: 0, end: 0, looked: 0, received_at, descriptors: VecDeque::new() }
    }

    /// When what is there to be read came in. What came later, while some of it was not read, seems to have come with it.
    pub(crate) fn received_at(&self) -> Instant {
        self.received_at
    }

    /// Where the next frame is in the buffer, if all of it is there. It counts as read.
    pub(crate) fn next_frame(&mut self) -> Result<Option<Range<usize>>, WireError> {
        let frame = self.frame_at(self.start)?;
        if let Some(frame) = &frame {
            self.start = frame.end;
        }
        Ok(frame)
    }

    /// Where the next frame is that was not looked at, if all of it is there. It does not count as read.
    pub(crate) fn look_ahead(&mut self) -> Result<Option<Range<usize>>, WireError> {
        self.looked = self.looked.max(self.start);
        let frame = self.frame_at(self.looked)?;
        if let Some(frame) = &frame {
            self.looked = frame.end;
        }
        Ok(frame)
    }

    fn frame_at(&self, start: usize) -> Result<Option<Range<usize>>, WireError> {
        let Some(length) = self.frame_length(start)? else { return Ok(None) };
        let frame = start + LENGTH_SIZE..start + LENGTH_SIZE + length;
        Ok((frame.end <= self.end).then_some(frame))
    }

    /// Bytes of a frame that [`Inbox::next_frame`] found, until more is received.
    pub(crate) fn frame(&self, range: Range<usize>) -> &[u8] {
        &self.buffer[range]
    }

    /// The descriptor that came with the message.
    pub(crate) fn descriptor(&mut self) -> Result<OwnedFd, WireError> {
        self.descriptors.pop_front().ok_or(WireError::NoDescriptor)?.ok_or(WireError::NoRoom)
    }

    fn frame_length(&self, start: usize) -> Result<Option<usize>, WireError> {
        let Some(length) = self.buffer[start..self.end].first_chunk::<LENGTH_SIZE>() else { return Ok(None) };
        let length = u32::from_le_bytes(*length) as usize;
        if length > LONGEST_FRAME { Err(WireError::TooLong(length)) } else { Ok(Some(length)) }
    }

    /// Makes room for the rest of the frame that has begun, behind those that were only looked at.
    fn make_room(&mut self) -> Result<(), WireError> {
        if self.start == self.end {
            (self.start, self.end, self.looked) = (0, 0, 0);
            if self.buffer.len() > KEPT_SIZE {
                self.buffer = Vec::new();
            }
        }
        self.looked = self.looked.max(self.start);
        let rest = self.frame_length(self.looked)?.map_or(LENGTH_SIZE, |length| LENGTH_SIZE + length).max(INBOX_SIZE);
        if self.looked + rest > self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.end, self.looked) = (self.end - self.start, self.looked - self.start);
            self.start = 0;
            if self.buffer.len() < self.looked + rest {
                self.buffer.resize(self.looked + rest, 0);
            }
        }
        Ok(())
    }

    /// Receives what is there. True where the socket may hold more. A signal ends it, with [`io::ErrorKind::Interrupted`].
    pub(crate) fn receive(&mut self, socket: BorrowedFd<'_>, wait: bool) -> Result<bool, LinkError> {
        self.make_room()?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = if wait { RecvFlags::CMSG_CLOEXEC } else { RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT };
        let was_empty = self.start == self.end;
        let room = self.buffer.len() - self.end;
        let mut parts = [IoSliceMut::new(&mut self.buffer[self.end..])];
        let received = recvmsg(socket, &mut parts, &mut control, flags).map_err(|error| gone(error.into()))?;
        let known = self.descriptors.len();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                self.descriptors.extend(descriptors.map(Some));
            }
        }
        if received.flags.contains(ReturnFlags::CTRUNC) {
            self.descriptors.push_back(None);
        }
        // The kernel stops behind a message that brought descriptors, whatever follows it.
        let stopped_early = self.descriptors.len() > known;
        match received.bytes {
            0 if self.start == self.end => Err(LinkError::Closed),
            0 => Err(LinkError::CutShort),
            bytes => {
                if was_empty {
                    self.received_at = Instant::now();
                }
                self.end += bytes;
                Ok(bytes == room || stopped_early)
            }
        }
    }
}

/// The server's end of a connection, for tasks.
#[derive(Debug)]
pub(crate) struct Link {
    socket: Arc<tokio::net::UnixStream>,
    inbox: Inbox,
    outgoing: Vec<u8>,
}

impl Link {
    /// Must be called within a runtime.
    pub(crate) fn new(socket: UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let socket = Arc::new(tokio::net::UnixStream::from_std(socket)?);
        Ok(Self { socket, inbox: Inbox::new(), outgoing: Vec::new() })
    }

    /// A way to end it from elsewhere, which does not keep it open.
    pub(crate) fn hang_up_handle(&self) -> HangUp {
        HangUp(Arc::downgrade(&self.socket))
    }

    /// Sends a message, with `rest` behind it in the frame.
    pub(crate) async fn send(
        &mut self,
        message: &impl Serialize,
        rest: &[u8],
        mut descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), LinkError> {
        self.outgoing.clear();
        wire::begin_frame(&mut self.outgoing, message)?;
        wire::end_frame(&mut self.outgoing, 0, rest.len())?;
        let (mut frame, mut rest) = (&self.outgoing[..], rest);
        while !frame.is_empty() || !rest.is_empty() {
            let parts = [IoSlice::new(frame), IoSlice::new(rest)];
            // Mostly there is room, and nothing to wait for.
            let sent = match send(self.socket.as_fd(), &parts, descriptors, false) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let again = || send(self.socket.as_fd(), &parts, descriptors, false);
                    self.socket.async_io(Interest::WRITABLE, again).await
                }
                outcome => outcome,
            };
            let sent = sent.map_err(gone)?;
            descriptors = &[];
            let of_frame = sent.min(frame.len());
            frame = &frame[of_frame..];
            rest = &rest[sent - of_frame..];
        }
        Ok(())
    }

    /// Waits for the next frame.
    pub(crate) async fn receive(&mut self) -> Result<Range<usize>, LinkError> {
        loop {
            if let Some(frame) = self.inbox.next_frame()? {
                return Ok(frame);
            }
            self.socket.readable().await?;
            let (socket, inbox) = (&self.socket, &mut self.inbox);
            let mut received = None;
            let outcome = socket.try_io(Interest::READABLE, || {
                match received.insert(inbox.receive(socket.as_fd(), false)) {
                    // All there was has been read: what comes next is news, and not worth a look until then.
                    Ok(false) => Err(io::ErrorKind::WouldBlock.into()),
                    Err(LinkError::Io(error)) => Err(error.kind().into()),
                    Ok(true) | Err(_) => Ok(()),
                }
            });
            match received {
                Some(Ok(_)) => {}
                Some(Err(LinkError::Io(error))) if error.kind() == io::ErrorKind::WouldBlock => {}
                Some(Err(error)) => return Err(error),
                None => match outcome {
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(gone(error)),
                    _ => {}
                },
            }
        }
    }

    pub(crate) fn inbox(&mut self) -> &mut Inbox {
        &mut self.inbox
    }
}

/// Ends a connection whose other side has ended.
#[derive(Debug)]
pub(crate) struct HangUp(Weak<tokio::net::UnixStream>);

impl HangUp {
    /// What was sent before is still received, but no more is waited for: a child of that process may hold its end open.
    pub(crate) fn hang_up(self) {
        if let Some(socket) = self.0.upgrade() {
            // It fails on a connection that is over.
            let _ = rustix::net::shutdown(socket.as_fd(), rustix::net::Shutdown::Both);
        }
    }
}

/// A connection whose other side has died looks closed, whichever call notices.
pub(crate) fn gone(error: io::Error) -> LinkError {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => LinkError::Closed,
        _ => LinkError::Io(error),
    }
}
