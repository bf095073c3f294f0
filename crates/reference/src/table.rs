//! The table of raw requests: `requests/*.txt`.
//!
//! A row is a heading, the reason, what is sent, and what it comes to:
//!
//! ```text
//! ## two Hosts
//! # RFC 9112 §3.2
//! > GET / HTTP/1.1
//! > Host: a
//! > Host: b
//! >
//! < 400
//! ```
//!
//! What is sent:
//! - `> LINE` is the line and CRLF; `>*N LINE` is that N times, with `\#` for the number of each, from 1.
//! - `| BYTES` is the bytes and nothing more.
//! - `~` waits until the server has read all that was sent; `~ 100` until an interim response of that status has come.
//!
//! Both know the escapes `\r \n \t \s \0 \\`, `\xHH`, and `\(N x TEXT)` for N times the text.
//!
//! What it comes to, one line for each response:
//! - `< METHOD TARGET VERSION` is a request that the application sees. Indented lines below it name variables of its
//!   environ, `-` for one that must not be there, and `body`. The list of `HTTP_…` is complete, but for `HTTP_HOST a`,
//!   which goes without saying; `PATH_INFO` and `QUERY_STRING` too, where the target has no `%`, and `CONTENT_LENGTH`, which
//!   is the body's.
//! - `< answered STATUS` is a response that the front gives without the application.
//! - `< STATUS…` is a refusal with one of these, after which the connection is closed.
//! - `< cut` is a request that never ends: nobody sees it, and the connection is closed.
//! - `< closes` at the end: the connection closes after the last response. Without it, it must go on.

use std::fmt;

mod escape;
mod read;

pub use read::parse;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The heading: unique in the table.
    pub name: String,
    /// Why: a section of an RFC, as a rule.
    pub reason: String,
    /// What is sent.
    pub parts: Vec<Part>,
    /// What it comes to, in order.
    pub outcomes: Vec<Outcome>,
    /// The connection closes after the last response.
    pub closes: bool,
}

/// A step of the sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Sends these bytes.
    Bytes(Vec<u8>),
    /// Waits until the server has read everything.
    Read,
    /// Waits for an interim response of this status.
    Interim(u16),
}

/// What comes of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The application sees it.
    Seen(Seen),
    /// The front answers with this status.
    Answered(u16),
    /// Refused with one of these, and the connection is closed.
    Refused(Vec<u16>),
    /// It never ends.
    Cut,
}

/// A request as a WSGI application sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// `REQUEST_METHOD`.
    pub method: String,
    /// `REQUEST_URI`.
    pub target: Vec<u8>,
    /// `SERVER_PROTOCOL`.
    pub protocol: String,
    /// `PATH_INFO`.
    pub path: Vec<u8>,
    /// `QUERY_STRING`.
    pub query: Vec<u8>,
    /// `CONTENT_TYPE`.
    pub content_type: Option<Vec<u8>>,
    /// `CONTENT_LENGTH`.
    pub content_length: Option<Vec<u8>>,
    /// Every `HTTP_…`, by name.
    pub fields: Vec<(String, Vec<u8>)>,
    /// What `wsgi.input` holds.
    pub body: Vec<u8>,
}

impl Row {
    /// All that is sent.
    pub fn bytes(&self) -> Vec<u8> {
        let bytes = self.parts.iter().filter_map(|part| match part {
            Part::Bytes(bytes) => Some(bytes.as_slice()),
            Part::Read | Part::Interim(_) => None,
        });
        bytes.collect::<Vec<_>>().concat()
    }

    /// Whether nothing in it is refused or cut.
    pub fn is_good(&self) -> bool {
        !self.outcomes.iter().any(|outcome| matches!(outcome, Outcome::Refused(_) | Outcome::Cut))
    }
}

/// A line of the table that can not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableError {
    /// The file.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// What is wrong.
    pub what: &'static str,
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, what } = self;
        write!(f, "{file}:{line}: {what}")
    }
}

impl std::error::Error for TableError {}

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../requests/", $name)))),*]
    };
}

const FILES: [(&str, &str); 11] = files![
    "body-length.txt",
    "chunks.txt",
    "connection.txt",
    "fields.txt",
    "host.txt",
    "limits.txt",
    "request-line.txt",
    "singletons.txt",
    "target.txt",
    "trailers.txt",
    "transfer-encoding.txt",
];

/// Every row.
///
/// # Panics
///
/// If the table can not be read.
pub fn table() -> Vec<Row> {
    let rows = FILES.iter().flat_map(|(file, text)| parse(file, text).unwrap_or_else(|error| panic!("{error}")));
    rows.collect()
}

#[cfg(test)]
mod tests;
