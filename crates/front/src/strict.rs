//! What a request head must satisfy before anything else looks at it.
//!
//! hyper is lenient where a front must not be: two parties that read one head differently is how requests are smuggled.
//! Every refusal here closes the connection, because where the next request begins can no longer be trusted.
//!
//! hyper has already dropped some evidence when this runs (a repeated Content-Length of the same value, a Content-Length
//! beside a Transfer-Encoding): the reader of raw heads that is to take its place refuses those.

use http::{HeaderMap, Method, Uri, Version, header, request::Parts};

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("an HTTP/1.1 request without Host (RFC 9112 section 3.2)")]
    NoHost,
    #[error("more than one Host (RFC 9112 section 3.2)")]
    SeveralHosts,
    #[error("Host is not a host and port (RFC 9110 section 7.2)")]
    InvalidHost,
    #[error("Content-Length together with Transfer-Encoding (RFC 9112 section 6.1)")]
    LengthAndEncoding,
    #[error("more than one Content-Length (RFC 9110 section 8.6)")]
    SeveralLengths,
    #[error("Content-Length is not a number (RFC 9110 section 8.6)")]
    InvalidLength,
    #[error("Transfer-Encoding other than chunked (RFC 9112 section 6.1)")]
    UnknownEncoding,
    #[error("Transfer-Encoding in an HTTP/1.0 request (RFC 9112 section 6.1)")]
    EncodingInHttp10,
    #[error("the asterisk form outside OPTIONS (RFC 9112 section 3.2.4)")]
    Asterisk,
    #[error("the authority form outside CONNECT (RFC 9112 section 3.2.3)")]
    Authority,
    #[error("the target's authority and Host disagree (RFC 9112 section 3.2.2)")]
    Contradiction,
}

/// Checks one head.
pub(crate) fn check(parts: &Parts) -> Result<(), Malformed> {
    let host = host(parts)?;
    framing(parts)?;
    target(&parts.method, &parts.uri, host)
}

fn host(parts: &Parts) -> Result<Option<&[u8]>, Malformed> {
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let Some(host) = hosts.next() else {
        return if parts.version == Version::HTTP_11 { Err(Malformed::NoHost) } else { Ok(None) };
    };
    if hosts.next().is_some() {
        return Err(Malformed::SeveralHosts);
    }
    if is_host(host.as_bytes()) { Ok(Some(host.as_bytes())) } else { Err(Malformed::InvalidHost) }
}

/// RFC 9110 §7.2: `uri-host [ ":" port ]`, and empty where the target has no authority.
pub(crate) fn is_host(host: &[u8]) -> bool {
    let (name, port) = match host.iter().rposition(|&byte| byte == b':') {
        Some(colon) if !host[colon..].contains(&b']') => (&host[..colon], &host[colon + 1..]),
        _ => (host, &[][..]),
    };
    let name_is_valid = match name.strip_prefix(b"[") {
        Some(literal) => literal.strip_suffix(b"]").is_some_and(|ip| {
            !ip.is_empty() && ip.iter().all(|byte| byte.is_ascii_hexdigit() || b":.v".contains(byte))
        }),
        // RFC 3986 §3.2.2: unreserved, percent-encoded and sub-delims.
        None => name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(byte)),
    };
    name_is_valid && port.len() <= 5 && port.iter().all(u8::is_ascii_digit)
}

fn framing(parts: &Parts) -> Result<(), Malformed> {
    let headers: &HeaderMap = &parts.headers;
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let length = lengths.next();
    if lengths.next().is_some() {
        return Err(Malformed::SeveralLengths);
    }
    if let Some(encoding) = headers.get(header::TRANSFER_ENCODING) {
        if length.is_some() {
            return Err(Malformed::LengthAndEncoding);
        }
        if parts.version != Version::HTTP_11 {
            return Err(Malformed::EncodingInHttp10);
        }
        let only = headers.get_all(header::TRANSFER_ENCODING).iter().count() == 1;
        if !only || !encoding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Err(Malformed::UnknownEncoding);
        }
    }
    match length {
        Some(length) if length.is_empty() || !length.as_bytes().iter().all(u8::is_ascii_digit) => {
            Err(Malformed::InvalidLength)
        }
        _ => Ok(()),
    }
}

