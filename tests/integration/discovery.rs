//! `stack serve` without `--app`, and how `--app` is read.

use crate::harness::{Server, serve, stack, tests_argument, virtual_environment};

fn found_in(folder: &str) -> Server {
    stack(["serve", "--chdir", &tests_argument(folder)]).server()
}

#[test]
fn an_application_is_found_by_its_usual_names() {
    for (folder, file) in [("with_wsgi", "wsgi.py"), ("with_app", "app.py"), ("with_main", "main.py")] {
        let server = found_in(&format!("apps/found/{folder}"));
        assert_eq!(server.get("/").expect(200).text(), format!("found in {file}"));
        let module = file.trim_end_matches(".py");
        server.wait_for_line(module);
        server.stop();
    }
}

#[test]
fn a_django_project_is_found_by_its_settings() {
    let database = tempfile::tempdir().unwrap();
    let venv = virtual_environment().to_str().unwrap();
    let server = stack(["serve", "--chdir", &tests_argument("apps/django_project"), "--venv", venv])
        .env("DATABASE", database.path().join("db.sqlite3"))
        .server();
    assert_eq!(server.get("/stream/?lines=2").expect(200).text(), "line 0\nline 1\n");
    server.wait_for_line("shop.wsgi");
    server.stop();
}

#[test]
fn a_folder_without_an_application_says_what_was_looked_for() {
    stack(["serve", "--bind", "127.0.0.1:0", "--chdir", &tests_argument("apps/found/with_nothing")]).run().says(&[
        "--app",
        "manage.py",
        "wsgi.py",
        "app.py",
        "main.py",
        "with_nothing",
    ]);
}

#[test]
fn the_current_folder_is_where_the_application_is_looked_for() {
    let folder = crate::harness::tests_path("apps/found/with_main");
    let server = stack(["serve"]).current_dir(folder).server();
    assert_eq!(server.get("/").expect(200).text(), "found in main.py");
}

#[test]
fn application_goes_before_app() {
    let stack = stack(["serve", "--app", "both"]).file(
        "both.py",
        "def app(environ, start_response):\n    raise LookupError\n\n\ndef application(environ, start_response):\n    \
         start_response('200 OK', [])\n    return [b'application']\n",
    );
    let server = stack.server();
    assert_eq!(server.get("/").expect(200).text(), "application");
}

#[test]
fn a_callable_may_be_an_attribute_of_an_attribute() {
    let chdir = tests_argument("apps/broken");
    let server = serve("factory:application", &["--chdir", &chdir]).server();
    assert_eq!(server.get("/").expect(200).text(), "made by a factory");
}
