//! Certificates of clients.

use stack_config::ClientAuth;

use super::{Encrypted, tell};
use crate::{
    client::Client,
    pki::{Authority, Pair, setting},
};

fn asking(auth: ClientAuth, authority: &Authority) -> Encrypted {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clients.pem");
    std::fs::write(&file, &authority.pem).unwrap();
    let configure = |config: &mut stack_config::Config| {
        config.tls.client_auth = auth;
        config.tls.client_ca = Some(setting("tls_client_ca", file));
    };
    Encrypted::start(configure, tell)
}

/// Who the application takes the client for; an error where there is no connection. With TLS 1.3 a client learns that only
/// when it reads.
fn seen(encrypted: &Encrypted, identity: Option<&Pair>, only_tls12: bool) -> Result<String, String> {
    let mut trust = encrypted.authority.trusted_by();
    trust = if only_tls12 { trust.by_tls12() } else { trust };
    trust = match identity {
        Some(pair) => trust.showing(pair),
        None => trust,
    };
    let client = Client::with_tls(encrypted.server.address, "localhost", &trust.config());
    let mut client = client.map_err(|error| error.to_string())?;
    client.try_send("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").map_err(|error| error.to_string())?;
    client.read_to_end().map_err(|error| error.to_string())
}

fn last_line(answer: &Result<String, String>) -> &str {
    answer.as_ref().unwrap().lines().last().unwrap()
}

#[test]
fn a_required_certificate_is_seen_by_the_application_and_without_one_there_is_no_connection() {
    let clients = Authority::new("clients");
    let (ann, eve) = (clients.client("Ann"), Authority::new("others").client("Eve"));
    let encrypted = asking(ClientAuth::Required, &clients);
    for only_tls12 in [false, true] {
        assert_eq!(last_line(&seen(&encrypted, Some(&ann), only_tls12)), "CN=Ann by CN=clients");
        let error = seen(&encrypted, None, only_tls12).unwrap_err();
        assert!(error.contains("CertificateRequired") || error.contains("HandshakeFailure"), "{error}");
        let error = seen(&encrypted, Some(&eve), only_tls12).unwrap_err();
        assert!(error.contains("UnknownCA") || error.contains("HandshakeFailure"), "{error}");
    }
    assert_eq!(encrypted.server.snapshot().requests, 2);
}

#[test]
fn an_optional_certificate_may_be_missing_but_not_wrong() {
    let clients = Authority::new("clients");
    let (ann, eve) = (clients.client("Ann"), Authority::new("clients").client("Eve"));
    let encrypted = asking(ClientAuth::Optional, &clients);
    assert_eq!(last_line(&seen(&encrypted, Some(&ann), false)), "CN=Ann by CN=clients");
    assert_eq!(last_line(&seen(&encrypted, None, false)), "nobody");
    seen(&encrypted, Some(&eve), false).unwrap_err();
}

#[test]
fn a_certificate_for_servers_is_none_of_a_client() {
    let clients = Authority::new("clients");
    let mut server = rcgen::CertificateParams::default();
    server.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let encrypted = asking(ClientAuth::Required, &clients);
    seen(&encrypted, Some(&clients.sign(&server)), false).unwrap_err();
}

#[test]
fn who_is_not_asked_shows_nothing() {
    let clients = Authority::new("clients");
    let ann = clients.client("Ann");
    let encrypted = asking(ClientAuth::Off, &clients);
    assert_eq!(last_line(&seen(&encrypted, Some(&ann), false)), "nobody");
}
