//! A control connection: one message at a time, with descriptors.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
    },
};
use serde::{Serialize, de::DeserializeOwned};

/// The kernel takes no more with one message (`SCM_MAX_FD`).
pub(crate) const MOST_DESCRIPTORS: usize = 253;

/// More than any message has: texts in them are shortened, and JSON at most doubles what it quotes.
const LONGEST_MESSAGE: usize = 128 * 1024;

/// One end.
#[derive(Debug)]
pub(crate) struct Channel(OwnedFd);

/// What came in.
#[derive(Debug)]
pub(crate) enum Received<T> {
    Message(T, Vec<OwnedFd>),
    /// Something that this version does not know.
    Unknown(String),
    /// Nothing yet: only without waiting.
    Nothing,
    /// The other side has gone.
    End,
}

impl Channel {
    pub(crate) fn new(descriptor: OwnedFd) -> Self {
        Self(descriptor)
    }

    /// A connection: the near end, and the far one for another process.
    pub(crate) fn pair() -> io::Result<(Self, OwnedFd)> {
        // Whole messages, in order, and an end that is seen.
        let (near, far) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self(near), far))
    }

    /// Sends a message. Without `wait` it fails where the other side has not read for long.
    pub(crate) fn send(&self, message: &impl Serialize, descriptors: &[BorrowedFd<'_>], wait: bool) -> io::Result<()> {
        let text = serde_json::to_vec(message)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors for one message"));
        }
        let flags = if wait { SendFlags::NOSIGNAL } else { SendFlags::NOSIGNAL | SendFlags::DONTWAIT };
        loop {
            match sendmsg(&self.0, &[IoSlice::new(&text)], &mut control, flags) {
                Err(Errno::INTR) => {}
                outcome => return Ok(outcome.map(|_| ())?),
            }
        }
    }

    pub(crate) fn receive<T: DeserializeOwned>(&self, wait: bool) -> io::Result<Received<T>> {
        let mut buffer = vec![0; LONGEST_MESSAGE];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = if wait { RecvFlags::CMSG_CLOEXEC } else { RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT };
        let received = loop {
            match recvmsg(&self.0, &mut [IoSliceMut::new(&mut buffer)], &mut control, flags) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(Received::Nothing),
                Err(Errno::CONNRESET) => return Ok(Received::End),
                outcome => break outcome?,
            }
        };
        let mut descriptors = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = message {
                descriptors.extend(received);
            }
        }
        if received.flags.intersects(ReturnFlags::CTRUNC | ReturnFlags::TRUNC) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "there was no room for a message or its descriptors",
            ));
        }
        let text = &buffer[..received.bytes];
        if text.is_empty() {
            return Ok(Received::End);
        }
        Ok(match serde_json::from_slice(text) {
            Ok(message) => Received::Message(message, descriptors),
            Err(_) => Received::Unknown(String::from_utf8_lossy(&text[..text.len().min(200)]).into_owned()),
        })
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        os::unix::net::UnixStream,
    };

    use super::*;
    use crate::message::{Notice, Order};

    #[test]
    fn messages_come_whole_and_with_their_descriptors() {
        let (near, far) = Channel::pair().unwrap();
        let far = Channel::new(far);
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        near.send(&Order::Ping, &[], false).unwrap();
        near.send(&Order::Listening { groups: vec![1] }, &[theirs.as_fd()], false).unwrap();
        drop(theirs);
        assert!(matches!(far.receive(true).unwrap(), Received::Message(Order::Ping, none) if none.is_empty()));
        let Received::Message(Order::Listening { groups }, mut descriptors) = far.receive(true).unwrap() else {
            panic!("another message")
        };
        assert_eq!((groups, descriptors.len()), (vec![1], 1));
        UnixStream::from(descriptors.remove(0)).write_all(b"it works").unwrap();
        let mut text = String::new();
        ours.read_to_string(&mut text).unwrap();
        assert_eq!(text, "it works");
    }

    #[test]
    fn an_unknown_message_is_no_error_and_the_end_is_seen() {
        let (near, far) = Channel::pair().unwrap();
        let far = Channel::new(far);
        near.send(&serde_json::json!({"order": "dance"}), &[], true).unwrap();
        assert!(matches!(far.receive::<Order>(true).unwrap(), Received::Unknown(_)));
        assert!(matches!(far.receive::<Order>(false).unwrap(), Received::Nothing));
        far.send(&Notice::Pong, &[], true).unwrap();
        drop(far);
        assert!(matches!(near.receive(false).unwrap(), Received::Message(Notice::Pong, _)));
        assert!(matches!(near.receive::<Notice>(true).unwrap(), Received::End));
    }
}
