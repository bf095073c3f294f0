//! Who is let in, and how often: networks that are allowed or denied, connections and requests of one address.
//!
//! What is known of a peer when it connects is decided then, before it costs anything. What depends on the client behind a
//! proxy is decided with the request.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Instant,
};

use http::HeaderMap;
use stack_bridge::Peer;
use stack_config::Clients;

use crate::{
    client::{Client, Trust},
    connection::Origin,
    error::Error,
    metrics::Metrics,
    networks::{AddressKey, Networks},
};

pub(crate) mod arrival;
mod buckets;
mod per_address;
mod rates;

pub(crate) use per_address::Held;
use per_address::PerAddress;
use rates::Rates;

/// The rules, and what has been counted by them.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) trust: Trust,
    proxy_protocol: bool,
    allow: Networks,
    deny: Networks,
    connections: Option<Arc<PerAddress>>,
    rates: Option<Rates>,
    metrics: Arc<Metrics>,
}

/// Why a connection is closed unheard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejected {
    /// Its address is denied.
    Denied,
    /// Its address has enough of them.
    TooMany,
    /// It would have to begin with a PROXY protocol header, which is believed of others only.
    NoProxy,
}

impl Admission {
    pub(crate) fn new(clients: &Clients, metrics: Arc<Metrics>) -> Self {
        Self {
            trust: Trust::new(clients),
            proxy_protocol: clients.proxy_protocol,
            allow: Networks::new(&clients.allow),
            deny: Networks::new(&clients.deny),
            connections: clients.max_connections_per_address.map(|most| Arc::new(PerAddress::new(most))),
            rates: clients.rate_limit.as_ref().map(Rates::new),
            metrics,
        }
    }

    /// Decides about a connection by its peer. What it gives counts it, until it is dropped.
    pub(crate) fn connection(&self, origin: &Origin) -> Result<Option<Held>, Rejected> {
        let decided = self.decide(origin);
        if let Err(rejected) = decided {
            self.metrics.rejected(rejected);
            let (code, reason) = match rejected {
                Rejected::Denied => ("STACK0116", "denied"),
                Rejected::TooMany => ("STACK0118", "too many of its address"),
                Rejected::NoProxy => ("STACK0119", "no trusted proxy"),
            };
            tracing::debug!(code, reason, peer = ?origin.peer, "connection closed unheard");
        }
        decided
    }

    fn decide(&self, origin: &Origin) -> Result<Option<Held>, Rejected> {
        if origin.is_proxy {
            // Its connections are those of many clients, who are looked at one by one.
            return Ok(None);
        }
        if self.proxy_protocol && origin.is_direct {
            return Err(Rejected::NoProxy);
        }
        if !self.is_allowed(&origin.peer) {
            return Err(Rejected::Denied);
        }
        let (Some(connections), Some(key)) = (&self.connections, AddressKey::of(&origin.peer)) else { return Ok(None) };
        connections.hold(key).map(Some).ok_or(Rejected::TooMany)
    }

    /// Whether the client is served at all: the longest prefix decides, and of two equal ones the stricter.
    pub(crate) fn allows(&self, client: &Client) -> Result<(), Error> {
        if self.is_allowed(&client.peer) {
            return Ok(());
        }
        self.metrics.denied.fetch_add(1, Relaxed);
        Err(Error::Denied)
    }

    /// Whether no proxy is believed, so that no field says whom a request is from.
    pub(crate) fn trusts_nobody(&self) -> bool {
        self.trust.is_empty()
    }

    /// Whether each request of this client is served, however many there are.
    pub(crate) fn lets_all_requests_in(&self, peer: &Peer) -> bool {
        self.rates.is_none() && self.is_allowed(peer)
    }

    fn is_allowed(&self, peer: &Peer) -> bool {
        match (self.allow.longest(peer), self.deny.longest(peer)) {
            (None, None) => self.allow.is_empty(),
            (Some(allow), Some(deny)) => allow > deny,
            (allow, None) => allow.is_some(),
            (None, Some(_)) => false,
        }
    }

    /// Counts one request of the client.
    pub(crate) fn request(&self, client: &Client, headers: &HeaderMap) -> Result<(), Error> {
        let Some(rates) = &self.rates else { return Ok(()) };
        rates.take(&client.peer, headers, Instant::now()).map_err(|wait| {
            self.metrics.rate_limited.fetch_add(1, Relaxed);
            Error::RateLimited(wait)
        })
    }
}

#[cfg(test)]
mod tests;
