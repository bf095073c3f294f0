//! One request's share of its connection: all of an HTTP/1 connection, or a stream of an HTTP/2 one.

use std::sync::Arc;

use super::{Connection, Order, Phase};
use crate::{access_log::Entry, direct::Handed};

/// What a stream of HTTP/2 hands over at a time: it is all that a stalled client can leave there, and two of the largest
/// frames that every client takes (RFC 9113 §4.2).
const PIECE: usize = 32 * 1024;

/// What a request and its response tell their connection, and what they may ask of it.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    connection: Arc<Connection>,
    /// Then the connection's own phase says nothing of one of its streams.
    is_http2: bool,
}

impl Stream {
    /// The connection is the stream.
    pub(crate) fn http1(connection: Arc<Connection>) -> Self {
        Self { connection, is_http2: false }
    }

    pub(super) fn http2(connection: Arc<Connection>) -> Self {
        Self { connection, is_http2: true }
    }

    pub(crate) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    pub(crate) fn is_http2(&self) -> bool {
        self.is_http2
    }

    /// What has been begun with the request already.
    pub(crate) fn take_handed(&self) -> Option<Box<Handed>> {
        if self.is_http2 { None } else { self.connection.take_handed() }
    }

    /// Whether the connection goes on behind this response.
    pub(crate) fn is_last(&self) -> bool {
        self.connection.order() > Order::Serve
    }

    pub(crate) fn enter(&self, phase: Phase) {
        if !self.is_http2 {
            self.connection.enter(phase);
        }
    }

    /// Whether bytes of the request are still to come, should it be answered now and the connection closed. A stream of
    /// HTTP/2 is reset instead, which needs no such care.
    pub(crate) fn set_lingering(&self, lingering: bool) {
        if !self.is_http2 {
            self.connection.set_lingering(lingering);
        }
    }

    /// Asks that what there is be sent, before the response is cut.
    pub(crate) fn wish_for_flush(&self) {
        if !self.is_http2 {
            self.connection.wish_for_flush();
        }
    }

    pub(crate) fn awaits_flush(&self) -> bool {
        !self.is_http2 && self.connection.awaits_flush()
    }

    /// Keeps the entry of a complete response until the socket has taken it. Of HTTP/2 only the end of the body is known.
    pub(crate) fn await_flush(&self, entry: Entry) {
        if self.is_http2 {
            entry.finish(false);
        } else {
            self.connection.await_flush(entry);
        }
    }

    /// How much of a response is handed over at a time. Of HTTP/1 the socket itself says how much it takes.
    pub(crate) fn largest_piece(&self) -> usize {
        if self.is_http2 { PIECE } else { usize::MAX }
    }
}
