//! Answers that are ready: files in memory, asked for by requests that are plain.
//!
//! The gate sends such an answer itself, and hyper never hears of the request. It is the answer that the long way through
//! [`request::answer`] gives: its head was made there, once, and what could make it another one
//! (a rule of the site, a limit on requests, a condition, a range) sends the request on that way.

use std::{io::IoSlice, sync::atomic::Ordering::Relaxed};

use axum::response::Response;
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version};

use crate::{
    access_log::{Described, Entry},
    compression::Accepted,
    connection::{Connection, Origin},
    files::Content,
    path, request,
    server::Server,
    site::host,
};

mod date;
mod plain;

use date::LastLines;
use plain::Plain;

/// A response on its way out.
#[derive(Debug)]
pub(crate) struct Answer {
    head: Bytes,
    last_lines: LastLines,
    content: Bytes,
    /// Bytes of the three that the socket has taken.
    sent: usize,
    entry: Entry,
}

/// Whether plain requests of a connection from there may be answered at once: there are files, nothing about their client has
/// to be found out or counted, and no time is to be told.
pub(crate) fn is_possible(server: &Server, origin: &Origin) -> bool {
    server.sites.may_have_content()
        && !server.tells_times
        && !origin.is_proxy
        && origin.redirect_to.is_none()
        && server.admission.lets_all_requests_in(&origin.peer)
}

/// The answer to a request whose head has passed the strict checks, if one is ready.
pub(crate) fn answer(server: &Server, connection: &Connection, head: &[u8]) -> Option<Answer> {
    let request = Plain::read(head)?;
    // The last request of a connection says so in its response.
    if connection.requests().saturating_add(1) >= server.keepalive_requests {
        return None;
    }
    let target = str::from_utf8(request.target).ok()?;
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    if path::normalise(path) != Ok(None) || server.health.is_asked(path) {
        return None;
    }
    let site = server.sites.find(host::of_authority(request.host))?;
    let accepted = || Accepted::of_values(request.accept_encoding.into_iter());
    let scheme = connection.origin.scheme;
    let dress = |response: &mut Response| request::dress(server, Some(site), scheme, response);
    let Content { head, content } = site.content(path)?.ready(accepted, scheme, dress)?;
    connection.count_request();
    server.metrics.ready.fetch_add(1, Relaxed);
    let mut entry =
        Entry::new(server.log.as_ref(), &server.metrics, server.next_id(), connection, || described(&request));
    entry.answered(StatusCode::OK);
    let content = if request.is_head { Bytes::new() } else { content };
    Some(Answer::new(head, content, entry))
}

/// A head without its end.
pub(crate) fn serialised(status: StatusCode, fields: &HeaderMap, length: Option<usize>) -> Bytes {
    const VERSION: &[u8] = b"HTTP/1.1 ";
    let reason = status.canonical_reason().unwrap_or_default();
    let size = fields.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>();
    let mut head = BytesMut::with_capacity(VERSION.len() + reason.len() + size + 64);
    for part in [VERSION, status.as_str().as_bytes(), b" ", reason.as_bytes(), b"\r\n"] {
        head.put_slice(part);
    }
    for (name, value) in fields {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            head.put_slice(part);
        }
    }
    if let Some(length) = length {
        head.put_slice(b"content-length: ");
        head.put_slice(HeaderValue::from(length).as_bytes());
        head.put_slice(b"\r\n");
    }
    head.freeze()
}

fn described(request: &Plain<'_>) -> Described {
    let value = |bytes: &[u8]| HeaderValue::from_bytes(bytes).ok();
    Described {
        method: if request.is_head { Method::HEAD } else { Method::GET },
        target: Uri::try_from(request.target).unwrap_or_default(),
        version: Version::HTTP_11,
        referer: request.referer.and_then(value),
        user_agent: request.user_agent.and_then(value),
    }
}

impl Answer {
    /// An answer with this head, but for the date and the empty line at its end.
    pub(crate) fn new(head: Bytes, content: Bytes, entry: Entry) -> Self {
        Self { head, last_lines: date::last_lines(), content, sent: 0, entry }
    }

    /// What is left to send. The first slices are empty when they have been sent.
    pub(crate) fn rest(&self) -> [IoSlice<'_>; 3] {
        let mut before = self.sent;
        [&self.head[..], &self.last_lines, &self.content].map(|part| {
            let skipped = before.min(part.len());
            before -= skipped;
            IoSlice::new(&part[skipped..])
        })
    }

    pub(crate) fn advance(&mut self, sent: usize) {
        self.sent += sent;
    }

    pub(crate) fn is_sent(&self) -> bool {
        self.sent == self.head.len() + self.last_lines.len() + self.content.len()
    }

    /// What is to be logged once the socket has it all.
    pub(crate) fn into_entry(mut self) -> Entry {
        self.entry.sent(self.content.len() as u64);
        self.entry
    }
}
