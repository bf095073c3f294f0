//! A certificate of the server with its key, and what it says about itself.

use std::{
    net::IpAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustls::{pki_types::CertificateDer, sign::CertifiedKey};
use x509_parser::{extensions::GeneralName, prelude::FromDer, prelude::X509Certificate, time::ASN1Time};

use super::expiry::Expiry;

/// A certificate with its key.
#[derive(Clone, Debug)]
pub(super) struct Certificate {
    pub(super) key: Arc<CertifiedKey>,
    pub(super) facts: Facts,
    /// The file; `None` for one that was made here.
    pub(super) path: Option<PathBuf>,
}

/// What a certificate says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// What it is for: DNS names in lower case, and addresses. They are the subject's alternative names, or the common name of
    /// a certificate without any.
    pub(super) names: Vec<String>,
    pub(super) not_before: SystemTime,
    pub(super) not_after: SystemTime,
}

/// A certificate that is in use, for the log.
#[derive(Clone, Debug)]
pub struct CertificateReport {
    /// What it is for, separated by commas.
    pub names: String,
    /// The end of its time, as RFC 3339 has it.
    pub expires: String,
    /// Its file; `None` for one that was made here.
    pub path: Option<PathBuf>,
    /// What is wrong with its time: `expired`, `not valid yet`, `about to expire`.
    pub concern: Option<&'static str>,
}

impl Certificate {
    pub(super) fn report(&self) -> CertificateReport {
        CertificateReport {
            names: self.names(),
            expires: self.expires(),
            path: self.path.clone(),
            concern: Expiry::of(&self.facts, SystemTime::now()).concern(),
        }
    }

    pub(super) fn names(&self) -> String {
        self.facts.names.join(", ")
    }

    pub(super) fn expires(&self) -> String {
        humantime::format_rfc3339_seconds(self.facts.not_after).to_string()
    }

    /// The file, for the log.
    pub(super) fn file(&self) -> String {
        self.path.as_ref().map_or_else(String::new, |path| path.display().to_string())
    }
}

impl Facts {
    /// Reads a certificate.
    pub(super) fn read(certificate: &CertificateDer<'_>) -> Result<Self, String> {
        let (_, parsed) = X509Certificate::from_der(certificate).map_err(|error| error.to_string())?;
        let validity = parsed.validity();
        Ok(Self {
            names: names(&parsed)?,
            not_before: system_time(validity.not_before),
            not_after: system_time(validity.not_after),
        })
    }
}

fn names(parsed: &X509Certificate<'_>) -> Result<Vec<String>, String> {
    let alternatives = parsed.subject_alternative_name().map_err(|error| error.to_string())?;
    let dns = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        // No client asks for one by name. It is there for the log.
        GeneralName::IPAddress(bytes) => address(bytes),
        _ => None,
    };
    let common = || {
        let names = parsed.subject().iter_common_name().filter_map(|name| name.as_str().ok());
        names.map(str::to_ascii_lowercase).collect()
    };
    Ok(alternatives.map_or_else(common, |extension| extension.value.general_names.iter().filter_map(dns).collect()))
}

fn address(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    let v6 = <[u8; 16]>::try_from(bytes).map(IpAddr::from);
    v4.or(v6).ok().map(|address| address.to_string())
}

fn system_time(time: ASN1Time) -> SystemTime {
    let seconds = Duration::from_secs(time.timestamp().unsigned_abs());
    let moved = if time.timestamp() < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(seconds)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(seconds)
    };
    moved.unwrap_or(SystemTime::UNIX_EPOCH)
}
