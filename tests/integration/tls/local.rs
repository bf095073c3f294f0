//! `--tls self-signed`: the local authority.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use crate::harness::{Connection, Server, serve, trusting};

fn start(home: &Path) -> Server {
    serve("environment", &["--tls", "self-signed"]).env("XDG_DATA_HOME", home).server()
}

#[test]
fn who_trusts_the_local_authority_once_trusts_every_later_start() {
    let home = tempfile::tempdir().unwrap();
    let server = start(home.path());
    server.wait_for_line("made a local certificate authority");
    let folder = home.path().join("stack/local-ca");
    let pem = fs::read_to_string(folder.join("ca.pem")).unwrap();
    let trust = trusting(&pem, None);
    let mut leaves = Vec::new();
    for server in [server, start(home.path())] {
        // The second is below a reserved domain, and gets a certificate when it is asked for.
        for name in ["localhost", "shop.localhost", "127.0.0.1", "shop.test"] {
            let mut connection = Connection::tls(server.address(), name, &trust).unwrap();
            assert_eq!(connection.get("/").expect(200).json()["wsgi.url_scheme"], "https", "{name}");
            leaves.push(connection.encryption().peer_certificates().unwrap()[0].clone().into_owned());
        }
        Connection::tls(server.address(), "shop.example", &trust).err().expect("nobody's domain but that one's");
        server.stop();
    }
    assert_eq!(fs::read_to_string(folder.join("ca.pem")).unwrap(), pem);
    assert_ne!(leaves[0], leaves[4], "only the authority stays");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&folder.join("ca-key.pem"))), (0o700, 0o600));
}

#[test]
fn without_a_home_there_is_no_place_for_it() {
    let stack = serve("hello", &["--tls", "self-signed"]).env("XDG_DATA_HOME", "").env("HOME", "");
    stack.run().expect(64).says(&["flag --tls: tls = `self-signed`", "XDG_DATA_HOME"]);
}
