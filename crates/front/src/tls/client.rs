//! What the application is told of a connection's encryption and of the client's certificate, in `mod_ssl`'s words.

use std::fmt::Write as _;

use pem::{EncodeConfig, LineEnding, Pem};
use rustls::{CipherSuite, ProtocolVersion, ServerConnection, pki_types::CertificateDer};
use stack_bridge::{ClientCertificate, TlsFacts};
use x509_parser::{
    objects::oid_registry,
    oid_registry::OidEntry,
    prelude::{FromDer, X509Certificate},
    x509::{AttributeTypeAndValue, X509Name},
};

/// The facts of a connection whose handshake is over.
pub(super) fn facts(connection: &ServerConnection) -> TlsFacts {
    let client = connection.peer_certificates().and_then(|chain| certificate(chain.first()?));
    TlsFacts {
        protocol: protocol(connection.protocol_version()).into(),
        cipher: connection.negotiated_cipher_suite().map_or("", |suite| cipher(suite.suite())).into(),
        server_name: connection.server_name().map(Into::into),
        client,
    }
}

fn protocol(version: Option<ProtocolVersion>) -> &'static str {
    match version {
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        _ => "",
    }
}

/// OpenSSL's names, which differ from the registered ones before TLS 1.3.
fn cipher(suite: CipherSuite) -> &'static str {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-ECDSA-CHACHA20-POLY1305",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-RSA-CHACHA20-POLY1305",
        other => other.as_str().unwrap_or(""),
    }
}

/// `None` for one that can not be read; the handshake has refused such a one before.
fn certificate(der: &CertificateDer<'_>) -> Option<ClientCertificate> {
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    Some(ClientCertificate {
        subject: distinguished_name(parsed.subject()),
        issuer: distinguished_name(parsed.issuer()),
        serial: serial(parsed.raw_serial()),
        pem: pem::encode_config(&Pem::new("CERTIFICATE", &**der), EncodeConfig::new().set_line_ending(LineEnding::LF)),
    })
}

/// In upper-case hexadecimal, as `openssl x509 -serial` has it.
fn serial(bytes: &[u8]) -> String {
    // A leading zero byte only says that the number is not negative.
    let bytes = if bytes.len() > 1 { bytes.strip_prefix(&[0]).unwrap_or(bytes) } else { bytes };
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02X}");
        text
    })
}

/// A name as RFC 4514 writes it, the last part first: `CN=Ann,O=Shop,C=DE`. In ASCII: other bytes are escaped.
fn distinguished_name(name: &X509Name<'_>) -> String {
    let parts: Vec<_> = name.iter_rdn().collect();
    let parts = parts.into_iter().rev().map(|part| {
        let attributes: Vec<_> = part.iter().map(attribute).collect();
        attributes.join("+")
    });
    parts.collect::<Vec<_>>().join(",")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let oid = attribute.attr_type();
    let short = match oid_registry().get(oid).map(OidEntry::sn) {
        // The registry's own words for what RFC 4514 and OpenSSL call otherwise.
        Some("commonName") => "CN".to_owned(),
        Some("countryName") => "C".to_owned(),
        Some("localityName") => "L".to_owned(),
        Some("stateOrProvinceName") => "ST".to_owned(),
        Some("organizationName") => "O".to_owned(),
        Some("organizationalUnit" | "organizationalUnitName") => "OU".to_owned(),
        Some("domainComponent") => "DC".to_owned(),
        Some("userId") => "UID".to_owned(),
        Some(name) => name.to_owned(),
        None => oid.to_id_string(),
    };
    let value = attribute.as_str().map_or_else(|_| attribute.as_slice(), str::as_bytes);
    format!("{short}={}", escaped(value))
}

/// RFC 4514 §2.4.
fn escaped(value: &[u8]) -> String {
    let mut text = String::with_capacity(value.len());
    for (index, &byte) in value.iter().enumerate() {
        let is_edge = index == 0 || index + 1 == value.len();
        match byte {
            b'"' | b'+' | b',' | b';' | b'<' | b'>' | b'\\' => text.extend(['\\', char::from(byte)]),
            b'#' if index == 0 => text.push_str("\\#"),
            b' ' if is_edge => text.push_str("\\ "),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => {
                let _ = write!(text, "\\{byte:02X}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests;
