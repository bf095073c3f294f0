//! Sessions that are taken up again.

use std::sync::Arc;

use rustls::{ClientConfig, HandshakeKind};
use stack_config::ClientAuth;

use super::{Encrypted, tell};
use crate::{
    client::Client,
    pki::{Authority, setting},
    server::{echo, wait_until},
};

/// How a connection began; it has had a response, and with it the tickets for the next one.
fn kind(encrypted: &Encrypted, trust: &Arc<ClientConfig>) -> HandshakeKind {
    let mut client = Client::with_tls(encrypted.server.address, "localhost", trust).unwrap();
    assert_eq!(client.get("/").status, 200);
    client.tls.as_ref().unwrap().handshake_kind().unwrap()
}

fn is_resumed(encrypted: &Encrypted, trust: &Arc<ClientConfig>) -> bool {
    kind(encrypted, trust) == HandshakeKind::Resumed
}

#[test]
fn a_client_that_comes_again_is_known_in_both_versions() {
    let encrypted = Encrypted::start(|_| {}, echo);
    for trust in [encrypted.authority.trusted_by(), encrypted.authority.trusted_by().by_tls12()] {
        let trust = trust.config();
        assert!(!is_resumed(&encrypted, &trust));
        assert!(is_resumed(&encrypted, &trust));
        assert!(is_resumed(&encrypted, &trust));
    }
}

#[test]
fn a_session_outlives_the_certificate_it_began_with() {
    let encrypted = Encrypted::start(|_| {}, echo);
    let trust = encrypted.authority.trusted_by().config();
    assert!(!is_resumed(&encrypted, &trust));
    let renewed = encrypted.authority.server(&["localhost"]);
    renewed.write(encrypted.folder.path(), "localhost");
    wait_until("the new certificate", || {
        let fresh = encrypted.authority.trusted_by().config();
        let client = Client::with_tls(encrypted.server.address, "localhost", &fresh).unwrap();
        client.tls.as_ref().unwrap().peer_certificates().unwrap()[0] == renewed.certificate
    });
    assert!(is_resumed(&encrypted, &trust));
}

#[test]
fn a_session_whose_keys_are_gone_begins_anew() {
    let clients = Authority::new("clients");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clients.pem");
    std::fs::write(&file, &clients.pem).unwrap();
    let ca = setting("tls_client_ca", file.clone());
    let configure = |config: &mut stack_config::Config| {
        config.tls.client_auth = ClientAuth::Optional;
        config.tls.client_ca = Some(ca);
    };
    let encrypted = Encrypted::start(configure, tell);
    let ann = clients.client("Ann");
    let trust = encrypted.authority.trusted_by().showing(&ann).config();
    assert!(!is_resumed(&encrypted, &trust));
    assert!(is_resumed(&encrypted, &trust));
    let mut client = Client::with_tls(encrypted.server.address, "localhost", &trust).unwrap();
    assert_eq!(client.get("/").text().lines().last(), Some("CN=Ann by CN=clients"), "a session knows its client");
    // With another authority come other keys: Ann's certificate is checked again, and refused now.
    std::fs::write(&file, &Authority::new("others").pem).unwrap();
    wait_until("the new authority", || {
        let client = Client::with_tls(encrypted.server.address, "localhost", &trust);
        client.and_then(|mut client| client.try_get("/")).is_err()
    });
    let nobody = encrypted.authority.trusted_by().config();
    assert!(!is_resumed(&encrypted, &nobody));
    assert!(is_resumed(&encrypted, &nobody));
}
