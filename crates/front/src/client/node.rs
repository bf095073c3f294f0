//! Addresses as proxies write them.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::HeaderValue;
use stack_bridge::{Peer, Scheme};

use super::Unclear;
use crate::{networks::Networks, strict};

/// Goes through the addresses from the last to the first, up to one that is no proxy of ours: that is the client. One
/// that can not be read ends the way too, since who wrote it is known and what was before it is not. Gives the place, counted
/// from the end, of the entry that was believed last.
pub(super) fn walk<'a>(
    from_last: impl Iterator<Item = Option<&'a str>>,
    proxies: &Networks,
) -> (Option<SocketAddr>, Option<usize>) {
    let mut client = None;
    let mut place = None;
    for (index, node) in from_last.enumerate() {
        place = Some(index);
        let Some(address) = node.and_then(address) else { break };
        client = Some(address);
        if !proxies.contains(&Peer::Tcp(address)) {
            break;
        }
    }
    (client, place)
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`. An IPv4 address in IPv6 form is one.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = if let Some(rest) = text.strip_prefix('[') {
        let (ip, rest) = rest.split_once(']')?;
        let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) };
        (IpAddr::V6(ip.parse::<Ipv6Addr>().ok()?), port)
    } else if let Ok(ip) = text.parse() {
        (ip, None)
    } else {
        let (ip, port) = text.split_once(':')?;
        (IpAddr::V4(ip.parse().ok()?), Some(port))
    };
    let port = match port {
        None => 0,
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => port.parse().ok()?,
        // An obfuscated port (RFC 7239 §6.2) is a port that is not told.
        Some(port) if port.starts_with('_') => 0,
        Some(_) => return None,
    };
    Some(SocketAddr::new(ip.to_canonical(), port))
}

pub(super) fn scheme(text: &str) -> Result<Scheme, Unclear> {
    let is = |name: &str| text.eq_ignore_ascii_case(name);
    // Some proxies name the protocol that was asked for in an Upgrade.
    if is("https") || is("wss") {
        Ok(Scheme::Https)
    } else if is("http") || is("ws") {
        Ok(Scheme::Http)
    } else {
        Err(Unclear::UnknownScheme)
    }
}

pub(super) fn host(text: &str) -> Result<HeaderValue, Unclear> {
    if text.is_empty() || !strict::host::is_host(text.as_bytes()) {
        return Err(Unclear::InvalidHost);
    }
    HeaderValue::from_str(text).map_err(|_| Unclear::InvalidHost)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_with_and_without_a_port() {
        let socket = |text: &str| text.parse::<SocketAddr>().ok();
        for (text, expected) in [
            ("192.0.2.1", socket("192.0.2.1:0")),
            ("192.0.2.1:80", socket("192.0.2.1:80")),
            ("2001:db8::1", socket("[2001:db8::1]:0")),
            ("[2001:db8::1]", socket("[2001:db8::1]:0")),
            ("[2001:db8::1]:80", socket("[2001:db8::1]:80")),
            ("::ffff:192.0.2.1", socket("192.0.2.1:0")),
            ("192.0.2.1:_x", socket("192.0.2.1:0")),
            ("", None),
            ("unknown", None),
            ("_hidden", None),
            ("192.0.2.1:", None),
            ("192.0.2.1:70000", None),
            ("192.0.2.1:+80", None),
            ("192.0.2.256", None),
            ("192.0.2.01", None),
            ("[192.0.2.1]", None),
            ("[::1", None),
            ("[::1]80", None),
            ("a.example", None),
        ] {
            let expected = expected.filter(|_| !text.ends_with(':'));
            assert_eq!(address(text), expected, "{text}");
        }
    }
}
