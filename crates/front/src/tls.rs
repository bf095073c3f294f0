//! TLS: what the server shows to its clients, what it asks of them, and how that follows the files on disk.
//!
//! A connection takes the configuration that is current when its handshake begins and keeps it to its end, so a reload
//! touches none.

mod certificate;
mod client;
mod error;
mod expiry;
mod files;
mod handshake;
mod local_ca;
mod reload;
mod resolver;
mod settings;
#[cfg(test)]
pub(crate) mod testing;

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use rustls::{ServerConfig, server::ResolvesServerCert};
use stack_config::{Endpoint, TlsMode};

use certificate::Certificate;
use files::{Files, Snapshot};
use resolver::ByName;
use settings::{Settings, Tickets};

pub use certificate::CertificateReport;
pub use error::{FileReason, TlsError};
pub(crate) use handshake::{HandshakeError, PLAIN_HTTP, accept};
use local_ca::LocalIdentity;
pub use local_ca::{LocalCa, LocalCaError};
pub(crate) use reload::follow;

/// Everything that listeners with TLS need. It belongs to the server, and ends with it.
#[derive(Debug)]
pub struct Tls {
    settings: Settings,
    files: Files,
    /// Makes the certificates where no file has them.
    local: Option<LocalIdentity>,
    pub(crate) handshake_timeout: Duration,
    current: RwLock<Current>,
}

/// What new connections get.
#[derive(Clone, Debug)]
struct Current {
    server: Arc<ServerConfig>,
    certificates: Arc<[Certificate]>,
    tickets: Tickets,
    /// What the files held.
    snapshot: Snapshot,
}

impl Tls {
    /// Reads certificates and keys, or makes them for where the server listens. `None` where the configuration has no TLS.
    ///
    /// The local authority is made if there is none, which is the one thing that this ever writes.
    /// `http2` offers HTTP/2 to clients.
    pub fn load(config: &stack_config::Tls, endpoints: &[Endpoint], http2: bool) -> Result<Option<Self>, TlsError> {
        let local = match config.mode {
            TlsMode::Off => return Ok(None),
            TlsMode::On => None,
            TlsMode::SelfSigned => Some(LocalIdentity::open(config, endpoints)?),
        };
        let settings = Settings::new(config, http2);
        let files = Files::new(config);
        let snapshot = files.look(None);
        let certificates = match &local {
            Some(local) => vec![local.issue(SystemTime::now())?],
            None => files.certificates(&snapshot)?,
        };
        let made = Made { certificates: certificates.into(), tickets: Tickets::new()?, snapshot };
        let current = made.into_current(&settings, &files, local.as_ref())?;
        let handshake_timeout = config.handshake_timeout;
        Ok(Some(Self { settings, files, local, handshake_timeout, current: RwLock::new(current) }))
    }

    /// The certificates, the default one first.
    pub fn certificates(&self) -> Vec<CertificateReport> {
        self.current().certificates.iter().map(Certificate::report).collect()
    }

    /// The local authority, where that signs the server's certificate.
    pub fn local_ca(&self) -> Option<&LocalCa> {
        self.local.as_ref().map(|local| &*local.ca)
    }

    fn current(&self) -> Current {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).server)
    }

    fn replace(&self, current: Current) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = current;
    }
}

/// What a [`Current`] is made of.
#[derive(Debug)]
struct Made {
    certificates: Arc<[Certificate]>,
    tickets: Tickets,
    snapshot: Snapshot,
}

impl Made {
    fn into_current(
        self,
        settings: &Settings,
        files: &Files,
        local: Option<&LocalIdentity>,
    ) -> Result<Current, TlsError> {
        let Self { certificates, tickets, snapshot } = self;
        let resolver: Arc<dyn ResolvesServerCert> = match local {
            Some(local) => local.resolver(&certificates),
            None => Arc::new(ByName::new(&certificates)),
        };
        let clients = settings.clients(files.client_roots(&snapshot)?)?;
        let server = Arc::new(settings.server_config(resolver, clients, &tickets)?);
        Ok(Current { server, certificates, tickets, snapshot })
    }
}
