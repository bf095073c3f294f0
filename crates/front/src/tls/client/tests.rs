use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SerialNumber};

use super::*;

fn named(parts: &[(DnType, &str)], serial: &[u8]) -> ClientCertificate {
    let mut params = CertificateParams::default();
    params.serial_number = Some(SerialNumber::from_slice(serial));
    params.distinguished_name = DistinguishedName::new();
    for (kind, value) in parts {
        params.distinguished_name.push(kind.clone(), *value);
    }
    let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    let facts = certificate(made.der()).unwrap();
    assert_eq!(facts.pem, made.pem().replace("\r\n", "\n"));
    facts
}

#[test]
fn a_name_is_written_from_its_end_as_rfc_4514_has_it() {
    let facts = named(
        &[
            (DnType::CountryName, "DE"),
            (DnType::StateOrProvinceName, "Hessen"),
            (DnType::OrganizationName, "Shop, Inc."),
            (DnType::OrganizationalUnitName, "Sales"),
            (DnType::CommonName, "Ann"),
        ],
        &[1],
    );
    assert_eq!(facts.subject, "CN=Ann,OU=Sales,O=Shop\\, Inc.,ST=Hessen,C=DE");
    assert_eq!(facts.issuer, facts.subject);
}

#[test]
fn what_could_be_taken_for_another_part_is_escaped() {
    assert_eq!(escaped(b" a b "), "\\ a b\\ ");
    assert_eq!(escaped(b"#a#"), "\\#a#");
    assert_eq!(escaped(b"x,CN=root+y=\"<z>\";\\"), "x\\,CN=root\\+y=\\\"\\<z\\>\\\"\\;\\\\");
    assert_eq!(escaped("Zo\u{eb}\n".as_bytes()), "Zo\\C3\\AB\\0A");
    assert_eq!(escaped(b""), "");
}

#[test]
fn a_serial_number_is_hexadecimal() {
    assert_eq!(named(&[], &[0x0a, 0xff]).serial, "0AFF");
    assert_eq!(serial(&[0x00, 0xfe]), "FE");
    assert_eq!(serial(&[0]), "00");
}
