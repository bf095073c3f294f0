use super::*;
use crate::testing::{Setup, problem};

fn with_files() -> Setup {
    let setup = Setup::new();
    ["a.pem", "a.key", "b.pem", "b.key", "ca.pem"].into_iter().fold(setup, |setup, name| setup.with_file(name, "x"))
}

fn transports(setup: &Setup) -> Vec<Transport> {
    setup.config().bind.iter().map(|endpoint| endpoint.transport).collect()
}

#[test]
fn without_a_certificate_there_is_no_tls() {
    let setup = Setup::new().flag_values("bind", &["127.0.0.1:0", "http://127.0.0.1:0", "unix:a.sock", "fd://3"]);
    assert_eq!(setup.config().tls.mode, TlsMode::Off);
    assert_eq!(transports(&setup), [Transport::Plain; 4]);
}

#[test]
fn a_certificate_turns_tls_on_for_every_listener_but_plain_ones() {
    use Transport::{Plain, Tls, TlsOnTcp};
    let binds = ["127.0.0.1:0", "http://127.0.0.1:0", "unix:a.sock", "fd://3", "https://unix:b.sock", "http://fd://4"];
    let setup = with_files().flag("tls_cert", "a.pem").flag("tls_key", "a.key").flag_values("bind", &binds);
    assert_eq!(transports(&setup), [Tls, Plain, Plain, TlsOnTcp, Tls, Plain]);
    let setup = with_files().flag("tls_cert", "a.pem").flag("tls", "off");
    assert_eq!(transports(&setup), [Plain]);
}

#[test]
fn a_scheme_has_its_port() {
    let setup = with_files().flag("tls_cert", "a.pem").flag_values("bind", &["https://127.0.0.1", "http://[::1]"]);
    let binds: Vec<_> = setup.config().bind.into_iter().map(|endpoint| endpoint.bind.to_string()).collect();
    assert_eq!(binds, ["127.0.0.1:443", "[::1]:80"]);
}

#[test]
fn certificates_and_keys_are_paired_by_their_order() {
    let setup = with_files().flag_values("tls_cert", &["a.pem", "b.pem"]).flag_values("tls_key", &["a.key", "b.key"]);
    let directory = setup.directory().to_path_buf();
    let pairs: Vec<_> = setup.config().tls.certificates;
    let names = |index: usize| {
        let CertificateFiles { certificate, key } = &pairs[index];
        (certificate.path.clone(), key.as_ref().unwrap().path.clone())
    };
    assert_eq!(names(0), (directory.join("a.pem"), directory.join("a.key")));
    assert_eq!(names(1), (directory.join("b.pem"), directory.join("b.key")));
    let setup = with_files().flag_values("tls_cert", &["a.pem", "b.pem"]);
    assert!(setup.config().tls.certificates.iter().all(|pair| pair.key.is_none()));
}

#[test]
fn a_file_knows_who_named_it() {
    let setup = with_files().file("tls_cert = [\n  'a.pem',\n  'b.pem',\n]\n");
    let path = setup.directory().join("b.pem");
    let certificate = &setup.config().tls.certificates[1].certificate;
    assert_eq!(certificate.to_string(), format!("stack.toml:3: tls_cert = `{}`", path.display()));
}

#[test]
fn what_does_not_go_together_is_refused_with_a_way_out() {
    let certificate = || with_files().flag("tls_cert", "a.pem");
    for (setup, expected) in [
        (Setup::new().flag("tls", "on"), "flag --tls: tls = `on`: there is no certificate\n    hint: name one"),
        (certificate().flag("tls", "self-signed"), "flag --tls: tls = `self-signed`: certificates are named"),
        (Setup::new().flag("tls", "self-signed"), "flag --tls: tls = `self-signed`: no place for"),
        (Setup::new().flag("tls", "yes"), "flag --tls: tls = `yes`: not one of off, on, self-signed"),
        (with_files().flag("tls_key", "a.key"), "flag --tls-key: `tls_key`: a key without a certificate"),
        (certificate().flag_values("tls_key", &["a.key", "b.key"]), "flag --tls-key: `tls_key`: 2 keys for 1 cert"),
        (Setup::new().flag("tls_cert", "nowhere.pem"), "flag --tls-cert: tls_cert = `nowhere.pem`: can not read /"),
        (Setup::new().flag("bind", "https://:0"), "flag --bind: `bind`: TLS is off"),
        (certificate().flag("bind", "http://:0"), "flag --bind: `bind`: TLS is on, and no listener speaks it"),
        (Setup::new().flag("https_redirect", "true"), "flag --https-redirect: https_redirect = `true`: no listener"),
        (
            Setup::new().flag("tls_client_auth", "optional"),
            "flag --tls-client-auth: tls_client_auth = `optional`: there",
        ),
        (Setup::new().flag("tls_min_version", "1.1"), "flag --tls-min-version: tls_min_version = `1.1`: not one of"),
        (Setup::new().flag("handshake_timeout", "0"), "flag --handshake-timeout: handshake_timeout = `0`: must be"),
    ] {
        let text = problem(&setup);
        assert!(text.starts_with(expected), "{text}");
        assert!(text.contains("hint: ") || text.contains("not one of"), "{text}");
    }
}

