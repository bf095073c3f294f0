//! Encrypted connections.

mod clients;
mod connections;
mod proxied;
mod redirect;
mod reload;
mod sessions;

use std::sync::Arc;

use rustls::ClientConfig;
use stack_bridge::{Job, Scheme};
use stack_config::Config;

use crate::{
    client::Client,
    pki::{Authority, with_tls},
    server::{Server, respond},
};

/// A server for `localhost`, and what its clients trust.
struct Encrypted {
    server: Server,
    authority: Authority,
    trust: Arc<ClientConfig>,
    folder: tempfile::TempDir,
}

impl Encrypted {
    fn start(configure: impl FnOnce(&mut Config), application: impl Fn(Job) + Send + 'static) -> Self {
        let authority = Authority::new("root");
        let folder = tempfile::tempdir().unwrap();
        let pair = authority.server(&["localhost"]).write(folder.path(), "localhost");
        let configure = |config: &mut Config| {
            with_tls(config, vec![pair]);
            configure(config);
        };
        let server = Server::with(configure, application);
        let trust = authority.trusted_by().config();
        Self { server, authority, trust, folder }
    }

    fn client(&self) -> Client {
        Client::with_tls(self.server.address, "localhost", &self.trust).unwrap()
    }
}

/// Answers with what the application is told of the encryption.
fn tell(job: Job) {
    let request = &job.request;
    assert_eq!(request.tls.is_some(), request.scheme == Scheme::Https);
    let mut lines = vec![format!("scheme {}", request.scheme.as_str())];
    if let Some(facts) = &request.tls {
        lines.push(format!("{} {} {:?}", facts.protocol, facts.cipher, facts.server_name.as_deref()));
        let client = facts.client.as_ref().map(|client| format!("{} by {}", client.subject, client.issuer));
        lines.push(client.unwrap_or_else(|| "nobody".into()));
    }
    respond(job, lines.join("\n"));
}
