//! Certificates made for a test, and clients that trust them.

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

/// An authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

/// A certificate and its key, in PEM format.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("randomness");
        let pem = params.self_signed(&key).expect("a sound certificate").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate for these hosts, with a common name.
    pub(crate) fn sign(&self, name: &str, hosts: &[&str]) -> Pair {
        self.sign_with(name, hosts, |_| {})
    }

    /// The same of a year that ends in a time from now, or ended that long ago.
    pub(crate) fn sign_until(&self, hosts: &[&str], days: i64) -> Pair {
        const DAY: Duration = Duration::from_hours(24);
        let move_by = |days: i64| {
            let distance = DAY * u32::try_from(days.unsigned_abs()).expect("a few years");
            if days < 0 { SystemTime::now() - distance } else { SystemTime::now() + distance }
        };
        self.sign_with("site", hosts, |params| {
            params.not_before = move_by(days - 365).into();
            params.not_after = move_by(days).into();
        })
    }

    fn sign_with(&self, name: &str, hosts: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Pair {
        let hosts: Vec<_> = hosts.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(hosts).expect("hosts");
        params.distinguished_name.push(DnType::CommonName, name);
        change(&mut params);
        let key = KeyPair::generate().expect("randomness");
        let certificate = params.signed_by(&key, &self.issuer).expect("a sound certificate").pem();
        Pair { certificate, key: key.serialize_pem() }
    }

    /// A client that trusts this authority, and shows a certificate if it has one.
    pub(crate) fn client(&self, identity: Option<&Pair>) -> Arc<ClientConfig> {
        trusting(&self.pem, identity)
    }
}

/// A client that trusts the authority of this certificate.
pub(crate) fn trusting(pem: &str, identity: Option<&Pair>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM")).expect("a certificate");
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the versions of the provider")
        .with_root_certificates(roots);
    Arc::new(match identity {
        None => config.with_no_client_auth(),
        Some(pair) => {
            let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("PEM");
            config.with_client_auth_cert(vec![pair.der()], key).expect("a certificate and its key")
        }
    })
}

impl Pair {
    /// The certificate in binary form, as a handshake shows it.
    pub(crate) fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).expect("PEM")
    }

    /// Writes `NAME.pem` and `NAME.key` into a folder.
    pub(crate) fn write(&self, folder: &Path, name: &str) {
        fs::write(folder.join(format!("{name}.pem")), &self.certificate).expect("a writable folder");
        fs::write(folder.join(format!("{name}.key")), &self.key).expect("a writable folder");
    }
}
