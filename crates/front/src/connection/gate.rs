//! The socket of a connection that speaks HTTP/1: nothing passes that has not been read here first, as strictly as RFC 9112 has it.
//!
//! The gate reads each head, decides how the body is delimited, and hands both to hyper; what follows stays here until
//! the response has been sent, so hyper never holds more than one request. A head that is refused does not reach hyper:
//! in its place goes a request of the gate's own, which is answered with the refusal ([`Connection::refused`]), so that
//! a refusal has its place in the order of responses, its error page and its line in the access log like any other.
//!
//! What is asked for a file that is at hand, and no more, is answered here ([`mod@ready`]), and what only an application has to do with
//! goes to it from here ([`mod@direct`]): hyper does not hear of either, unless the application's answer is not simple. A
//! connection begins without hyper, and most need none ([`Gate::poll_alone`]).
//!
//! It owns the timeouts of every phase but the body's, which its reader keeps.

mod answer;
mod body;
mod stage;

use std::{
    future::Future,
    io::{self, IoSlice},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    time::Instant,
};

use self::{
    body::{Body, hand_on},
    stage::{Extent, Stage},
};
use super::{Begun, Connection, Order, Phase, sending::Sending};
use crate::{
    direct,
    ready::{self, Answer},
    server::Server,
    strict::{
        Refusal,
        head::{Framing, HeadReader, Progress},
    },
    timer::{LazyTimer, Pause},
    transport::Socket,
};

/// Bytes that are read at a time where a head is expected. Most heads are smaller.
const HEAD_BLOCK: usize = 4096;

/// What hyper sees in the place of a refused head.
const SUBSTITUTE: &[u8] = b"GET / HTTP/1.1\r\nhost: refused\r\n\r\n";
/// The same for a client that may take no body for an answer.
const SUBSTITUTE_HEAD: &[u8] = b"HEAD / HTTP/1.1\r\nhost: refused\r\n\r\n";

#[derive(Debug)]
pub(super) struct Gate<'a> {
    /// Borrowed: it may have to be drained after hyper, or waited for again without it.
    socket: &'a mut Socket,
    connection: Arc<Connection>,
    server: &'a Server,
    /// Whether answers that are ready may be given on this connection.
    answers: bool,
    /// Whether its requests may go to the application from here.
    asks: bool,
    /// What has been read from the socket and not been handed on.
    inbound: BytesMut,
    stage: Stage<'a>,
    timer: LazyTimer,
    /// The wait for the next request, or for the rest of its head.
    reading: Pause,
    sending: Sending,
    /// What ended the connection before there was a hyper to be told.
    failed: Option<io::Error>,
}

impl<'a> Gate<'a> {
    pub(super) fn new(socket: &'a mut Socket, connection: Arc<Connection>, begun: Begun, server: &'a Server) -> Self {
        let timeouts = &server.timeouts;
        let Begun { bytes: inbound, age } = begun;
        let mut reading = Pause::new(timeouts.idle);
        if !inbound.is_empty() {
            connection.enter(Phase::Head);
            reading.reset(timeouts.header.saturating_sub(age));
        }
        Self {
            socket,
            answers: ready::is_possible(server, &connection.origin),
            asks: direct::is_possible(server, &connection.origin),
            connection,
            inbound,
            stage: Stage::head(server.head_limits),
            server,
            timer: LazyTimer::default(),
            reading,
            sending: Sending::new(timeouts.send, server.rates),
            failed: None,
        }
    }

    /// Serves what concerns hyper in no way, until something else comes.
    pub(super) fn poll_alone(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        loop {
            let outcome = match (&self.stage, self.connection.phase()) {
                (Stage::Waiting, Phase::Flushing) => ready!(self.poll_settle(cx)).map(|()| Told::Nothing),
                (Stage::Waiting, Phase::Idle)
                | (Stage::Head { .. } | Stage::Gathering(_) | Stage::Asked(..) | Stage::Ready(_), _) => {
                    ready!(self.step(cx, &mut ReadBuf::new(&mut [])))
                }
                _ => return Poll::Ready(Next::Hyper),
            };
            match outcome {
                Ok(Told::Nothing) => {}
                Ok(Told::News) | Err(_) if self.connection.phase() == Phase::Idle => return Poll::Ready(Next::End),
                // An end in the middle of a request is seen again by whoever reads next.
                Ok(Told::News) => return Poll::Ready(Next::Hyper),
                Err(error) => {
                    // Whatever was on its way ends here.
                    self.stage = Stage::Waiting;
                    self.failed = Some(error);
                    return Poll::Ready(Next::Hyper);
                }
            }
        }
    }

