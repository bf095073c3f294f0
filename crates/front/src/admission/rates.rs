//! Requests of one client in a time.

use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName};
use stack_bridge::Peer;
use stack_config::{RateKey, RateLimit};

use super::buckets::Buckets;
use crate::networks::AddressKey;

#[derive(Debug)]
pub(super) struct Rates {
    buckets: Buckets,
    /// The field that tells clients apart, where it is not the address.
    field: Option<HeaderName>,
}

/// What a client is told by. The two kinds never meet in one bucket.
#[derive(Hash)]
enum Key<'a> {
    Address(AddressKey),
    Field(&'a [u8]),
}

impl Rates {
    pub(super) fn new(limit: &RateLimit) -> Self {
        let field = match &limit.key {
            RateKey::Address => None,
            RateKey::Header(name) => {
                Some(HeaderName::from_bytes(name.as_bytes()).expect("the configuration takes tokens only"))
            }
        };
        let buckets = Buckets::new(limit.requests.get(), limit.period, limit.burst.get(), Instant::now());
        Self { buckets, field }
    }

    /// Counts one request, or says how long its client has to wait. A client without address and field is not counted.
    pub(super) fn take(&self, peer: &Peer, headers: &HeaderMap, now: Instant) -> Result<(), Duration> {
        let value = self.field.as_ref().and_then(|name| headers.get(name));
        let key = match value {
            Some(value) => Key::Field(value.as_bytes()),
            None => match AddressKey::of(peer) {
                Some(address) => Key::Address(address),
                None => return Ok(()),
            },
        };
        self.buckets.take(key, now)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use http::HeaderValue;

    use super::*;
    use crate::networks::tests::peer;

    fn one(key: RateKey) -> Rates {
        let one = NonZeroU32::MIN;
        Rates::new(&RateLimit { requests: one, period: Duration::from_secs(1), burst: one, key })
    }

    fn keyed(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("x-api-key", HeaderValue::from_str(value).unwrap());
        headers
    }

    #[test]
    fn requests_count_by_address() {
        let rates = one(RateKey::Address);
        let now = Instant::now();
        let take = |address: &str| rates.take(&peer(address), &HeaderMap::new(), now).is_ok();
        assert!(take("192.0.2.1") && !take("192.0.2.1") && take("192.0.2.2"));
        assert!(take("2001:db8::1") && !take("2001:db8::2"), "one network of 64 bits is one client");
        assert!((0..9).all(|_| rates.take(&Peer::Unix, &HeaderMap::new(), now).is_ok()));
    }

    #[test]
    fn requests_count_by_a_field_where_it_is_there() {
        let rates = one(RateKey::Header("x-api-key".into()));
        let now = Instant::now();
        let take = |address: &str, headers: &HeaderMap| rates.take(&peer(address), headers, now).is_ok();
        assert!(take("192.0.2.1", &keyed("a")) && !take("192.0.2.2", &keyed("a")) && take("192.0.2.1", &keyed("b")));
        assert!(take("192.0.2.1", &HeaderMap::new()) && !take("192.0.2.1", &HeaderMap::new()));
    }
}
