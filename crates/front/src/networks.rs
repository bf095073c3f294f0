//! Sets of addresses, and the address that a client counts by.

use std::net::IpAddr;

use stack_bridge::Peer;
use stack_config::Network;

/// Addresses, in CIDR blocks. Looking one up takes a binary search for each length of prefix that occurs.
#[derive(Debug, Default)]
pub(crate) struct Networks {
    any: bool,
    unix: bool,
    v4: Vec<Blocks>,
    v6: Vec<Blocks>,
}

/// All blocks of one length.
#[derive(Debug)]
struct Blocks {
    prefix: u8,
    /// The first address of each, in order.
    firsts: Vec<u128>,
}

impl Networks {
    pub(crate) fn new(networks: &[Network]) -> Self {
        let mut set = Self::default();
        for network in networks {
            match *network {
                Network::Any => set.any = true,
                Network::Unix => set.unix = true,
                Network::Block { first, prefix } => {
                    let (family, first) = match first {
                        IpAddr::V4(first) => (&mut set.v4, u128::from(first.to_bits())),
                        IpAddr::V6(first) => (&mut set.v6, first.to_bits()),
                    };
                    match family.iter_mut().find(|blocks| blocks.prefix == prefix) {
                        Some(blocks) => blocks.firsts.push(first),
                        None => family.push(Blocks { prefix, firsts: vec![first] }),
                    }
                }
            }
        }
        for family in [&mut set.v4, &mut set.v6] {
            family.sort_by_key(|blocks| std::cmp::Reverse(blocks.prefix));
            for blocks in family {
                blocks.firsts.sort_unstable();
            }
        }
        set
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.any && !self.unix && self.v4.is_empty() && self.v6.is_empty()
    }

    pub(crate) fn contains(&self, peer: &Peer) -> bool {
        self.longest(peer).is_some()
    }

    /// The number of bits of the longest prefix that the address has in common with a block; what has no address is as
    /// exact as a whole one.
    pub(crate) fn longest(&self, peer: &Peer) -> Option<u8> {
        let any = self.any.then_some(0);
        let (family, address, bits) = match peer {
            Peer::Unix => return if self.unix { Some(u8::MAX) } else { any },
            Peer::Tcp(address) => match address.ip().to_canonical() {
                IpAddr::V4(address) => (&self.v4, u128::from(address.to_bits()), 32),
                IpAddr::V6(address) => (&self.v6, address.to_bits(), 128),
            },
        };
        let found = family.iter().find(|blocks| {
            // The shift is by all bits where the prefix has none.
            let mask = u128::MAX.checked_shl(bits - u32::from(blocks.prefix)).unwrap_or(0);
            blocks.firsts.binary_search(&(address & mask)).is_ok()
        });
        found.map(|blocks| blocks.prefix).or(any)
    }
}

/// What a client counts by: its IPv4 address, or the first 64 bits of its IPv6 address, all of which one customer of a
/// provider has (RFC 6177 §2). `None` on a Unix domain socket, where there is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum AddressKey {
    V4(u32),
    V6(u64),
}

impl AddressKey {
    pub(crate) fn of(peer: &Peer) -> Option<Self> {
        let Peer::Tcp(address) = peer else { return None };
        Some(match address.ip().to_canonical() {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self::V6([a, b, c, d].iter().fold(0, |bits, segment| bits << 16 | u64::from(*segment)))
            }
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn block(first: &str, prefix: u8) -> Network {
        Network::Block { first: first.parse().unwrap(), prefix }
    }

    pub(crate) fn peer(address: &str) -> Peer {
        Peer::Tcp((address.parse::<IpAddr>().unwrap(), 4711).into())
    }

    #[test]
    fn an_address_is_in_a_block_of_its_family() {
        let networks = Networks::new(&[
            block("10.0.0.0", 8),
            block("192.0.2.7", 32),
            block("192.0.2.1", 32),
            block("2001:db8::", 32),
        ]);
        for (address, inside) in [
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("192.0.2.1", true),
            ("192.0.2.2", false),
            ("192.0.2.7", true),
            ("2001:db8:1::1", true),
            ("2001:db9::1", false),
            ("::ffff:10.0.0.1", true),
            ("::a00:1", false),
        ] {
            assert_eq!(networks.contains(&peer(address)), inside, "{address}");
        }
        assert!(!networks.contains(&Peer::Unix));
    }

    #[test]
    fn everything_is_in_a_block_without_prefix_and_in_any() {
        let v4 = Networks::new(&[block("0.0.0.0", 0)]);
        assert!(v4.contains(&peer("192.0.2.1")) && !v4.contains(&peer("::1")) && !v4.contains(&Peer::Unix));
        let any = Networks::new(&[Network::Any]);
        assert!(any.contains(&peer("192.0.2.1")) && any.contains(&peer("::1")) && any.contains(&Peer::Unix));
        assert!(Networks::new(&[Network::Unix]).contains(&Peer::Unix));
    }

    #[test]
    fn the_longest_prefix_is_found() {
        let networks = Networks::new(&[Network::Any, block("10.0.0.0", 8), block("10.1.0.0", 16)]);
        assert_eq!(networks.longest(&peer("10.1.2.3")), Some(16));
        assert_eq!(networks.longest(&peer("10.2.2.3")), Some(8));
        assert_eq!(networks.longest(&peer("192.0.2.1")), Some(0));
    }

    #[test]
    fn an_ipv6_network_of_64_bits_counts_as_one() {
        let key = |address| AddressKey::of(&peer(address));
        assert_eq!(key("2001:db8:0:1::1"), key("2001:db8:0:1:ffff::9"));
        assert_ne!(key("2001:db8:0:1::1"), key("2001:db8:0:2::1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_eq!(AddressKey::of(&Peer::Unix), None);
    }
}
