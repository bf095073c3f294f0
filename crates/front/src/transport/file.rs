//! Bytes that go from a file to a socket within the kernel.

use std::{
    fs::File,
    io::{self, IoSlice},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::FileExt,
    },
    task::{Context, Poll, ready},
};

use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
use tokio::io::Interest;

use super::{Plain, Socket};

/// What is sent at a time where the kernel does not send from this file.
const COPIED: usize = 64 * 1024;

/// What is written here raises no signal, whatever the program does with those.
#[cfg(target_os = "linux")]
const QUIET: SendFlags = SendFlags::NOSIGNAL;
#[cfg(not(target_os = "linux"))]
const QUIET: SendFlags = SendFlags::empty();

/// More follows at once: a head waits for its body, and does not go alone in a packet.
#[cfg(target_os = "linux")]
const MORE: SendFlags = SendFlags::MORE;
#[cfg(not(target_os = "linux"))]
const MORE: SendFlags = SendFlags::empty();

impl Socket {
    /// Whether a file can go out here without being read first: what is encrypted can not.
    pub(crate) fn sends_files(&self) -> bool {
        match self {
            #[cfg(any(test, fuzzing))]
            Self::Plain(Plain::Memory(_)) => false,
            Self::Plain(_) => true,
            Self::Tls(_) => false,
        }
    }

    /// Writes what is before a part of a file, which must follow at once.
    pub(crate) fn poll_write_before_file(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(cx, |socket| Ok(sendmsg(socket, bufs, &mut SendAncillaryBuffer::default(), QUIET | MORE)?))
    }

    /// Sends up to `length` bytes of a file. They should be in the page cache: this waits for the disk. 0 is the end of the
    /// file.
    pub(crate) fn poll_send_file(
        &mut self,
        cx: &mut Context<'_>,
        file: &File,
        offset: u64,
        length: usize,
    ) -> Poll<io::Result<usize>> {
        self.poll_send(cx, |socket| send(socket, file, offset, length))
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        mut send: impl FnMut(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let Self::Plain(plain) = self else { return Poll::Ready(Err(io::ErrorKind::Unsupported.into())) };
        loop {
            let outcome = match plain {
                Plain::Tcp(stream) => {
                    ready!(stream.poll_write_ready(cx))?;
                    stream.try_io(Interest::WRITABLE, || send(stream.as_fd()))
                }
                Plain::Unix(stream) => {
                    ready!(stream.poll_write_ready(cx))?;
                    stream.try_io(Interest::WRITABLE, || send(stream.as_fd()))
                }
                #[cfg(any(test, fuzzing))]
                Plain::Memory(_) => return Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
            };
            match outcome {
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                outcome => return Poll::Ready(outcome),
            }
        }
    }
}

#[cfg(target_os = "linux")]
fn send(socket: BorrowedFd<'_>, file: &File, offset: u64, length: usize) -> io::Result<usize> {
    use rustix::{fs::sendfile, io::Errno};

    let mut place = offset;
    match sendfile(socket, file, Some(&mut place), length) {
        // Not every file system can, and not every sandbox lets it.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM) => copy(socket, file, offset, length),
        sent => Ok(sent?),
    }
}

#[cfg(not(target_os = "linux"))]
fn send(socket: BorrowedFd<'_>, file: &File, offset: u64, length: usize) -> io::Result<usize> {
    copy(socket, file, offset, length)
}

fn copy(socket: BorrowedFd<'_>, file: &File, offset: u64, length: usize) -> io::Result<usize> {
    let mut block = vec![0; length.min(COPIED)];
    let read = file.read_at(&mut block, offset)?;
    if read == 0 {
        return Ok(0);
    }
    Ok(rustix::net::send(socket, &block[..read], QUIET)?)
}
