//! What happens to a site's requests before they are routed, and to its responses.

use std::{fmt, path::PathBuf};

/// The rules of one site.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// The authority that requests for the site's other names are redirected to.
    pub canonical_host: Option<String>,
    /// Answers that send the client elsewhere.
    pub redirects: Vec<Redirect>,
    /// Paths that are served as if another one had been asked for.
    pub rewrites: Vec<Rewrite>,
    /// Fixed answers.
    pub returns: Vec<Return>,
    /// Changes to the fields of every response.
    pub fields: Vec<FieldRule>,
    /// Pages in place of error texts.
    pub error_pages: Vec<ErrorPage>,
    /// Whether those pages also stand in for the application's own error pages.
    pub error_pages_for_application: bool,
}

/// `[STATUS ]FROM=TO`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// Which paths.
    pub from: PathPattern,
    /// Where to.
    pub to: Target,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
}

/// `FROM=TO`, where TO has no authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// Which paths.
    pub from: PathPattern,
    /// What is served in their place.
    pub to: Target,
}

/// `STATUS FROM[=BODY]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Return {
    /// Which paths.
    pub from: PathPattern,
    /// From 200 to 599, without 3xx.
    pub status: u16,
    /// The whole body, plain text; `None` is the text of the status.
    pub body: Option<String>,
}

/// Which paths a rule is for. It is compared with the path as routing sees it: decoded, without dot segments, with runs of
/// slashes as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathPattern {
    /// This path.
    Exact(String),
    /// `PREFIX/*`: every path that begins with the prefix and a slash; `$1` is the rest. The prefix has no slash at its end.
    Below(String),
    /// `~ REGEX`, or `~* REGEX`, which begins with `(?i)` here: a path in which it is found.
    Regex(String),
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(path) => f.write_str(path),
            Self::Below(prefix) => write!(f, "{prefix}/*"),
            Self::Regex(pattern) => write!(f, "~ {pattern}"),
        }
    }
}

/// Where a rule leads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Scheme and authority, `https://example.com`; `None` stays on the site. No capture is ever part of it.
    pub origin: Option<String>,
    /// The path, percent-encoded.
    pub path: Vec<Piece>,
    /// The query, percent-encoded, without its `?`.
    pub query: Vec<Piece>,
    /// Whether the request's own query follows.
    pub keeps_query: bool,
}

/// A part of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// As it stands in a URL.
    Text(String),
    /// What a group of the pattern matched, `$1` to `$9`; `$0` is all of it.
    Capture(usize),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.origin.as_deref().unwrap_or_default())?;
        write_pieces(f, &self.path)?;
        if !self.query.is_empty() {
            f.write_str("?")?;
            write_pieces(f, &self.query)?;
        }
        if self.keeps_query { Ok(()) } else { f.write_str("?") }
    }
}

fn write_pieces(f: &mut fmt::Formatter<'_>, pieces: &[Piece]) -> fmt::Result {
    pieces.iter().try_for_each(|piece| match piece {
        Piece::Text(text) => f.write_str(&text.replace('$', "$$")),
        Piece::Capture(number) => write!(f, "${number}"),
    })
}

/// One change to the fields of a response. Names are in lower case and never those of framing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldRule {
    /// `NAME: VALUE`: in place of all that there are.
    Set(String, String),
    /// `+NAME: VALUE`: beside those that there are.
    Add(String, String),
    /// `-NAME`.
    Remove(String),
}

impl fmt::Display for FieldRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(name, value) => write!(f, "{name}: {value}"),
            Self::Add(name, value) => write!(f, "+{name}: {value}"),
            Self::Remove(name) => write!(f, "-{name}"),
        }
    }
}

/// Bytes of an error page, at most: it is kept in memory, and sent whole.
pub const LARGEST_ERROR_PAGE: u64 = 1 << 20;

/// `STATUS=FILE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorPage {
    /// Which errors.
    pub status: ErrorStatus,
    /// The file, absolute.
    pub path: PathBuf,
    /// What is in it; it was read when the configuration was.
    pub content: Vec<u8>,
}

/// Which errors a page is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ErrorStatus {
    /// `404`.
    Code(u16),
    /// `4xx` or `5xx`, by its first digit: those that no page of their own is for.
    Class(u16),
}

impl fmt::Display for ErrorStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "{code}"),
            Self::Class(digit) => write!(f, "{digit}xx"),
        }
    }
}
