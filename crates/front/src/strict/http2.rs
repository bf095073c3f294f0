//! What HTTP/2 leaves open: hyper has checked the form of the fields (RFC 9113 §8.2, §8.3), not what they say.
//!
//! Two things are gone before anything here is asked, and only a second decoder of HPACK would find them. A fragment in
//! `:path` (RFC 9113 §8.3.1 has none) is cut off by the `http` crate: the application and the log see the path without it, as
//! if the client had not sent it. A pseudo-header field in trailers (RFC 9113 §8.1: malformed) is dropped by h2, and
//! trailers reach no application anyway.

use http::{HeaderMap, Method, header, request::Parts};

use super::{Malformed, Refusal, fields, host, target};

/// Checks a request, and makes it look like one that came over HTTP/1.1: with Host, and a target without authority.
pub(crate) fn normalise(parts: &mut Parts, most_fields: usize) -> Result<(), Refusal> {
    if parts.headers.len() > most_fields {
        return Err(Refusal::ManyFields);
    }
    if parts.headers.get_all(header::EXPECT).iter().any(|value| !fields::is_continue(value.as_bytes())) {
        return Err(Refusal::Expectation);
    }
    Ok(check(parts)?)
}

fn check(parts: &mut Parts) -> Result<(), Malformed> {
    if parts.headers.get_all(header::CONTENT_TYPE).iter().nth(1).is_some() {
        return Err(Malformed::SeveralTypes);
    }
    check_length(&parts.headers)?;
    if let Some(origin_form) = parts.uri.path_and_query().filter(|_| parts.method != Method::CONNECT) {
        target::check(parts.method.as_str().as_bytes(), origin_form.as_str().as_bytes())?;
    }
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let (host, another) = (hosts.next(), hosts.next());
    if another.is_some() {
        return Err(Malformed::SeveralHosts);
    }
    if host.is_some_and(|host| !host::is_host(host.as_bytes())) {
        return Err(Malformed::InvalidHost);
    }
    let Some(authority) = parts.uri.authority() else {
        return if host.is_some() { Ok(()) } else { Err(Malformed::NoHost) };
    };
    // RFC 9113 §8.3.1: where both are there, they say the same; and no user information.
    if !host::is_host(authority.as_str().as_bytes()) {
        return Err(Malformed::InvalidHost);
    }
    if host.is_some_and(|host| !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes())) {
        return Err(Malformed::Contradiction);
    }
    if host.is_none() {
        let value = http::HeaderValue::from_str(authority.as_str()).map_err(|_| Malformed::InvalidHost)?;
        parts.headers.insert(header::HOST, value);
    }
    if parts.method != Method::CONNECT
        && let Some(origin_form) = parts.uri.path_and_query().cloned()
    {
        parts.uri = origin_form.into();
    }
    Ok(())
}

fn check_length(headers: &HeaderMap) -> Result<(), Malformed> {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(length) = lengths.next() else { return Ok(()) };
    if lengths.next().is_some() {
        return Err(Malformed::SeveralLengths);
    }
    let is_number = !length.is_empty() && length.as_bytes().iter().all(u8::is_ascii_digit);
    if is_number { Ok(()) } else { Err(Malformed::InvalidLength) }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn outcome(target: &str, fields: &[(&str, &str)]) -> Result<(String, String), Malformed> {
        let mut request = Request::builder().uri(target);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let mut parts = request.body(()).unwrap().into_parts().0;
        check(&mut parts)?;
        Ok((parts.uri.to_string(), parts.headers[header::HOST].to_str().unwrap().to_owned()))
    }

    #[test]
    fn a_request_has_one_host_and_a_target_in_origin_form() {
        for (target, fields, host) in [
            ("https://a.example/b?c", &[][..], "a.example"),
            ("https://a.example/b?c", &[("host", "A.example")], "A.example"),
            ("/b?c", &[("host", "a.example")], "a.example"),
        ] {
            assert_eq!(outcome(target, fields), Ok(("/b?c".into(), host.into())), "{target} {fields:?}");
        }
    }

    #[test]
    fn contradictions_are_refused() {
        for (target, fields, problem) in [
            ("/", &[][..], Malformed::NoHost),
            ("https://a.example/", &[("host", "b.example")], Malformed::Contradiction),
            ("https://a.example/", &[("host", "a.example"), ("host", "a.example")], Malformed::SeveralHosts),
            ("https://u@a.example/", &[], Malformed::InvalidHost),
            ("https://a/", &[("content-length", "1"), ("content-length", "1")], Malformed::SeveralLengths),
            ("https://a/", &[("content-length", "+1")], Malformed::InvalidLength),
            ("https://a/", &[("content-type", "a/b"), ("content-type", "a/b")], Malformed::SeveralTypes),
        ] {
            assert_eq!(outcome(target, fields), Err(problem), "{target} {fields:?}");
        }
    }
}
