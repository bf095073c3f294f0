//! A request head, read line by line as its bytes come (RFC 9112 §2 to §6).
//!
//! Nothing is kept but what the rules need: the caller has the bytes. A line is judged as soon as it is there, so a head
//! that can not become a request is refused before its end.

use std::ops::Range;

use memchr::memchr;

use super::{
    Malformed, Refusal,
    fields::{self, Field},
    host, target,
};

/// How large a head may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadLimits {
    /// Bytes of the request line, without its end (414).
    pub(crate) line: usize,
    /// Bytes of request line and fields (431).
    pub(crate) head: usize,
    /// Fields (431).
    pub(crate) fields: usize,
    /// Bytes of one chunk: those of a whole body (413).
    pub(crate) chunk: u64,
}

/// How the body of a request is delimited (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// By a length, which is 0 where nothing is said.
    Length(u64),
    /// By itself.
    Chunked,
}

/// How far a head has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// More bytes are needed.
    Partial,
    /// The head has this many bytes.
    Complete { length: usize, framing: Framing },
}

/// Reads one head.
#[derive(Debug)]
pub(crate) struct HeadReader {
    limits: HeadLimits,
    /// Where the line begins that is not read yet.
    line: usize,
    /// As far as a line end was looked for.
    searched: usize,
    fields: usize,
    facts: Facts,
}

/// What has been read so far, as far as later lines may contradict it.
#[derive(Debug, Default)]
struct Facts {
    /// Of HTTP/1; `None` before the request line.
    minor_version: Option<u8>,
    authority: Option<Range<usize>>,
    host: Option<Range<usize>>,
    length: Option<u64>,
    chunked: bool,
    has_type: bool,
}

impl HeadReader {
    pub(crate) fn new(limits: HeadLimits) -> Self {
        Self { limits, line: 0, searched: 0, fields: 0, facts: Facts::default() }
    }

    /// Reads on in `bytes`: those of the call before, and what has come since. They begin with the head.
    pub(crate) fn advance(&mut self, bytes: &[u8]) -> Result<Progress, Refusal> {
        while let Some(distance) = memchr(b'\n', &bytes[self.searched..]) {
            let end = self.searched + distance;
            let line = &bytes[self.line..end];
            let Some(line) = line.strip_suffix(b"\r") else { return Err(Malformed::LineEnd.into()) };
            let start = std::mem::replace(&mut self.line, end + 1);
            self.searched = self.line;
            if self.facts.minor_version.is_none() {
                self.request_line(line, start)?;
            } else if line.is_empty() {
                self.check_size(self.line)?;
                let framing = self.facts.framing(bytes)?;
                return Ok(Progress::Complete { length: self.line, framing });
            } else {
                self.field(line, start)?;
            }
        }
        self.searched = bytes.len();
        self.judge_partial(&bytes[self.line..])?;
        Ok(Progress::Partial)
    }

    /// What is there of a line may be too much, or wrong, already.
    fn judge_partial(&self, line: &[u8]) -> Result<(), Refusal> {
        if self.facts.minor_version.is_some() {
            return self.check_size(self.line + line.len());
        }
        let graphic = line.iter().position(|byte| !byte.is_ascii_graphic() && *byte != b' ');
        if graphic.is_some_and(|at| line[at..] != *b"\r") {
            return Err(Malformed::RequestLine.into());
        }
        if line.len() > self.limits.line.saturating_add(1) { Err(Refusal::LongLine) } else { Ok(()) }
    }

    fn check_size(&self, size: usize) -> Result<(), Refusal> {
        if size > self.limits.head { Err(Refusal::LargeHead) } else { Ok(()) }
    }

