//! What a connection, its requests and the server know of each other.

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering},
    },
    task::Context,
    time::Instant,
};

use atomic_waker::AtomicWaker;
use stack_bridge::{ClientConnection, Local, Peer, Scheme, TlsFacts};

use crate::{access_log::Entry, direct::Handed, strict::Refusal};

/// What a connection does. Each phase has the one timeout that can end it. One that speaks HTTP/2 has as many requests
/// as it has streams, so it is only ever idle, answering or closing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// No byte of the next request has come. `idle_timeout` closes without a word.
    Idle,
    /// The head is being read. `header_timeout`, counted from its first byte, answers 408.
    Head,
    /// The body is being read. `body_timeout`, counted from its last byte, answers 408.
    Body,
    /// The request is complete; its response is being made and sent. `request_timeout` answers 504 until there is a
    /// head, `send_timeout` cuts the connection once the client stops reading.
    Answering,
    /// The response is complete, the socket has not taken all of it. `send_timeout`.
    Flushing,
    /// No further request is read. A client that was refused may still send; that is read and dropped for 2 seconds.
    Closing,
}

impl Phase {
    const ALL: [Self; 6] = [Self::Idle, Self::Head, Self::Body, Self::Answering, Self::Flushing, Self::Closing];

    /// Whether a request would be lost if the connection ended now.
    fn is_in_flight(self) -> bool {
        match self {
            Self::Idle | Self::Head | Self::Closing => false,
            Self::Body | Self::Answering | Self::Flushing => true,
        }
    }
}

/// What the server wants of a connection. It only ever becomes stricter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Order {
    /// Go on.
    Serve,
    /// Answer one more request, and say with the response that it was the last. A client that was just served may be sending
    /// its next request already, and would lose it to a close.
    Leave,
    /// Finish the request in flight, if any, and close.
    Drain,
    /// End now.
    Abort,
}

/// Where the requests of a connection come from.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) scheme: Scheme,
    pub(crate) peer: Peer,
    pub(crate) local: Arc<Local>,
    /// The port of TLS that plain connections are sent to, where they are.
    pub(crate) redirect_to: Option<u16>,
    /// Its requests may say whom they are from.
    pub(crate) is_proxy: bool,
    /// The peer is the other end of the socket; else it was told by the PROXY protocol.
    pub(crate) is_direct: bool,
}

/// The one request of a connection that could not become one.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) refusal: Refusal,
    /// As much of its first line as the log has room for.
    pub(crate) line: Box<[u8]>,
}

/// Bytes of a refused request's line that are kept for the log.
const LOGGED_LINE: usize = 512;

/// The state of one connection, shared by its task, its requests and the registry.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) origin: Origin,
    /// The encryption, from the end of the handshake.
    pub(crate) tls: OnceLock<Arc<TlsFacts>>,
    phase: AtomicU8,
    order: AtomicU8,
    /// The connection's task, to be woken by a new order.
    waker: AtomicWaker,
    opened_at: Instant,
    /// Milliseconds after `opened_at` at which it last became idle; 0 before its first request.
    idle_since: AtomicU64,
    lingering: AtomicBool,
    /// Requests whose head has been read.
    requests: AtomicU64,
    /// A response that is about to be cut waits until what there is of it has been sent.
    wants_flush: AtomicBool,
    /// Responses that are complete but not yet in the socket: they are logged when it has taken them.
    unsent: Mutex<Vec<Entry>>,
    /// The request that hyper gets next is with its application already.
    handed: Mutex<Option<Box<Handed>>>,
    has_handed: AtomicBool,
    /// Set at most once: a connection ends with the answer to it.
    refused: OnceLock<Refused>,
    /// Requests of an HTTP/2 connection that are not answered yet.
    streams: AtomicUsize,
    /// Milliseconds after `opened_at` at which the socket last took something of an HTTP/2 connection.
    written_at: AtomicU64,
}

