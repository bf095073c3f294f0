//! What the server shows where the local authority signs: one certificate for this machine, and others as they are asked
//! for.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use rustls::{
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, DnsName, PrivateKeyDer},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use stack_config::{Bind, Endpoint, Tls};

use super::{EARLIER, LocalCa, LocalCaError, broken};
use crate::tls::{
    certificate::{Certificate, Facts},
    resolver::ByName,
};

/// Browsers take no more than 398 days; this is what public authorities give.
const LIFETIME: Duration = Duration::from_hours(90 * 24);

/// What is left when the next one is made.
const RENEWAL: Duration = Duration::from_hours(30 * 24);

/// Domains that are nobody's (RFC 6761). Browsers take no `*.localhost`, so each name gets a certificate of its own.
const RESERVED: [&str; 2] = [".localhost", ".test"];

/// Names with a certificate of their own that are kept.
const MOST_NAMES: usize = 256;

/// The local authority, and the key that all its certificates are for.
#[derive(Debug)]
pub(in crate::tls) struct LocalIdentity {
    pub(in crate::tls) ca: Arc<LocalCa>,
    key: Arc<KeyPair>,
    names: Vec<String>,
}

impl LocalIdentity {
    pub(in crate::tls) fn open(config: &Tls, endpoints: &[Endpoint]) -> Result<Self, LocalCaError> {
        let directory = config.local_ca.as_deref().expect("the configuration refuses self-signed without it");
        let ca = Arc::new(LocalCa::open(directory)?);
        Ok(Self { ca, key: Arc::new(KeyPair::generate()?), names: names(endpoints) })
    }

    /// A certificate for all names of this machine.
    pub(in crate::tls) fn issue(&self, now: SystemTime) -> Result<Certificate, LocalCaError> {
        let (key, facts) = sign(&self.ca, &self.key, &self.names, now)?;
        Ok(Certificate { key: Arc::new(key), facts, path: None })
    }

    /// Whether it is time for another one.
    pub(in crate::tls) fn is_due(certificates: &[Certificate], now: SystemTime) -> bool {
        let is_late = |certificate: &Certificate| {
            certificate.facts.not_after.duration_since(now).is_ok_and(|left| left > RENEWAL)
        };
        !certificates.iter().all(is_late)
    }

    pub(in crate::tls) fn resolver(&self, certificates: &[Certificate]) -> Arc<dyn ResolvesServerCert> {
        let (ca, key) = (Arc::clone(&self.ca), Arc::clone(&self.key));
        Arc::new(OnDemand { known: ByName::new(certificates), ca, key, made: Mutex::default() })
    }
}

/// Signs for names below reserved domains when they are asked for.
#[derive(Debug)]
struct OnDemand {
    known: ByName,
    ca: Arc<LocalCa>,
    key: Arc<KeyPair>,
    made: Mutex<HashMap<String, Arc<CertifiedKey>>>,
}

impl OnDemand {
    fn made_for(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        let name = name.to_ascii_lowercase();
        if !RESERVED.iter().any(|domain| name.ends_with(domain)) {
            return None;
        }
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = made.get(&name) {
            return Some(Arc::clone(known));
        }
        // What a client makes up must not fill the memory.
        if made.len() >= MOST_NAMES {
            made.clear();
        }
        let (key, _) = sign(&self.ca, &self.key, std::slice::from_ref(&name), SystemTime::now()).ok()?;
        Some(Arc::clone(made.entry(name).or_insert(Arc::new(key))))
    }
}

impl ResolvesServerCert for OnDemand {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        client_hello.server_name().and_then(|name| self.made_for(name)).or_else(|| self.known.resolve(client_hello))
    }
}

fn sign(ca: &LocalCa, key: &KeyPair, names: &[String], now: SystemTime) -> Result<(CertifiedKey, Facts), LocalCaError> {
    let mut params = CertificateParams::new(names.to_vec())?;
    params.not_before = (now - EARLIER).into();
    params.not_after = (now + LIFETIME).into();
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "stack");
    let certificate: CertificateDer<'static> = params.signed_by(key, &ca.issuer)?.into();
    let message = |error: &dyn std::fmt::Display| broken(&ca.directory, &error.to_string());
    let facts = Facts::read(&certificate).map_err(|error| message(&error))?;
    let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let key = CertifiedKey::from_der(vec![certificate], private, &aws_lc_rs::default_provider());
    Ok((key.map_err(|error| message(&error))?, facts))
}

/// Every name that this machine's listeners may be reached by, as far as this can be known.
fn names(endpoints: &[Endpoint]) -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    let host = host_name();
    // How others on the same network find it without a name server.
    let multicast = (!host.contains('.')).then(|| format!("{host}.local"));
    names.push(host);
    names.extend(multicast);
    for endpoint in endpoints {
        if let Bind::Tcp { written, addresses } = &endpoint.bind {
            let host = written.rsplit_once(':').map_or("", |(host, _)| host);
            names.push(host.trim_matches(['[', ']']).to_ascii_lowercase());
            names.extend(addresses.iter().map(|address| address.ip().to_string()));
        }
    }
    let mut seen = BTreeSet::new();
    names.retain(|name| is_reachable(name) && seen.insert(name.clone()));
    names
}

/// Whether a client can ask for it.
fn is_reachable(name: &str) -> bool {
    match name.parse::<IpAddr>() {
        Ok(address) => !address.is_unspecified(),
        Err(_) => DnsName::try_from(name).is_ok(),
    }
}

pub(super) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().to_ascii_lowercase()
}
