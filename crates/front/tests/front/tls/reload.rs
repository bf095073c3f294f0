//! Certificates that change while the server runs.

use std::{fs, os::unix::fs::symlink};

use rustls::pki_types::CertificateDer;

use super::Encrypted;
use crate::{
    client::Client,
    pki::{Authority, with_tls},
    server::{Server, echo, wait_until},
};

fn shown(server: &Server, authority: &Authority) -> CertificateDer<'static> {
    let client = Client::with_tls(server.address, "localhost", &authority.trusted_by().config()).unwrap();
    client.tls.as_ref().unwrap().peer_certificates().unwrap()[0].clone().into_owned()
}

#[test]
fn a_renewed_certificate_is_shown_to_new_connections_and_open_ones_live_on() {
    let encrypted = Encrypted::start(|_| {}, echo);
    let mut open = encrypted.client();
    assert_eq!(open.get("/").status, 200);
    let renewed = encrypted.authority.server(&["localhost"]);
    renewed.write(encrypted.folder.path(), "localhost");
    wait_until("the new certificate", || shown(&encrypted.server, &encrypted.authority) == renewed.certificate);
    assert_eq!(open.get("/").status, 200);
    assert_ne!(open.tls.as_ref().unwrap().peer_certificates().unwrap()[0], renewed.certificate);
}

#[test]
fn a_secret_of_kubernetes_that_is_replaced_is_noticed() {
    let authority = Authority::new("root");
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (old, new) = (authority.server(&["localhost"]), authority.server(&["localhost"]));
    for (version, pair) in [("..1", &old), ("..2", &new)] {
        fs::create_dir(path(version)).unwrap();
        pair.write(&path(version), "tls");
    }
    symlink("..1", path("..data")).unwrap();
    let mut files = old.write(&path("..1"), "tls");
    for (name, file) in [("tls.pem", &mut files.certificate), ("tls.key", files.key.as_mut().unwrap())] {
        symlink(format!("..data/{name}"), path(name)).unwrap();
        file.path = path(name);
    }
    let server = Server::with(|config| with_tls(config, vec![files]), echo);
    let mut open = Client::with_tls(server.address, "localhost", &authority.trusted_by().config()).unwrap();
    assert_eq!(open.get("/").status, 200);
    assert_eq!(shown(&server, &authority), old.certificate);
    symlink("..2", path("..new")).unwrap();
    fs::rename(path("..new"), path("..data")).unwrap();
    wait_until("the new certificate", || shown(&server, &authority) == new.certificate);
    assert_eq!(open.get("/").status, 200);
}
