//! Whom a request is from, by what its peer says and whether that is believed.

use http::Request;
use stack_config::Network;

use super::*;
use crate::networks::tests::{block, peer};

const PROXY: &str = "10.0.0.1";

fn trust(fields: ForwardedHeaders) -> Trust {
    let trusted_proxies = vec![block("10.0.0.0", 8), block("2001:db8::", 32)];
    Trust::new(&Clients { trusted_proxies, forwarded_headers: fields, ..Clients::default() })
}

fn request(fields: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().uri("/");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn origin(trust: &Trust, address: &str) -> Origin {
    let local = Local { name: "192.0.2.80".into(), port: "8000".into() };
    let peer = peer(address);
    Origin {
        scheme: Scheme::Http,
        peer,
        local: local.into(),
        is_proxy: trust.is_proxy(&peer),
        is_direct: true,
        redirect_to: None,
    }
}

/// Client, scheme, port and Host.
fn seen(trust: &Trust, from: &str, fields: &[(&str, &str)]) -> Result<[String; 4], Unclear> {
    let mut parts = request(fields);
    let client = trust.identify(&origin(trust, from), &mut parts)?;
    let Peer::Tcp(address) = client.peer else { panic!("a TCP peer") };
    let host = parts.headers.get("host").map_or("", |host| host.to_str().unwrap()).to_owned();
    Ok([address.to_string(), client.scheme.as_str().to_owned(), client.local.port.clone(), host])
}

fn address(trust: &Trust, fields: &[(&str, &str)]) -> String {
    let [address, ..] = seen(trust, PROXY, fields).unwrap();
    address
}

#[test]
fn the_last_address_that_is_no_proxy_is_the_client() {
    let trust = trust(ForwardedHeaders::XForwarded);
    for (values, expected) in [
        (&["192.0.2.1"][..], "192.0.2.1:0"),
        (&["203.0.113.9, 192.0.2.1"], "192.0.2.1:0"),
        (&["203.0.113.9, 192.0.2.1, 10.9.9.9"], "192.0.2.1:0"),
        (&["203.0.113.9", "192.0.2.1", "10.9.9.9"], "192.0.2.1:0"),
        (&["192.0.2.1:4000,10.9.9.9"], "192.0.2.1:4000"),
        (&["10.1.1.1, 2001:db8::7, 10.9.9.9"], "10.1.1.1:0"),
        (&["2001:db9::1, 10.9.9.9"], "[2001:db9::1]:0"),
        (&["192.0.2.1, unknown, 10.9.9.9"], "10.9.9.9:0"),
        (&["192.0.2.1, nonsense"], "10.0.0.1:4711"),
        (&["192.0.2.1\u{e9}"], "10.0.0.1:4711"),
        (&["192.0.2.1,,"], "192.0.2.1:0"),
        (&[], "10.0.0.1:4711"),
    ] {
        let fields: Vec<_> = values.iter().map(|value| ("x-forwarded-for", *value)).collect();
        assert_eq!(address(&trust, &fields), expected, "{values:?}");
    }
}

#[test]
fn scheme_host_and_port_are_the_clients() {
    let trust = trust(ForwardedHeaders::XForwarded);
    for (fields, expected) in [
        (&[("host", "inner:81"), ("x-forwarded-host", "a.example")][..], ["http", "80", "a.example"]),
        (&[("host", "inner:81"), ("x-forwarded-host", "a.example:8443")], ["http", "8443", "a.example:8443"]),
        (&[("host", "a.example"), ("x-forwarded-proto", "HTTPS")], ["https", "443", "a.example"]),
        (&[("host", "[::1]"), ("x-forwarded-proto", "https")], ["https", "443", "[::1]"]),
        (&[("host", "[::1]:82"), ("x-forwarded-proto", "wss")], ["https", "82", "[::1]:82"]),
        (&[("host", "a.example"), ("x-forwarded-proto", "https, https")], ["https", "443", "a.example"]),
        (&[("host", "a.example"), ("x-forwarded-proto", "")], ["http", "8000", "a.example"]),
        (&[("host", "a.example")], ["http", "8000", "a.example"]),
    ] {
        let [_, scheme, port, host] = seen(&trust, PROXY, fields).unwrap();
        assert_eq!([scheme, port, host], expected, "{fields:?}");
    }
}

#[test]
fn fields_that_contradict_each_other_are_refused() {
    let trust = trust(ForwardedHeaders::XForwarded);
    for (fields, expected) in [
        (&[("x-forwarded-proto", "https, http")][..], Unclear::SeveralSchemes),
        (&[("x-forwarded-proto", "https"), ("x-forwarded-proto", "http")], Unclear::SeveralSchemes),
        (&[("x-forwarded-proto", "ftp")], Unclear::UnknownScheme),
        (&[("x-forwarded-host", "a.example, b.example")], Unclear::SeveralHosts),
        (&[("x-forwarded-host", "a.example"), ("x-forwarded-host", "b.example")], Unclear::SeveralHosts),
        (&[("x-forwarded-host", "a/b")], Unclear::InvalidHost),
    ] {
        assert_eq!(seen(&trust, PROXY, fields), Err(expected), "{fields:?}");
    }
}

#[test]
fn of_anybody_else_nothing_is_believed_and_nothing_kept() {
    let trust = trust(ForwardedHeaders::XForwarded);
    let fields = [
        ("host", "a.example"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-proto", "https, nonsense"),
        ("x-forwarded-host", "b.example"),
        ("x-forwarded-port", "1"),
        ("x-real-ip", "192.0.2.1"),
        ("forwarded", "for=\"192.0.2.1"),
        ("x-other", "1"),
    ];
    assert_eq!(seen(&trust, "198.51.100.1", &fields).unwrap(), ["198.51.100.1:4711", "http", "8000", "a.example"]);
    let mut parts = request(&fields);
    trust.identify(&origin(&trust, "198.51.100.1"), &mut parts).unwrap();
    let mut left: Vec<_> = parts.headers.keys().map(HeaderName::as_str).collect();
    left.sort_unstable();
    assert_eq!(left, ["host", "x-other"]);
}

#[test]
fn without_proxies_the_fields_are_the_applications_business() {
    let trust = Trust::new(&Clients::default());
    let mut parts = request(&[("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=x")]);
    trust.identify(&origin(&trust, PROXY), &mut parts).unwrap();
    assert_eq!(parts.headers.len(), 2);
}

#[test]
fn of_two_families_one_is_believed_and_the_other_removed() {
    let fields = [("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=198.51.100.1")];
    for (family, client, left) in [
        (ForwardedHeaders::XForwarded, "192.0.2.1:0", &["x-forwarded-for"][..]),
        (ForwardedHeaders::Forwarded, "198.51.100.1:0", &["forwarded"]),
        (ForwardedHeaders::Off, "10.0.0.1:4711", &[]),
    ] {
        let trust = trust(family);
        assert_eq!(address(&trust, &fields), client, "{family:?}");
        let mut parts = request(&fields);
        trust.identify(&origin(&trust, PROXY), &mut parts).unwrap();
        assert_eq!(parts.headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), left, "{family:?}");
    }
}

#[test]
fn scheme_and_host_of_forwarded_are_those_of_the_clients_own_entry() {
    let trust = trust(ForwardedHeaders::Forwarded);
    for (value, expected) in [
        (
            "for=203.0.113.9;proto=https;host=evil, for=192.0.2.1;proto=https;host=a.example, for=10.2.2.2;proto=http",
            ["192.0.2.1:0", "https", "443", "a.example"],
        ),
        ("for=\"[2001:db9::1]:4000\";host=\"a.example:81\"", ["[2001:db9::1]:4000", "http", "81", "a.example:81"]),
        ("for=unknown;proto=https", ["10.0.0.1:4711", "https", "443", ""]),
        ("proto=https", ["10.0.0.1:4711", "https", "443", ""]),
        ("", ["10.0.0.1:4711", "http", "8000", ""]),
    ] {
        assert_eq!(seen(&trust, PROXY, &[("forwarded", value)]).unwrap(), expected, "{value}");
    }
}

#[test]
fn a_client_can_not_swallow_the_entry_of_its_proxy() {
    let trust = trust(ForwardedHeaders::Forwarded);
    let value = "for=\"evil, for=192.0.2.1";
    assert_eq!(seen(&trust, PROXY, &[("forwarded", value)]), Err(Unclear::Forwarded));
}

#[test]
fn a_target_with_an_authority_follows_the_host() {
    let trust = trust(ForwardedHeaders::XForwarded);
    let mut parts = request(&[("host", "inner"), ("x-forwarded-host", "a.example")]);
    parts.uri = "http://inner/x?y".parse().unwrap();
    trust.identify(&origin(&trust, PROXY), &mut parts).unwrap();
    assert_eq!(parts.uri, "http://a.example/x?y");
}

#[test]
fn peers_on_unix_sockets_are_believed_when_they_are_named() {
    let trust = Trust::new(&Clients { trusted_proxies: vec![Network::Unix], ..Clients::default() });
    assert!(trust.is_proxy(&Peer::Unix) && !trust.is_proxy(&peer(PROXY)));
}
