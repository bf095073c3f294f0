//! The effective values of the keys about clients.

use toml::Value;

use super::{count, size, text};
use crate::{
    Clients, ErrorDetails, ForwardedHeaders, Health, Network, RateKey, RateLimit, Rates,
    check::clients::{optional_duration, rate_text},
};

pub(super) fn values(clients: &Clients) -> Vec<(&'static str, Option<Value>)> {
    let Clients {
        trusted_proxies,
        forwarded_headers,
        proxy_protocol,
        allow,
        deny,
        max_connections_per_address,
        rate_limit,
        rates,
        keepalive_requests,
        queue_target,
        security_headers,
        error_details,
        server_timing,
        health,
    } = clients;
    let Rates { min_receive, min_send, grace, send_limit } = rates;
    let Health { path, admin_bind } = health;
    let key = rate_limit.as_ref().map_or(&RateKey::Address, |RateLimit { key, .. }| key);
    let set = [
        ("trusted_proxies", networks(trusted_proxies)),
        ("forwarded_headers", text(forwarded_headers.as_str())),
        ("proxy_protocol", Value::Boolean(*proxy_protocol)),
        ("allow", networks(allow)),
        ("deny", networks(deny)),
        ("max_connections_per_address", count(max_connections_per_address.map_or(0, |most| most.get().into()))),
        ("rate_limit", text(&rate_text(rate_limit.as_ref()))),
        ("rate_limit_key", key_text(key)),
        ("min_receive_rate", size(*min_receive)),
        ("min_send_rate", size(*min_send)),
        ("min_rate_grace", text(&optional_duration(Some(*grace)))),
        ("send_rate_limit", size(*send_limit)),
        ("keepalive_requests", count(keepalive_requests.map_or(0, std::num::NonZero::get))),
        ("queue_target", text(&optional_duration(*queue_target))),
        ("security_headers", Value::Boolean(*security_headers)),
        ("error_details", text(error_details.as_str())),
        ("server_timing", Value::Boolean(*server_timing)),
        ("admin_bind", Value::Array(admin_bind.iter().map(|endpoint| text(&endpoint.bind.to_string())).collect())),
    ];
    let unset_or = [
        ("rate_limit_burst", rate_limit.as_ref().map(|limit| count(limit.burst.get().into()))),
        ("health_path", path.as_deref().map(text)),
    ];
    set.into_iter().map(|(name, value)| (name, Some(value))).chain(unset_or).collect()
}

impl ErrorDetails {
    /// The word a user writes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Local => "local",
            Self::All => "all",
        }
    }
}

impl ForwardedHeaders {
    /// The word a user writes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::XForwarded => "x-forwarded",
            Self::Forwarded => "forwarded",
            Self::Off => "off",
        }
    }
}

fn networks(networks: &[Network]) -> Value {
    Value::Array(networks.iter().map(|network| Value::String(network.text())).collect())
}

fn key_text(key: &RateKey) -> Value {
    Value::String(match key {
        RateKey::Address => "address".into(),
        RateKey::Header(name) => format!("header:{name}"),
    })
}
