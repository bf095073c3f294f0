//! The keys about clients: networks, rates, health.

use std::{
    net::IpAddr,
    num::{NonZeroU32, NonZeroU64},
    time::Duration,
};

use ipnet::IpNet;

use super::{
    Check, MOST, Place,
    bind::{self, Parsed, Scheme},
};
use crate::{
    Clients, Endpoint, ErrorDetails, ForwardedHeaders, Health, Network, RateKey, RateLimit, Rates,
    error::Reason,
    raw::{Several, Written},
    units,
};

/// The shortest span of time in which a rate may be given.
const PERIODS: [(&str, u64); 3] = [("s", 1), ("m", 60), ("h", 3600)];

/// As it was written.
pub(super) struct Given {
    pub(super) trusted_proxies: Several,
    pub(super) forwarded_headers: Written,
    pub(super) proxy_protocol: Written,
    pub(super) allow: Several,
    pub(super) deny: Several,
    pub(super) max_connections_per_address: Written,
    pub(super) rate_limit: Written,
    pub(super) rate_limit_burst: Option<Written>,
    pub(super) rate_limit_key: Written,
    pub(super) min_receive_rate: Written,
    pub(super) min_send_rate: Written,
    pub(super) min_rate_grace: Written,
    pub(super) send_rate_limit: Written,
    pub(super) keepalive_requests: Written,
    pub(super) queue_target: Written,
    pub(super) security_headers: Written,
    pub(super) error_details: Written,
    pub(super) server_timing: Written,
    pub(super) health_path: Option<Written>,
    pub(super) admin_bind: Several,
}

impl Check<'_> {
    pub(super) fn clients(&mut self, given: Given) -> Clients {
        let Given {
            trusted_proxies,
            forwarded_headers,
            proxy_protocol,
            allow,
            deny,
            max_connections_per_address,
            rate_limit,
            rate_limit_burst,
            rate_limit_key,
            min_receive_rate,
            min_send_rate,
            min_rate_grace,
            send_rate_limit,
            keepalive_requests,
            queue_target,
            security_headers,
            error_details,
            server_timing,
            health_path,
            admin_bind,
        } = given;
        let trusted_proxies = self.several("trusted_proxies", trusted_proxies, network);
        let families = [ForwardedHeaders::XForwarded, ForwardedHeaders::Forwarded, ForwardedHeaders::Off];
        let shown = [ErrorDetails::Off, ErrorDetails::Local, ErrorDetails::All];
        let per_address = self.count("max_connections_per_address", &max_connections_per_address, 0, u32::MAX.into());
        let queue_target = self.duration_or_zero("queue_target", &queue_target);
        let admin_bind = self.several("admin_bind", admin_bind, plain);
        self.no_repetition("admin_bind", bind::repetition(&admin_bind));
        let admin_bind = admin_bind.into_iter().map(|parsed| Endpoint::plain(parsed.bind)).collect();
        Clients {
            proxy_protocol: self.proxy_protocol(&proxy_protocol, &trusted_proxies),
            trusted_proxies,
            forwarded_headers: self.word("forwarded_headers", &forwarded_headers, &families),
            allow: self.several("allow", allow, network),
            deny: self.several("deny", deny, network),
            max_connections_per_address: NonZeroU32::new(u32::try_from(per_address).unwrap_or(u32::MAX)),
            rate_limit: self.rate_limit(&rate_limit, rate_limit_burst, &rate_limit_key),
            rates: Rates {
                min_receive: self.size("min_receive_rate", &min_receive_rate, (0, "")),
                min_send: self.size("min_send_rate", &min_send_rate, (0, "")),
                grace: self.duration("min_rate_grace", &min_rate_grace),
                send_limit: self.size("send_rate_limit", &send_rate_limit, (0, "")),
            },
            keepalive_requests: NonZeroU64::new(self.count("keepalive_requests", &keepalive_requests, 0, MOST)),
            queue_target: Some(queue_target).filter(|target| !target.is_zero()),
            security_headers: self.switch("security_headers", &security_headers),
            error_details: self.word("error_details", &error_details, &shown),
            server_timing: self.switch("server_timing", &server_timing),
            health: Health { path: self.optional("health_path", health_path, |_, text| path(text)), admin_bind },
        }
    }

    /// Nobody could connect to a server that believes nobody.
    fn proxy_protocol(&mut self, value: &Written, trusted_proxies: &[Network]) -> bool {
        let on = self.switch("proxy_protocol", value);
        let refused_already = self.problems.iter().any(|problem| problem.name == "trusted_proxies");
        if on && trusted_proxies.is_empty() && !refused_already {
            self.report(Self::key("proxy_protocol"), 0, value, Reason::NoTrustedProxy);
        }
        on
    }

    fn rate_limit(&mut self, rate: &Written, burst: Option<Written>, key: &Written) -> Option<RateLimit> {
        let rate = self.one("rate_limit", rate, |_, text| rate_of(text)).flatten();
        let burst = burst.map(|burst| self.count("rate_limit_burst", &burst, 1, u32::MAX.into()));
        let key = self.one("rate_limit_key", key, |_, text| rate_key(text)).unwrap_or(RateKey::Address);
        let (requests, period) = rate?;
        let burst = burst.and_then(|burst| NonZeroU32::new(u32::try_from(burst).ok()?));
        Some(RateLimit { requests, period, burst: burst.unwrap_or(requests), key })
    }
}

