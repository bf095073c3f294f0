//! Certificates and connections for tests.

use std::{path::Path, sync::Arc};

use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer},
    sign::CertifiedKey,
};
use stack_config::{CertificateFiles, Origin, SettingFile, Tls, TlsMode};
use tokio::io::{DuplexStream, duplex};
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};

use super::certificate::{Certificate, Facts};
use crate::transport::{Counted, Plain, Socket, memory::Memory};

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Ecdsa,
    Ed25519,
}

impl Kind {
    fn key(self) -> KeyPair {
        KeyPair::generate_for(match self {
            Self::Ecdsa => &rcgen::PKCS_ECDSA_P256_SHA256,
            Self::Ed25519 => &rcgen::PKCS_ED25519,
        })
        .unwrap()
    }
}

/// A certificate that signs itself, and its key, in PEM format.
pub(super) fn pem(names: &[&str]) -> (String, String) {
    let key = Kind::Ecdsa.key();
    let names: Vec<_> = names.iter().map(ToString::to_string).collect();
    (CertificateParams::new(names).unwrap().self_signed(&key).unwrap().pem(), key.serialize_pem())
}

pub(super) fn certificate(names: &[&str], kind: Kind) -> Certificate {
    let key = kind.key();
    let names: Vec<_> = names.iter().map(ToString::to_string).collect();
    let der: CertificateDer<'static> = CertificateParams::new(names).unwrap().self_signed(&key).unwrap().into();
    let facts = Facts::read(&der).unwrap();
    let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let key = CertifiedKey::from_der(vec![der], private, &aws_lc_rs::default_provider()).unwrap();
    Certificate { key: Arc::new(key), facts, path: None }
}

pub(super) fn setting(key: &'static str, path: &Path) -> SettingFile {
    SettingFile { key, origin: Origin::Flag(format!("--{key}")), path: path.to_path_buf() }
}

/// TLS with pairs of files in a folder: `a.pem` and `a.key` for `a`.
pub(super) fn with_files(folder: &Path, names: &[&str]) -> Tls {
    let pair = |name: &&str| CertificateFiles {
        certificate: setting("tls_cert", &folder.join(format!("{name}.pem"))),
        key: Some(setting("tls_key", &folder.join(format!("{name}.key")))),
    };
    Tls { mode: TlsMode::On, certificates: names.iter().map(pair).collect(), ..Tls::default() }
}

/// Both ends of an encrypted connection that has room for so many bytes on their way.
pub(crate) async fn connected(room: usize) -> (Socket, TlsStream<DuplexStream>) {
    let key = Kind::Ecdsa.key();
    let certificate = CertificateParams::new(vec!["a.example".to_owned()]).unwrap().self_signed(&key).unwrap();
    let der = CertificateDer::from(certificate);
    let mut roots = RootCertStore::empty();
    roots.add(der.clone()).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let client = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let client = client.unwrap().with_root_certificates(roots).with_no_client_auth();
    let server = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let server = server.unwrap().with_no_client_auth().with_single_cert(vec![der], private).unwrap();
    let (near, far) = duplex(room);
    let accepting = TlsAcceptor::from(Arc::new(server)).accept(Counted::new(Plain::Memory(Memory::new(near))));
    let connecting = TlsConnector::from(Arc::new(client)).connect("a.example".try_into().unwrap(), far);
    let (server, client) = tokio::join!(accepting, connecting);
    (Socket::Tls(Box::new(server.unwrap())), client.unwrap())
}
