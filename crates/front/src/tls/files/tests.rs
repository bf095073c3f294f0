use std::{fs, path::Path};

use rcgen::{CertificateParams, KeyPair};

use super::*;
use crate::tls::testing::{pem, with_files};

fn load(folder: &Path, names: &[&str]) -> Result<Vec<Certificate>, TlsError> {
    let files = Files::new(&with_files(folder, names));
    files.certificates(&files.look(None))
}

fn write(folder: &Path, name: &str, (certificate, key): (&str, &str)) {
    fs::write(folder.join(format!("{name}.pem")), certificate).unwrap();
    fs::write(folder.join(format!("{name}.key")), key).unwrap();
}

#[test]
fn pairs_are_read_with_their_names_and_times() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        let (certificate, key) = pem(&[&format!("{name}.Example.org"), "192.0.2.1"]);
        write(folder.path(), name, (&certificate, &key));
    }
    let certificates = load(folder.path(), &["a", "b"]).unwrap();
    let names: Vec<_> = certificates.iter().map(Certificate::names).collect();
    assert_eq!(names, ["a.example.org, 192.0.2.1", "b.example.org, 192.0.2.1"]);
    assert_eq!(certificates[1].path.as_deref(), Some(&*folder.path().join("b.pem")));
    assert_eq!(certificates[0].expires(), "4096-01-01T00:00:00Z");
}

#[test]
fn certificate_and_key_may_be_in_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = pem(&["a.example"]);
    let mut tls = with_files(folder.path(), &["a"]);
    tls.certificates[0].key = None;
    let files = Files::new(&tls);
    for text in [format!("{certificate}{key}"), format!("a comment\n{key}\n{certificate}")] {
        fs::write(folder.path().join("a.pem"), text).unwrap();
        assert_eq!(files.certificates(&files.look(None)).unwrap()[0].names(), "a.example");
    }
}

#[test]
fn what_is_wrong_with_a_file_is_said_with_who_named_it_and_a_way_out() {
    let (certificate, key) = pem(&["a.example"]);
    let (other, other_key) = pem(&["b.example"]);
    let der = "0\u{1}\u{2}";
    let encrypted = key.replace("PRIVATE", "ENCRYPTED PRIVATE");
    let damaged = certificate.replace("MII", "M!I");
    let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let wrong_order = format!("{other}{certificate}");
    for (certificate, key, file, expected) in [
        ("", &*key, "pem", "the file is empty"),
        ("hello", &key, "pem", "not PEM: there is no BEGIN line"),
        (der, &key, "pem", "not PEM, but DER, its binary form\n    hint: convert it: openssl x509 -inform der"),
        (&key, &key, "pem", "there is no certificate in it"),
        (&damaged, &key, "pem", "a damaged PEM section"),
        (nonsense, &key, "pem", "certificate 1 can not be understood"),
        (&certificate, "", "key", "the file is empty"),
        (&certificate, &certificate, "key", "there is no private key in it"),
        (
            &certificate,
            &encrypted,
            "key",
            "the private key is encrypted\n    hint: take the password away: openssl pkey",
        ),
        (&certificate, &other_key, "key", "the key does not belong to the certificate in /"),
        (&wrong_order, &key, "key", "the key belongs to certificate 2 of the file, and not to the first one"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "a", (certificate, key));
        let text = load(folder.path(), &["a"]).unwrap_err().to_string();
        let setting = if file == "pem" { "tls_cert" } else { "tls_key" };
        let path = folder.path().join("a").with_extension(file);
        let begin = format!("flag --{setting}: {setting} = `{}`: {expected}", path.display());
        assert!(text.starts_with(&begin), "{text}\n{begin}");
        assert!(text.contains("\n    hint: "), "{text}");
    }
}

#[test]
fn a_file_that_is_gone_is_said_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let text = load(folder.path(), &["a"]).unwrap_err().to_string();
    assert!(text.contains("a.pem`: can not be read: No such file or directory"), "{text}");
}

#[test]
fn a_look_notices_another_content_whatever_the_times_say() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a", ("one", "key"));
    let files = Files::new(&with_files(folder.path(), &["a"]));
    let path = folder.path().join("a.pem");
    let first = files.look(None);
    assert_eq!(files.look(Some(&first)), first);
    // Of the same length, and with the same time.
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, "two").unwrap();
    File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
    let second = files.look(Some(&first));
    assert_ne!(second, first);
    // And back, by another file that takes its place.
    fs::write(folder.path().join("new"), "one").unwrap();
    fs::rename(folder.path().join("new"), &path).unwrap();
    assert_eq!(files.look(Some(&second)), first);
    fs::remove_file(&path).unwrap();
    assert_ne!(files.look(Some(&first)), first);
}

#[test]
fn an_unchanged_file_is_not_read_again() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a", ("one", "key"));
    let path = folder.path().join("a.pem");
    let long_ago = SystemTime::now() - SETTLED * 10;
    File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
    let files = Files::new(&with_files(folder.path(), &["a"]));
    let first = files.look(None);
    let second = files.look(Some(&first));
    let content = |snapshot: &Snapshot, index: usize| Arc::clone(&snapshot.states[index].content);
    assert!(Arc::ptr_eq(&content(&first, 0), &content(&second, 0)), "its last change is long ago");
    assert!(
        !Arc::ptr_eq(&content(&first, 1), &content(&second, 1)),
        "it may have changed twice in one tick of the clock"
    );
}

#[test]
fn keys_in_all_usual_forms_are_read() {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let certificate = CertificateParams::new(vec!["a.example".to_owned()]).unwrap().self_signed(&key).unwrap().pem();
    let folder = tempfile::tempdir().unwrap();
    // OpenSSL writes the curve in front of the key.
    let with_parameters =
        format!("-----BEGIN EC PARAMETERS-----\nBgUrgQQAIg==\n-----END EC PARAMETERS-----\n{}", key.serialize_pem());
    for key in [key.serialize_pem(), with_parameters, key.serialize_pem().replace('\n', "\r\n")] {
        write(folder.path(), "a", (&certificate, &key));
        load(folder.path(), &["a"]).unwrap();
    }
}