/// A listener without TLS.
fn plain(place: Place<'_>, text: &str) -> Result<Parsed, Reason> {
    match bind::parse(place, text)? {
        Parsed { bind: _, scheme: Some(Scheme::Https) } => Err(Reason::AddressIsUrl),
        parsed => Ok(parsed),
    }
}

/// An address, a CIDR block, `unix` or `*`.
fn network(_: Place<'_>, text: &str) -> Result<Network, Reason> {
    match text {
        "*" => return Ok(Network::Any),
        "unix" | "unix:" => return Ok(Network::Unix),
        _ => {}
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        let first = address.to_canonical();
        return Ok(Network::Block { first, prefix: if first.is_ipv4() { 32 } else { 128 } });
    }
    let net: IpNet = text.parse().map_err(|_| Reason::NotNetwork)?;
    if net.addr() != net.network() {
        return Err(Reason::NetworkWithHost(net.trunc().to_string()));
    }
    match (net.addr().to_canonical(), net.prefix_len()) {
        (IpAddr::V4(first), prefix) if net.addr().is_ipv4() => Ok(Network::Block { first: first.into(), prefix }),
        // ::ffff:0:0/96 holds the IPv4 addresses, which clients have in their own form.
        (IpAddr::V4(first), prefix) if prefix >= 96 => Ok(Network::Block { first: first.into(), prefix: prefix - 96 }),
        _ => Ok(Network::Block { first: net.addr(), prefix: net.prefix_len() }),
    }
}

/// `100/s`, `60/m`, `1000/h`, or `off`.
fn rate_of(text: &str) -> Result<Option<(NonZeroU32, Duration)>, Reason> {
    if matches!(text, "off" | "0") {
        return Ok(None);
    }
    let (requests, unit) = text.split_once('/').ok_or(Reason::NotRate)?;
    let requests = requests.trim().parse().map_err(|_| Reason::NotRate)?;
    let period = PERIODS.iter().find(|(name, _)| *name == unit.trim()).ok_or(Reason::NotRate)?;
    Ok(Some((requests, Duration::from_secs(period.1))))
}

/// As [`rate_of`] reads it.
pub(crate) fn rate_text(rate: Option<&RateLimit>) -> String {
    let Some(rate) = rate else { return "off".into() };
    let period = PERIODS.iter().find(|(_, seconds)| rate.period.as_secs() == *seconds);
    format!("{}/{}", rate.requests, period.map_or("s", |(name, _)| name))
}

fn rate_key(text: &str) -> Result<RateKey, Reason> {
    if text == "address" {
        return Ok(RateKey::Address);
    }
    let name = text.strip_prefix("header:").ok_or(Reason::NotRateKey)?.trim();
    // RFC 9110 §5.6.2: a token.
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(Reason::NotRateKey);
    }
    Ok(RateKey::Header(name.to_ascii_lowercase()))
}

