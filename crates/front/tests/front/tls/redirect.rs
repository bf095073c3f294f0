//! Plain HTTP beside TLS.

use std::time::Duration;

use stack_config::{Config, Endpoint, Hsts, HstsScope, Transport};

use super::{Encrypted, tell};
use crate::{client::Client, server::loopback};

fn both(config: &mut Config) {
    config.bind.push(Endpoint { bind: loopback(), transport: Transport::Plain });
}

#[test]
fn plain_and_encrypted_listeners_serve_side_by_side() {
    let encrypted = Encrypted::start(both, tell);
    let mut plain = Client::connect(encrypted.server.addresses[1]);
    assert_eq!(plain.get("/").text(), "scheme http");
    assert!(encrypted.client().get("/").text().starts_with("scheme https\n"));
}

#[test]
fn a_redirect_names_the_same_place_by_tls_for_every_method() {
    let configure = |config: &mut Config| {
        both(config);
        config.tls.https_redirect = true;
    };
    let encrypted = Encrypted::start(configure, tell);
    let port = encrypted.server.addresses[0].port();
    let mut plain = Client::connect(encrypted.server.addresses[1]);
    for method in ["GET", "DELETE"] {
        let response = plain.send(format!("{method} /a?b=c HTTP/1.1\r\nhost: shop.test:80\r\n\r\n")).response();
        let location = format!("https://shop.test:{port}/a?b=c");
        assert_eq!((response.status, response.field("location")), (308, Some(&*location)));
    }
    let response = plain.get("/.well-known/acme-challenge/token");
    assert_eq!((response.status, response.text()), (200, "scheme http"));
    for target in ["/.well-known/acme-challenge-x", "/.well-known/acme-challenge/../../admin"] {
        assert_eq!(plain.get(target).status, 308, "{target}");
    }
    assert_eq!(encrypted.client().get("/").status, 200);
}

#[test]
fn hsts_is_sent_over_tls_alone() {
    let configure = |config: &mut Config| {
        both(config);
        let max_age = Duration::from_mins(10);
        config.tls.hsts = Some(Hsts { max_age, scope: HstsScope::Subdomains });
    };
    let encrypted = Encrypted::start(configure, tell);
    let field = "strict-transport-security";
    assert_eq!(encrypted.client().get("/").field(field), Some("max-age=600; includeSubDomains"));
    assert_eq!(Client::connect(encrypted.server.addresses[1]).get("/").field(field), None);
}