fn target(method: &Method, uri: &Uri, host: Option<&[u8]>) -> Result<(), Malformed> {
    if uri.path() == "*" {
        return if method == Method::OPTIONS { Ok(()) } else { Err(Malformed::Asterisk) };
    }
    let Some(authority) = uri.authority() else { return Ok(()) };
    if uri.scheme().is_none() && method != Method::CONNECT {
        return Err(Malformed::Authority);
    }
    // Both are in the head, so both must say the same, ports included; a missing Host is HTTP/1.0's right.
    match host {
        Some(host) if !host.eq_ignore_ascii_case(authority.as_str().as_bytes()) => Err(Malformed::Contradiction),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    type Case<'a> = (&'a str, &'a str, Version, &'a [(&'a str, &'a str)], Result<(), Malformed>);

    fn outcome(method: &str, target: &str, version: Version, fields: &[(&str, &str)]) -> Result<(), Malformed> {
        let mut request = Request::builder().method(method).uri(target).version(version);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        check(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn heads_are_checked() {
        let (h10, h11) = (Version::HTTP_10, Version::HTTP_11);
        let host = ("host", "a.example");
        let cases: &[Case<'_>] = &[
            ("GET", "/", h11, &[host], Ok(())),
            ("GET", "/", h10, &[], Ok(())),
            ("GET", "/", h11, &[], Err(Malformed::NoHost)),
            ("GET", "/", h11, &[host, host], Err(Malformed::SeveralHosts)),
            ("GET", "/", h11, &[("host", "a.example:80")], Ok(())),
            ("GET", "/", h11, &[("host", "[::1]:80")], Ok(())),
            ("GET", "/", h11, &[("host", "[::1]")], Ok(())),
            ("GET", "/", h11, &[("host", "")], Ok(())),
            ("GET", "/", h11, &[("host", "a b")], Err(Malformed::InvalidHost)),
            ("GET", "/", h11, &[("host", "a@b")], Err(Malformed::InvalidHost)),
            ("GET", "/", h11, &[("host", "a/b")], Err(Malformed::InvalidHost)),
            ("GET", "/", h11, &[("host", "a:b")], Err(Malformed::InvalidHost)),
            ("GET", "/", h11, &[("host", "[::1")], Err(Malformed::InvalidHost)),
            ("GET", "/", h11, &[("host", "a, b")], Err(Malformed::InvalidHost)),
            ("POST", "/", h11, &[host, ("content-length", "4")], Ok(())),
            ("POST", "/", h11, &[host, ("content-length", "+4")], Err(Malformed::InvalidLength)),
            ("POST", "/", h11, &[host, ("content-length", "4, 4")], Err(Malformed::InvalidLength)),
            (
                "POST",
                "/",
                h11,
                &[host, ("content-length", "4"), ("content-length", "4")],
                Err(Malformed::SeveralLengths),
            ),
            ("POST", "/", h11, &[host, ("transfer-encoding", "chunked")], Ok(())),
            ("POST", "/", h11, &[host, ("transfer-encoding", "gzip, chunked")], Err(Malformed::UnknownEncoding)),
            ("POST", "/", h10, &[host, ("transfer-encoding", "chunked")], Err(Malformed::EncodingInHttp10)),
            (
                "POST",
                "/",
                h11,
                &[host, ("content-length", "4"), ("transfer-encoding", "chunked")],
                Err(Malformed::LengthAndEncoding),
            ),
            ("OPTIONS", "*", h11, &[host], Ok(())),
            ("GET", "*", h11, &[host], Err(Malformed::Asterisk)),
            ("GET", "a.example:80", h11, &[host], Err(Malformed::Authority)),
            ("CONNECT", "a.example:80", h11, &[("host", "a.example:80")], Ok(())),
            ("GET", "http://a.example/", h11, &[host], Ok(())),
            ("GET", "http://A.example/", h11, &[host], Ok(())),
            ("GET", "http://b.example/", h11, &[host], Err(Malformed::Contradiction)),
        ];
        for (method, target, version, fields, expected) in cases {
            assert_eq!(outcome(method, target, *version, fields), *expected, "{method} {target} {fields:?}");
        }
    }
}
