//! The socket under hyper: it owns the timeouts of every phase but the body's, which its reader keeps.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use stack_config::{Rates, Timeouts};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Connection, Phase};
use crate::{
    rate::{MinimumRate, Throttle},
    timer::{LazyTimer, Pause},
    transport::Socket,
};

/// Written straight to the socket: without a head, hyper has no request that it could answer.
const HEAD_TIMEOUT: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-type: text/plain; charset=utf-8\r\n\
content-length: 31\r\nserver: stack\r\n\r\nThe request head took too long\n";

#[derive(Debug)]
pub(super) struct Timed<'a> {
    /// Borrowed: after hyper it may still have to be drained.
    socket: &'a mut Socket,
    connection: Arc<Connection>,
    header_timeout: Duration,
    idle_timeout: Duration,
    timer: LazyTimer,
    /// The wait for the next request, or for the rest of its head.
    reading: Pause,
    /// The wait for a client that takes nothing.
    sending: Pause,
    send_timeout: Duration,
    send_rate: MinimumRate,
    throttle: Option<Throttle>,
    /// Bytes that the socket has taken, and those of them that had left it at the last look.
    written: u64,
    taken: u64,
}

impl<'a> Timed<'a> {
    pub(super) fn new(socket: &'a mut Socket, connection: Arc<Connection>, timeouts: &Timeouts, rates: Rates) -> Self {
        Self {
            socket,
            connection,
            header_timeout: timeouts.header,
            idle_timeout: timeouts.idle,
            timer: LazyTimer::default(),
            reading: Pause::new(timeouts.idle),
            sending: Pause::new(timeouts.send),
            send_timeout: timeouts.send,
            send_rate: MinimumRate::new(rates.min_send, rates.grace),
            throttle: Throttle::new(rates.send_limit),
            written: 0,
            taken: 0,
        }
    }

    fn answer_slow_head(&mut self, cx: &mut Context<'_>) {
        tracing::debug!(code = "STACK0102", "request head too slow");
        // Nothing else is on its way to this client; should its buffer be full all the same, it gets no answer.
        let _ = Pin::new(&mut *self.socket).poll_write(cx, HEAD_TIMEOUT);
        self.connection.set_lingering(true);
    }

    /// How much of so many bytes may be written now.
    fn room(&mut self, bytes: usize, cx: &mut Context<'_>) -> Poll<usize> {
        match &mut self.throttle {
            None => Poll::Ready(bytes),
            Some(throttle) => throttle.poll_room(bytes, &mut self.timer, cx),
        }
    }

    fn sent(&mut self, outcome: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &outcome {
            self.written += *bytes as u64;
            if let Some(throttle) = &mut self.throttle {
                throttle.sent(*bytes);
            }
        }
        // The kernel lets a writer wait until a third of its buffer is free, which takes a slow client a while: what it
        // takes shows in the buffer only.
        let (socket, written) = (&*self.socket, self.written);
        let taken = || written.saturating_sub(socket.unsent());
        let code = match self.send_rate.watch(outcome, taken, &mut self.timer, cx) {
            Poll::Ready(None) => "STACK0121",
            Poll::Ready(Some(outcome)) => {
                let _ = self.sending.watch(Poll::Ready(()), &mut self.timer, cx);
                return Poll::Ready(outcome);
            }
            Poll::Pending => loop {
                match ready!(self.sending.watch(Poll::<()>::Pending, &mut self.timer, cx)) {
                    None if taken() > self.taken => {
                        self.taken = taken();
                        self.sending.reset(self.send_timeout);
                    }
                    _ => break "STACK0108",
                }
            },
        };
        tracing::debug!(code, "client stopped reading, or nearly so");
        // What the kernel still holds for this client would otherwise stay there for minutes.
        self.socket.reset_on_close();
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Timed<'_> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let outcome = Pin::new(&mut *this.socket).poll_read(cx, buf);
        let phase = this.connection.phase();
        match phase {
            Phase::Body | Phase::Answering | Phase::Flushing | Phase::Closing => return outcome,
            Phase::Idle if outcome.is_ready() => {
                if buf.filled().len() > before {
                    this.connection.enter(Phase::Head);
                    this.reading.reset(this.header_timeout);
                }
                return outcome;
            }
            // The head has one deadline: its bytes are no progress.
            Phase::Head if outcome.is_ready() => return outcome,
            Phase::Idle | Phase::Head => {}
        }
        if ready!(this.reading.watch(outcome, &mut this.timer, cx)).is_none() && phase == Phase::Head {
            this.answer_slow_head(cx);
        }
        // Nothing was read: for hyper this is the client closing.
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Timed<'_> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let room = ready!(this.room(buf.len(), cx)).min(buf.len());
        let outcome = Pin::new(&mut *this.socket).poll_write(cx, &buf[..room]);
        this.sent(outcome, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.throttle.is_some() {
            let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
            return self.poll_write(cx, first);
        }
        let this = self.get_mut();
        let outcome = Pin::new(&mut *this.socket).poll_write_vectored(cx, bufs);
        this.sent(outcome, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.throttle.is_none() && self.socket.is_write_vectored()
    }

    /// hyper calls this when its own buffers are empty.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut *this.socket).poll_flush(cx))?;
        if this.connection.phase() == Phase::Flushing {
            this.connection.flushed();
            this.reading.reset(this.idle_timeout);
            // hyper knows that a read would wait, so it does not read before the timer has fired: set it here.
            let _ = this.reading.watch(Poll::<()>::Pending, &mut this.timer, cx);
        }
        if this.connection.take_flush_wish() {
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().socket).poll_shutdown(cx)
    }
}