impl Connection {
    pub(crate) fn new(origin: Origin) -> Self {
        Self {
            origin,
            tls: OnceLock::new(),
            phase: AtomicU8::new(Phase::Idle as u8),
            order: AtomicU8::new(Order::Serve as u8),
            waker: AtomicWaker::new(),
            opened_at: Instant::now(),
            idle_since: AtomicU64::new(0),
            lingering: AtomicBool::new(false),
            requests: AtomicU64::new(0),
            wants_flush: AtomicBool::new(false),
            unsent: Mutex::new(Vec::new()),
            handed: Mutex::new(None),
            has_handed: AtomicBool::new(false),
            refused: OnceLock::new(),
            streams: AtomicUsize::new(0),
            written_at: AtomicU64::new(0),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        Phase::ALL[usize::from(self.phase.load(Ordering::Acquire))]
    }

    pub(crate) fn enter(&self, phase: Phase) {
        tracing::trace!(peer = ?self.origin.peer, from = ?self.phase(), to = ?phase, "connection");
        self.phase.store(phase as u8, Ordering::Release);
    }

    /// The socket has taken everything there was to send.
    pub(crate) fn flushed(&self, now: Instant) {
        if self.phase() == Phase::Flushing {
            self.becomes_idle(now);
            self.finish_entries(false);
        }
    }

    fn becomes_idle(&self, now: Instant) {
        // Not 0, which says that there was no request yet.
        self.idle_since.store(self.age(now).max(1), Ordering::Relaxed);
        self.enter(Phase::Idle);
    }

    fn age(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.opened_at).as_millis()).unwrap_or(u64::MAX)
    }

    /// The socket has taken some of what an HTTP/2 connection has to send.
    pub(super) fn wrote(&self) {
        self.written_at.store(self.age(Instant::now()), Ordering::Relaxed);
    }

    /// When it last did.
    pub(super) fn written_at(&self) -> Instant {
        self.opened_at + std::time::Duration::from_millis(self.written_at.load(Ordering::Relaxed))
    }

    /// One more stream of an HTTP/2 connection is answered.
    pub(super) fn stream_opened(&self) {
        self.streams.fetch_add(1, Ordering::AcqRel);
        self.enter(Phase::Answering);
    }

    /// One stream less. The last one leaves the connection idle, and its task is told.
    pub(super) fn stream_closed(&self) {
        if self.streams.fetch_sub(1, Ordering::AcqRel) == 1 {
            if self.phase() == Phase::Answering {
                self.becomes_idle(Instant::now());
            }
            if self.streams() > 0 {
                // One was opened meanwhile.
                self.enter(Phase::Answering);
            }
            self.waker.wake();
        }
    }

    /// Requests that would be lost if the connection ended now.
    pub(super) fn in_flight(&self) -> usize {
        if self.phase().is_in_flight() { self.streams().max(1) } else { 0 }
    }

    /// Requests of an HTTP/2 connection that are not answered yet.
    pub(super) fn streams(&self) -> usize {
        self.streams.load(Ordering::Acquire)
    }

    /// What comes next is not a request. It is answered with the refusal, and the connection closed.
    pub(super) fn refuse(&self, refusal: Refusal, line: &[u8]) {
        let line = line[..line.len().min(LOGGED_LINE)].into();
        // A second refusal has no response of its own.
        let _ = self.refused.set(Refused { refusal, line });
    }

    /// Leaves what has begun for the request that hyper gets next.
    pub(super) fn hand(&self, handed: Box<Handed>) {
        *self.handed.lock().unwrap_or_else(PoisonError::into_inner) = Some(handed);
        self.has_handed.store(true, Ordering::Release);
    }

    pub(super) fn take_handed(&self) -> Option<Box<Handed>> {
        if !self.has_handed.swap(false, Ordering::AcqRel) {
            return None;
        }
        self.handed.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Why the request that hyper hands over is none.
    pub(crate) fn refused(&self) -> Option<&Refused> {
        self.refused.get()
    }

    /// No request will be lost any more: what is left is to close.
    pub(crate) fn ended(&self) {
        self.enter(Phase::Closing);
    }

    /// When it became idle; `None` while it is not.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        let age = std::time::Duration::from_millis(self.idle_since.load(Ordering::Relaxed));
        (self.phase() == Phase::Idle).then(|| self.opened_at + age)
    }

    /// Whether no byte of a first request has come.
    pub(crate) fn is_fresh(&self) -> bool {
        self.phase() == Phase::Idle && self.idle_since.load(Ordering::Relaxed) == 0
    }

    pub(crate) fn order(&self) -> Order {
        match self.order.load(Ordering::Acquire) {
            0 => Order::Serve,
            1 => Order::Leave,
            2 => Order::Drain,
            _ => Order::Abort,
        }
    }

    /// Gives an order; a milder one than before changes nothing.
    pub(crate) fn command(&self, order: Order) {
        self.order.fetch_max(order as u8, Ordering::AcqRel);
        self.waker.wake();
    }

    /// Wakes the task of `cx` at the next order. To be called before the order is looked at.
    pub(crate) fn listen(&self, cx: &Context<'_>) {
        self.waker.register(cx.waker());
    }

    /// Whether bytes of the request are still to come, should it be answered now and the connection closed.
    pub(crate) fn set_lingering(&self, lingering: bool) {
        self.lingering.store(lingering, Ordering::Relaxed);
    }

    pub(crate) fn is_lingering(&self) -> bool {
        self.lingering.load(Ordering::Relaxed)
    }

    /// Counts a request; gives its number, the first one's being 1.
    pub(crate) fn count_request(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// How many requests there were.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Asks for a wake-up at the next flush.
    pub(crate) fn wish_for_flush(&self) {
        self.wants_flush.store(true, Ordering::Relaxed);
    }

    pub(crate) fn awaits_flush(&self) -> bool {
        self.wants_flush.load(Ordering::Relaxed)
    }

    pub(super) fn take_flush_wish(&self) -> bool {
        self.awaits_flush() && self.wants_flush.swap(false, Ordering::Relaxed)
    }

    /// Keeps the entry of a complete response until the socket has taken it.
    pub(crate) fn await_flush(&self, entry: Entry) {
        self.unsent.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
        self.enter(Phase::Flushing);
    }

    /// Writes the log entries of responses that were complete.
    pub(crate) fn finish_entries(&self, aborted: bool) {
        let mut unsent = self.unsent.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in unsent.drain(..) {
            entry.finish(aborted);
        }
    }
}

impl ClientConnection for Connection {
    fn close(&self) {
        self.command(Order::Drain);
    }
}