    /// `method SP request-target SP HTTP-version` (RFC 9112 §3).
    fn request_line(&mut self, line: &[u8], start: usize) -> Result<(), Refusal> {
        if line.len() > self.limits.line {
            return Err(Refusal::LongLine);
        }
        let mut parts = line.split(|&byte| byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Malformed::RequestLine.into());
        };
        if !fields::is_token(method) {
            return Err(Malformed::Method.into());
        }
        let minor_version = match version {
            b"HTTP/1.1" => 1,
            b"HTTP/1.0" => 0,
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
                return Err(Refusal::Version);
            }
            _ => return Err(Malformed::RequestLine.into()),
        };
        if let Some(authority) = target::check(method, target)? {
            // What stands before the authority: the method, a space, and the scheme unless it is CONNECT.
            let before = method.len() + 1 + if method == b"CONNECT" { 0 } else { scheme_length(target) };
            self.facts.authority = Some(start + before..start + before + authority.len());
        }
        self.facts.minor_version = Some(minor_version);
        Ok(())
    }

    fn field(&mut self, line: &[u8], start: usize) -> Result<(), Refusal> {
        self.fields += 1;
        if self.fields > self.limits.fields {
            return Err(Refusal::ManyFields);
        }
        let field = Field::parse(line)?;
        // Most names differ in length already.
        match field.name.len() {
            4 if field.is("host") => self.facts.host(&field, line, start)?,
            14 if field.is("content-length") => self.facts.length(field.value)?,
            17 if field.is("transfer-encoding") => self.facts.encoding(field.value)?,
            // There is only one, and HTTP/1.0 has none (RFC 9110 §10.1.1).
            6 if field.is("expect") && self.facts.minor_version == Some(1) && !fields::is_continue(field.value) => {
                return Err(Refusal::Expectation);
            }
            12 if field.is("content-type") && std::mem::replace(&mut self.facts.has_type, true) => {
                return Err(Malformed::SeveralTypes.into());
            }
            _ => {}
        }
        Ok(())
    }
}

/// `http://` or `https://`.
fn scheme_length(target: &[u8]) -> usize {
    if target.get(4) == Some(&b':') { "http://".len() } else { "https://".len() }
}

impl Facts {
    fn host(&mut self, field: &Field<'_>, line: &[u8], start: usize) -> Result<(), Malformed> {
        if self.host.is_some() {
            return Err(Malformed::SeveralHosts);
        }
        if !host::is_host(field.value) {
            return Err(Malformed::InvalidHost);
        }
        let before = line.len() - line[field.name.len() + 1..].trim_ascii_start().len();
        self.host = Some(start + before..start + before + field.value.len());
        Ok(())
    }

    fn length(&mut self, value: &[u8]) -> Result<(), Malformed> {
        if self.length.is_some() {
            return Err(Malformed::SeveralLengths);
        }
        if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
            return Err(Malformed::InvalidLength);
        }
        let length = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
        self.length = Some(length.ok_or(Malformed::InvalidLength)?);
        Ok(())
    }

    fn encoding(&mut self, value: &[u8]) -> Result<(), Malformed> {
        if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Malformed::UnknownEncoding);
        }
        self.chunked = true;
        Ok(())
    }

    /// What only the whole head can tell.
    fn framing(&self, bytes: &[u8]) -> Result<Framing, Malformed> {
        let is_http_10 = self.minor_version == Some(0);
        match (&self.host, &self.authority) {
            (None, _) if !is_http_10 => return Err(Malformed::NoHost),
            // Both are there, so both must say the same, ports included; a missing Host is HTTP/1.0's right.
            (Some(host), Some(authority)) if !bytes[host.clone()].eq_ignore_ascii_case(&bytes[authority.clone()]) => {
                return Err(Malformed::Contradiction);
            }
            _ => {}
        }
        match (self.chunked, self.length) {
            (true, Some(_)) => Err(Malformed::LengthAndEncoding),
            (true, None) if is_http_10 => Err(Malformed::EncodingInHttp10),
            (true, None) => Ok(Framing::Chunked),
            (false, length) => Ok(Framing::Length(length.unwrap_or(0))),
        }
    }
}

#[cfg(test)]
mod tests;
