//! One accepted socket, whatever its family, encrypted or not.

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    os::fd::AsFd,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use rustix::net::{RecvFlags, recv};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::server::TlsStream;

mod file;
#[cfg(any(test, fuzzing))]
pub(crate) mod memory;
mod unsent;

/// HTTP/2's name in the handshake (RFC 9113 §3.2).
pub(crate) const HTTP2: &[u8] = b"h2";

/// A connected stream socket, with or without encryption. It is closed when this is dropped.
#[derive(Debug)]
pub(crate) enum Socket {
    Plain(Plain),
    /// Boxed: it is large, and a plain connection has no use for its room.
    Tls(Box<TlsStream<Counted>>),
}

/// The socket under an encrypted connection.
#[derive(Debug)]
pub(crate) struct Counted {
    plain: Plain,
    /// Bytes that the system has taken.
    taken: u64,
}

/// A connected stream socket as the system has it.
#[derive(Debug)]
pub(crate) enum Plain {
    Tcp(TcpStream),
    Unix(UnixStream),
    /// Bytes that cross no kernel, so that a test decides what comes when.
    #[cfg(any(test, fuzzing))]
    Memory(memory::Memory),
}

impl Socket {
    /// Whether a read would tell something: bytes, or the end. Else the task of `cx` is woken when it would.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Plain(plain) => plain.poll_readable(cx),
            // What came with the handshake has been read and decrypted already.
            Self::Tls(stream) if !stream.get_ref().1.wants_read() => Poll::Ready(()),
            Self::Tls(stream) => stream.get_ref().0.plain.poll_readable(cx),
        }
    }

    /// Whether client and server have agreed on HTTP/2 in the handshake.
    pub(crate) fn is_http2(&self) -> Option<bool> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(stream) => Some(stream.get_ref().1.alpn_protocol() == Some(HTTP2)),
        }
    }

    /// Grows with what the system takes of an encrypted connection: flushing that may wait, and this is its progress. A plain
    /// connection has nothing to flush.
    pub(crate) fn taken(&self) -> u64 {
        match self {
            Self::Plain(_) => 0,
            Self::Tls(stream) => stream.get_ref().0.taken,
        }
    }

    /// Ends the encryption of a connection that nothing is on its way on, so that its client does not take the end for a cut
    /// (RFC 8446 §6.1). What the system does not take at once stays unsaid.
    pub(crate) async fn say_goodbye(&mut self) {
        if let Self::Tls(stream) = self {
            poll_fn(|cx| {
                let _ = Pin::new(&mut *stream).poll_shutdown(cx);
                Poll::Ready(())
            })
            .await;
        }
    }

    /// Lets the close discard what has not been sent. A Unix socket does so anyway.
    pub(crate) fn reset_on_close(&self) {
        let plain = match self {
            Self::Plain(plain) => plain,
            Self::Tls(stream) => &stream.get_ref().0.plain,
        };
        if let Plain::Tcp(stream) = plain {
            // On failure the close is an orderly one, and slow.
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
    }
}

impl Plain {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            // Readiness is only a guess, and of a new socket an optimistic one.
            let looked = match self {
                Self::Tcp(stream) => {
                    let _ = ready!(stream.poll_read_ready(cx));
                    stream.try_io(Interest::READABLE, || peek(stream))
                }
                Self::Unix(stream) => {
                    let _ = ready!(stream.poll_read_ready(cx));
                    stream.try_io(Interest::READABLE, || peek(stream))
                }
                #[cfg(any(test, fuzzing))]
                Self::Memory(memory) => return memory.poll_readable(cx),
            };
            if !looked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                return Poll::Ready(());
            }
        }
    }
}

/// Looks for a byte, and leaves it where it is.
fn peek(socket: impl AsFd) -> io::Result<()> {
    recv(socket, &mut [0; 1], RecvFlags::PEEK)?;
    Ok(())
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(plain) => Pin::new(plain).poll_read(cx, buf),
            Self::Tls(stream) => match Pin::new(stream).poll_read(cx, buf) {
                // Closed without a close_notify, as many clients do. Where a request ends HTTP says itself (RFC 9112
                // §9.8), so that a cut one does not look whole.
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
                outcome => outcome,
            },
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(plain) => Pin::new(plain).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(plain) => Pin::new(plain).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// With TLS this waits until the system has all that was encrypted.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(plain) => Pin::new(plain).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    /// With TLS a `close_notify` goes first (RFC 8446 §6.1), for which a client that reads nothing has to be waited for.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(plain) => Pin::new(plain).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl AsyncRead for Plain {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            #[cfg(any(test, fuzzing))]
            Self::Memory(memory) => Pin::new(memory.stream()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Plain {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
            #[cfg(any(test, fuzzing))]
            Self::Memory(memory) => Pin::new(memory.stream()).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            #[cfg(any(test, fuzzing))]
            Self::Memory(memory) => Pin::new(memory.stream()).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            #[cfg(any(test, fuzzing))]
            Self::Memory(memory) => Pin::new(memory.stream()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            #[cfg(any(test, fuzzing))]
            Self::Memory(memory) => Pin::new(memory.stream()).poll_shutdown(cx),
        }
    }
}

impl Counted {
    pub(crate) fn new(plain: Plain) -> Self {
        Self { plain, taken: 0 }
    }

    pub(crate) fn into_inner(self) -> Plain {
        self.plain
    }

    fn count(&mut self, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(taken)) = outcome {
            self.taken += taken as u64;
        }
        outcome
    }
}

impl AsyncRead for Counted {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().plain).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.plain).poll_write(cx, buf);
        this.count(outcome)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.plain).poll_write_vectored(cx, bufs);
        this.count(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.plain.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().plain).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().plain).poll_shutdown(cx)
    }
}
