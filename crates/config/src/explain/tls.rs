//! The keys of TLS.

use toml::Value;

use super::text;
use crate::{ClientAuth, Hsts, HstsScope, SettingFile, Tls, TlsMode, TlsVersion, units};

const DAY: u64 = 24 * 60 * 60;

pub(super) fn values(tls: &Tls) -> [(&'static str, Option<Value>); 9] {
    // `local_ca` is not a key.
    let Tls {
        mode,
        certificates,
        local_ca: _,
        min_version,
        client_ca,
        client_auth,
        handshake_timeout,
        https_redirect,
        hsts,
    } = tls;
    let path = |file: &SettingFile| text(&file.path.display().to_string());
    let keys = certificates.iter().filter_map(|pair| pair.key.as_ref());
    [
        ("tls", Some(text(mode.as_str()))),
        ("tls_cert", Some(Value::Array(certificates.iter().map(|pair| path(&pair.certificate)).collect()))),
        ("tls_key", Some(Value::Array(keys.map(path).collect()))),
        ("tls_min_version", Some(text(min_version.as_str()))),
        ("tls_client_ca", client_ca.as_ref().map(path)),
        ("tls_client_auth", Some(text(client_auth.as_str()))),
        ("handshake_timeout", Some(text(&units::format_duration(*handshake_timeout)))),
        ("https_redirect", Some(Value::Boolean(*https_redirect))),
        ("hsts", Some(text(&hsts.map_or_else(|| "0".into(), hsts_text)))),
    ]
}

fn hsts_text(hsts: Hsts) -> String {
    let seconds = hsts.max_age.as_secs();
    let age = if seconds.is_multiple_of(DAY) { format!("{}d", seconds / DAY) } else { format!("{seconds}s") };
    let scope = match hsts.scope {
        HstsScope::Host => "",
        HstsScope::Subdomains => " includeSubDomains",
        HstsScope::Preload => " preload",
    };
    format!("{age}{scope}")
}

impl TlsMode {
    /// The word a user writes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
            Self::SelfSigned => "self-signed",
        }
    }
}

impl TlsVersion {
    /// The word a user writes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tls12 => "1.2",
            Self::Tls13 => "1.3",
        }
    }
}

impl ClientAuth {
    /// The word a user writes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Optional => "optional",
            Self::Required => "required",
        }
    }
}
