//! Host and authority (RFC 9110 §7.2, RFC 3986 §3.2).

use std::net::Ipv6Addr;

use super::fields;

/// Whether this is `uri-host [ ":" port ]`; empty where the target has no authority.
pub(crate) fn is_host(host: &[u8]) -> bool {
    let (name, port) = split(host);
    let name_is_valid = match name.strip_prefix(b"[") {
        Some(literal) => literal
            .strip_suffix(b"]")
            .and_then(|address| std::str::from_utf8(address).ok())
            .is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
        None => is_name(name),
    };
    // A port without a host is none of a URI that has a host.
    let port_is_valid = match port {
        None | Some(b"") => true,
        Some(port) => {
            port.len() <= 5
                && port.iter().all(u8::is_ascii_digit)
                && std::str::from_utf8(port).is_ok_and(|port| port.parse::<u16>().is_ok())
        }
    };
    name_is_valid && port_is_valid && !(name.is_empty() && port.is_some())
}

/// Name and port, if there is a colon for one.
fn split(host: &[u8]) -> (&[u8], Option<&[u8]>) {
    match host.iter().rposition(|&byte| byte == b':') {
        Some(colon) if !host[colon..].contains(&b']') => (&host[..colon], Some(&host[colon + 1..])),
        _ => (host, None),
    }
}

/// `reg-name`: unreserved, percent-encoded and sub-delims (RFC 3986 §3.2.2), without the comma, with which two hosts
/// could pass for one.
fn is_name(mut name: &[u8]) -> bool {
    while let Some(other) = name.iter().position(|&byte| !NAME[usize::from(byte)]) {
        match &name[other..] {
            [b'%', first, second, behind @ ..] if first.is_ascii_hexdigit() && second.is_ascii_hexdigit() => {
                name = behind;
            }
            _ => return false,
        }
    }
    true
}

const NAME: [bool; 256] = fields::alphanumeric_or(b"-._~!$&'()*+;=");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_a_name_and_perhaps_a_port() {
        for host in
            ["a.example", "a.example:80", "A_b.example.:65535", "127.0.0.1:1", "[::1]", "[::1]:80", "a%41", "", "a:"]
        {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            "a b",
            "a@b",
            "a/b",
            "a:b",
            "a:80:80",
            "[::1",
            "::1",
            "[::1]x",
            "[]",
            "[a]",
            "[::1%25eth0]",
            "a, b",
            "a,b",
            "a%4",
            "a%zz",
            "a:65536",
            "a:123456",
            "a:-1",
            "a:+1",
            ":80",
            "a\"",
            "a\\b",
            "a?b",
            "a#b",
            "a<b",
            "é",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }
}
