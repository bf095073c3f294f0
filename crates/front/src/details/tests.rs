use std::sync::Arc;

use http::Request;
use stack_bridge::{Local, Scheme};

use super::*;

/// The style of the page, which the other side puts into it.
const STYLE: &str = include_str!("../../../wsgi/src/details/page.css");

fn origin(peer: &str, is_proxy: bool) -> Origin {
    let peer = peer.parse().map_or(Peer::Unix, Peer::Tcp);
    let local = Arc::new(Local { name: "localhost".into(), port: "8000".into() });
    Origin { scheme: Scheme::Http, peer, local, redirect_to: None, is_proxy, is_direct: true }
}

fn form(shown_to: ErrorDetails, origin: &Origin, client: Option<&str>, fields: &[(&str, &str)]) -> Option<DetailsForm> {
    let mut request = Request::builder().uri("/");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let mut sender = Client::from(origin);
    if let Some(client) = client {
        sender.peer = Peer::Tcp(client.parse().unwrap());
    }
    let asker = Asker { origin, client: &sender, is_forwarded: is_forwarded(&parts.headers), parts: &parts };
    asker.form(shown_to, &Sites::of_names(&["shop.test"]))
}

const HERE: (&str, &str) = ("host", "localhost:8000");

/// RFC 4648 §4.
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[test]
fn who_is_local_is_shown_details_and_nobody_else() {
    let local = |peer, fields: &[_]| form(ErrorDetails::Local, &origin(peer, false), None, fields).is_some();
    for peer in ["127.0.0.1:9", "127.8.9.1:9", "[::1]:9", "[::ffff:127.0.0.1]:9"] {
        assert!(local(peer, &[HERE]), "{peer}");
    }
    for peer in ["192.168.1.4:9", "[fe80::1]:9", "10.0.0.1:9", "unix"] {
        assert!(!local(peer, &[HERE]), "{peer}");
    }
    for host in ["127.0.0.1", "[::1]:80", "LOCALHOST", "a.localhost:1", "localhost.", "shop.test", "Shop.Test:80"] {
        assert!(local("127.0.0.1:9", &[("host", host)]), "{host}");
    }
    for host in ["rebound.example", "localhost.example", "127.0.0.1.example", "x.shop.test", "192.168.1.4", ""] {
        assert!(!local("127.0.0.1:9", &[("host", host)]), "{host}");
    }
    assert!(!local("127.0.0.1:9", &[]), "without a host");
    for field in ["X-Forwarded-For", "x-forwarded-host", "Forwarded", "Via", "X-Real-IP", "CF-Connecting-IP"] {
        assert!(!local("127.0.0.1:9", &[HERE, (field, "127.0.0.1")]), "{field}");
    }
}

#[test]
fn a_page_of_another_site_is_not_local_but_a_way_from_there_is() {
    for (site, mode, is_shown) in [
        ("cross-site", "cors", false),
        ("cross-site", "no-cors", false),
        ("cross-site", "navigate", true),
        ("same-site", "cors", true),
        ("same-origin", "cors", true),
        ("none", "navigate", true),
    ] {
        let fields = [HERE, ("sec-fetch-site", site), ("sec-fetch-mode", mode)];
        let given = form(ErrorDetails::Local, &origin("127.0.0.1:9", false), None, &fields);
        assert_eq!(given.is_some(), is_shown, "{site} {mode}");
    }
}

#[test]
fn a_trusted_proxy_says_who_is_local() {
    let fields = [HERE, ("x-forwarded-for", "as it was read")];
    let proxy = origin("127.0.0.1:9", true);
    let local = |proxy, client| form(ErrorDetails::Local, proxy, Some(client), &fields).is_some();
    assert!(local(&proxy, "127.0.0.1:0"));
    assert!(!local(&proxy, "203.0.113.9:0"));
    assert!(!local(&origin("10.0.0.1:9", true), "127.0.0.1:0"));
}

#[test]
fn all_and_off_ask_nobody() {
    for peer in ["127.0.0.1:9", "203.0.113.9:9", "unix"] {
        let origin = origin(peer, false);
        assert_eq!(form(ErrorDetails::Off, &origin, None, &[HERE]), None);
        assert_eq!(form(ErrorDetails::All, &origin, None, &[]), Some(DetailsForm::Text));
    }
}

#[test]
fn the_form_is_the_one_that_is_asked_for() {
    for (accept, expected) in [
        ("text/html,*/*;q=0.8", DetailsForm::Html),
        ("application/json", DetailsForm::Json),
        ("*/*", DetailsForm::Text),
        ("text/plain", DetailsForm::Text),
    ] {
        let given = form(ErrorDetails::Local, &origin("127.0.0.1:9", false), None, &[HERE, ("accept", accept)]);
        assert_eq!(given, Some(expected), "{accept}");
    }
}

#[test]
fn the_policy_allows_the_page_s_style() {
    use std::fmt::Write;

    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, STYLE.as_bytes());
    let mut bits = String::new();
    for byte in digest.as_ref() {
        write!(bits, "{byte:08b}").unwrap();
    }
    let sextet = |bits: &[u8]| {
        let value = bits.iter().fold(0, |value, bit| value * 2 + usize::from(bit - b'0'));
        char::from(DIGITS[value << (6 - bits.len())])
    };
    let hash: String = bits.as_bytes().chunks(6).map(sextet).collect();
    assert!(POLICY.to_str().unwrap().contains(&format!("'sha256-{hash}='")), "the style's hash is {hash}=");
}

#[test]
fn a_site_s_fields_do_not_open_the_page() {
    let mut response = Response::new(Body::empty());
    Details { form: DetailsForm::Html, text: b"<p>".to_vec() }.put(&mut response);
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src *"));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
    protect(&mut response);
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    assert_eq!(response.headers()[header::CONTENT_SECURITY_POLICY], POLICY);
    let mut other = Response::new(Body::empty());
    protect(&mut other);
    assert!(other.headers().is_empty());
}
