//! A response body on its last stretch: it counts what is sent, and knows whether that was all.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::{access_log::Entry, connection::Stream};

/// The body that hyper sends. Its end, or its drop, ends the request.
#[derive(Debug)]
pub(crate) struct SentBody {
    body: Body,
    /// Of the block that was read last, what is not handed over yet.
    rest: Bytes,
    /// The response's Content-Length, where it has one.
    length: Option<u64>,
    sent: u64,
    ended: bool,
    /// Why the response is cut: hyper drops what it holds at an error, so the client first gets what there is.
    cut: Option<axum::Error>,
    entry: Option<Entry>,
    stream: Stream,
}

impl SentBody {
    /// `has_body` is false where HTTP allows none: HEAD, 204, 304 (RFC 9110 §6.4.1).
    pub(crate) fn new(body: Body, has_body: bool, length: Option<u64>, entry: Entry, stream: Stream) -> Self {
        Self { body, rest: Bytes::new(), length, sent: 0, ended: !has_body, cut: None, entry: Some(entry), stream }
    }

    fn next_piece(&mut self) -> Bytes {
        let piece = self.rest.split_to(self.rest.len().min(self.stream.largest_piece()));
        self.sent += piece.len() as u64;
        piece
    }
}

impl HttpBody for SentBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        if let Some(cut) = this.cut.take() {
            if this.stream.awaits_flush() {
                this.cut = Some(cut);
                return Poll::Pending;
            }
            return Poll::Ready(Some(Err(cut)));
        }
        if !this.rest.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(this.next_piece()))));
        }
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        match frame {
            None => this.ended = true,
            Some(Ok(frame)) => {
                return Poll::Ready(Some(Ok(frame.map_data(|block| {
                    this.rest = block;
                    this.next_piece()
                }))));
            }
            Some(Err(_)) => {
                this.stream.wish_for_flush();
                // A stream of HTTP/2 is reset, whatever of it is still to be sent.
                if this.stream.awaits_flush() {
                    this.cut = frame.and_then(Result::err);
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // Where the two disagree hyper would believe the body, and the client the head: one of them would wait for bytes
        // that never come, or take the next response for part of this one. Without a hint hyper goes by the head.
        match self.length {
            Some(_) => SizeHint::default(),
            None => self.body.size_hint(),
        }
    }
}

impl Drop for SentBody {
    fn drop(&mut self) {
        let is_whole = match self.length {
            Some(length) => self.sent >= length,
            None => self.is_end_stream(),
        };
        // What reads the reply notes its times when it is dropped, which must be before they are logged.
        self.body = Body::empty();
        let Some(mut entry) = self.entry.take() else { return };
        entry.sent(self.sent);
        if self.ended || is_whole {
            self.stream.await_flush(entry);
        } else {
            entry.finish(true);
        }
    }
}
