//! Message framing and chunks (RFC 9112 §6, §7).

use super::{
    BAD, Failure, Input, Limits,
    head::{Head, field, is_token, trim},
};

/// What a trailer section must not bring, because it came too late to be obeyed (RFC 9110 §6.5.1): framing, routing,
/// request modifiers, authentication, and how the content is to be read.
const NOT_IN_TRAILERS: &[&str] = &[
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "expect",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "max-forwards",
    "pragma",
    "proxy-authorization",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Bytes of one chunk's size and extensions.
const CHUNK_LINE: usize = 4096;

/// The body, and whether it came in chunks.
pub(super) fn read(input: &mut Input<'_>, head: &Head, limits: &Limits) -> Result<(Vec<u8>, bool), Failure> {
    match (&head.values("transfer-encoding")[..], &head.values("content-length")[..]) {
        ([], []) => Ok((Vec::new(), false)),
        // RFC 9112 §6.1: nothing but chunked is implemented here, HTTP/1.0 has no codings, and two framings are one too many.
        ([coding], []) if coding.eq_ignore_ascii_case(b"chunked") && head.minor == 1 => {
            Ok((chunks(input, limits)?, true))
        }
        ([], [length]) => {
            let length = number(length, 10).ok_or(BAD)?;
            if length > limits.body as u128 {
                return Err(Failure::Refused(413));
            }
            let length = usize::try_from(length).map_err(|_| BAD)?;
            Ok((input.take(length)?.to_vec(), false))
        }
        _ => Err(BAD),
    }
}

/// Digits and nothing else. What is too large for any limit is as large as can be.
fn number(digits: &[u8], radix: u32) -> Option<u128> {
    let digit = |byte: &u8| char::from(*byte).to_digit(radix).map(u128::from);
    let digits: Vec<u128> = digits.iter().map(digit).collect::<Option<_>>()?;
    let add = |sum: u128, digit: &u128| sum.saturating_mul(radix.into()).saturating_add(*digit);
    if digits.is_empty() { None } else { Some(digits.iter().fold(0, add)) }
}

fn chunks(input: &mut Input<'_>, limits: &Limits) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    loop {
        let line = input.line(CHUNK_LINE, 400)?;
        let end = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
        let size = number(&line[..end], 16).ok_or(BAD)?;
        if !are_extensions(&line[end..]) {
            return Err(BAD);
        }
        if size == 0 {
            trailers(input, limits)?;
            return Ok(body);
        }
        if size > (limits.body - body.len()) as u128 {
            return Err(Failure::Refused(413));
        }
        let size = usize::try_from(size).map_err(|_| BAD)?;
        let available = &input.rest[..size.min(input.rest.len())];
        body.extend(available);
        input.take(size)?;
        // What can not become CRLF any more is wrong at once.
        match input.rest {
            [] | [b'\r'] => return Err(Failure::Cut),
            [b'\r', b'\n', ..] => input.take(2)?,
            _ => return Err(BAD),
        };
    }
}

/// `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )` (RFC 9112 §7.1.1).
fn are_extensions(mut rest: &[u8]) -> bool {
    while !rest.is_empty() {
        let Some(extension) = skip_space(rest).strip_prefix(b";") else { return false };
        let (name, behind) = token(skip_space(extension));
        if name.is_empty() {
            return false;
        }
        rest = match skip_space(behind).strip_prefix(b"=") {
            None => behind,
            Some(value) => match value_end(skip_space(value)) {
                Some(behind) => behind,
                None => return false,
            },
        };
    }
    true
}

fn skip_space(bytes: &[u8]) -> &[u8] {
    &bytes[bytes.len() - trim_start(bytes)..]
}

fn trim_start(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| !b" \t".contains(byte)).map_or(0, |start| bytes.len() - start)
}

fn token(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| !is_token(&[*byte])).unwrap_or(bytes.len());
    bytes.split_at(end)
}

/// What stands behind a token or a quoted string (RFC 9110 §5.6.4).
fn value_end(value: &[u8]) -> Option<&[u8]> {
    let Some(mut rest) = value.strip_prefix(b"\"") else {
        let (token, behind) = token(value);
        return (!token.is_empty()).then_some(behind);
    };
    loop {
        rest = match rest {
            [b'"', behind @ ..] => return Some(behind),
            [b'\\', b'\t' | b' '..=b'~' | 0x80.., behind @ ..]
            | [b'\t' | b' ' | b'!' | b'#'..=b'[' | b']'..=b'~' | 0x80.., behind @ ..] => behind,
            _ => return None,
        };
    }
}

/// Read, held to the rules of fields, and dropped (RFC 9112 §7.1.2).
fn trailers(input: &mut Input<'_>, limits: &Limits) -> Result<(), Failure> {
    let before = input.rest.len();
    for _ in 0..=limits.fields {
        let left = limits.head.saturating_sub(before - input.rest.len());
        let line = input.line(left, 431)?;
        if line.is_empty() {
            return Ok(());
        }
        let (name, value) = field(line)?;
        debug_assert_eq!(trim(&value), value, "a value has lost the white space around it");
        if NOT_IN_TRAILERS.contains(&name.as_str()) {
            return Err(BAD);
        }
    }
    Err(Failure::Refused(431))
}
