//! The local certificate authority: what `--tls self-signed` signs with, on the machine of one developer.
//!
//! It is made once and kept, so that a browser that was told to trust it keeps doing so. Whoever has its key can pose as
//! any site to that browser, so nobody but its owner may read it.

mod identity;

use std::{
    fs::{self, DirBuilder, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::{
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};

use super::certificate::Facts;

pub(super) use identity::LocalIdentity;

const CERTIFICATE: &str = "ca.pem";
const KEY: &str = "ca-key.pem";

/// How long the authority is good for. To be trusted again is a nuisance.
const LIFETIME: Duration = Duration::from_hours(10 * 365 * 24);

/// What it signs must not outlive it: one with less time left is replaced.
const LAST: Duration = Duration::from_hours(120 * 24);

/// Clocks differ, and a certificate of the future is refused.
const EARLIER: Duration = Duration::from_hours(1);

/// The local certificate authority.
#[derive(Debug)]
pub struct LocalCa {
    directory: PathBuf,
    pem: String,
    issuer: Issuer<'static, KeyPair>,
    /// Made just now: nobody trusts it yet.
    pub is_new: bool,
}

/// Why there is no local authority.
#[derive(Debug, thiserror::Error)]
pub enum LocalCaError {
    /// A file can not be had.
    #[error("the local certificate authority in {}: {what}", directory.display())]
    Io {
        /// Where it is kept.
        directory: PathBuf,
        /// What was done.
        what: &'static str,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// What is there is of no use.
    #[error(
        "the local certificate authority in {} can not be used: {message}\n    hint: remove the directory, and a new \
         one is made, which has to be trusted anew",
        directory.display()
    )]
    Broken {
        /// Where it is kept.
        directory: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// Nothing could be signed.
    #[error("a certificate can not be made")]
    Sign(#[from] rcgen::Error),
}

impl LocalCa {
    /// Reads the authority that is kept in `directory`, or makes it. Of several processes that do so at once one makes it.
    pub fn open(directory: &Path) -> Result<Self, LocalCaError> {
        match Self::read(directory)? {
            Some(known) if known.lasts(SystemTime::now())? => return Ok(known),
            Some(_) => set_aside(directory)?,
            None => {}
        }
        let is_new = Self::make(directory)?;
        let made = Self::read(directory)?;
        let made = made.ok_or_else(|| broken(directory, "it is gone again"))?;
        Ok(Self { is_new, ..made })
    }

    /// The file of its certificate, for browsers and others to trust.
    pub fn certificate_path(&self) -> PathBuf {
        self.directory.join(CERTIFICATE)
    }

    /// Its certificate.
    pub fn certificate_pem(&self) -> &str {
        &self.pem
    }

    fn read(directory: &Path) -> Result<Option<Self>, LocalCaError> {
        let read = |name| fs::read_to_string(directory.join(name));
        let (pem, key) = match (read(CERTIFICATE), read(KEY)) {
            (Ok(pem), Ok(key)) => (pem, key),
            (Err(one), Err(other)) if [&one, &other].iter().all(|error| error.kind() == io::ErrorKind::NotFound) => {
                return Ok(None);
            }
            (Err(error), _) => return Err(failed(directory, "its certificate can not be read", error)),
            (_, Err(error)) => return Err(failed(directory, "its key can not be read", error)),
        };
        let wrong = |error: &dyn std::error::Error| broken(directory, &error.to_string());
        let pair = KeyPair::from_pem(&key).map_err(|error| wrong(&error))?;
        let private = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| wrong(&error))?;
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| wrong(&error))?;
        CertifiedKey::from_der(vec![certificate.clone()], private, &aws_lc_rs::default_provider())
            .map_err(|error| wrong(&error))?;
        let issuer = Issuer::from_ca_cert_der(&certificate, pair).map_err(|error| wrong(&error))?;
        Ok(Some(Self { directory: directory.to_path_buf(), pem, issuer, is_new: false }))
    }

    fn lasts(&self, now: SystemTime) -> Result<bool, LocalCaError> {
        let certificate = CertificateDer::from_pem_slice(self.pem.as_bytes());
        let certificate = certificate.map_err(|error| broken(&self.directory, &error.to_string()))?;
        let facts = Facts::read(&certificate).map_err(|message| broken(&self.directory, &message))?;
        Ok(facts.not_after.duration_since(now).is_ok_and(|left| left > LAST))
    }

    /// Makes certificate and key, both or none. False if another process was faster.
    fn make(directory: &Path) -> Result<bool, LocalCaError> {
        let failed = |what, error| failed(directory, what, error);
        let parent = directory.parent().unwrap_or(directory);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(parent)
            .map_err(|error| failed("no directory for it can be made", error))?;
        let for_its_owner = Permissions::from_mode(0o700);
        let temporary = tempfile::Builder::new().prefix(".local-ca").permissions(for_its_owner).tempdir_in(parent);
        let temporary = temporary.map_err(|error| failed("it can not be written", error))?;
        let (certificate, key) = sign_itself()?;
        for (name, text) in [(CERTIFICATE, certificate), (KEY, key)] {
            write(&temporary.path().join(name), &text).map_err(|error| failed("it can not be written", error))?;
        }
        match fs::rename(temporary.path(), directory) {
            Ok(()) => {
                // Its name is gone, and with it what there would be to remove.
                let _ = temporary.keep();
                Ok(true)
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists) => {
                Ok(false)
            }
            Err(error) => Err(failed("it can not be written", error)),
        }
    }
}

/// Moves an authority without time left out of the way.
fn set_aside(directory: &Path) -> Result<(), LocalCaError> {
    let mut aside = directory.as_os_str().to_owned();
    aside.push(format!("-until-{}", httpdate::fmt_http_date(SystemTime::now()).replace([' ', ',', ':'], "-")));
    match fs::rename(directory, aside) {
        // Another process was faster.
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failed(directory, "the old one can not be moved out of the way", error))
        }
        _ => Ok(()),
    }
}

/// A certificate that signs itself, and its key.
fn sign_itself() -> Result<(String, String), rcgen::Error> {
    let now = SystemTime::now();
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.not_before = (now - EARLIER).into();
    params.not_after = (now + LIFETIME).into();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "stack");
    params.distinguished_name.push(DnType::CommonName, format!("stack local CA on {}", identity::host_name()));
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn failed(directory: &Path, what: &'static str, source: io::Error) -> LocalCaError {
    LocalCaError::Io { directory: directory.to_path_buf(), what, source }
}

fn broken(directory: &Path, message: &str) -> LocalCaError {
    LocalCaError::Broken { directory: directory.to_path_buf(), message: message.to_owned() }
}

#[cfg(test)]
mod tests;
