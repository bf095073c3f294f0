//! Which certificate a client gets, by the name it asks for (SNI, RFC 6066 §3).

use std::{collections::HashMap, sync::Arc};

use rustls::{
    SignatureScheme,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::certificate::Certificate;

/// The certificates by their names. A name may have several: of those, and of all for a name that is none of ours, the
/// first counts whose key the client can check.
#[derive(Debug)]
pub(super) struct ByName {
    exact: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// By what follows the asterisk's dot.
    wildcard: HashMap<String, Vec<Arc<CertifiedKey>>>,
    all: Vec<Arc<CertifiedKey>>,
}

impl ByName {
    pub(super) fn new(certificates: &[Certificate]) -> Self {
        let mut by_name = Self { exact: HashMap::new(), wildcard: HashMap::new(), all: Vec::new() };
        for Certificate { key, facts, path: _ } in certificates {
            for name in &facts.names {
                let same = match name.strip_prefix("*.") {
                    Some(parent) => by_name.wildcard.entry(parent.to_owned()),
                    None => by_name.exact.entry(name.clone()),
                };
                same.or_default().push(Arc::clone(key));
            }
            by_name.all.push(Arc::clone(key));
        }
        by_name
    }

    fn find(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        // A name of the DNS may end with the root's dot.
        let name = name.map(|name| name.trim_end_matches('.').to_ascii_lowercase());
        let exact = name.as_deref().and_then(|name| self.exact.get(name));
        // An asterisk stands for one label (RFC 9525 §6.3).
        let parent = name.as_deref().and_then(|name| Some(name.split_once('.')?.1));
        let wildcard = parent.and_then(|parent| self.wildcard.get(parent));
        let candidates = [exact, wildcard, Some(&self.all)].into_iter().flatten().flatten();
        candidates.into_iter().find(|key| key.key.choose_scheme(schemes).is_some()).cloned()
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.find(client_hello.server_name(), client_hello.signature_schemes())
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::CertificateDer;

    use super::*;
    use crate::tls::testing::{Kind, certificate};

    const EVERY: &[SignatureScheme] = &[SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::ED25519];

    fn chosen(certificates: &[Certificate], name: Option<&str>, schemes: &[SignatureScheme]) -> Option<usize> {
        let found = ByName::new(certificates).find(name, schemes)?;
        let leaf = |key: &CertifiedKey| -> CertificateDer<'static> { key.cert[0].clone() };
        certificates.iter().position(|certificate| leaf(&certificate.key) == leaf(&found))
    }

    #[test]
    fn the_name_decides_exact_before_wildcard_and_the_first_is_for_all_others() {
        let certificates = [
            certificate(&["default.example"], Kind::Ecdsa),
            certificate(&["*.example.org"], Kind::Ecdsa),
            certificate(&["www.example.org", "Example.ORG"], Kind::Ecdsa),
        ];
        for (name, expected) in [
            (Some("default.example"), 0),
            (Some("a.example.org"), 1),
            (Some("www.example.org"), 2),
            (Some("WWW.Example.Org"), 2),
            (Some("www.example.org."), 2),
            (Some("example.org"), 2),
            // One label only, and never none.
            (Some("a.b.example.org"), 0),
            (Some("other.example"), 0),
            (Some("org"), 0),
            (None, 0),
        ] {
            assert_eq!(chosen(&certificates, name, EVERY), Some(expected), "{name:?}");
        }
    }

    #[test]
    fn of_two_certificates_for_a_name_the_client_gets_one_it_can_check() {
        let certificates = [certificate(&["a.example"], Kind::Ed25519), certificate(&["a.example"], Kind::Ecdsa)];
        assert_eq!(chosen(&certificates, Some("a.example"), EVERY), Some(0));
        let old = &[SignatureScheme::ECDSA_NISTP256_SHA256];
        assert_eq!(chosen(&certificates, Some("a.example"), old), Some(1));
        assert_eq!(chosen(&certificates, None, old), Some(1));
        assert_eq!(chosen(&certificates, None, &[SignatureScheme::RSA_PSS_SHA256]), None);
    }
}
