use std::sync::Arc;

use http::Request;
use stack_bridge::{Local, Peer, Scheme};

use super::*;

fn origin(redirect_to: Option<u16>) -> Origin {
    let local = Local { name: "192.0.2.1".into(), port: "80".into() };
    Origin {
        scheme: Scheme::Http,
        peer: Peer::Unix,
        local: Arc::new(local),
        redirect_to,
        is_proxy: false,
        is_direct: true,
    }
}

fn parts(target: &str, host: Option<&str>) -> Parts {
    let mut request = Request::builder().uri(target);
    if let Some(host) = host {
        request = request.header("host", host);
    }
    request.body(()).unwrap().into_parts().0
}

#[test]
fn the_same_place_is_named_with_the_port_of_tls() {
    for (target, host, port, expected) in [
        ("/", Some("example.org"), 443, "https://example.org/"),
        ("/a?b=c&d", Some("example.org:80"), 443, "https://example.org/a?b=c&d"),
        ("/a%20b", Some("example.org:8080"), 8443, "https://example.org:8443/a%20b"),
        ("/", Some("[2001:db8::1]:80"), 443, "https://[2001:db8::1]/"),
        ("/", Some("[2001:db8::1]"), 8443, "https://[2001:db8::1]:8443/"),
        ("http://example.org:80/a", Some("example.org:80"), 443, "https://example.org/a"),
        ("*", Some("example.org"), 443, "https://example.org/"),
        ("/a", None, 443, "https://192.0.2.1/a"),
    ] {
        let origin = origin(Some(port));
        let parts = parts(target, host);
        assert!(is_redirected(&origin, &parts), "{target}");
        let response = redirect(&origin, &parts, RequestId(1));
        assert_eq!(response.status(), StatusCode::PERMANENT_REDIRECT);
        assert_eq!(response.headers()[header::LOCATION], expected);
    }
}

#[test]
fn challenges_of_certificate_authorities_are_answered_in_place() {
    let plain = origin(Some(443));
    for (target, is_challenge) in [
        ("/.well-known/acme-challenge/token", true),
        ("/.well-known/acme-challenge/token?x=y", true),
        ("/.well-known/acme-challenge/", true),
        ("/.well-known/acme-challenge", false),
        ("/.well-known/acme-challenges", false),
        ("/.well-known/acme-challenge-x", false),
        ("/.well-known/acme-challenge-x/token", false),
        ("/.well-known/Acme-Challenge/token", false),
        ("/x/.well-known/acme-challenge/token", false),
        // What means another path is where that is.
        ("/.well-known/acme-challenge/../../admin", false),
        ("/.well-known/acme-challenge/%2e%2e/token", false),
        ("/.well-known/acme-challenge/..%2f..%2fadmin", false),
    ] {
        assert_eq!(!is_redirected(&plain, &parts(target, Some("a"))), is_challenge, "{target}");
    }
    assert!(!is_redirected(&origin(None), &parts("/", Some("a"))));
}
