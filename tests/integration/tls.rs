//! TLS, from the command line to the application.

mod commands;
mod local;
mod reload;

use std::sync::Arc;

use rustls::ClientConfig;

use crate::harness::{Authority, Connection, Server, Stack, serve};

const NAMED: [&str; 4] = ["--tls-cert", "site.pem", "--tls-key", "site.key"];

/// A server for `localhost` with the certificate that an authority signs for it; its files are `site.pem` and `site.key`.
fn encrypted(authority: &Authority, app: &str, arguments: &[&str]) -> Stack {
    let pair = authority.sign("site", &["localhost"]);
    let stack = serve(app, &NAMED).arguments(arguments);
    stack.file("site.pem", &pair.certificate).file("site.key", &pair.key)
}

fn connect(server: &Server, trust: &Arc<ClientConfig>) -> Connection {
    Connection::tls(server.address(), "localhost", trust).unwrap()
}

#[test]
fn the_application_sees_the_encryption_in_its_environ() {
    let authority = Authority::new("root");
    let server = encrypted(&authority, "environment", &[]).server();
    let environ = connect(&server, &authority.client(None)).get("/").expect(200).json();
    for (key, value) in [
        ("wsgi.url_scheme", "https"),
        ("HTTPS", "on"),
        ("SSL_PROTOCOL", "TLSv1.3"),
        ("SSL_CIPHER", "TLS_AES_256_GCM_SHA384"),
        ("SSL_TLS_SNI", "localhost"),
        ("SSL_CLIENT_VERIFY", "NONE"),
    ] {
        assert_eq!(environ[key], value, "{key}");
    }
    assert_eq!(environ["SERVER_PORT"], server.address().port().to_string());
    assert_eq!(environ.get("SSL_CLIENT_S_DN"), None);
    server.stop();
}

#[test]
fn the_application_sees_who_the_client_is() {
    let (authority, clients) = (Authority::new("root"), Authority::new("clients"));
    let arguments = ["--tls-client-ca", "clients.pem", "--tls-client-auth", "optional"];
    let server = encrypted(&authority, "environment", &arguments).file("clients.pem", &clients.pem).server();
    let ann = clients.sign("Ann", &[]);
    // A client can not pose as another one by a field.
    let mut connection = connect(&server, &authority.client(Some(&ann)));
    let forged = [("SSL-Client-S-DN", "CN=root"), ("SSL_CLIENT_S_DN", "CN=root")];
    let environ = connection.request("GET", "/", &forged, b"").expect(200).json();
    assert_eq!(environ["SSL_CLIENT_VERIFY"], "SUCCESS");
    assert_eq!(environ["SSL_CLIENT_S_DN"], "CN=Ann");
    assert_eq!(environ["SSL_CLIENT_I_DN"], "CN=clients");
    assert_eq!(environ["SSL_CLIENT_CERT"], ann.certificate.replace("\r\n", "\n"));
    let serial = environ["SSL_CLIENT_M_SERIAL"].as_str().unwrap();
    assert!(serial.len() > 8 && serial.bytes().all(|byte| byte.is_ascii_hexdigit()), "{serial}");
    let environ = connect(&server, &authority.client(None)).get("/").expect(200).json();
    assert_eq!(environ["SSL_CLIENT_VERIFY"], "NONE");
    assert_eq!(environ.get("SSL_CLIENT_S_DN"), None);
    server.stop();
}

#[test]
fn worker_processes_see_the_same() {
    let (authority, clients) = (Authority::new("root"), Authority::new("clients"));
    let arguments = ["--tls-client-ca", "clients.pem", "--isolation", "processes"];
    let server = encrypted(&authority, "environment", &arguments).file("clients.pem", &clients.pem).server();
    let ann = clients.sign("Ann", &[]);
    let mut connection = connect(&server, &authority.client(Some(&ann)));
    for _ in 0..2 {
        let environ = connection.get("/").expect(200).json();
        assert_eq!(environ["wsgi.url_scheme"], "https");
        assert_eq!(environ["SSL_CLIENT_S_DN"], "CN=Ann");
        assert_eq!(environ["SSL_CLIENT_CERT"], ann.certificate.replace("\r\n", "\n"));
        assert_eq!(environ["SSL_TLS_SNI"], "localhost");
    }
    server.stop();
}

#[test]
fn plain_http_has_nothing_of_it_in_the_environ() {
    let server = Server::start("environment", &[]);
    let environ = server.get("/").expect(200).json();
    let keys = environ.as_object().unwrap().keys();
    let of_tls: Vec<_> = keys.filter(|key| key.starts_with("SSL_") || *key == "HTTPS").collect();
    assert!(of_tls.is_empty(), "{of_tls:?}");
}

#[test]
fn a_plain_listener_sends_everybody_to_the_encrypted_one() {
    let authority = Authority::new("root");
    let arguments = ["--bind", "127.0.0.1:0", "--bind", "http://127.0.0.1:0", "--https-redirect", "--hsts", "1h"];
    let server = encrypted(&authority, "hello", &arguments).server();
    let [secure, plain] = server.addresses()[..] else { panic!("{:?}", server.listeners()) };
    let response = Connection::tcp(plain).request("POST", "/buy?now", &[], b"x").expect(308);
    assert_eq!(response.header("location"), Some(&*format!("https://localhost:{}/buy?now", secure.port())));
    assert_eq!(response.header("strict-transport-security"), None);
    let response = connect(&server, &authority.client(None)).get("/").expect(200);
    assert_eq!(response.header("strict-transport-security"), Some("max-age=3600"));
    server.stop();
}

#[test]
fn a_log_in_json_names_the_version() {
    let authority = Authority::new("root");
    let server = encrypted(&authority, "hello", &["--log-format", "json"]).server();
    connect(&server, &authority.client(None)).get("/logged").expect(200);
    let line = server.wait_for_line("/logged");
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["tls"], "TLSv1.3");
    server.stop();
}

#[test]
fn a_failed_handshake_is_no_noise_in_the_log() {
    let (authority, other) = (Authority::new("root"), Authority::new("other"));
    let server = encrypted(&authority, "hello", &[]).server();
    Connection::tls(server.address(), "localhost", &other.client(None)).err().expect("nobody it trusts");
    Connection::tcp(server.address()).get("/").expect(400);
    connect(&server, &authority.client(None)).get("/").expect(200);
    server.stop().never_says(&["STACK01", "handshake"]);
}