    /// One step. `Ready` where hyper is to be told of it: of bytes, or of an end.
    fn step(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<Told>> {
        match &mut self.stage {
            Stage::Head { reader, may_skip } => match read_head(reader, may_skip, &mut self.inbound) {
                Ok(Progress::Complete { length, framing }) => {
                    // Not idle any more, before hyper has begun to answer.
                    self.connection.enter(Phase::Head);
                    self.stage = self.after_head(length, framing);
                }
                Ok(Progress::Partial) => {
                    if !ready!(self.read_more_of_head(cx))? {
                        return Poll::Ready(Ok(Told::News));
                    }
                }
                Err(refusal) => self.refuse(refusal),
            },
            Stage::Passing(left, body) => {
                *left -= hand_on(&mut self.inbound, *left, buf);
                if *left > 0 {
                    return Poll::Ready(Ok(Told::News));
                }
                self.stage = Stage::body(std::mem::replace(body, Body::Length(0)));
            }
            Stage::Body(body) => {
                let passed = if self.inbound.is_empty() {
                    ready!(body.read(self.socket, cx, buf, &mut self.inbound))?
                } else {
                    body.take(&mut self.inbound, buf)
                };
                self.stage = match passed {
                    Ok(()) if body.is_done() => Stage::Waiting,
                    Ok(()) => return Poll::Ready(Ok(Told::News)),
                    Err(malformed) => Stage::Broken(malformed),
                };
            }
            Stage::Waiting if self.connection.phase() == Phase::Idle => {
                self.stage = Stage::head(self.server.head_limits);
            }
            Stage::Waiting => {
                // A client that leaves is noticed, unless it has sent more already.
                let has_left = self.inbound.is_empty() && ready!(self.fill(cx))? == 0;
                return if has_left { Poll::Ready(Ok(Told::News)) } else { Poll::Pending };
            }
            Stage::Gathering(extent) => {
                let extent = *extent;
                let missing = extent.whole().saturating_sub(self.inbound.len());
                if missing == 0 {
                    self.stage = self.ask(extent);
                } else if !matches!(self.fill_with(missing, cx), Poll::Ready(Ok(1..))) {
                    // To be waited for, or never to come: hyper is told so when it asks.
                    self.stage = Stage::passing(extent);
                }
            }
            Stage::Asked(extent, under_way) => {
                let length = extent.whole();
                if under_way.poll_head(&mut self.timer, cx).is_ready() {
                    self.take_answer();
                } else if self.inbound.len() == length && ready!(self.fill(cx))? == 0 {
                    // The client has left, and what it asked for is given up.
                    self.inbound.clear();
                    self.stage = Stage::Waiting;
                    return Poll::Ready(Ok(Told::News));
                } else {
                    return Poll::Pending;
                }
            }
            Stage::Ready(_) => ready!(self.poll_settle(cx))?,
            Stage::Broken(malformed) => {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, *malformed)));
            }
            Stage::Refused([]) => return Poll::Pending,
            Stage::Refused(substitute) => {
                let length = substitute.len().min(buf.remaining());
                buf.put_slice(&substitute[..length]);
                *substitute = &substitute[length..];
                return Poll::Ready(Ok(Told::News));
            }
        }
        Poll::Ready(Ok(Told::Nothing))
    }

    /// What is done with a request whose head is the first so many bytes.
    fn after_head(&mut self, length: usize, framing: Framing) -> Stage<'a> {
        if let Some(answer) = self.answer(length) {
            return Stage::Ready(answer);
        }
        match framing {
            Framing::Length(body) if self.asks && body <= direct::most_body(&self.server.limits) => {
                let extent = Extent { head: length, body: usize::try_from(body).expect("at most 64 KiB") };
                if extent.body == 0 { self.ask(extent) } else { Stage::Gathering(extent) }
            }
            _ => Stage::Passing(length, Body::new(framing, self.server.head_limits)),
        }
    }

    /// Asks the application, if nobody else has to do with the request, which is here.
    fn ask(&mut self, extent: Extent) -> Stage<'a> {
        if self.connection.order() == Order::Serve {
            let (head, body) = self.inbound[..extent.whole()].split_at(extent.head);
            if let Some(under_way) = direct::ask(self.server, &self.connection, head, body) {
                self.connection.enter(Phase::Answering);
                return Stage::Asked(extent, under_way);
            }
        }
        Stage::passing(extent)
    }

    /// The application has answered, or will not in time: the gate sends a simple answer, and hyper takes over else.
    fn take_answer(&mut self) {
        let Stage::Asked(extent, under_way) = std::mem::replace(&mut self.stage, Stage::Waiting) else { return };
        self.stage = match under_way.into_answer(self.server, &self.connection, &self.inbound[..extent.head]) {
            Ok(answer) => {
                self.inbound.advance(extent.whole());
                Stage::Ready(answer)
            }
            Err(handed) => {
                self.connection.hand(handed);
                Stage::passing(extent)
            }
        };
    }

    /// The answer to the request whose head is the first so many bytes, if one is ready and the connection goes on.
    fn answer(&mut self, length: usize) -> Option<Answer> {
        if !self.answers || self.connection.order() != Order::Serve {
            return None;
        }
        let sends_files = self.socket.sends_files();
        let answer = ready::answer(self.server, &self.connection, &self.inbound[..length], sends_files)?;
        self.inbound.advance(length);
        self.connection.enter(Phase::Answering);
        Some(answer)
    }

    /// Sends an answer that was ready, if there is one.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Stage::Ready(answer) = &mut self.stage else { return Poll::Ready(Ok(())) };
        ready!(answer::poll_send(answer, &mut self.sending, self.socket, &mut self.timer, cx))?;
        if let Stage::Ready(answer) = std::mem::replace(&mut self.stage, Stage::Waiting) {
            self.connection.await_flush(answer.into_entry());
        }
        Poll::Ready(Ok(()))
    }

    /// Waits until the socket has all there is. The connection is idle then, if the response was complete.
    fn poll_settle(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_answer(cx))?;
        ready!(self.sending.poll_flush(self.socket, &mut self.timer, cx))?;
        if self.connection.phase() == Phase::Flushing {
            let now = Instant::now();
            self.connection.flushed(now.into_std());
            self.reading.begin(self.server.timeouts.idle, now);
        }
        Poll::Ready(Ok(()))
    }

    /// False at the end: the client closed, or was silent for too long.
    fn read_more_of_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let is_idle = self.connection.phase() == Phase::Idle;
        if is_idle && !self.inbound.is_empty() {
            self.begin_head();
        }
        if let Poll::Ready(read) = self.fill(cx) {
            return Poll::Ready(Ok(read? > 0));
        }
        // A head has one deadline: its bytes are no progress.
        let is_in_time = ready!(self.reading.watch(Poll::<()>::Pending, &mut self.timer, cx)).is_some();
        if !is_in_time && self.connection.phase() == Phase::Head {
            self.refuse(Refusal::SlowHead);
            return Poll::Ready(Ok(true));
        }
        Poll::Ready(Ok(is_in_time))
    }

    fn begin_head(&mut self) {
        self.connection.enter(Phase::Head);
        self.reading.reset(self.server.timeouts.header);
    }

    fn refuse(&mut self, refusal: Refusal) {
        let line = self.inbound[..].split(|&byte| byte == b'\n').next().unwrap_or_default();
        let substitute = if line.starts_with(b"HEAD ") { SUBSTITUTE_HEAD } else { SUBSTITUTE };
        self.connection.refuse(refusal, line.strip_suffix(b"\r").unwrap_or(line));
        self.connection.enter(Phase::Head);
        self.stage = Stage::Refused(substitute);
    }

    /// Reads once, behind what is inbound already.
    fn fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.fill_with(HEAD_BLOCK, cx)
    }

    /// The same, with room for so many bytes.
    fn fill_with(&mut self, room: usize, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.inbound.reserve(room);
        pin!(self.socket.read_buf(&mut self.inbound)).poll(cx)
    }
}

