//! What can be wrong with certificates and keys, in the words the user reads.

use std::{io, path::PathBuf};

use stack_config::SettingFile;

use super::LocalCaError;

/// Why there is no TLS. It names the file, who named that, and a way out.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is not what it should be.
    #[error("{file}: {reason}\n    hint: {}", reason.hint())]
    File {
        /// The file, and who named it.
        file: Box<SettingFile>,
        /// What is wrong with it.
        reason: FileReason,
    },
    /// The local authority can not be used.
    #[error(transparent)]
    LocalCa(#[from] LocalCaError),
    /// The library refuses.
    #[error("TLS can not be set up")]
    Setup(#[from] rustls::Error),
}

impl TlsError {
    /// Says on one line of the log that what is in use stays.
    pub(super) fn log(&self) {
        match self {
            Self::File { file, reason } => {
                let (file, hint) = (file.to_string(), reason.hint());
                tracing::error!(code = "STACK0331", file, error = %reason, hint, "changed certificates can not be used: the old ones stay");
            }
            Self::LocalCa(_) | Self::Setup(_) => {
                tracing::error!(code = "STACK0331", error = %self, "changed certificates can not be used: the old ones stay");
            }
        }
    }
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum FileReason {
    /// It can not be read.
    #[error("can not be read: {0}")]
    Unreadable(io::Error),
    /// There is nothing in it.
    #[error("the file is empty")]
    Empty,
    /// It is the binary form.
    #[error("not PEM, but DER, its binary form")]
    Der,
    /// It is something else.
    #[error("not PEM: there is no BEGIN line")]
    NotPem,
    /// A section of it is broken.
    #[error("a damaged PEM section: {0}")]
    Damaged(String),
    /// No certificate.
    #[error("there is no certificate in it")]
    NoCertificate,
    /// No key.
    #[error("there is no private key in it")]
    NoKey,
    /// The key has a password.
    #[error("the private key is encrypted")]
    EncryptedKey,
    /// The certificate can not be read.
    #[error("certificate {number} can not be understood: {message}")]
    Certificate {
        /// Counted from 1.
        number: usize,
        /// What the parser says.
        message: String,
    },
    /// The key can not be used.
    #[error("the private key can not be used: {0}")]
    Key(rustls::Error),
    /// The key is another one's.
    #[error("the key does not belong to the certificate in {}", .0.display())]
    Mismatch(PathBuf),
    /// The certificates have the wrong order.
    #[error("the key belongs to certificate {0} of the file, and not to the first one")]
    Order(usize),
    /// No root that a client's certificate could descend from.
    #[error("a certificate in it can not be a root: {0}")]
    Root(rustls::Error),
    /// The roots do not make a verifier.
    #[error("clients can not be checked with it: {0}")]
    Verifier(String),
}

impl FileReason {
    fn hint(&self) -> &'static str {
        match self {
            Self::Unreadable(error) => match error.kind() {
                io::ErrorKind::NotFound => {
                    "a relative path in the file begins at the file's directory, elsewhere at the current one"
                }
                io::ErrorKind::PermissionDenied => "let this user or its group read it",
                _ => "look at the disk",
            },
            Self::Empty | Self::NotPem => "name a file with -----BEGIN lines, as certificate authorities hand it out",
            Self::Der => "convert it: openssl x509 -inform der -in FILE -out FILE.pem, or openssl pkey for a key",
            Self::Damaged(_) | Self::Certificate { .. } => "copy it again from where it was made",
            Self::NoCertificate => "name the file with BEGIN CERTIFICATE in it, such as fullchain.pem",
            Self::NoKey => "name the file with BEGIN PRIVATE KEY in it by tls_key, such as privkey.pem",
            Self::EncryptedKey => {
                "take the password away: openssl pkey -in FILE -out FILE.plain, and keep that one readable to this user alone"
            }
            Self::Key(_) => "RSA of 2048 to 8192 bits, ECDSA P-256, P-384 and P-521 and Ed25519 can be used",
            Self::Mismatch(_) => {
                "write keys in the order of their certificates; after a renewal both have to be the new ones"
            }
            Self::Order(_) => "the server's own certificate has to be the first in the file, the others behind it",
            Self::Root(_) | Self::Verifier(_) => {
                "name a file with the certificates of the authority that signs clients' ones"
            }
        }
    }
}
