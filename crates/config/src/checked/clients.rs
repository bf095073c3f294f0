//! Who is let in, who is believed, how much each may take, and what is done under too much of it.

use std::{
    net::IpAddr,
    num::{NonZeroU32, NonZeroU64},
    time::Duration,
};

use super::Endpoint;

/// How clients are told apart, kept within limits, and how those who watch the server are answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clients {
    /// Peers that may say whom they speak for.
    pub trusted_proxies: Vec<Network>,
    /// The fields in which they do.
    pub forwarded_headers: ForwardedHeaders,
    /// Each connection begins with a PROXY protocol header. Only [`Self::trusted_proxies`] can connect then.
    pub proxy_protocol: bool,
    /// Where not empty, only these clients are served.
    pub allow: Vec<Network>,
    /// These clients are not served. Of this and [`Self::allow`] the longest prefix decides.
    pub deny: Vec<Network>,
    /// Connections that may be open at a time from one address.
    pub max_connections_per_address: Option<NonZeroU32>,
    /// Requests that one client may make.
    pub rate_limit: Option<RateLimit>,
    /// Bytes in a second.
    pub rates: Rates,
    /// Requests that a connection may carry.
    pub keepalive_requests: Option<NonZeroU64>,
    /// Time in the queue above which new requests are shed; `None` sheds when the queue is full only.
    pub queue_target: Option<Duration>,
    /// Responses get the usual security fields.
    pub security_headers: bool,
    /// Who is shown what the application raised.
    pub error_details: ErrorDetails,
    /// Responses say how long they took (Server-Timing).
    pub server_timing: bool,
    /// Who asks how the server is.
    pub health: Health,
}

/// Who is shown what the application raised: exception, source, variables, request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ErrorDetails {
    /// Nobody.
    #[default]
    Off,
    /// Clients of this machine, as far as that can be known.
    Local,
    /// Everybody.
    All,
}

/// Some addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// All of them, Unix domain sockets included.
    Any,
    /// Peers on Unix domain sockets.
    Unix,
    /// A CIDR block. An IPv4 address is never in IPv6 form here.
    Block {
        /// Its first address.
        first: IpAddr,
        /// Bits that all its addresses have in common.
        prefix: u8,
    },
}

/// The fields in which a trusted proxy is believed. Only one family: of the other it may pass on what a client made up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedHeaders {
    /// `X-Forwarded-For`, `X-Forwarded-Proto`, `X-Forwarded-Host`.
    #[default]
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// None: the proxies speak the PROXY protocol only.
    Off,
}

/// A token bucket for each client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests in each [`Self::period`].
    pub requests: NonZeroU32,
    /// A second, a minute or an hour.
    pub period: Duration,
    /// Requests that may come at once.
    pub burst: NonZeroU32,
    /// What a client is told by.
    pub key: RateKey,
}

/// What a client is told by, where its requests are counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RateKey {
    /// Its address; of an IPv6 address the first 64 bits.
    Address,
    /// The value of a field, named in lower case; where it is missing, the address.
    Header(String),
}

/// Bytes in a second. 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// The least a client has to send of a body, while it is waited for.
    pub min_receive: u64,
    /// The least a client has to take of a response, while it is waited for.
    pub min_send: u64,
    /// How long it may be slower.
    pub grace: Duration,
    /// The most that is sent on one connection.
    pub send_limit: u64,
}

/// Who asks how the server is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// The path below which every listener answers, with a slash at its beginning and none at its end.
    pub path: Option<String>,
    /// Listeners that answer nothing else.
    pub admin_bind: Vec<Endpoint>,
}
