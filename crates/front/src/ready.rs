//! Answers that are ready: files in memory, and large ones that the kernel sends, asked for by requests that are plain.
//!
//! The gate sends such an answer itself, and hyper never hears of the request. It is the answer that the long way through
//! [`request::answer`] gives: what makes its head there makes it here, of a file in memory once, and what could make it another
//! one (a rule of the site, a limit on requests, a condition) sends the request on that way.

use std::{io::IoSlice, sync::atomic::Ordering::Relaxed};

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version};

use crate::{
    access_log::{Described, Entry},
    connection::{Connection, Origin},
    files::{Content, ContentBody, FilePart, Wish},
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
    /// What of a file is left to send behind them.
    file: Option<Box<FilePart>>,
    entry: Entry,
}

/// Whether plain requests of a connection from there may be answered at once: there are files, nothing about their client has
/// to be found out or counted, no time is to be told, and no page gets a script.
pub(crate) fn is_possible(server: &Server, origin: &Origin) -> bool {
    server.sites.may_have_content()
        && !server.tells_times
        && server.development.is_none()
        && !origin.is_proxy
        && origin.redirect_to.is_none()
        && server.admission.lets_all_requests_in(&origin.peer)
}

/// The answer to a request whose head has passed the strict checks, if one is ready. `sends_files`: its socket can.
pub(crate) fn answer(server: &Server, connection: &Connection, head: &[u8], sends_files: bool) -> Option<Answer> {
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
    let scheme = connection.origin.scheme;
    let Plain { is_head, accept_encoding, range, if_range, .. } = request;
    let wish = Wish { is_head, accept_encoding, range, if_range, scheme, sends_files };
    let dress = |response: &mut Response| request::dress(server, Some(site), scheme, response);
    let Content { status, head, body } = site.at_hand(path, sends_files)?.answer(&wish, dress)?;
    connection.count_request();
    server.metrics.ready.fetch_add(1, Relaxed);
    let mut entry =
        Entry::new(server.log.as_ref(), &server.metrics, server.next_id(), connection, || described(&request));
    entry.answered(status);
    Some(match body {
        ContentBody::Memory(content) => Answer::new(head, content, entry),
        ContentBody::File(part) => Answer { file: Some(part), ..Answer::new(head, Bytes::new(), entry) },
    })
}

/// A head without its end.
pub(crate) fn serialised(status: StatusCode, fields: &HeaderMap, length: Option<usize>) -> Bytes {
    let code = status.as_str();
    let start =
        [b"HTTP/1.1 ", code.as_bytes(), b" ", status.canonical_reason().unwrap_or_default().as_bytes(), b"\r\n"];
    let length = length.map(|length| length.to_string());
    let end = length.as_ref().map(|length| [b"content-length: ", length.as_bytes(), b"\r\n"]);
    let size_of_fields = fields.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>();
    let size = start.iter().chain(end.iter().flatten()).map(|part| part.len()).sum::<usize>() + size_of_fields;
    // Not a byte more, so that it need not move to become `Bytes`.
    let mut head = Vec::with_capacity(size);
    for part in start {
        head.extend_from_slice(part);
    }
    for (name, value) in fields {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            head.extend_from_slice(part);
        }
    }
    for part in end.into_iter().flatten() {
        head.extend_from_slice(part);
    }
    debug_assert_eq!(head.len(), size);
    head.into()
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
        Self { head, last_lines: date::last_lines(), content, sent: 0, file: None, entry }
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
        let before = self.sent_of_content();
        self.sent += sent;
        self.entry.sent((self.sent_of_content() - before) as u64);
    }

    fn sent_of_content(&self) -> usize {
        self.sent.saturating_sub(self.head.len() + self.last_lines.len())
    }

    /// Whether nothing is left but what comes from a file.
    pub(crate) fn has_sent_memory(&self) -> bool {
        self.sent == self.head.len() + self.last_lines.len() + self.content.len()
    }

    /// What is left of a file, as long as something is.
    pub(crate) fn file(&mut self) -> Option<&mut FilePart> {
        self.file.as_deref_mut().filter(|file| file.left() > 0)
    }

    pub(crate) fn advance_file(&mut self, sent: usize) {
        if let Some(file) = &mut self.file {
            file.advance(sent);
            self.entry.sent(sent as u64);
        }
    }

    /// What is to be logged once the socket has it all.
    pub(crate) fn into_entry(self) -> Entry {
        self.entry
    }
}
