//! The socket under hyper's HTTP/2.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    super::{Connection, sending::Sending},
    PREFACE,
    frames::FrameMeter,
    outflow::Outflow,
};
use crate::{server::Server, timer::LazyTimer, transport::Socket};

#[derive(Debug)]
pub(super) struct Link<'a> {
    socket: &'a mut Socket,
    connection: Arc<Connection>,
    /// What was read before it was known that this is HTTP/2.
    inbound: BytesMut,
    meter: FrameMeter,
    sending: Sending,
    timer: LazyTimer,
    outflow: Arc<Outflow>,
}

impl<'a> Link<'a> {
    pub(super) fn new(
        socket: &'a mut Socket,
        inbound: BytesMut,
        connection: Arc<Connection>,
        outflow: Arc<Outflow>,
        server: &Server,
    ) -> Self {
        Self {
            socket,
            connection,
            inbound,
            meter: FrameMeter::new(PREFACE.len()),
            sending: Sending::new(server.timeouts.send, server.rates),
            timer: LazyTimer::default(),
            outflow,
        }
    }

    fn sent(&mut self, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let written = ready!(self.note(outcome))?;
        self.meter.sent(written);
        self.connection.wrote();
        Poll::Ready(Ok(written))
    }

    /// Tells the streams how it went.
    fn note<T>(&self, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.outflow.set_held_up(outcome.is_pending());
        if let Poll::Ready(Err(_)) = outcome {
            self.outflow.fail();
        }
        outcome
    }
}

impl AsyncRead for Link<'_> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        if this.inbound.is_empty() {
            ready!(Pin::new(&mut *this.socket).poll_read(cx, buf)).inspect_err(|_| this.outflow.fail())?;
        } else {
            let length = this.inbound.len().min(buf.remaining());
            buf.put_slice(&this.inbound[..length]);
            this.inbound.advance(length);
        }
        if let Err(abuse) = this.meter.follow(&buf.filled()[before..]) {
            tracing::debug!(code = "STACK0136", "{abuse}");
            this.socket.reset_on_close();
            this.outflow.fail();
            return Poll::Ready(Err(io::Error::other(abuse)));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Link<'_> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = this.sending.poll_write(this.socket, &mut this.timer, cx, buf);
        this.sent(outcome)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = this.sending.poll_write_vectored(this.socket, &mut this.timer, cx, bufs);
        this.sent(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        !self.sending.is_throttled() && self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = this.sending.poll_flush(this.socket, &mut this.timer, cx);
        this.note(outcome)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = this.sending.poll_shutdown(this.socket, &mut this.timer, cx);
        this.note(outcome)
    }
}
