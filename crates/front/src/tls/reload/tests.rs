use std::{fs, os::unix::fs::symlink, path::Path};

use super::*;
use crate::tls::testing::{pem, setting, with_files};

fn write(folder: &Path, names: &[&str]) {
    let (certificate, key) = pem(names);
    fs::write(folder.join("a.pem"), certificate).unwrap();
    fs::write(folder.join("a.key"), key).unwrap();
}

fn load(folder: &Path) -> Tls {
    Tls::load(&with_files(folder, &["a"]), &[], true).unwrap().unwrap()
}

fn names(tls: &Tls) -> String {
    tls.certificates()[0].names.clone()
}

#[test]
fn what_has_changed_is_taken_when_it_was_the_same_twice() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &["old.example"]);
    let tls = load(folder.path());
    let seen = tls.look(tls.look(Seen::default()));
    assert_eq!(names(&tls), "old.example");
    write(folder.path(), &["new.example"]);
    let seen = tls.look(seen);
    assert_eq!(names(&tls), "old.example");
    let seen = tls.look(seen);
    assert_eq!(names(&tls), "new.example");
    let current = tls.server_config();
    tls.look(seen);
    assert!(Arc::ptr_eq(&current, &tls.server_config()), "nothing has changed since");
}

#[test]
fn a_file_that_is_being_written_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &["old.example"]);
    let tls = load(folder.path());
    let mut seen = tls.look(Seen::default());
    let (certificate, key) = pem(&["new.example"]);
    // A whole file at a time, or a part of one: never the same twice.
    for part in [0, 100, certificate.len()] {
        fs::write(folder.path().join("a.pem"), &certificate[..part]).unwrap();
        seen = tls.look(seen);
        assert!(seen.refused.is_none());
    }
    fs::write(folder.path().join("a.key"), key).unwrap();
    seen = tls.look(seen);
    assert_eq!(names(&tls), "old.example");
    tls.look(seen);
    assert_eq!(names(&tls), "new.example");
}

#[test]
fn a_broken_pair_is_refused_once_and_a_whole_one_is_taken_later() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &["old.example"]);
    let tls = load(folder.path());
    let (certificate, key) = pem(&["new.example"]);
    fs::write(folder.path().join("a.pem"), certificate).unwrap();
    let seen = tls.look(tls.look(Seen::default()));
    assert!(seen.refused.is_some(), "the key is another one's");
    let seen = tls.look(seen);
    assert!(seen.refused.is_some());
    assert_eq!(names(&tls), "old.example");
    fs::write(folder.path().join("a.key"), key).unwrap();
    tls.look(tls.look(seen));
    assert_eq!(names(&tls), "new.example");
}

#[test]
fn files_that_vanish_leave_the_old_ones_in_use() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &["old.example"]);
    let tls = load(folder.path());
    fs::remove_file(folder.path().join("a.key")).unwrap();
    let seen = tls.look(tls.look(Seen::default()));
    assert!(seen.refused.is_some());
    assert_eq!(names(&tls), "old.example");
    write(folder.path(), &["new.example"]);
    tls.look(tls.look(seen));
    assert_eq!(names(&tls), "new.example");
}

#[test]
fn links_that_come_to_name_other_files_are_followed() {
    // As Kubernetes mounts a secret: the files are links into `..data`, which is a link that is replaced.
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for (version, name) in [("..1", "old.example"), ("..2", "new.example")] {
        fs::create_dir(path(version)).unwrap();
        write(&path(version), &[name]);
    }
    symlink("..1", path("..data")).unwrap();
    for name in ["a.pem", "a.key"] {
        symlink(Path::new("..data").join(name), path(name)).unwrap();
    }
    let tls = load(folder.path());
    let seen = tls.look(Seen::default());
    symlink("..2", path("..tmp")).unwrap();
    fs::rename(path("..tmp"), path("..data")).unwrap();
    tls.look(tls.look(seen));
    assert_eq!(names(&tls), "new.example");
}

#[test]
fn sessions_outlive_a_certificate_but_not_the_authorities_of_clients() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &["old.example"]);
    let authorities = folder.path().join("ca.pem");
    fs::write(&authorities, pem(&["one"]).0).unwrap();
    let mut config = with_files(folder.path(), &["a"]);
    config.client_ca = Some(setting("tls_client_ca", &authorities));
    config.client_auth = stack_config::ClientAuth::Optional;
    let tls = Tls::load(&config, &[], true).unwrap().unwrap();
    let tickets = |tls: &Tls| Arc::clone(&tls.server_config().ticketer);
    let first = tickets(&tls);
    write(folder.path(), &["new.example"]);
    let seen = tls.look(tls.look(Seen::default()));
    assert_eq!(names(&tls), "new.example");
    assert!(Arc::ptr_eq(&first, &tickets(&tls)));
    fs::write(&authorities, pem(&["two"]).0).unwrap();
    tls.look(tls.look(seen));
    assert!(!Arc::ptr_eq(&first, &tickets(&tls)), "a session carries a certificate that is not checked again");
}

#[test]
fn a_certificate_that_was_made_here_is_renewed_in_time() {
    const DAY: Duration = Duration::from_hours(24);
    let home = tempfile::tempdir().unwrap();
    let config = stack_config::Tls {
        mode: stack_config::TlsMode::SelfSigned,
        local_ca: Some(home.path().join("stack/local-ca")),
        ..stack_config::Tls::default()
    };
    let tls = Tls::load(&config, &[], true).unwrap().unwrap();
    let first = tls.certificates()[0].expires.clone();
    let now = SystemTime::now();
    for days in [0, 30, 59] {
        tls.renew(now + DAY * days);
        assert_eq!(tls.certificates()[0].expires, first, "after {days} days");
    }
    tls.renew(now + DAY * 61);
    let second = tls.certificates()[0].expires.clone();
    assert!(second > first, "{second}");
    assert!(tls.certificates()[0].names.starts_with("localhost, 127.0.0.1, ::1, "));
    let lifetime = tls.current().certificates[0].facts.not_after.duration_since(now + DAY * 61).unwrap();
    assert!(lifetime < DAY * 398, "browsers take no longer ones");
}
