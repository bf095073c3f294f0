//! Who is let in.

use std::num::NonZeroU32;

use stack_bridge::{Local, Scheme};
use stack_config::Network;

use super::*;
use crate::networks::tests::{block, peer};

fn admission(clients: &Clients) -> Admission {
    Admission::new(clients, Arc::default())
}

fn origin(admission: &Admission, address: &str) -> Origin {
    let local = Local { name: "a".into(), port: "80".into() };
    let peer = peer(address);
    let is_proxy = admission.trust.is_proxy(&peer);
    Origin { scheme: Scheme::Http, peer, local: local.into(), is_proxy, is_direct: true, redirect_to: None }
}

fn allowed(admission: &Admission, address: &str) -> bool {
    admission.is_allowed(&peer(address))
}

#[test]
fn the_longest_prefix_decides() {
    let lists = |allow: &[Network], deny: &[Network]| {
        admission(&Clients { allow: allow.to_vec(), deny: deny.to_vec(), ..Clients::default() })
    };
    let nothing = lists(&[], &[]);
    assert!(allowed(&nothing, "192.0.2.1"));
    let denied = lists(&[], &[block("192.0.2.0", 24)]);
    assert!(!allowed(&denied, "192.0.2.1") && allowed(&denied, "198.51.100.1"));
    let only = lists(&[block("10.0.0.0", 8)], &[]);
    assert!(allowed(&only, "10.1.1.1") && !allowed(&only, "192.0.2.1") && !only.is_allowed(&Peer::Unix));
    let nested = lists(&[block("10.0.0.0", 8), block("10.1.1.1", 32)], &[block("10.1.0.0", 16), Network::Any]);
    assert!(allowed(&nested, "10.2.0.1") && !allowed(&nested, "10.1.0.1") && allowed(&nested, "10.1.1.1"));
    assert!(!allowed(&nested, "192.0.2.1") && !allowed(&nested, "::1"));
    let both = lists(&[block("10.0.0.0", 8)], &[block("10.0.0.0", 8)]);
    assert!(!allowed(&both, "10.0.0.1"), "of two equal ones the stricter");
    let except = lists(&[block("192.0.2.1", 32)], &[block("192.0.2.0", 24)]);
    assert!(allowed(&except, "192.0.2.1") && !allowed(&except, "192.0.2.2") && !allowed(&except, "198.51.100.1"));
}

#[test]
fn a_denied_peer_is_rejected_and_a_proxy_is_not() {
    let clients = Clients {
        trusted_proxies: vec![block("10.0.0.0", 8)],
        deny: vec![Network::Any],
        max_connections_per_address: NonZeroU32::new(1),
        ..Clients::default()
    };
    let admission = admission(&clients);
    assert_eq!(admission.connection(&origin(&admission, "192.0.2.1")), Err(Rejected::Denied));
    assert_eq!(admission.connection(&origin(&admission, "10.0.0.1")), Ok(None));
    assert_eq!(admission.connection(&origin(&admission, "10.0.0.1")), Ok(None));
    assert_eq!(admission.metrics.snapshot().denied_connections, 1);
}

#[test]
fn only_proxies_connect_where_the_proxy_protocol_is_spoken() {
    let admission = admission(&Clients {
        trusted_proxies: vec![block("10.0.0.0", 8)],
        proxy_protocol: true,
        max_connections_per_address: NonZeroU32::new(1),
        ..Clients::default()
    });
    assert_eq!(admission.connection(&origin(&admission, "192.0.2.1")), Err(Rejected::NoProxy));
    // Told by the header, a client counts as if it had come by itself.
    let told = Origin { is_direct: false, ..origin(&admission, "192.0.2.1") };
    let _held = admission.connection(&told).unwrap().unwrap();
    assert_eq!(admission.connection(&told), Err(Rejected::TooMany));
}