#[test]
fn who_names_an_authority_for_clients_means_to_ask_them() {
    let auth = |setup: Setup| setup.config().tls.client_auth;
    assert_eq!(auth(Setup::new()), ClientAuth::Off);
    assert_eq!(auth(with_files().flag("tls_client_ca", "ca.pem")), ClientAuth::Required);
    let optional = with_files().flag("tls_client_ca", "ca.pem").flag("tls_client_auth", "optional");
    assert_eq!(auth(optional), ClientAuth::Optional);
}

#[test]
fn a_version_is_a_number_in_the_file() {
    assert_eq!(Setup::new().config().tls.min_version, TlsVersion::Tls12);
    assert_eq!(Setup::new().file("tls_min_version = 1.3\n").config().tls.min_version, TlsVersion::Tls13);
}

#[test]
fn hsts_has_a_time_and_a_scope() {
    let field = |written: &str| Setup::new().flag("hsts", written).config().tls.hsts.map(Hsts::field_value);
    assert_eq!(field("0"), None);
    assert_eq!(field("1h").as_deref(), Some("max-age=3600"));
    assert_eq!(field("31536000").as_deref(), Some("max-age=31536000"));
    assert_eq!(field("180d includeSubDomains").as_deref(), Some("max-age=15552000; includeSubDomains"));
    assert_eq!(field("730d preload").as_deref(), Some("max-age=63072000; includeSubDomains; preload"));
    let as_field = "max-age=31536000; includeSubDomains; preload";
    assert_eq!(field(as_field).as_deref(), Some(as_field));
    for (written, reason) in [
        ("always", "not a time"),
        ("365d forever", "not a time"),
        ("preload", "not a time"),
        ("30d preload", "preload takes a year at least"),
    ] {
        let text = problem(&Setup::new().flag("hsts", written));
        assert!(text.starts_with(&format!("flag --hsts: hsts = `{written}`: {reason}")), "{text}");
    }
}

#[test]
fn the_local_authority_is_kept_with_the_users_data() {
    let place = |variables: &[(&str, &str)]| {
        let setup = variables.iter().fold(Setup::new(), |setup, (name, value)| setup.variable(name, value));
        setup.config().tls.local_ca
    };
    assert_eq!(place(&[]), None);
    assert_eq!(place(&[("HOME", "/home/a")]), Some("/home/a/.local/share/stack/local-ca".into()));
    assert_eq!(place(&[("HOME", "/home/a"), ("XDG_DATA_HOME", "/data")]), Some("/data/stack/local-ca".into()));
    assert_eq!(
        place(&[("HOME", "/home/a"), ("XDG_DATA_HOME", "data")]),
        Some("/home/a/.local/share/stack/local-ca".into())
    );
}

#[test]
fn what_is_shown_reads_back_as_the_same_tls() {
    let setup = with_files()
        .flag_values("tls_cert", &["a.pem", "b.pem"])
        .flag_values("tls_key", &["a.key", "b.key"])
        .flag("tls_client_ca", "ca.pem")
        .flag("hsts", "365d preload")
        .flag("https_redirect", "true")
        .flag_values("bind", &["https://127.0.0.1", "http://127.0.0.1:0", "fd://3", "https://unix:a.sock"]);
    let shown = |setup: &Setup| -> String {
        let values = setup.load().unwrap().explain().into_iter();
        values.filter_map(|key| Some(format!("{} = {}\n", key.key.name, key.value?))).collect()
    };
    let text = shown(&setup);
    let again = Setup::new().file(&text);
    assert_eq!(shown(&again), text);
    assert_eq!(again.config().bind, setup.config().bind);
}
