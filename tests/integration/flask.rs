//! A Flask application with `SQLAlchemy`, whose C extensions an own-GIL interpreter refuses: `tests/apps/flask_project`.

use serde_json::json;
use tempfile::TempDir;

use crate::{
    harness::{Browser, Server, stack, tests_argument, virtual_environment},
    isolation::auto_tries_the_application,
};

fn server(app: &str) -> (Server, TempDir) {
    server_with(app, &[])
}

fn server_with(app: &str, arguments: &[&str]) -> (Server, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let database = format!("sqlite:///{}", directory.path().join("guestbook.sqlite3").display());
    let venv = virtual_environment().to_str().unwrap();
    let server = stack(["serve", "--chdir", &tests_argument("apps/flask_project"), "--app", app, "--venv", venv])
        .arguments(["--workers", "2", "--threads", "4"])
        .arguments(arguments)
        .env("DATABASE_URL", database)
        .server();
    (server, directory)
}

#[test]
fn a_form_is_stored_and_shown_with_the_session_s_name() {
    let (server, _directory) = server("wsgi");
    let mut browser = Browser::new(&server);
    let response = browser.post("/", &[("name", "Ada"), ("text", "lovely & quiet <b>")]).expect(302);
    assert_eq!(response.header("location"), Some("/"));
    let page = browser.get("/").expect(200);
    assert!(page.text().contains("Guest book of Ada"), "{}", page.text());
    assert!(page.text().contains("lovely &amp; quiet &lt;b&gt;"), "{}", page.text());
    assert!(!server.get("/").expect(200).text().contains("Guest book of"), "others have no session");
    server.stop();
}

#[test]
fn json_comes_in_and_goes_out() {
    let (server, _directory) = server("guestbook:create_app()");
    let mut connection = server.connect();
    let kind = [("Content-Type", "application/json")];
    let added = connection.request("POST", "/api/entries", &kind, br#"{"name": "Bob", "text": "hi"}"#).expect(201);
    assert_eq!(added.json(), json!({"added": "Bob"}));
    connection.request("POST", "/api/entries", &kind, br#"{"name": "Bob"}"#).expect(422);
    connection.request("POST", "/api/entries", &kind, b"{broken").expect(400);
    assert_eq!(connection.get("/api/guests").expect(200).json(), json!([{"name": "Bob", "entries": 1}]));
    assert_eq!(connection.get("/export").expect(200).text(), "Bob: hi\n");
    connection.get("/nowhere").expect(404);
    server.stop();
}

#[test]
fn many_guests_write_at_once() {
    let (server, _directory) = server("wsgi");
    std::thread::scope(|scope| {
        for guest in 0..8 {
            let server = &server;
            scope.spawn(move || {
                let mut browser = Browser::new(server);
                for _ in 0..5 {
                    browser.post("/", &[("name", &format!("guest {guest}")), ("text", "again")]).expect(302);
                }
            });
        }
    });
    let guests = server.get("/api/guests").expect(200).json();
    assert_eq!(guests.as_array().unwrap().len(), 8);
    assert!(guests.as_array().unwrap().iter().all(|guest| guest["entries"] == 5), "{guests}");
    server.stop();
}

#[test]
fn a_refused_extension_runs_as_its_pure_twin_and_the_log_says_so() {
    if !auto_tries_the_application() {
        return;
    }
    let (server, _directory) = server_with("wsgi", &["--isolation", "interpreters"]);
    let answer = server.get("/accelerated").expect(200).json();
    assert_eq!(answer["accelerated"], false, "{answer}");
    server.wait_for_line("sqlalchemy");
    server.stop();
}

#[test]
fn outside_interpreters_nothing_is_refused() {
    for isolation in ["processes", "threads"] {
        let (server, _directory) = server_with("wsgi", &["--isolation", isolation]);
        let answer = server.get("/accelerated").expect(200).json();
        assert_eq!(answer["accelerated"], true, "{isolation}: {answer}");
        server.stop().never_says(&["without support for interpreters"]);
    }
}
