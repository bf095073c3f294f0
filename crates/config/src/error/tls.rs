//! What can be wrong with the keys of TLS.

/// What is wrong with a key of TLS, mostly beside another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsReason {
    /// `tls = on`, and nothing to show.
    #[error("there is no certificate")]
    NoCertificate,
    /// Both a certificate and the wish for a made one.
    #[error("certificates are named by tls_cert as well")]
    TwoSources,
    /// Keys that belong to nothing.
    #[error("a key without a certificate")]
    KeyWithoutCertificate,
    /// Not one for each certificate.
    #[error("{keys} keys for {certificates} certificates")]
    KeyCount {
        /// How many keys there are.
        keys: usize,
        /// How many certificates there are.
        certificates: usize,
    },
    /// There is no home directory.
    #[error("no place for the local certificate authority: neither XDG_DATA_HOME nor HOME is set")]
    NoHome,
    /// A listener that is to speak TLS without any.
    #[error("TLS is off")]
    ListenerWithoutTls,
    /// TLS without a listener.
    #[error("TLS is on, and no listener speaks it")]
    NoListener,
    /// Nowhere to send anybody.
    #[error("no listener speaks TLS")]
    RedirectWithoutTls,
    /// Client certificates that nobody can check.
    #[error("there is no tls_client_ca to check them with")]
    NoClientCa,
    /// No form of HSTS.
    #[error("not a time, or not followed by includeSubDomains or preload")]
    NotHsts,
    /// Too short for the lists that browsers come with.
    #[error("preload takes a year at least")]
    ShortPreload,
}

impl TlsReason {
    pub(super) fn hint(self) -> &'static str {
        match self {
            Self::NoCertificate => "name one with tls_cert and tls_key, or write tls = \"self-signed\" for development",
            Self::TwoSources => "leave one of them out",
            Self::KeyWithoutCertificate => "name the certificate with tls_cert",
            Self::KeyCount { .. } => {
                "write them in the same order, one key for each certificate; or leave all keys out if each file of a \
                 certificate has its key in it"
            }
            Self::NoHome => "set XDG_DATA_HOME to a directory that stays",
            Self::ListenerWithoutTls => "name a certificate with tls_cert, or write http://",
            Self::NoListener => "leave out http:// before one of the addresses",
            Self::RedirectWithoutTls => "name a certificate with tls_cert, and a listener for it with bind",
            Self::NoClientCa => "name a file with the certificates that clients' ones descend from",
            Self::NotHsts => "write 365d, \"365d includeSubDomains\" or \"365d preload\"; 0 is off",
            Self::ShortPreload => "write 365d or more",
        }
    }
}