/// What is compared with the path of a request as it was sent.
fn path(text: &str) -> Result<String, Reason> {
    let trimmed = text.trim_end_matches('/');
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/!$&'()*+,;=:@".contains(&byte);
    if !trimmed.starts_with('/') || trimmed.contains("//") || !trimmed.bytes().all(is_plain) {
        return Err(Reason::NotPath);
    }
    Ok(trimmed.to_owned())
}

impl Network {
    /// As a user would write it.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Any => "*".into(),
            Self::Unix => "unix".into(),
            Self::Block { first, prefix } if *prefix == if first.is_ipv4() { 32 } else { 128 } => first.to_string(),
            Self::Block { first, prefix } => format!("{first}/{prefix}"),
        }
    }
}

/// Writes a time that may be none.
pub(crate) fn optional_duration(duration: Option<Duration>) -> String {
    units::format_duration(duration.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Setup, problem};

    fn block(first: &str, prefix: u8) -> Network {
        Network::Block { first: first.parse().unwrap(), prefix }
    }

    #[test]
    fn a_network_is_an_address_a_block_or_a_word() {
        let written = ["10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "::1", "unix", "*", "::ffff:10.0.0.0/104"];
        let networks = Setup::new().flag_values("trusted_proxies", &written).config().clients.trusted_proxies;
        let expected = [
            block("10.0.0.0", 8),
            block("192.0.2.1", 32),
            block("2001:db8::", 32),
            block("::1", 128),
            Network::Unix,
            Network::Any,
            block("10.0.0.0", 8),
        ];
        assert_eq!(networks, expected);
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for (written, reason) in [
            ("10.0.0.0/33", "neither an address nor a CIDR block"),
            ("proxy.example", "neither an address nor a CIDR block"),
            ("10.0.0.1/8", "has bits behind its prefix"),
        ] {
            let text = problem(&Setup::new().flag("deny", written));
            assert!(text.contains(reason), "{text}");
        }
    }

    #[test]
    fn a_rate_is_a_number_in_a_time() {
        let limit = |rate: &str| Setup::new().flag("rate_limit", rate).config().clients.rate_limit;
        let hundred = limit("100/s").unwrap();
        assert_eq!((hundred.requests.get(), hundred.period.as_secs(), hundred.burst.get()), (100, 1, 100));
        assert_eq!(limit("60/m").unwrap().period.as_secs(), 60);
        assert_eq!(limit("off"), None);
        for written in ["100", "0/s", "-1/s", "1/day", "x/s"] {
            let text = problem(&Setup::new().flag("rate_limit", written));
            assert!(text.contains("not a rate"), "{text}");
        }
    }

    #[test]
    fn a_client_is_told_by_its_address_or_by_a_field() {
        let setup = |key: &str| Setup::new().flag("rate_limit", "5/s").flag("rate_limit_key", key);
        let key = setup("header:X-Api-Key").flag("rate_limit_burst", "7").config().clients.rate_limit.unwrap();
        assert_eq!((key.key, key.burst.get()), (RateKey::Header("x-api-key".into()), 7));
        for written in ["cookie", "header:", "header:a b"] {
            assert!(problem(&setup(written)).contains("not a key of rates"), "{written}");
        }
    }

    #[test]
    fn the_proxy_protocol_needs_a_proxy_that_is_trusted() {
        let text = problem(&Setup::new().flag("proxy_protocol", "on"));
        assert!(text.contains("no peer is trusted"), "{text}");
        assert!(Setup::new().flag("proxy_protocol", "on").flag("trusted_proxies", "*").config().clients.proxy_protocol);
    }

    #[test]
    fn a_health_path_is_a_plain_path() {
        let path = |text: &str| Setup::new().flag("health_path", text).config().clients.health.path;
        assert_eq!(path("/-/health/").as_deref(), Some("/-/health"));
        for written in ["health", "/", "/a b", "/a?b", "/a//b", "/%2d"] {
            assert!(problem(&Setup::new().flag("health_path", written)).contains("not a path"), "{written}");
        }
    }
}
