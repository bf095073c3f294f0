//! Who the client of a request is: the other end of the connection, or whom a trusted proxy there speaks for.
//!
//! A proxy's word about its client is a header field, which anybody can send. So what a peer says counts only if the peer
//! is one of `trusted_proxies`, and of the addresses that proxies in a row have noted, the one that counts is the last
//! that is not such a proxy itself: all before it is what that client said.
//!
//! With proxies configured, what nobody vouches for does not reach the application either: fields of this kind are
//! removed from the requests of others, and of two families the one that is not believed is removed from all.

use std::{net::SocketAddr, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header, request::Parts, uri};
use stack_bridge::{Local, Peer, Scheme};
use stack_config::{Clients, ForwardedHeaders};

use crate::{connection::Origin, networks::Networks};

mod forwarded;
mod node;
mod x_forwarded;

/// Where a request comes from, as far as it can be believed.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) peer: Peer,
    pub(crate) scheme: Scheme,
    pub(crate) local: Arc<Local>,
}

impl From<&Origin> for Client {
    fn from(origin: &Origin) -> Self {
        Self { peer: origin.peer, scheme: origin.scheme, local: Arc::clone(&origin.local) }
    }
}

/// A trusted proxy's fields do not say one thing. Guessing which of two hosts or schemes is meant is how caches are
/// poisoned and redirects to https avoided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unclear {
    #[error("X-Forwarded-Proto with more than one scheme")]
    SeveralSchemes,
    #[error("a forwarded scheme other than http and https")]
    UnknownScheme,
    #[error("X-Forwarded-Host with more than one host")]
    SeveralHosts,
    #[error("a forwarded host that is not a host and port (RFC 9110 section 7.2)")]
    InvalidHost,
    #[error("malformed Forwarded (RFC 7239 section 4)")]
    Forwarded,
}

/// What a trusted proxy says of its client. The port of an address that came without one is 0.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    client: Option<SocketAddr>,
    scheme: Option<Scheme>,
    host: Option<HeaderValue>,
}

/// Which peers are believed, and in what.
#[derive(Debug)]
pub(crate) struct Trust {
    proxies: Networks,
    fields: ForwardedHeaders,
}

impl Trust {
    pub(crate) fn new(clients: &Clients) -> Self {
        Self { proxies: Networks::new(&clients.trusted_proxies), fields: clients.forwarded_headers }
    }

    /// Whether nobody is believed, and nothing removed.
    pub(crate) fn is_empty(&self) -> bool {
        self.proxies.is_empty()
    }

    /// Whether the peer may say whom it speaks for.
    pub(crate) fn is_proxy(&self, peer: &Peer) -> bool {
        self.proxies.contains(peer)
    }

    /// Finds out who sent the request. Its Host becomes the one that the client asked for, and what is not believed is
    /// removed.
    pub(crate) fn identify(&self, origin: &Origin, parts: &mut Parts) -> Result<Client, Unclear> {
        let mut client = Client::from(origin);
        if self.proxies.is_empty() {
            return Ok(client);
        }
        let headers = &mut parts.headers;
        if !origin.is_proxy {
            remove_all(headers);
            return Ok(client);
        }
        let Said { client: address, scheme, host } = match self.fields {
            ForwardedHeaders::XForwarded => {
                headers.remove(header::FORWARDED);
                x_forwarded::read(headers, &self.proxies)?
            }
            ForwardedHeaders::Forwarded => {
                x_forwarded::remove(headers);
                forwarded::read(headers, &self.proxies)?
            }
            ForwardedHeaders::Off => {
                remove_all(headers);
                Said::default()
            }
        };
        client.peer = address.map_or(client.peer, Peer::Tcp);
        client.scheme = scheme.unwrap_or(client.scheme);
        if scheme.is_some() || host.is_some() {
            if let Some(host) = host {
                replace_host(parts, host);
            }
            client.local = port_of(&parts.headers, &client);
        }
        Ok(client)
    }
}

/// Removes every field in which proxies speak of clients.
fn remove_all(headers: &mut HeaderMap) {
    let is_one = |name: &&HeaderName| name.as_str().starts_with("x-forwarded-") || name.as_str() == "x-real-ip";
    let names: Vec<_> = headers.keys().filter(is_one).cloned().collect();
    for name in names {
        headers.remove(name);
    }
    headers.remove(header::FORWARDED);
}

/// The target's authority, where it has one, is Host's equal (RFC 9112 §3.2.2).
fn replace_host(parts: &mut Parts, host: HeaderValue) {
    if parts.uri.authority().is_some()
        && let Ok(authority) = uri::Authority::try_from(host.as_bytes())
    {
        let mut pieces = std::mem::take(&mut parts.uri).into_parts();
        pieces.authority = Some(authority);
        parts.uri = Uri::from_parts(pieces).expect("it had scheme, authority and path before");
    }
    parts.headers.insert(header::HOST, host);
}

/// The listener, with the port that the client connected to: Host's, or else the scheme's.
fn port_of(headers: &HeaderMap, client: &Client) -> Arc<Local> {
    let default = match client.scheme {
        Scheme::Http => "80",
        Scheme::Https => "443",
    };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let port = host.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.is_empty() && !port.ends_with(']'));
    let port = port.unwrap_or(default);
    if client.local.port == port {
        return Arc::clone(&client.local);
    }
    Arc::new(Local { name: client.local.name.clone(), port: port.to_owned() })
}

#[cfg(test)]
mod tests;
