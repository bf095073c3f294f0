//! The wait for a client that takes nothing, or too little; and how much it gets at most.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use stack_config::Rates;
use tokio::io::AsyncWrite;

use crate::{
    rate::{MinimumRate, Throttle},
    timer::{LazyTimer, Pause},
    transport::Socket,
};

/// Bounds each pause in which a client takes no byte (`send_timeout`), holds it to a least rate, and to a greatest.
#[derive(Debug)]
pub(super) struct Sending {
    timeout: Duration,
    pause: Pause,
    rate: MinimumRate,
    throttle: Option<Throttle>,
    /// Bytes that the socket has taken, and those of them that had left it at the last look.
    written: u64,
    taken: u64,
}

impl Sending {
    pub(super) fn new(timeout: Duration, rates: Rates) -> Self {
        Self {
            timeout,
            pause: Pause::new(timeout),
            rate: MinimumRate::new(rates.min_send, rates.grace),
            throttle: Throttle::new(rates.send_limit),
            written: 0,
            taken: 0,
        }
    }

    /// Whether what is written is cut into pieces anyway.
    pub(super) fn is_throttled(&self) -> bool {
        self.throttle.is_some()
    }

    pub(super) fn poll_write(
        &mut self,
        socket: &mut Socket,
        timer: &mut LazyTimer,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(socket, timer, cx, buf.len(), |socket, cx, room| Pin::new(socket).poll_write(cx, &buf[..room]))
    }

    /// The same with anything that writes up to so many bytes.
    pub(super) fn poll_send(
        &mut self,
        socket: &mut Socket,
        timer: &mut LazyTimer,
        cx: &mut Context<'_>,
        bytes: usize,
        send: impl FnOnce(&mut Socket, &mut Context<'_>, usize) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let room = ready!(self.poll_room(bytes, timer, cx));
        let outcome = send(socket, cx, room);
        self.watch(outcome, socket, timer, cx)
    }

    pub(super) fn poll_write_vectored(
        &mut self,
        socket: &mut Socket,
        timer: &mut LazyTimer,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_throttled() {
            let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
            return self.poll_write(socket, timer, cx, first);
        }
        let outcome = Pin::new(&mut *socket).poll_write_vectored(cx, bufs);
        self.watch(outcome, socket, timer, cx)
    }

    /// Waits until some of so many bytes may be written, and gives how many.
    fn poll_room(&mut self, bytes: usize, timer: &mut LazyTimer, cx: &mut Context<'_>) -> Poll<usize> {
        match &mut self.throttle {
            None => Poll::Ready(bytes),
            Some(throttle) => throttle.poll_room(bytes, timer, cx).map(|room| room.min(bytes)),
        }
    }

    /// Flushes. With TLS that may wait for the client, as a write does, and what the system takes is progress.
    pub(super) fn poll_flush(
        &mut self,
        socket: &mut Socket,
        timer: &mut LazyTimer,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let taken = socket.taken();
        let outcome = Pin::new(&mut *socket).poll_flush(cx).map_ok(|()| 0);
        if socket.taken() > taken {
            self.pause.progress();
        }
        self.watch(outcome, socket, timer, cx).map_ok(drop)
    }

    /// Shuts down, for which TLS has something to send.
    pub(super) fn poll_shutdown(
        &mut self,
        socket: &mut Socket,
        timer: &mut LazyTimer,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut *socket).poll_shutdown(cx).map_ok(|()| 0);
        self.watch(outcome, socket, timer, cx).map_ok(drop)
    }

    /// Passes the outcome of a write on, and ends the connection where it has waited for too long.
    fn watch(
        &mut self,
        outcome: Poll<io::Result<usize>>,
        socket: &Socket,
        timer: &mut LazyTimer,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &outcome {
            self.written += *bytes as u64;
            if let Some(throttle) = &mut self.throttle {
                throttle.sent(*bytes);
            }
        }
        // The kernel lets a writer wait until a third of its buffer is free, which takes a slow client a while: what it
        // takes shows in the buffer only.
        let written = self.written;
        let taken = || socket.arrived(written);
        let code = match self.rate.watch(outcome, taken, timer, cx) {
            Poll::Ready(None) => "STACK0121",
            Poll::Ready(Some(outcome)) => {
                self.pause.reset(self.timeout);
                return Poll::Ready(outcome);
            }
            Poll::Pending => loop {
                match ready!(self.pause.watch(Poll::<()>::Pending, timer, cx)) {
                    None if taken() > self.taken => {
                        self.taken = taken();
                        self.pause.reset(self.timeout);
                    }
                    _ => break "STACK0108",
                }
            },
        };
        tracing::debug!(code, "client stopped reading, or nearly so");
        // What the kernel still holds for this client would otherwise stay there for minutes.
        socket.reset_on_close();
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}
