//! Requests for no more than what their path names, or a part of it.

use memchr::{memchr, memchr_iter};

use crate::strict::fields;

/// A request that nothing but its path, its host, the codings it takes and the part it wants can change the answer to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plain<'a> {
    pub(super) is_head: bool,
    /// In origin form.
    pub(super) target: &'a [u8],
    pub(super) host: &'a [u8],
    pub(super) accept_encoding: Option<&'a [u8]>,
    pub(super) range: Option<&'a [u8]>,
    pub(super) if_range: Option<&'a [u8]>,
    pub(super) referer: Option<&'a [u8]>,
    pub(super) user_agent: Option<&'a [u8]>,
}

impl<'a> Plain<'a> {
    /// Reads a head that has passed the strict checks. `None`: there is more to it, such as a condition, a body, or a wish
    /// about the connection.
    pub(super) fn read(head: &'a [u8]) -> Option<Self> {
        let mut ends = memchr_iter(b'\n', head);
        let mut start = ends.next()? + 1;
        let line = head[..start].strip_suffix(b" HTTP/1.1\r\n")?;
        let (is_head, target) = match line.strip_prefix(b"GET ") {
            Some(target) => (false, target),
            None => (true, line.strip_prefix(b"HEAD ")?),
        };
        target.strip_prefix(b"/")?;
        let mut plain = Self {
            is_head,
            target,
            host: b"",
            accept_encoding: None,
            range: None,
            if_range: None,
            referer: None,
            user_agent: None,
        };
        for end in ends {
            // The last line is the empty one.
            if let Some(colon) = memchr(b':', &head[start..end]) {
                let value = &head[start + colon + 1..end];
                plain.field(&head[start..start + colon], value.strip_suffix(b"\r").unwrap_or(value))?;
            }
            start = end + 1;
        }
        Some(plain)
    }

    /// `None` where the field may change the answer.
    fn field(&mut self, name: &[u8], value: &'a [u8]) -> Option<()> {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        // Most names differ in length already.
        match name.len() {
            4 if is("host") => self.host = fields::trim(value),
            7 if is("referer") => {
                self.referer.get_or_insert_with(|| fields::trim(value));
            }
            10 if is("user-agent") => {
                self.user_agent.get_or_insert_with(|| fields::trim(value));
            }
            10 if is("connection") => return fields::trim(value).eq_ignore_ascii_case(b"keep-alive").then_some(()),
            15 if is("accept-encoding") => {
                return self.accept_encoding.replace(fields::trim(value)).is_none().then_some(());
            }
            5 if is("range") => return self.range.replace(fields::trim(value)).is_none().then_some(()),
            6 if is("expect") => return None,
            7 if is("upgrade") => return None,
            8 if is("if-range") => return self.if_range.replace(fields::trim(value)).is_none().then_some(()),
            8 if is("if-match") => return None,
            13 if is("if-none-match") => return None,
            14 if is("content-length") => return None,
            17 if is("if-modified-since") || is("transfer-encoding") => return None,
            19 if is("if-unmodified-since") => return None,
            _ => {}
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str, fields: &[&str]) -> Option<String> {
        let head = format!("{line}\r\nHost: a.example:80\r\n{}\r\n", fields.concat());
        let plain = Plain::read(head.as_bytes())?;
        assert_eq!(plain.host, b"a.example:80");
        let text = |value: Option<&[u8]>| String::from_utf8(value.unwrap_or(b"-").to_vec()).unwrap();
        let target = text(Some(plain.target));
        let facts = [plain.accept_encoding, plain.referer, plain.user_agent].map(text).join(" ");
        Some(format!("{} {target} {facts}", if plain.is_head { "HEAD" } else { "GET" }))
    }

    #[test]
    fn a_request_for_a_path_alone_is_plain() {
        let all = ["accept-encoding: br, gzip\r\n", "Referer:b\r\n", "USER-AGENT: \tc \r\n", "Cookie: a=b\r\n"];
        for (line, fields, expected) in [
            ("GET /a?b HTTP/1.1", &[][..], "GET /a?b - - -"),
            ("HEAD / HTTP/1.1", &["Accept: */*\r\n", "Connection: Keep-Alive \r\n"], "HEAD / - - -"),
            ("GET /a HTTP/1.1", &all, "GET /a br, gzip b c"),
            // The first one counts, as everywhere.
            ("GET /a HTTP/1.1", &["Referer: b\r\n", "Referer: c\r\n"], "GET /a - b -"),
        ] {
            assert_eq!(read(line, fields).as_deref(), Some(expected), "{line} {fields:?}");
        }
    }

    #[test]
    fn what_may_change_the_answer_is_not_plain() {
        for line in ["POST / HTTP/1.1", "GET / HTTP/1.0", "GET http://a.example:80/ HTTP/1.1", "OPTIONS * HTTP/1.1"] {
            assert_eq!(read(line, &[]), None, "{line}");
        }
        for field in [
            "if-match: *",
            "If-None-Match: \"a\"",
            "IF-MODIFIED-SINCE: a",
            "If-Unmodified-Since: a",
            "Content-Length: 0",
            "Transfer-Encoding: chunked",
            "Expect: 100-continue",
            "Connection: close",
            "Connection: keep-alive, upgrade",
            "Upgrade: h2c",
        ] {
            assert_eq!(read("GET / HTTP/1.1", &[&format!("{field}\r\n")]), None, "{field}");
        }
        for field in ["Accept-Encoding: br\r\n", "Range: bytes=0-1\r\n", "If-Range: \"a\"\r\n"] {
            assert!(read("GET / HTTP/1.1", &[field]).is_some(), "{field}");
            assert_eq!(read("GET / HTTP/1.1", &[field, field]), None, "{field}");
        }
    }
}
