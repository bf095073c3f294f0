//! The four forms of a request target (RFC 9112 §3.2).

use super::{Malformed, host};

/// Checks a target. The result is the authority that stands in it, as in `http://a.example/`.
pub(crate) fn check<'a>(method: &[u8], target: &'a [u8]) -> Result<Option<&'a [u8]>, Malformed> {
    if method == b"CONNECT" {
        // A port is required (RFC 9112 §3.2.3).
        let has_port = target.iter().rposition(|&byte| byte == b':').is_some_and(|colon| colon + 1 < target.len());
        return if has_port && is_authority(target) { Ok(Some(target)) } else { Err(Malformed::Authority) };
    }
    if target == b"*" {
        return if method == b"OPTIONS" { Ok(None) } else { Err(Malformed::Asterisk) };
    }
    if target.first() == Some(&b'/') {
        origin_form(target)?;
        return Ok(None);
    }
    let behind_scheme = [&b"http://"[..], b"https://"].into_iter().find_map(|scheme| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    });
    let Some(rest) = behind_scheme else {
        return Err(if host::is_host(target) { Malformed::Authority } else { Malformed::TargetForm });
    };
    let end = rest.iter().position(|&byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let (authority, origin) = rest.split_at(end);
    if authority.is_empty() || !is_authority(authority) {
        return Err(Malformed::TargetForm);
    }
    origin_form(origin)?;
    Ok(Some(authority))
}

/// A host as a target has it. No percent-encoding: a name of the DNS has none, and hyper knows none there.
fn is_authority(authority: &[u8]) -> bool {
    host::is_host(authority) && !authority.contains(&b'%')
}

/// Path and query. Wider than RFC 3986: the characters that browsers send as they are pass (`|`, `^`, `\`, braces), but
/// no control character, no byte above ASCII, and no `#`, which begins what is never sent.
fn origin_form(target: &[u8]) -> Result<(), Malformed> {
    let query = target.iter().position(|&byte| byte == b'?').unwrap_or(target.len());
    let (path, query) = target.split_at(query);
    let path_is_valid = path.iter().all(|&byte| byte.is_ascii_graphic() && !b"#<>`".contains(&byte));
    let query_is_valid = query.iter().all(|&byte| byte.is_ascii_graphic() && !b"#<>\"".contains(&byte));
    if path_is_valid && query_is_valid { Ok(()) } else { Err(Malformed::TargetBytes) }
}

#[cfg(test)]
mod tests {
    use http::Uri;

    use super::*;

    #[test]
    fn forms_belong_to_their_methods() {
        for (method, target, expected) in [
            ("GET", "/", Ok(None)),
            ("GET", "//a/../b;c=d?e?f", Ok(None)),
            ("GET", "/{a}|^?{b}|`", Ok(None)),
            ("OPTIONS", "*", Ok(None)),
            ("GET", "*", Err(Malformed::Asterisk)),
            ("OPTIONS", "*/", Err(Malformed::TargetForm)),
            ("GET", "http://a.example", Ok(Some("a.example"))),
            ("GET", "HTTP://a.example:80/b?c", Ok(Some("a.example:80"))),
            ("GET", "https://[::1]?c", Ok(Some("[::1]"))),
            ("GET", "http://", Err(Malformed::TargetForm)),
            ("GET", "http:///a", Err(Malformed::TargetForm)),
            ("GET", "http://u@a/", Err(Malformed::TargetForm)),
            ("GET", "ftp://a/", Err(Malformed::TargetForm)),
            ("GET", "a.example:80", Err(Malformed::Authority)),
            ("GET", "a", Err(Malformed::Authority)),
            ("GET", "?a", Err(Malformed::TargetForm)),
            ("CONNECT", "a.example:80", Ok(Some("a.example:80"))),
            ("CONNECT", "a.example", Err(Malformed::Authority)),
            ("CONNECT", "a.example:", Err(Malformed::Authority)),
            ("CONNECT", "/", Err(Malformed::Authority)),
            ("CONNECT", "a%41:80", Err(Malformed::Authority)),
            ("GET", "http://a%41/", Err(Malformed::TargetForm)),
            ("GET", "/a#b", Err(Malformed::TargetBytes)),
            ("GET", "/a<b", Err(Malformed::TargetBytes)),
            ("GET", "/\u{e9}", Err(Malformed::TargetBytes)),
            ("GET", "/a\tb", Err(Malformed::TargetBytes)),
        ] {
            let expected = expected.map(|authority| authority.map(str::as_bytes));
            assert_eq!(check(method.as_bytes(), target.as_bytes()), expected, "{method} {target}");
        }
    }

    /// hyper answers a target that it can not read by itself, past the log and the error page.
    #[test]
    fn what_passes_here_is_a_uri_to_hyper() {
        for byte in 0..=u8::MAX {
            let absolute = [b"http://a".as_slice(), &[byte], b"b/"].concat();
            for target in [[b'/', byte, b'a'].as_slice(), &[b'/', b'?', byte, b'a'], &[b'/', byte], &absolute] {
                if check(b"GET", target).is_ok() {
                    assert!(Uri::try_from(target).is_ok(), "{target:?}");
                }
            }
            let authority = [b"a".as_slice(), &[byte], b"b:80"].concat();
            if check(b"CONNECT", &authority).is_ok() {
                assert!(Uri::try_from(&authority[..]).is_ok(), "{authority:?}");
            }
        }
    }
}
