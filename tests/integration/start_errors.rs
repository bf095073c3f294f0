//! What goes wrong before the first request: the message names the thing and the remedy, the exit code the kind.

use std::{fs, net::TcpListener};

use crate::harness::{Finished, serve, stack, tests_argument};

/// Serves a module of `tests/apps/broken`.
fn broken(app: &str) -> Finished {
    let chdir = tests_argument("apps/broken");
    serve(app, &["--chdir", &chdir, "--bind", "127.0.0.1:0", "--workers", "2"]).run()
}

#[test]
fn a_missing_module_is_named_with_the_path_that_was_searched() {
    broken("shopp").expect(1).says(&["shopp", "sys.path", &tests_argument("apps/broken")]).never_says(&["Traceback"]);
    broken("package.shopp").expect(1).says(&["package"]);
}

#[test]
fn a_missing_callable_is_named_with_those_that_are_there() {
    broken("callable_missing").expect(1).says(&["callable_missing", "application", "aplication", "create_shop"]);
    broken("callable_missing:aplicatoin").expect(1).says(&["aplicatoin", "aplication"]);
}

#[test]
fn what_can_not_be_called_is_named_with_its_type() {
    broken("not_callable").expect(1).says(&["not_callable", "application", "int"]);
}

#[test]
fn an_import_that_raises_shows_the_application_s_traceback_and_not_ours() {
    let ours = ["<frozen importlib", "importlib/__init__.py", "<string>"];
    broken("import_error")
        .expect(1)
        .says(&["Traceback (most recent call last)", "import_error.py", "in connect", "KeyError: 'database'"])
        .never_says(&ours);
    broken("imports_broken")
        .expect(1)
        .says(&["imports_broken.py", "import_error.py", "KeyError: 'database'"])
        .never_says(&ours);
    broken("imports_missing")
        .expect(1)
        .says(&["imports_missing.py", "No module named 'a_package_that_nobody_has'"])
        .never_says(&ours);
}

#[test]
fn a_syntax_error_shows_its_line() {
    broken("syntax_error")
        .expect(1)
        .says(&["syntax_error.py", "an end is missing", "SyntaxError"])
        .never_says(&["<frozen"]);
}

#[test]
fn an_application_that_exits_at_import_does_not_look_like_a_clean_stop() {
    broken("exits").expect(1).says(&["exits", "no configuration, leaving"]);
}

#[test]
fn a_factory_is_called_and_its_errors_are_shown() {
    let chdir = tests_argument("apps/broken");
    for app in ["factory:create_app()", "factory:nested.create_app()"] {
        let server = serve(app, &["--chdir", &chdir]).server();
        assert_eq!(server.get("/").expect(200).text(), "made by a factory", "{app}");
        server.stop();
    }
    broken("factory:raises()").expect(1).says(&["factory.py", "LookupError: the factory has no settings"]);
    broken("factory:makes_none()").expect(1).says(&["makes_none", "None"]);
    broken("factory:wants_more()").expect(1).says(&["wants_more", "settings"]);
}

#[test]
fn a_taken_port_is_named_with_its_owner() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let pid = std::process::id().to_string();
    serve("hello", &["--bind", &address]).run().expect(1).says(&[&address, "in use", &pid]);
}

#[test]
fn a_privileged_or_foreign_address_is_named() {
    serve("hello", &["--bind", "192.0.2.1:8000"]).run().expect(1).says(&["192.0.2.1:8000"]);
}

#[test]
fn a_virtual_environment_of_another_python_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let venv = directory.path().join("old");
    fs::create_dir_all(venv.join("lib/python3.7/site-packages")).unwrap();
    fs::create_dir_all(venv.join("bin")).unwrap();
    fs::write(venv.join("pyvenv.cfg"), "home = /usr/bin\nversion = 3.7.9\n").unwrap();
    serve("hello", &["--venv", venv.to_str().unwrap()]).run().expect(1).says(&["3.7", "3.1", venv.to_str().unwrap()]);
    serve("hello", &[]).env("VIRTUAL_ENV", &venv).run().expect(1).says(&["3.7", venv.to_str().unwrap()]);
}

#[test]
fn a_folder_that_is_no_virtual_environment_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    let code = serve("hello", &["--venv", path]).run().says(&[path, "pyvenv.cfg"]).status.code();
    assert!(matches!(code, Some(1 | 64)), "{code:?}");
    let code = serve("hello", &["--venv", "not/there"]).run().says(&["not/there"]).status.code();
    assert!(matches!(code, Some(1 | 64)), "{code:?}");
}

#[test]
fn an_unknown_key_is_named_with_the_nearest_known_one() {
    serve("hello", &["--worker", "2"]).run().expect(64).says(&["--worker", "--workers"]);
    serve("hello", &[]).env("STACK_WORKRES", "2").run().expect(64).says(&["STACK_WORKRES", "STACK_WORKERS"]);
    stack(["serve", "--app", "hello"]).file("stack.toml", "threads = 2\n\nworkres = 2\n").run().expect(64).says(&[
        "stack.toml",
        "3",
        "workres",
        "workers",
    ]);
}

#[test]
fn a_bad_value_is_named_with_where_it_came_from() {
    serve("hello", &["--workers", "many"]).run().expect(64).says(&["--workers", "many"]);
    serve("hello", &["--workers", "0"]).run().expect(64).says(&["--workers", "0"]);
    serve("hello", &["--max-body-size", "10 parsecs"]).run().expect(64).says(&["--max-body-size", "10 parsecs"]);
    serve("hello", &["--request-timeout", "soon"]).run().expect(64).says(&["--request-timeout", "soon"]);
    serve("hello", &["--bind", "127.0.0.1:70000"]).run().expect(64).says(&["127.0.0.1:70000"]);
    serve("hello", &["--app", "not a module"]).run().expect(64).says(&["not a module"]);
    serve("hello", &[]).env("STACK_THREADS", "-1").run().expect(64).says(&["STACK_THREADS", "-1"]);
    stack(["serve", "--app", "hello"]).file("stack.toml", "# settings\nthreads = \"many\"\n").run().expect(64).says(&[
        "stack.toml:2",
        "threads",
        "many",
    ]);
    stack(["serve", "--app", "hello"]).file("stack.toml", "threads = [\n").run().expect(64).says(&["stack.toml"]);
}

#[test]
fn a_missing_file_or_folder_is_named() {
    for flag in ["--config", "--env-file", "--static", "--chdir"] {
        let app = ["--app", "hello", flag, "no/such/place"];
        let code =
            stack(["serve"]).arguments(app).run().says(&["no/such/place", flag.trim_start_matches('-')]).status.code();
        assert!(matches!(code, Some(1 | 64)), "{flag}: {code:?}");
    }
}

#[test]
fn an_unreadable_file_is_named() {
    // A folder can not be read as a file, not even by root.
    stack(["serve", "--app", "hello", "--config", "folder"]).file("folder/x", "").run().expect(64).says(&["folder"]);
}

#[test]
fn wrong_usage_is_told_from_a_failed_start() {
    stack(["sevre"]).run().expect(64).says(&["sevre", "serve"]);
    stack(["serve", "--no-such-flag"]).run().expect(64).says(&["--no-such-flag"]);
    stack(["serve", "surplus"]).run().expect(64).says(&["surplus"]);
}

#[test]
fn no_message_is_a_panic() {
    for app in
        ["shopp", "callable_missing", "not_callable", "import_error", "syntax_error", "exits", "factory:raises()"]
    {
        broken(app).expect(1).never_says(&["panicked", "RUST_BACKTRACE", "Fatal Python error"]);
    }
}
