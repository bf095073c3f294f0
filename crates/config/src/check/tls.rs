//! The keys of TLS, and which listener speaks it.

use std::{fs::File, path::PathBuf, time::Duration};

use super::{Check, Place, bind};
use crate::{
    Bind, CertificateFiles, ClientAuth, Endpoint, Hsts, HstsScope, SettingFile, Tls, TlsMode, TlsVersion, Transport,
    error::{Reason, TlsReason},
    raw::{Several, Written},
    units,
};

/// What the lists that browsers come with ask for (<https://hstspreload.org>).
const SHORTEST_PRELOAD: Duration = Duration::from_hours(365 * 24);

/// The keys as they were written.
pub(super) struct RawTls {
    pub(super) tls: Option<Written>,
    pub(super) tls_cert: Several,
    pub(super) tls_key: Several,
    pub(super) tls_min_version: Written,
    pub(super) tls_client_ca: Option<Written>,
    pub(super) tls_client_auth: Option<Written>,
    pub(super) handshake_timeout: Written,
    pub(super) https_redirect: Written,
    pub(super) hsts: Written,
}

impl Check<'_> {
    pub(super) fn tls(&mut self, raw: RawTls, environment: &[(String, String)]) -> Tls {
        let RawTls {
            tls,
            tls_cert,
            tls_key,
            tls_min_version,
            tls_client_ca,
            tls_client_auth,
            handshake_timeout,
            https_redirect,
            hsts,
        } = raw;
        let certificates = self.setting_files("tls_cert", tls_cert);
        let keys = self.setting_files("tls_key", tls_key);
        let certificates = self.pairs(certificates, keys);
        let variable = |name: &str| environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.into());
        let local_ca = local_ca(variable);
        let mode = self.tls_mode(tls.as_ref(), &certificates, local_ca.is_some());
        let client_ca =
            self.setting_files("tls_client_ca", tls_client_ca.map_or(Several::Nothing, Several::Single)).pop();
        Tls {
            mode,
            certificates,
            local_ca,
            min_version: self.word("tls_min_version", &tls_min_version, &[TlsVersion::Tls12, TlsVersion::Tls13]),
            client_auth: self.client_auth(tls_client_auth.as_ref(), client_ca.is_some()),
            client_ca,
            handshake_timeout: self.duration("handshake_timeout", &handshake_timeout),
            https_redirect: self.https_redirect(&https_redirect, mode),
            hsts: self.one("hsts", &hsts, |_, text| parse_hsts(text)).flatten(),
        }
    }

    /// What each listener speaks. With TLS that is TLS, where nothing else is written; a Unix socket is plain, since who
    /// connects there is on this machine.
    pub(super) fn transports(&mut self, parsed: Vec<bind::Parsed>, mode: TlsMode) -> Vec<Endpoint> {
        let mut endpoints = Vec::with_capacity(parsed.len());
        for (index, bind::Parsed { bind, scheme }) in parsed.into_iter().enumerate() {
            let transport = match (mode, scheme) {
                (TlsMode::Off, Some(bind::Scheme::Https)) => {
                    self.problem("bind", index, TlsReason::ListenerWithoutTls);
                    Transport::Plain
                }
                (TlsMode::Off, _) | (_, Some(bind::Scheme::Http)) => Transport::Plain,
                (_, Some(bind::Scheme::Https)) => Transport::Tls,
                (_, None) => match bind {
                    Bind::Tcp { .. } => Transport::Tls,
                    Bind::Unix(_) => Transport::Plain,
                    Bind::Fd(_) => Transport::TlsOnTcp,
                },
            };
            endpoints.push(Endpoint { bind, transport });
        }
        let is_plain = |endpoint: &Endpoint| endpoint.transport == Transport::Plain;
        if mode != TlsMode::Off && !endpoints.is_empty() && endpoints.iter().all(is_plain) {
            self.problem("bind", 0, TlsReason::NoListener);
        }
        endpoints
    }

    fn tls_mode(&mut self, written: Option<&Written>, certificates: &[CertificateFiles], has_home: bool) -> TlsMode {
        let Some(written) = written else {
            return if certificates.is_empty() { TlsMode::Off } else { TlsMode::On };
        };
        let mode = self.word("tls", written, &[TlsMode::Off, TlsMode::On, TlsMode::SelfSigned]);
        let problem = match mode {
            TlsMode::On if certificates.is_empty() => Some(TlsReason::NoCertificate),
            TlsMode::SelfSigned if !certificates.is_empty() => Some(TlsReason::TwoSources),
            TlsMode::SelfSigned if !has_home => Some(TlsReason::NoHome),
            _ => None,
        };
        // A certificate that was refused is missing for a reason that has been told.
        if let Some(problem) = problem.filter(|_| !self.has_problem("tls_cert")) {
            self.problem_with("tls", written, problem);
        }
        mode
    }

    fn setting_files(&mut self, name: &'static str, values: Several) -> Vec<SettingFile> {
        let values = values.into_vec();
        let files = values.iter().enumerate().filter_map(|(index, value)| {
            let path = self.nth((name, index), value, readable_file)?;
            Some(SettingFile { key: name, origin: self.origin(Self::key(name), index), path })
        });
        files.collect()
    }

    /// Certificates and keys, paired by their order.
    fn pairs(&mut self, certificates: Vec<SettingFile>, keys: Vec<SettingFile>) -> Vec<CertificateFiles> {
        let (count, key_count) = (certificates.len(), keys.len());
        let is_whole = !self.has_problem("tls_cert") && !self.has_problem("tls_key");
        if is_whole && count == 0 && key_count > 0 {
            self.problem("tls_key", 0, TlsReason::KeyWithoutCertificate);
        } else if is_whole && key_count > 0 && key_count != count {
            self.problem("tls_key", 0, TlsReason::KeyCount { keys: key_count, certificates: count });
        }
        let keys = keys.into_iter().map(Some).chain(std::iter::repeat(None));
        certificates.into_iter().zip(keys).map(|(certificate, key)| CertificateFiles { certificate, key }).collect()
    }

    fn client_auth(&mut self, written: Option<&Written>, has_ca: bool) -> ClientAuth {
        // Who names an authority means to ask: nobody is let in by a key that was forgotten.
        let Some(written) = written else { return if has_ca { ClientAuth::Required } else { ClientAuth::Off } };
        let auth =
            self.word("tls_client_auth", written, &[ClientAuth::Off, ClientAuth::Optional, ClientAuth::Required]);
        if auth != ClientAuth::Off && !has_ca && !self.has_problem("tls_client_ca") {
            self.problem_with("tls_client_auth", written, TlsReason::NoClientCa);
        }
        auth
    }

    fn https_redirect(&mut self, written: &Written, mode: TlsMode) -> bool {
        let redirect = self.switch("https_redirect", written);
        if redirect && mode == TlsMode::Off {
            self.problem_with("https_redirect", written, TlsReason::RedirectWithoutTls);
        }
        redirect
    }
}

