//! Request line and fields (RFC 9112 §3, §5).

use super::{BAD, Failure, Input, Limits, host, target};

/// A head that may be answered.
pub(super) struct Head {
    pub(super) method: Vec<u8>,
    pub(super) target: Vec<u8>,
    pub(super) minor: u8,
    /// In order, names in lower case.
    pub(super) fields: Vec<(String, Vec<u8>)>,
}

impl Head {
    pub(super) fn values<'a>(&'a self, name: &'a str) -> Vec<&'a [u8]> {
        self.fields.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_slice()).collect()
    }
}

pub(super) fn read(input: &mut Input<'_>, limits: &Limits) -> Result<Head, Failure> {
    // RFC 9112 §2.2: one empty line before a request is some clients' mistake.
    if input.rest.starts_with(b"\r\n") {
        input.take(2)?;
    }
    let before = input.rest.len();
    let line = input.line(limits.request_line, 414)?;
    let (method, target, minor) = request_line(line)?;
    let mut fields = Vec::new();
    loop {
        let left = limits.head.saturating_sub(before - input.rest.len());
        let line = input.line(left, 431)?;
        if before - input.rest.len() > limits.head {
            return Err(Failure::Refused(431));
        }
        if line.is_empty() {
            break;
        }
        fields.push(field(line)?);
        if fields.len() > limits.fields {
            return Err(Failure::Refused(431));
        }
    }
    let head = Head { method, target, minor, fields };
    host::check(&head)?;
    if head.values("content-type").len() > 1 {
        return Err(BAD);
    }
    expectation(&head)?;
    if head.method == b"CONNECT" { Err(Failure::Refused(501)) } else { Ok(head) }
}

/// RFC 9112 §3: single spaces, and nothing before or behind.
fn request_line(line: &[u8]) -> Result<(Vec<u8>, Vec<u8>, u8), Failure> {
    let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    let [method, target, version] = words[..] else { return Err(BAD) };
    if !is_token(method) {
        return Err(BAD);
    }
    // RFC 9112 §2.3.
    let minor = match version {
        b"HTTP/1.0" => 0,
        b"HTTP/1.1" => 1,
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => return Err(Failure::Refused(505)),
        _ => return Err(BAD),
    };
    if !target::is_valid(method, target) {
        return Err(BAD);
    }
    Ok((method.to_vec(), target.to_vec(), minor))
}

/// RFC 9112 §5, for a trailer section as well.
pub(super) fn field(line: &[u8]) -> Result<(String, Vec<u8>), Failure> {
    let colon = line.iter().position(|&byte| byte == b':').ok_or(BAD)?;
    let (name, value) = (&line[..colon], trim(&line[colon + 1..]));
    // RFC 9110 §5.5: field-vchar, SP and HTAB.
    let is_value = |&byte: &u8| matches!(byte, b'\t' | b' '..=b'~' | 0x80..);
    if !is_token(name) || !value.iter().all(is_value) {
        return Err(BAD);
    }
    Ok((String::from_utf8_lossy(name).to_lowercase(), value.to_vec()))
}

/// RFC 9110 §5.6.2.
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// Without the spaces and tabs around.
pub(super) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// The members of a list (RFC 9110 §5.6.1).
pub(super) fn members(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&byte| byte == b',').map(trim).filter(|member| !member.is_empty())
}

/// RFC 9110 §10.1.1: there is one expectation, and in HTTP/1.0 none.
fn expectation(head: &Head) -> Result<(), Failure> {
    let known = head.values("expect").iter().all(|value| value.eq_ignore_ascii_case(b"100-continue"));
    if known || head.minor == 0 { Ok(()) } else { Err(Failure::Refused(417)) }
}
