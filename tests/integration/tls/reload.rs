//! Certificates that change while the server runs.

use std::fs;

use crate::harness::{Authority, Connection, Server, eventually};

use super::{connect, encrypted};

fn has_taken(server: &Server, authority: &Authority, pair: &crate::harness::Pair) -> Option<()> {
    let connection = Connection::tls(server.address(), "localhost", &authority.client(None)).ok()?;
    let shown = connection.encryption().peer_certificates()?.first()?.clone().into_owned();
    (shown == pair.der()).then_some(())
}

#[test]
fn a_renewed_certificate_is_used_and_a_broken_one_is_not() {
    let authority = Authority::new("root");
    let server = encrypted(&authority, "hello", &[]).server();
    let folder = server.process().directory();
    let mut open = connect(&server, &authority.client(None));
    open.get("/").expect(200);

    let renewed = authority.sign("renewed", &["localhost", "second.example"]);
    renewed.write(folder, "site");
    eventually("the renewed certificate", || has_taken(&server, &authority, &renewed));
    let line = server.wait_for_line("certificate reloaded");
    assert!(line.contains("second.example") && line.contains("expires=4096"), "{line}");
    open.get("/").expect(200);

    fs::write(folder.join("site.pem"), authority.sign("without its key", &["localhost"]).certificate).unwrap();
    let line = server.wait_for_line("STACK0331");
    assert!(line.contains("the key does not belong to the certificate"), "{line}");
    has_taken(&server, &authority, &renewed).expect("the old one stays");
    open.get("/").expect(200);

    let last = authority.sign("last", &["localhost"]);
    last.write(folder, "site");
    eventually("the last certificate", || has_taken(&server, &authority, &last));
    open.get("/").expect(200);
    let complaints = server.stop().stderr().matches("STACK0331").count();
    assert_eq!(complaints, 1, "said once");
}
