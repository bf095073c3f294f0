//! Host and authority (RFC 9112 §3.2, RFC 9110 §7.2).

use std::net::Ipv6Addr;

use super::{BAD, Failure, head::Head, target};

/// One Host, in HTTP/1.0 none or one, that is a host and does not contradict the target.
pub(super) fn check(head: &Head) -> Result<(), Failure> {
    let host = match head.values("host")[..] {
        [] if head.minor == 0 => return Ok(()),
        [host] => host,
        _ => return Err(BAD),
    };
    // Empty where the target has no authority (RFC 9110 §7.2).
    if !host.is_empty() && !is_authority(host, false) {
        return Err(BAD);
    }
    let asked = if head.method == b"CONNECT" { Some(head.target.as_slice()) } else { target::authority(&head.target) };
    // An origin server is to ignore Host then (RFC 9112 §3.2.2); who stands between may have gone by it.
    match asked {
        Some(authority) if !authority.eq_ignore_ascii_case(host) => Err(BAD),
        _ => Ok(()),
    }
}

/// `uri-host [ ":" port ]` (RFC 3986 §3.2.2, §3.2.3), with a host that is not empty and a port that exists.
pub(super) fn is_authority(authority: &[u8], needs_port: bool) -> bool {
    let (host_is_valid, behind) = if let Some(literal) = authority.strip_prefix(b"[") {
        let Some(end) = literal.iter().position(|&byte| byte == b']') else { return false };
        (is_ipv6(&literal[..end]), &literal[end + 1..])
    } else {
        let end = authority.iter().position(|&byte| byte == b':').unwrap_or(authority.len());
        (is_name(&authority[..end]), &authority[end..])
    };
    let port_is_valid = match behind {
        [] | [b':'] => !needs_port,
        [b':', port @ ..] => {
            let number = std::str::from_utf8(port).ok().and_then(|port| port.parse::<u16>().ok());
            port.iter().all(u8::is_ascii_digit) && number.is_some_and(|number| number > 0 || !needs_port)
        }
        _ => false,
    };
    host_is_valid && port_is_valid
}

fn is_ipv6(literal: &[u8]) -> bool {
    std::str::from_utf8(literal).is_ok_and(|literal| literal.parse::<Ipv6Addr>().is_ok())
}

/// `reg-name` with its unreserved characters and sub-delims; a `%` needs its two digits.
fn is_name(name: &[u8]) -> bool {
    let known = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(byte);
    let mut parts = name.split(|&byte| byte == b'%');
    let first = parts.next().unwrap_or_default();
    let escapes_are_valid = parts.all(|part| match part {
        [high, low, rest @ ..] => high.is_ascii_hexdigit() && low.is_ascii_hexdigit() && rest.iter().all(known),
        _ => false,
    });
    !name.is_empty() && first.iter().all(known) && escapes_are_valid
}
