//! What is said of certificates at the start, and by a check.

use std::fs;

use crate::harness::{Authority, Stack, serve, stack, tests_argument};

fn check(arguments: &[&str]) -> Stack {
    stack(["check", "--chdir", &tests_argument("apps/wsgi"), "--app", "hello"]).arguments(arguments)
}

#[test]
fn a_check_reads_the_certificates_and_says_what_they_are_for() {
    let authority = Authority::new("root");
    let pair = authority.sign("site", &["shop.example", "www.shop.example"]);
    let arguments = ["--tls-cert", "site.pem", "--bind", "127.0.0.1:0", "--bind", "http://127.0.0.1:0"];
    let finished = check(&arguments).file("site.pem", &format!("{}{}", pair.certificate, pair.key)).run().expect(0);
    let said = finished.stdout();
    for part in ["127.0.0.1:0, with TLS\n", "127.0.0.1:0\n", "shop.example, www.shop.example; until 4096-01-01"] {
        assert!(said.contains(part), "no {part:?} in:\n{said}");
    }
}

#[test]
fn a_file_of_no_use_fails_the_check_and_the_start_and_names_who_named_it() {
    let authority = Authority::new("root");
    let (pair, other) = (authority.sign("site", &["a.example"]), authority.sign("other", &["a.example"]));
    let settings = "app = 'hello'\nbind = '127.0.0.1:0'\ntls_cert = 'site.pem'\ntls_key = 'other.key'\n";
    for command in ["check", "serve"] {
        let stack = stack([command, "--chdir", &tests_argument("apps/wsgi")]).file("stack.toml", settings);
        let stack = stack.file("site.pem", &pair.certificate).file("other.key", &other.key);
        stack.run().expect(1).says(&["stack.toml:4: tls_key = `", "other.key`: the key does not belong to", "hint: "]);
    }
    for (key, part) in [("", "the file is empty"), ("secret", "not PEM"), (&*pair.certificate, "no private key in it")]
    {
        let stack = serve("hello", &["--bind", "127.0.0.1:0", "--tls-cert", "site.pem", "--tls-key", "site.key"]);
        let stack = stack.file("site.pem", &pair.certificate).file("site.key", key);
        stack.run().expect(1).says(&["flag --tls-key: tls_key = `", part]);
    }
    check(&["--tls-cert", "nowhere.pem"]).run().expect(64).says(&["flag --tls-cert", "nowhere.pem", "hint: "]);
}

#[test]
fn a_certificate_near_its_end_or_behind_it_is_warned_of_and_serves() {
    let authority = Authority::new("root");
    for (days, code, concern) in
        [(10, "STACK0332", "about to expire"), (-1, "STACK0333", "expired"), (400, "STACK0333", "not valid yet")]
    {
        let pair = authority.sign_until(&["a.example"], days);
        let file = format!("{}{}", pair.certificate, pair.key);
        let said = check(&["--tls-cert", "site.pem"]).file("site.pem", &file).run().expect(0).stdout();
        assert!(said.contains(&format!("; {concern}!")), "{said}");
        let server = serve("hello", &["--tls-cert", "site.pem"]).file("site.pem", &file).server();
        let line = server.wait_for_line(code);
        assert!(line.contains("a.example") && line.contains(concern), "{line}");
        server.stop();
    }
    let pair = authority.sign_until(&["a.example"], 200);
    let server = serve("hello", &["--tls-cert", "site.pem"]);
    let server = server.file("site.pem", &format!("{}{}", pair.certificate, pair.key)).server();
    server.get("/").expect(400);
    server.stop().never_says(&["STACK033"]);
}

#[test]
fn a_check_leaves_no_local_authority_behind() {
    let home = tempfile::tempdir().unwrap();
    check(&["--tls", "self-signed"]).env("XDG_DATA_HOME", home.path()).run().expect(0);
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn ca_says_where_the_authority_is_and_prints_it() {
    let home = tempfile::tempdir().unwrap();
    let ca = |arguments: &[&str]| {
        let run = stack(["ca"]).arguments(arguments).env("XDG_DATA_HOME", home.path()).run();
        run.expect(0).stdout()
    };
    let file = home.path().join("stack/local-ca/ca.pem");
    let said = ca(&[]);
    assert!(said.contains(file.to_str().unwrap()) && said.contains("update-ca-certificates"), "{said}");
    assert_eq!(ca(&["--print"]), fs::read_to_string(file).unwrap());
}

#[test]
fn ca_needs_a_home() {
    let stack = stack(["ca"]).env("XDG_DATA_HOME", "").env("HOME", "");
    stack.run().expect(1).says(&["XDG_DATA_HOME"]);
}
