//! Versions, ciphers, protocols and sessions: what a handshake agrees on.

use std::sync::Arc;

use rustls::{
    RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::{
        CryptoProvider,
        aws_lc_rs::{self, Ticketer, cipher_suite as suite},
    },
    pki_types::CertificateDer,
    server::{
        NoClientAuth, ProducesTickets, ResolvesServerCert, ServerSessionMemoryCache, StoresServerSessions,
        WebPkiClientVerifier, danger::ClientCertVerifier,
    },
    version::{TLS12, TLS13},
};
use stack_config::{ClientAuth, SettingFile, Tls, TlsVersion};

use super::{TlsError, error::FileReason};
use crate::transport::HTTP2;

/// What is spoken over TLS, the most wanted first (ALPN, RFC 7301).
const PROTOCOLS: [&[u8]; 2] = [HTTP2, b"http/1.1"];

/// Sessions of TLS 1.2 clients that know no tickets.
const CACHED_SESSIONS: usize = 2048;

/// As Mozilla's intermediate configuration has them, less what has no forward secrecy by ECDHE. All of them are strong,
/// so a client may choose what its processor is fast at.
const SUITES: [rustls::SupportedCipherSuite; 9] = [
    suite::TLS13_AES_128_GCM_SHA256,
    suite::TLS13_AES_256_GCM_SHA384,
    suite::TLS13_CHACHA20_POLY1305_SHA256,
    suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];

/// What does not change while the server runs.
#[derive(Debug)]
pub(super) struct Settings {
    provider: Arc<CryptoProvider>,
    versions: Vec<&'static SupportedProtocolVersion>,
    client_auth: ClientAuth,
    http2: bool,
}

/// What lets a client take an earlier session up again. It outlives a change of certificates, but not one of the
/// authorities for clients': a session carries the client's certificate, which is not checked again.
#[derive(Clone, Debug)]
pub(super) struct Tickets {
    /// Its keys change every six hours, and are forgotten after twelve.
    ticketer: Arc<dyn ProducesTickets>,
    cache: Arc<dyn StoresServerSessions>,
}

impl Tickets {
    pub(super) fn new() -> Result<Self, rustls::Error> {
        Ok(Self { ticketer: Ticketer::new()?, cache: ServerSessionMemoryCache::new(CACHED_SESSIONS) })
    }
}

impl Settings {
    pub(super) fn new(tls: &Tls, http2: bool) -> Self {
        let provider = CryptoProvider { cipher_suites: SUITES.to_vec(), ..aws_lc_rs::default_provider() };
        let versions = match tls.min_version {
            TlsVersion::Tls12 => vec![&TLS13, &TLS12],
            TlsVersion::Tls13 => vec![&TLS13],
        };
        Self { provider: Arc::new(provider), versions, client_auth: tls.client_auth, http2 }
    }

    pub(super) fn server_config(
        &self,
        resolver: Arc<dyn ResolvesServerCert>,
        clients: Arc<dyn ClientCertVerifier>,
        tickets: &Tickets,
    ) -> Result<ServerConfig, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&self.versions)?
            .with_client_cert_verifier(clients)
            .with_cert_resolver(resolver);
        let offered = &PROTOCOLS[usize::from(!self.http2)..];
        config.alpn_protocols = offered.iter().map(|protocol| protocol.to_vec()).collect();
        config.ticketer = Arc::clone(&tickets.ticketer);
        config.session_storage = Arc::clone(&tickets.cache);
        Ok(config)
    }

    /// Who checks clients' certificates, by those in `roots`.
    pub(super) fn clients(
        &self,
        roots: Option<(&SettingFile, Vec<CertificateDer<'static>>)>,
    ) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let (Some((file, certificates)), ClientAuth::Optional | ClientAuth::Required) = (roots, self.client_auth)
        else {
            return Ok(Arc::new(NoClientAuth));
        };
        let refused = |reason| TlsError::File { file: Box::new(file.clone()), reason };
        let mut store = RootCertStore::empty();
        for certificate in certificates {
            store.add(certificate).map_err(|error| refused(FileReason::Root(error)))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(store), Arc::clone(&self.provider));
        let verifier = match self.client_auth {
            ClientAuth::Optional => verifier.allow_unauthenticated(),
            ClientAuth::Off | ClientAuth::Required => verifier,
        };
        let built = verifier.build().map_err(|error| refused(FileReason::Verifier(error.to_string())))?;
        Ok(built)
    }
}
