use std::{fs::Metadata, os::unix::fs::MetadataExt, sync::Barrier, thread};

use super::*;

fn place() -> (tempfile::TempDir, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("share/stack/local-ca");
    (home, directory)
}

#[test]
fn it_is_made_once_and_stays() {
    let (_home, directory) = place();
    let first = LocalCa::open(&directory).unwrap();
    assert!(first.is_new);
    let second = LocalCa::open(&directory).unwrap();
    assert!(!second.is_new);
    assert_eq!(first.certificate_pem(), second.certificate_pem());
    assert_eq!(fs::read_to_string(second.certificate_path()).unwrap(), second.certificate_pem());
}

#[test]
fn nobody_else_may_read_it() {
    let (_home, directory) = place();
    LocalCa::open(&directory).unwrap();
    let mode = |metadata: Metadata| metadata.mode() & 0o777;
    assert_eq!(mode(fs::metadata(&directory).unwrap()), 0o700);
    assert_eq!(mode(fs::metadata(directory.parent().unwrap()).unwrap()), 0o700);
    assert_eq!(mode(fs::metadata(directory.join(KEY)).unwrap()), 0o600);
    let left = fs::read_dir(directory.parent().unwrap()).unwrap().count();
    assert_eq!(left, 1, "what it was made in is gone");
}

#[test]
fn of_several_starts_at_once_all_have_the_same() {
    let (_home, directory) = place();
    let barrier = Barrier::new(8);
    let opened: Vec<_> = thread::scope(|scope| {
        let open = || {
            barrier.wait();
            LocalCa::open(&directory).unwrap()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(opened.iter().all(|ca| ca.certificate_pem() == opened[0].certificate_pem()));
    assert_eq!(opened.iter().filter(|ca| ca.is_new).count(), 1);
}

#[test]
fn what_can_not_be_used_is_said_with_a_way_out() {
    let (_home, directory) = place();
    LocalCa::open(&directory).unwrap();
    fs::remove_file(directory.join(KEY)).unwrap();
    let text = LocalCa::open(&directory).unwrap_err().to_string();
    assert!(text.contains("its key can not be read"), "{text}");
    fs::write(directory.join(KEY), KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let text = LocalCa::open(&directory).unwrap_err().to_string();
    assert!(text.contains(&directory.display().to_string()) && text.contains("hint: remove the directory"), "{text}");
}

#[test]
fn one_without_time_left_is_replaced_and_kept_aside() {
    let (_home, directory) = place();
    fs::create_dir_all(&directory).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.not_after = (SystemTime::now() + LAST / 2).into();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    fs::write(directory.join(CERTIFICATE), params.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(directory.join(KEY), key.serialize_pem()).unwrap();
    let made = LocalCa::open(&directory).unwrap();
    assert!(made.is_new);
    assert_eq!(fs::read_dir(directory.parent().unwrap()).unwrap().count(), 2);
    assert_eq!(LocalCa::open(&directory).unwrap().certificate_pem(), made.certificate_pem());
}