fn readable_file(place: Place<'_>, text: &str) -> Result<PathBuf, Reason> {
    let path = place.absolute(text);
    let opened = File::open(&path).and_then(|file| file.metadata());
    match opened {
        Ok(metadata) if metadata.is_dir() => Err(Reason::IsDirectory(path)),
        Ok(_) => Ok(path),
        Err(error) => Err(Reason::Path { what: "can not read", path, error }),
    }
}

/// Where the local certificate authority is kept, in an environment that `variable` looks into: with the data of this user
/// that are to stay (XDG Base Directory Specification). A relative path there is to be ignored.
pub fn local_ca(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let absolute = |name: &str| variable(name).filter(|path| path.is_absolute());
    let data = absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")))?;
    Some(data.join("stack/local-ca"))
}

/// `365d`, `365d includeSubDomains`, `365d preload`; `0` is off. Semicolons may stand between, as in the field itself.
fn parse_hsts(text: &str) -> Result<Option<Hsts>, Reason> {
    let lowercase = text.to_ascii_lowercase();
    let words: Vec<_> = lowercase.split([' ', ';', ',']).filter(|word| !word.is_empty()).collect();
    let [age, flags @ ..] = words.as_slice() else { return Err(TlsReason::NotHsts.into()) };
    let max_age = units::long_duration(age.strip_prefix("max-age=").unwrap_or(age)).map_err(|_| TlsReason::NotHsts)?;
    if !flags.iter().all(|flag| matches!(*flag, "includesubdomains" | "preload")) {
        return Err(TlsReason::NotHsts.into());
    }
    let scope = match flags {
        [] => HstsScope::Host,
        _ if flags.contains(&"preload") => HstsScope::Preload,
        _ => HstsScope::Subdomains,
    };
    if scope == HstsScope::Preload && max_age < SHORTEST_PRELOAD {
        return Err(TlsReason::ShortPreload.into());
    }
    let max_age = Duration::from_secs(max_age.as_secs());
    Ok(Some(Hsts { max_age, scope }).filter(|hsts| !hsts.max_age.is_zero()))
}

#[cfg(test)]
mod tests;
