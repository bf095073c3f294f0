//! The wait for a client that takes nothing.

use std::{
    io,
    task::{Context, Poll, ready},
    time::Duration,
};

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
