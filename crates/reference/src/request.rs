//! The parser: one connection's bytes to the requests in them.
//!
//! It looks at whole lines only, keeps everything, and reads every request from its first byte: slow, and easy to check.

mod body;
mod head;
mod host;
mod target;

use crate::table::Seen;

/// What may be as large as this and no larger.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The request line without its CRLF, in bytes.
    pub request_line: usize,
    /// The whole head, in bytes.
    pub head: usize,
    /// Fields in a head.
    pub fields: usize,
    /// The body, in bytes.
    pub body: usize,
}

impl Limits {
    /// What the rows of the table reckon with: the defaults, but for the body's.
    pub const TABLE: Self = Self { request_line: 8 * 1024, head: 32 * 1024, fields: 100, body: 16 * 1024 };
}

/// One complete request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// As sent.
    pub method: Vec<u8>,
    /// As sent.
    pub target: Vec<u8>,
    /// The minor version: HTTP/1.0 or HTTP/1.1.
    pub minor: u8,
    /// Names in lower case, values without the white space around them, in order. Names with an underscore are left out:
    /// an application could not tell them from others.
    pub fields: Vec<(String, Vec<u8>)>,
    /// Decoded.
    pub body: Vec<u8>,
    /// The body came in chunks.
    pub is_chunked: bool,
}

/// What a connection's bytes hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// The requests that are to be answered.
    pub requests: Vec<Request>,
    /// What comes after them.
    pub end: End,
}

/// What comes after the last complete request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Nothing: the next request may begin.
    Open,
    /// Nothing that counts: the last request asked for the connection to be closed.
    Closed,
    /// The beginning of a request.
    Cut,
    /// What is no request, and the status that says why.
    Refused(u16),
}

/// Fields that are not among the `HTTP_…`: they have another name or none. `Proxy` would be what CGI programs take for the
/// address of their proxy.
const ELSEWHERE: [&str; 4] = ["HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE", "HTTP_PROXY", "HTTP_TRANSFER_ENCODING"];

/// Why there is no request.
enum Failure {
    /// There may be one when more bytes come.
    Cut,
    /// There will be none.
    Refused(u16),
}

const BAD: Failure = Failure::Refused(400);

/// Bytes that are read from their front.
struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Failure> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Failure::Cut)?;
        self.rest = rest;
        Ok(taken)
    }

    /// A line without its CRLF, of at most `limit` bytes. LF alone ends no line, and CR stands nowhere else
    /// (RFC 9112 §2.2 lets a recipient take LF for a line's end; who is in front of us may not have).
    fn line(&mut self, limit: usize, too_long: u16) -> Result<&'a [u8], Failure> {
        let end = self.rest.iter().position(|&byte| byte == b'\n');
        if end.unwrap_or(self.rest.len()) > limit + 1 {
            return Err(Failure::Refused(too_long));
        }
        let Some(end) = end else { return Err(Failure::Cut) };
        let line = self.take(end + 1)?.strip_suffix(b"\r\n").ok_or(BAD)?;
        if line.contains(&b'\r') { Err(BAD) } else { Ok(line) }
    }
}

/// Reads all requests of a connection.
pub fn conversation(bytes: &[u8], limits: &Limits) -> Conversation {
    let mut input = Input { rest: bytes };
    let mut requests = Vec::new();
    let end = loop {
        if input.rest.is_empty() {
            break End::Open;
        }
        match request(&mut input, limits) {
            Ok(request) => {
                let persists = request.persists();
                requests.push(request);
                if !persists {
                    break End::Closed;
                }
            }
            Err(Failure::Cut) => break End::Cut,
            Err(Failure::Refused(status)) => break End::Refused(status),
        }
    };
    Conversation { requests, end }
}

fn request(input: &mut Input<'_>, limits: &Limits) -> Result<Request, Failure> {
    let head = head::read(input, limits)?;
    let (body, is_chunked) = body::read(input, &head, limits)?;
    let head::Head { method, target, minor, mut fields } = head;
    fields.retain(|(name, _)| !name.contains('_'));
    Ok(Request { method, target, minor, fields, body, is_chunked })
}

impl Request {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.fields.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_slice())
    }

    /// RFC 9112 §9.3.
    fn persists(&self) -> bool {
        let options: Vec<_> = self.values("connection").flat_map(head::members).collect();
        let has = |option: &[u8]| options.iter().any(|known| known.eq_ignore_ascii_case(option));
        !has(b"close") && (self.minor == 1 || has(b"keep-alive"))
    }

    /// What an application sees of it (RFC 3875 §4.1, PEP 3333 "environ Variables").
    pub fn seen(&self) -> Seen {
        let (path, query) = target::path_and_query(&self.target);
        let mut fields = Vec::<(String, Vec<u8>)>::new();
        for (name, value) in &self.fields {
            let separator: &[u8] = if name == "cookie" { b"; " } else { b"," };
            let name = format!("HTTP_{}", name.to_uppercase().replace('-', "_"));
            match fields.iter_mut().find(|(known, _)| *known == name) {
                Some((_, values)) => values.extend([separator, value].concat()),
                None => fields.push((name, value.clone())),
            }
        }
        fields.retain(|(name, _)| !ELSEWHERE.contains(&name.as_str()));
        fields.sort();
        let length = self.values("content-length").next().map(<[u8]>::to_vec);
        let decoded = self.is_chunked.then(|| self.body.len().to_string().into_bytes());
        Seen {
            method: String::from_utf8_lossy(&self.method).into_owned(),
            target: self.target.clone(),
            protocol: format!("HTTP/1.{}", self.minor),
            path,
            query,
            content_type: self.values("content-type").next().map(<[u8]>::to_vec),
            content_length: length.or(decoded),
            fields,
            body: self.body.clone(),
        }
    }
}
