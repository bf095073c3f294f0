//! The wait for a client that takes nothing.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::io::AsyncWrite;

use crate::{
    timer::{LazyTimer, Pause},
    transport::Socket,
};

/// Bounds each pause in which a client takes no byte (`send_timeout`).
#[derive(Debug)]
pub(super) struct Sending {
    pause: Pause,
}

impl Sending {
    pub(super) fn new(timeout: Duration) -> Self {
        Self { pause: Pause::new(timeout) }
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
    pub(super) fn watch(
        &mut self,
        outcome: Poll<io::Result<usize>>,
        socket: &Socket,
        timer: &mut LazyTimer,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if let Some(outcome) = ready!(self.pause.watch(outcome, timer, cx)) {
            return Poll::Ready(outcome);
        }
        tracing::debug!(code = "STACK0108", "client stopped reading");
        // What the kernel still holds for this client would otherwise stay there for minutes.
        socket.reset_on_close();
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}
