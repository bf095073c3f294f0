//! Certificates made for a test, and clients that trust them.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer},
    version::{TLS12, TLS13},
};
use stack_config::{CertificateFiles, Config, Endpoint, Origin, SettingFile, TlsMode, Transport};

use crate::server::loopback;

/// An authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) pem: String,
}

/// A certificate and its key.
pub(crate) struct Pair {
    pub(crate) certificate: CertificateDer<'static>,
    pem: String,
    key: KeyPair,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let made = params.self_signed(&key).unwrap();
        let pem = made.pem();
        Self { issuer: Issuer::new(params, key), certificate: made.into(), pem }
    }

    /// A certificate of a server.
    pub(crate) fn server(&self, names: &[&str]) -> Pair {
        self.sign(&CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap())
    }

    /// A certificate of a client.
    pub(crate) fn client(&self, name: &str) -> Pair {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(&params)
    }

    pub(crate) fn sign(&self, params: &CertificateParams) -> Pair {
        let key = KeyPair::generate().unwrap();
        let made = params.signed_by(&key, &self.issuer).unwrap();
        Pair { pem: made.pem(), certificate: made.into(), key }
    }

    /// A client that trusts this authority.
    pub(crate) fn trusted_by(&self) -> Trust<'_> {
        Trust { authority: self, identity: None, only_tls12: false }
    }
}

/// What a client knows.
pub(crate) struct Trust<'a> {
    authority: &'a Authority,
    identity: Option<&'a Pair>,
    only_tls12: bool,
}

impl<'a> Trust<'a> {
    pub(crate) fn showing(self, identity: &'a Pair) -> Self {
        Self { identity: Some(identity), ..self }
    }

    pub(crate) fn by_tls12(self) -> Self {
        Self { only_tls12: true, ..self }
    }

    /// Its sessions last as long as this is used.
    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.certificate.clone()).unwrap();
        let versions = if self.only_tls12 { vec![&TLS12] } else { vec![&TLS13, &TLS12] };
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match self.identity {
            None => config.with_no_client_auth(),
            Some(pair) => {
                let key = PrivateKeyDer::Pkcs8(pair.key.serialize_der().into());
                config.with_client_auth_cert(vec![pair.certificate.clone()], key).unwrap()
            }
        };
        config.resumption = Resumption::in_memory_sessions(8);
        Arc::new(config)
    }
}

impl Pair {
    /// Writes `NAME.pem` and `NAME.key`.
    pub(crate) fn write(&self, folder: &Path, name: &str) -> CertificateFiles {
        let certificate = folder.join(format!("{name}.pem"));
        let key = folder.join(format!("{name}.key"));
        fs::write(&certificate, &self.pem).unwrap();
        fs::write(&key, self.key.serialize_pem()).unwrap();
        CertificateFiles { certificate: setting("tls_cert", certificate), key: Some(setting("tls_key", key)) }
    }
}

pub(crate) fn setting(key: &'static str, path: PathBuf) -> SettingFile {
    SettingFile { key, origin: Origin::Flag(format!("--{key}")), path }
}

/// One listener with TLS, and these certificates.
pub(crate) fn with_tls(config: &mut Config, certificates: Vec<CertificateFiles>) {
    config.bind = vec![Endpoint { bind: loopback(), transport: Transport::Tls }];
    config.tls.mode = TlsMode::On;
    config.tls.certificates = certificates;
}
