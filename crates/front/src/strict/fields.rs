//! Field lines (RFC 9112 §5): names, values, and which of them stand for more than themselves.

use super::Malformed;

/// A field line, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Field<'a> {
    pub(crate) name: &'a [u8],
    /// Without the white space around it.
    pub(crate) value: &'a [u8],
}

impl<'a> Field<'a> {
    /// Reads a line without its end.
    pub(crate) fn parse(line: &'a [u8]) -> Result<Self, Malformed> {
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return Err(Malformed::Folding);
        }
        let end = line.iter().position(|&byte| !is_tchar(byte)).ok_or(Malformed::NoColon)?;
        let (name, rest) = line.split_at(end);
        let Some(value) = rest.strip_prefix(b":").filter(|_| !name.is_empty()) else {
            return Err(if line.contains(&b':') { Malformed::FieldName } else { Malformed::NoColon });
        };
        // All are looked at, in place of all up to the first that is wrong: so several are at once.
        if value.iter().fold(false, |is_wrong, &byte| is_wrong | !is_value(byte)) {
            return Err(Malformed::FieldValue);
        }
        Ok(Self { name, value: trim(value) })
    }

    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// Fields that mean something for the message as a whole, and so come too late in trailers: framing, routing, request
/// modifiers, authentication, and how the content is to be read (RFC 9110 §6.5.1).
const NEVER_IN_TRAILERS: [&str; 34] = [
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "max-forwards",
    "pragma",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "referer",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
];

/// Whether a trailer of this name is refused.
pub(crate) fn is_never_in_trailers(name: &[u8]) -> bool {
    NEVER_IN_TRAILERS.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
        || name.get(..12).is_some_and(|start| start.eq_ignore_ascii_case(b"x-forwarded-"))
}

/// Whether this value of Expect is the one that there is.
pub(crate) fn is_continue(value: &[u8]) -> bool {
    value.eq_ignore_ascii_case(b"100-continue")
}

/// `1*tchar`, the characters of a token (RFC 9110 §5.6.2).
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| is_tchar(byte))
}

pub(crate) fn is_tchar(byte: u8) -> bool {
    TCHARS[usize::from(byte)]
}

/// Visible characters, space, tab, and the bytes above ASCII, which are opaque (RFC 9110 §5.5).
fn is_value(byte: u8) -> bool {
    byte >= b' ' && byte != 0x7f || byte == b'\t'
}

/// Without leading and trailing spaces and tabs: `OWS` (RFC 9110 §5.6.3).
pub(crate) fn trim(value: &[u8]) -> &[u8] {
    let is_text = |byte: &u8| !matches!(byte, b' ' | b'\t');
    let start = value.iter().position(is_text).unwrap_or(value.len());
    let end = value.iter().rposition(is_text).map_or(start, |last| last + 1);
    &value[start..end]
}

const TCHARS: [bool; 256] = alphanumeric_or(b"!#$%&'*+-.^_`|~");

/// The letters and digits of ASCII, and these bytes besides.
pub(super) const fn alphanumeric_or(others: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let mut place = 0;
    while place < others.len() {
        table[others[place] as usize] = true;
        place += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_name_and_a_value() {
        for (line, name, value) in [
            (&b"Host: a"[..], &b"Host"[..], &b"a"[..]),
            (b"Host:a", b"Host", b"a"),
            (b"X: \t a b\t ", b"X", b"a b"),
            (b"X:", b"X", b""),
            (b"X: \t", b"X", b""),
            (b"X: a:b", b"X", b"a:b"),
            (b"X: \xff", b"X", b"\xff"),
        ] {
            assert_eq!(Field::parse(line), Ok(Field { name, value }), "{line:?}");
        }
    }

    #[test]
    fn other_lines_are_refused() {
        for (line, problem) in [
            (&b" X: a"[..], Malformed::Folding),
            (b"\tX: a", Malformed::Folding),
            (b"X", Malformed::NoColon),
            (b": a", Malformed::FieldName),
            (b"X : a", Malformed::FieldName),
            (b"X\t: a", Malformed::FieldName),
            (b"X Y: a", Malformed::FieldName),
            (b"X\xe9: a", Malformed::FieldName),
            (b"X\0: a", Malformed::FieldName),
            (b"X(: a", Malformed::FieldName),
            (b"X: a\0", Malformed::FieldValue),
            (b"X: a\rb", Malformed::FieldValue),
            (b"X: \x7f", Malformed::FieldValue),
            (b"X: \x0b", Malformed::FieldValue),
        ] {
            assert_eq!(Field::parse(line), Err(problem), "{line:?}");
        }
    }

    #[test]
    fn fields_of_the_head_are_no_trailers() {
        for name in ["Content-Length", "HOST", "authorization", "X-Forwarded-For"] {
            assert!(is_never_in_trailers(name.as_bytes()), "{name}");
        }
        for name in ["Checksum", "Server-Timing", "X-Forward", "Digest"] {
            assert!(!is_never_in_trailers(name.as_bytes()), "{name}");
        }
    }
}