/// What follows when a gate does not go on alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// hyper takes over.
    Hyper,
    /// The client has left between two requests, was lost there, or sent nothing for too long.
    End,
}

/// Whether hyper hears of a step.
enum Told {
    News,
    Nothing,
}

fn read_head(reader: &mut HeadReader, may_skip: &mut bool, inbound: &mut BytesMut) -> Result<Progress, Refusal> {
    if *may_skip {
        match inbound[..] {
            [] | [b'\r'] => return Ok(Progress::Partial),
            [b'\r', b'\n', ..] => inbound.advance(2),
            _ => {}
        }
        *may_skip = false;
    }
    reader.advance(inbound)
}

impl AsyncRead for Gate<'_> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(error) = this.failed.take() {
            return Poll::Ready(Err(error));
        }
        let before = buf.filled().len();
        loop {
            // What is here goes out first: an error after it would take it along.
            let has_news = buf.filled().len() > before;
            if has_news && (this.inbound.is_empty() || buf.remaining() == 0 || !this.is_passing()) {
                return Poll::Ready(Ok(()));
            }
            if let Told::News = ready!(this.step(cx, buf))? {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl Gate<'_> {
    /// Whether inbound bytes belong to the request that hyper is reading.
    fn is_passing(&self) -> bool {
        matches!(self.stage, Stage::Passing(..) | Stage::Body(_))
    }
}

impl AsyncWrite for Gate<'_> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.sending.poll_write(this.socket, &mut this.timer, cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.sending.poll_write_vectored(this.socket, &mut this.timer, cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        !self.sending.is_throttled() && self.socket.is_write_vectored()
    }

    /// hyper calls this when its own buffers are empty.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let was_idle = this.connection.phase() == Phase::Idle;
        ready!(this.poll_settle(cx))?;
        if !was_idle && this.connection.phase() == Phase::Idle {
            // hyper knows that a read would wait, so it does not read before the timer has fired: set it here.
            let _ = this.reading.watch(Poll::<()>::Pending, &mut this.timer, cx);
            if !this.inbound.is_empty() {
                // Nor does it know of the request that waits here.
                cx.waker().wake_by_ref();
            }
        }
        if this.connection.take_flush_wish() {
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // hyper does not know of an answer that did not come from it.
        ready!(this.poll_settle(cx))?;
        if !this.inbound.is_empty() {
            // A close with requests unread would be a reset, which takes the end of the last response along.
            this.connection.set_lingering(true);
        }
        this.sending.poll_shutdown(this.socket, &mut this.timer, cx)
    }
}
