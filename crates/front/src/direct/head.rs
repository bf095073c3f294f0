//! Heads of requests that concern nobody but the application.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header, uri::PathAndQuery};
use memchr::{memchr, memchr_iter};

use crate::strict::fields;

/// Bytes of a field that is rather short. A map with room for a few more costs nothing, and counting them does.
const USUAL_FIELD: usize = 32;

/// The head of a request for which there is nothing to do but to hand it on.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) method: Method,
    /// In origin form, as it was sent.
    pub(super) target: Bytes,
    /// The same.
    pub(super) uri: PathAndQuery,
    pub(super) headers: HeaderMap,
}

impl Head {
    /// Reads a head that has passed the strict checks. `None`: there is more to it, such as a wish about the connection.
    pub(super) fn read(head: &[u8]) -> Option<Self> {
        let end = memchr(b'\n', head)? + 1;
        let line = head[..end].strip_suffix(b" HTTP/1.1\r\n")?;
        let space = memchr(b' ', line)?;
        let method = method(&line[..space])?;
        let target = space + 1..line.len();
        let head = Bytes::copy_from_slice(head);
        let target = head.slice(target);
        let uri = PathAndQuery::from_maybe_shared(target.clone()).ok()?;
        if !target.starts_with(b"/") || uri.as_str().len() != target.len() {
            return None;
        }
        let mut headers = HeaderMap::try_with_capacity(1 + (head.len() - end) / USUAL_FIELD).ok()?;
        let mut start = end;
        for end in memchr_iter(b'\n', &head[start..]).map(|at| end + at) {
            if let Some(colon) = memchr(b':', &head[start..end]) {
                let name = &head[start..start + colon];
                let value = head.slice_ref(fields::trim(without_return(&head[start + colon + 1..end])));
                let value = HeaderValue::from_maybe_shared(value).ok()?;
                let name = match usual(name) {
                    Some(name) => name,
                    None => HeaderName::from_bytes(name).ok().filter(|name| is_for_the_application(name, &value))?,
                };
                headers.try_append(name, value).ok()?;
            }
            start = end + 1;
        }
        Some(Self { method, target, uri, headers })
    }
}

/// A method by which nothing is asked of the front. The response to a HEAD has another form, and OPTIONS and CONNECT have
/// targets of their own.
fn method(name: &[u8]) -> Option<Method> {
    match name {
        b"GET" => Some(Method::GET),
        b"POST" => Some(Method::POST),
        b"PUT" => Some(Method::PUT),
        b"PATCH" => Some(Method::PATCH),
        b"DELETE" => Some(Method::DELETE),
        _ => None,
    }
}

/// A name that most requests have, written as browsers write it, and that changes nothing of what the front does.
fn usual(name: &[u8]) -> Option<HeaderName> {
    Some(match name {
        b"Host" => header::HOST,
        b"User-Agent" => header::USER_AGENT,
        b"Accept" => header::ACCEPT,
        b"Accept-Encoding" => header::ACCEPT_ENCODING,
        b"Accept-Language" => header::ACCEPT_LANGUAGE,
        b"Cookie" => header::COOKIE,
        b"Referer" => header::REFERER,
        _ => return None,
    })
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Whether a field changes nothing of what the front does, and goes to the application as it is.
fn is_for_the_application(name: &HeaderName, value: &HeaderValue) -> bool {
    match *name {
        header::TRANSFER_ENCODING | header::EXPECT | header::UPGRADE | header::TE => false,
        header::CONNECTION => value.as_bytes().eq_ignore_ascii_case(b"keep-alive"),
        // An application can not tell it from a hyphen.
        _ => !name.as_str().contains('_'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str, fields: &[&str]) -> Option<Head> {
        Head::read(format!("{line}\r\nHost: a.example:80\r\n{}\r\n", fields.concat()).as_bytes())
    }

    #[test]
    fn the_fields_are_those_that_were_sent() {
        let fields =
            ["X-One: \t1 \r\n", "x-two:\r\n", "X-ONE: 2\r\n", "Connection: Keep-Alive\r\n", "X-Raw: \u{e4}\r\n"];
        let head = read("GET /a%20b?c=d HTTP/1.1", &fields).unwrap();
        assert_eq!((&head.target[..], head.uri.path(), head.uri.query()), (&b"/a%20b?c=d"[..], "/a%20b", Some("c=d")));
        let values = |name: &str| head.headers.get_all(name).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>();
        assert_eq!(values("x-one"), [b"1", b"2"]);
        assert_eq!(values("x-two"), [b""]);
        assert_eq!(values("host"), [b"a.example:80"]);
        assert_eq!(values("x-raw"), ["\u{e4}".as_bytes()]);
        assert_eq!((head.method, head.headers.len()), (Method::GET, 6));
        let head = read("PATCH /a HTTP/1.1", &["Content-Length: 3\r\n"]).unwrap();
        assert_eq!((head.method, &head.target[..]), (Method::PATCH, &b"/a"[..]));
    }

    #[test]
    fn a_usual_name_is_the_same_in_any_case() {
        for name in ["Host", "User-Agent", "Accept", "Accept-Encoding", "Accept-Language", "Cookie", "Referer"] {
            assert_eq!(usual(name.as_bytes()), HeaderName::from_bytes(name.as_bytes()).ok());
            let lines = [format!("{name}: 1\r\n"), format!("{}: 2\r\n", name.to_lowercase())];
            let head = read("GET / HTTP/1.1", &lines.each_ref().map(String::as_str)).unwrap();
            let values = head.headers.get_all(name).iter().filter(|value| value.len() == 1);
            assert_eq!(values.map(HeaderValue::as_bytes).collect::<Vec<_>>(), [b"1", b"2"], "{name}");
        }
    }

    #[test]
    fn what_concerns_the_front_as_well_is_left_to_the_long_way() {
        for line in [
            "HEAD / HTTP/1.1",
            "OPTIONS / HTTP/1.1",
            "get / HTTP/1.1",
            "GET / HTTP/1.0",
            "GET http://a.example:80/ HTTP/1.1",
        ] {
            assert!(read(line, &[]).is_none(), "{line}");
        }
        for field in [
            "Transfer-Encoding: chunked",
            "Expect: 100-continue",
            "Connection: close",
            "Connection: keep-alive, upgrade",
            "Upgrade: h2c",
            "TE: trailers",
            "X_A: 1",
        ] {
            assert!(read("GET / HTTP/1.1", &[&format!("{field}\r\n")]).is_none(), "{field}");
        }
    }
}
