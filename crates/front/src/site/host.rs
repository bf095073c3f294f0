//! The host that a request is for.

use http::{header, request::Parts};

/// Names longer than this are no host names (RFC 1035 §2.3.4), and no site has them.
pub(super) const LONGEST: usize = 255;

/// The host in a request, without its port and a final dot: what the target says before what Host says (RFC 9112 §3.2.2).
/// `None` in HTTP/1.0 without one, or where it is empty.
///
/// Routing knows the host from here only.
pub(crate) fn of(parts: &Parts) -> Option<&[u8]> {
    let authority = match parts.uri.authority() {
        Some(authority) => authority.as_str().as_bytes(),
        None => parts.headers.get(header::HOST)?.as_bytes(),
    };
    of_authority(authority)
}

/// The host of a host and port.
pub(crate) fn of_authority(authority: &[u8]) -> Option<&[u8]> {
    Some(without_port(authority)).filter(|host| !host.is_empty())
}

/// RFC 3986 §3.2.2: the dot of the DNS root changes nothing.
fn without_port(authority: &[u8]) -> &[u8] {
    let host = match authority.iter().rposition(|&byte| byte == b':' || byte == b']') {
        Some(colon) if authority[colon] == b':' => &authority[..colon],
        _ => authority,
    };
    host.strip_suffix(b".").unwrap_or(host)
}

/// The host in lower case (RFC 3986 §6.2.2.1), in a buffer of the caller's.
pub(super) fn lowered<'a>(host: &[u8], buffer: &'a mut [u8; LONGEST]) -> Option<&'a [u8]> {
    let lowered = buffer.get_mut(..host.len())?;
    lowered.copy_from_slice(host);
    lowered.make_ascii_lowercase();
    Some(lowered)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn host(target: &str, field: Option<&str>) -> Option<String> {
        let mut request = Request::builder().uri(target);
        if let Some(field) = field {
            request = request.header("host", field);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        of(&parts).map(|host| String::from_utf8(host.to_vec()).unwrap())
    }

    #[test]
    fn the_host_has_no_port_and_no_final_dot() {
        for (field, expected) in [
            ("example.com", "example.com"),
            ("example.com:8000", "example.com"),
            ("example.com.", "example.com"),
            ("example.com.:80", "example.com"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("127.0.0.1:80", "127.0.0.1"),
        ] {
            assert_eq!(host("/", Some(field)).as_deref(), Some(expected), "{field}");
        }
        assert_eq!(host("/", Some("")), None);
        assert_eq!(host("/", None), None);
    }

    #[test]
    fn the_target_s_authority_goes_first() {
        assert_eq!(host("http://a.example:1/", Some("b.example")).as_deref(), Some("a.example"));
    }

    #[test]
    fn a_host_is_compared_in_lower_case() {
        let mut buffer = [0; LONGEST];
        assert_eq!(lowered(b"A.Example", &mut buffer), Some(&b"a.example"[..]));
        assert_eq!(lowered(&[b'a'; LONGEST + 1], &mut buffer), None);
    }
}
