//! The commands beside `serve`.

use crate::{
    harness::{serve, stack, tests_argument},
    isolation::auto_tries_the_application,
};

fn check(app: &str, chdir: &str) -> crate::harness::Finished {
    stack(["check", "--chdir", &tests_argument(chdir), "--app", app]).run()
}

#[test]
fn check_says_what_it_would_serve_and_listens_nowhere() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let public = tests_argument("apps/demo/public");
    let statics = format!("/files={public}");
    let finished = stack(["check", "--chdir", &tests_argument("apps/wsgi"), "--app", "hello"])
        .arguments(["--bind", &address, "--static", &statics])
        .run()
        .expect(0);
    let said = finished.stdout() + &finished.stderr();
    for part in ["hello", "application", &address, "/files"] {
        assert!(said.contains(part), "no {part:?} in:\n{said}");
    }
}

#[test]
fn check_imports_an_application_once() {
    let imports = tempfile::NamedTempFile::new().unwrap();
    let application = "import os\n\nwith open(os.environ['IMPORTS'], 'a') as imports:\n    imports.write('once ')\n\n\n\
                       def app(environ, start_response):\n    return []\n";
    let interpreters = auto_tries_the_application().then_some("interpreters");
    for isolation in ["auto", "processes", "threads"].into_iter().chain(interpreters) {
        std::fs::write(imports.path(), "").unwrap();
        let check = stack(["check", "--app", "counted:app", "--isolation", isolation]);
        check.file("counted.py", application).env("IMPORTS", imports.path()).run().expect(0);
        assert_eq!(std::fs::read_to_string(imports.path()).unwrap(), "once ", "{isolation}");
    }
}

#[test]
fn check_fails_where_serve_would() {
    check("shopp", "apps/broken").expect(1).says(&["shopp"]);
    check("import_error", "apps/broken").expect(1).says(&["KeyError: 'database'"]).never_says(&["<frozen importlib"]);
    check("factory:create_app()", "apps/broken").expect(0);
    stack(["check", "--workers", "many"]).run().expect(64).says(&["--workers"]);
}

#[test]
fn config_prints_every_value_with_its_origin() {
    let finished = stack(["config", "--threads", "7"])
        .file("stack.toml", "workers = 3\nrequest_timeout = \"9s\"\n")
        .env("STACK_QUEUE_SIZE", "11")
        .run()
        .expect(0);
    let shown = finished.stdout();
    for (key, value, origin) in [
        ("threads", "7", "--threads"),
        ("workers", "3", "stack.toml"),
        ("queue_size", "11", "STACK_QUEUE_SIZE"),
        ("request_timeout", "9s", "stack.toml"),
        ("bind", "127.0.0.1:8000", "default"),
    ] {
        let line = shown.lines().find(|line| line.trim_start().starts_with(key));
        let line = line.unwrap_or_else(|| panic!("no {key} in:\n{shown}"));
        assert!(line.contains(value) && line.contains(origin), "{line}");
    }
}

#[test]
fn a_flag_goes_before_the_environment_and_the_environment_before_the_file() {
    let config = |arguments: &[&str], variable: Option<&str>| {
        let mut stack = stack(["config"]).arguments(arguments).file("stack.toml", "threads = 2\n");
        if let Some(value) = variable {
            stack = stack.env("STACK_THREADS", value);
        }
        let shown = stack.run().expect(0).stdout();
        shown.lines().find(|line| line.trim_start().starts_with("threads")).expect("the key").to_owned()
    };
    assert!(config(&[], None).contains('2'));
    assert!(config(&[], Some("3")).contains('3'));
    assert!(config(&["--threads", "5"], Some("3")).contains('5'));
}

#[test]
fn a_switch_is_a_flag_without_a_value() {
    let config = |arguments: &[&str]| stack(["config"]).arguments(arguments).run().expect(0).stdout();
    assert!(config(&["--preload", "--threads", "2"]).contains("preload = true "));
    assert!(config(&["--preload=off"]).contains("preload = false "));
    stack(["config", "--preload=perhaps"]).run().expect(64).says(&["--preload", "perhaps", "true or false"]);
    stack(["config", "--preload", "--isolation", "threads"])
        .run()
        .expect(64)
        .says(&["--preload", "isolation is threads"]);
}

#[test]
fn isolation_is_one_of_four_words() {
    let shown = stack(["config"]).env("STACK_ISOLATION", "processes").run().expect(0).stdout();
    assert!(shown.contains("isolation = \"processes\""), "{shown}");
    stack(["config", "--isolation", "process"]).run().expect(64).says(&["`process`", "`processes`"]);
}

#[test]
fn port_changes_the_default_address() {
    let shown = stack(["config"]).env("PORT", "9123").run().expect(0).stdout();
    let line = shown.lines().find(|line| line.trim_start().starts_with("bind")).expect("the key");
    assert!(line.contains("0.0.0.0:9123") && line.contains("PORT"), "{line}");
}

#[test]
fn a_file_named_by_a_flag_is_read_and_its_paths_are_its_own() {
    let stack = stack(["serve", "--config", "etc/shop.toml"])
        .file("etc/apps/shop.py", SHOP)
        .file("etc/shop.toml", "app = \"shop\"\nchdir = \"apps\"\nbind = [\"127.0.0.1:0\"]\nworkers = 1\n");
    let server = stack.server_with(1);
    assert_eq!(server.get("/").expect(200).text(), "open");
    server.stop();
}

const SHOP: &str = r#"
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"open"]
"#;

#[test]
fn help_is_for_reading() {
    let help = stack(["--help"]).run().expect(0).stdout();
    for command in ["serve", "check", "config"] {
        assert!(help.contains(command), "{help}");
    }
    let help = stack(["serve", "--help"]).run().expect(0).stdout();
    for flag in [
        "--app",
        "--bind",
        "--static",
        "--workers",
        "--threads",
        "--chdir",
        "--venv",
        "--env-file",
        "--config",
        "--profile",
        "--log-level",
        "--log-format",
        "--access-log",
        "--request-timeout",
        "--max-body-size",
        "--backlog",
        "--queue-size",
        "--isolation",
        "--preload",
    ] {
        assert!(help.contains(flag), "no {flag} in:\n{help}");
    }
}

#[test]
fn version_names_the_program() {
    let version = stack(["--version"]).run().expect(0).stdout();
    assert!(version.starts_with(concat!("stack ", env!("CARGO_PKG_VERSION"))), "{version}");
}

#[test]
fn a_first_request_is_served_soon_after_the_start() {
    // No time is measured here: the address is told before the workers are ready, and the request waits for them.
    let server = serve("hello", &["--workers", "2"]).server();
    assert_eq!(server.get("/").expect(200).text(), "hello\n");
    server.stop();
}
