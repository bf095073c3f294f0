//! Answers that are ready: files in memory, and large ones that the kernel sends, asked for by requests that are plain.
//!
//! The gate sends such an answer itself, and hyper never hears of the request. It is the answer that the long way through
//! [`request::answer`] gives: what makes its head there makes it here, of a file in memory once, and what could make it another
//! one (a rule of the site, a limit on requests, a condition) sends the request on that way.

use std::{io::IoSlice, sync::atomic::Ordering::Relaxed};

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version, header};

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

/// Bytes of a body that are copied behind their head: the system takes one piece sooner than several.
const COPIED: usize = 2048;

/// A response on its way out.
#[derive(Debug)]
pub(crate) struct Answer {
    /// All that is in memory, or what comes first of it.
    first: Bytes,
    /// The end of the head, and the content.
    rest: Option<(LastLines, Bytes)>,
    /// Bytes before the content.
    head: usize,
    /// Bytes that the socket has taken of what is in memory.
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
pub(crate) fn serialised(status: StatusCode, fields: &HeaderMap) -> Bytes {
    // Not a byte too much room, so that it need not move to become `Bytes`.
    begun(status, fields, None, 0).into()
}

/// A head without its end, and room for so many bytes behind it.
fn begun(status: StatusCode, fields: &HeaderMap, length: Option<usize>, room: usize) -> Vec<u8> {
    let reason = status.canonical_reason().unwrap_or_default();
    let length = length.map(|length| length.to_string());
    let own = || length.iter().map(|length| (header::CONTENT_LENGTH.as_str(), length.as_bytes()));
    let lines = || fields.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).chain(own());
    let size_of_lines = lines().map(|(name, value)| name.len() + value.len() + 4).sum::<usize>();
    let size = b"HTTP/1.1 200 \r\n".len() + reason.len() + size_of_lines;
    let mut head = Vec::with_capacity(size + room);
    head.extend_from_slice(b"HTTP/1.1 ");
    head.extend_from_slice(status.as_str().as_bytes());
    head.push(b' ');
    head.extend_from_slice(reason.as_bytes());
    head.extend_from_slice(b"\r\n");
    for (name, value) in lines() {
        head.extend_from_slice(name.as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value);
        head.extend_from_slice(b"\r\n");
    }
    debug_assert_eq!(head.len(), size);
    head
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
    fn new(head: Bytes, content: Bytes, entry: Entry) -> Self {
        let last_lines = date::last_lines();
        let length = head.len() + last_lines.len();
        Self { first: head, rest: Some((last_lines, content)), head: length, sent: 0, file: None, entry }
    }

    /// An answer with this status and these fields, a length where there is one, and the date.
    pub(crate) fn with(
        status: StatusCode,
        fields: &HeaderMap,
        length: Option<usize>,
        content: Bytes,
        entry: Entry,
    ) -> Self {
        if content.len() > COPIED {
            return Self::new(begun(status, fields, length, 0).into(), content, entry);
        }
        let last_lines = date::last_lines();
        let mut all = begun(status, fields, length, last_lines.len() + content.len());
        all.extend_from_slice(&last_lines);
        let head = all.len();
        all.extend_from_slice(&content);
        Self { first: all.into(), rest: None, head, sent: 0, file: None, entry }
    }

    /// What is left to send. The first slices are empty when they have been sent.
    pub(crate) fn rest(&self) -> [IoSlice<'_>; 3] {
        let (last_lines, content) = self.rest.as_ref().map_or((&[][..], &[][..]), |(lines, content)| (lines, content));
        let mut before = self.sent;
        [&self.first[..], last_lines, content].map(|part| {
            let skipped = before.min(part.len());
            before -= skipped;
            IoSlice::new(&part[skipped..])
        })
    }

    /// What is left to send, where that is in one piece.
    pub(crate) fn rest_in_one(&self) -> Option<&[u8]> {
        self.rest.is_none().then(|| &self.first[self.sent..])
    }

    pub(crate) fn advance(&mut self, sent: usize) {
        let before = self.sent_of_content();
        self.sent += sent;
        self.entry.sent((self.sent_of_content() - before) as u64);
    }

    fn sent_of_content(&self) -> usize {
        self.sent.saturating_sub(self.head)
    }

    /// Whether nothing is left but what comes from a file.
    pub(crate) fn has_sent_memory(&self) -> bool {
        let length = self.rest.as_ref().map_or(self.first.len(), |(_, content)| self.head + content.len());
        self.sent == length
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
