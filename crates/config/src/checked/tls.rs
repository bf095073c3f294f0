//! TLS: the server's certificates, those of clients, and what plain HTTP is for beside it.

use std::{fmt, path::PathBuf, time::Duration};

use crate::{Bind, Origin};

/// Where the server listens, and what is spoken there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The address.
    pub bind: Bind,
    /// What is spoken.
    pub transport: Transport,
}

impl Endpoint {
    /// A listener without TLS.
    pub fn plain(bind: Bind) -> Self {
        Self { bind, transport: Transport::Plain }
    }
}

/// What a listener speaks under HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Nothing.
    Plain,
    /// TLS.
    Tls,
    /// TLS if it turns out to be a TCP socket: an inherited one, of which the configuration knows only the number.
    TlsOnTcp,
}

/// Everything about TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Whether there is TLS, and where certificates are from.
    pub mode: TlsMode,
    /// The server's certificates, the default one first. With [`TlsMode::On`] at least one, else not looked at.
    pub certificates: Vec<CertificateFiles>,
    /// Where the local certificate authority is kept, absolute; `None` if the environment names no home for it, which is
    /// refused with [`TlsMode::SelfSigned`].
    pub local_ca: Option<PathBuf>,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
    /// The certificates that clients' ones have to descend from. There with any [`ClientAuth`] but `Off`.
    pub client_ca: Option<SettingFile>,
    /// Whether clients show certificates.
    pub client_auth: ClientAuth,
    /// From the first byte of a connection to the end of its handshake.
    pub handshake_timeout: Duration,
    /// Plain TCP listeners send everybody to the encrypted one.
    pub https_redirect: bool,
    /// What browsers are told to remember; `None` tells them nothing.
    pub hsts: Option<Hsts>,
}

impl Default for Tls {
    /// What is in force where nobody sets anything: no TLS.
    fn default() -> Self {
        Self {
            mode: TlsMode::Off,
            certificates: Vec::new(),
            local_ca: None,
            min_version: TlsVersion::Tls12,
            client_ca: None,
            client_auth: ClientAuth::Off,
            handshake_timeout: Duration::from_secs(10),
            https_redirect: false,
            hsts: None,
        }
    }
}

/// Whether there is TLS, and where certificates are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// Plain HTTP only.
    Off,
    /// With the certificates that are named.
    On,
    /// With certificates of a local authority, for development.
    SelfSigned,
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, with those between it and a root behind it.
    pub certificate: SettingFile,
    /// The key; `None` if it is in the same file.
    pub key: Option<SettingFile>,
}

/// A file, and who named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingFile {
    /// The key of the configuration.
    pub key: &'static str,
    /// Where its value is from.
    pub origin: Origin,
    /// The file, absolute. Symbolic links stay as they are: they may be changed to name another one.
    pub path: PathBuf,
}

impl fmt::Display for SettingFile {
    /// As a problem of the configuration begins: `stack.toml:12: tls_cert = /etc/site.pem`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, origin, path } = self;
        write!(f, "{origin}: {key} = `{}`", path.display())
    }
}

/// A version of TLS that is still of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// Whether clients show certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// They are not asked.
    Off,
    /// They may; a wrong one is refused.
    Optional,
    /// Without one there is no connection.
    Required,
}

/// The `Strict-Transport-Security` field (RFC 6797).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hsts {
    /// How long the host is to be reached by TLS alone, in whole seconds.
    pub max_age: Duration,
    /// Whose subdomains are meant.
    pub scope: HstsScope,
}

/// Whom HSTS is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HstsScope {
    /// The host that sends it.
    Host,
    /// And all its subdomains.
    Subdomains,
    /// And the lists that browsers come with. Those want the subdomains as well, and a year at least.
    Preload,
}

impl Hsts {
    /// The value of the field.
    pub fn field_value(self) -> String {
        let scope = match self.scope {
            HstsScope::Host => "",
            HstsScope::Subdomains => "; includeSubDomains",
            HstsScope::Preload => "; includeSubDomains; preload",
        };
        format!("max-age={}{scope}", self.max_age.as_secs())
    }
}
