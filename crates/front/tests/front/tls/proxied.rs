//! TLS on either side of a proxy.

use std::time::Duration;

use stack_bridge::{Job, Peer};
use stack_config::{Config, Endpoint, Hsts, HstsScope, Transport};

use super::Encrypted;
use crate::{
    client::Client,
    server::{loopback, network, respond},
};

fn describe(job: Job) {
    let Peer::Tcp(peer) = job.request.peer else { panic!("a TCP peer") };
    let text = format!("{peer} {} {}", job.request.scheme.as_str(), job.request.tls.is_some());
    respond(job, text);
}

fn trusting(config: &mut Config) {
    config.clients.trusted_proxies = vec![network("127.0.0.1", 32)];
}

#[test]
fn the_header_of_the_proxy_protocol_comes_before_the_handshake() {
    let configure = |config: &mut Config| {
        trusting(config);
        config.clients.proxy_protocol = true;
    };
    let encrypted = Encrypted::start(configure, describe);
    let mut client = encrypted.server.client();
    client.send("PROXY TCP4 192.0.2.1 198.51.100.2 4660 443\r\n");
    let mut client = client.start_tls("localhost", &encrypted.trust).unwrap();
    assert_eq!(client.get("/").text(), "192.0.2.1:4660 https true");
    // Inside the encryption it is no header, and without one there is no handshake.
    Client::with_tls(encrypted.server.address, "localhost", &encrypted.trust).err().expect("closed unheard");
    assert_eq!(encrypted.server.snapshot().foreign_connections, 1);
}

#[test]
fn a_client_that_its_proxy_calls_encrypted_is_not_redirected_and_told_to_stay() {
    let configure = |config: &mut Config| {
        trusting(config);
        config.bind.push(Endpoint { bind: loopback(), transport: Transport::Plain });
        config.tls.https_redirect = true;
        config.tls.hsts = Some(Hsts { max_age: Duration::from_mins(10), scope: HstsScope::Subdomains });
        config.clients.health.path = Some("/-/health".into());
    };
    let encrypted = Encrypted::start(configure, describe);
    let mut proxy = Client::connect(encrypted.server.addresses[1]);
    for (scheme, status, stays) in [("https", 200, true), ("http", 308, false)] {
        let fields = format!("host: a\r\nx-forwarded-for: 192.0.2.1\r\nx-forwarded-proto: {scheme}\r\n");
        let response = proxy.send(format!("GET / HTTP/1.1\r\n{fields}\r\n")).response();
        assert_eq!(
            (response.status, response.field("strict-transport-security").is_some()),
            (status, stays),
            "{scheme}"
        );
    }
    assert_eq!(proxy.get("/-/health/live").status, 200, "a probe has no use for a redirect");
}
