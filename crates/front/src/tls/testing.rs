//! Certificates for the tests of this module.

use std::{path::Path, sync::Arc};

use rcgen::{CertificateParams, KeyPair};
use rustls::{
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer},
    sign::CertifiedKey,
};
use stack_config::{CertificateFiles, Origin, SettingFile, Tls, TlsMode};

use super::certificate::{Certificate, Facts};

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
