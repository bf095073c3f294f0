//! Several sites, and several applications, in one server.

use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::{
    harness::{Response, Server, Stack, eventually, isolation, run, stack, tests_argument, virtual_environment},
    isolation::auto_tries_the_application,
};

/// Says who it is, what it got, and what of the process it sees.
const TELL: &str = "
import json, os
os.environ.setdefault('WHOSE', NAME)
def app(environ, start_response):
    if environ['PATH_INFO'] == '/missing':
        start_response('404 Not Found', [('Content-Type', 'text/html')])
        return [b'the page of the application']
    if environ['PATH_INFO'] == '/raise':
        raise LookupError('on purpose')
    answer = {'name': NAME, 'whose': os.environ['WHOSE'], 'variable': os.environ.get('VARIABLE'), 'cwd': os.getcwd(),
              'pid': os.getpid(), 'script': environ['SCRIPT_NAME'], 'path': environ['PATH_INFO'],
              'query': environ['QUERY_STRING'], 'uri': environ['REQUEST_URI']}
    start_response('200 OK', [('Content-Type', 'application/json')])
    return [json.dumps(answer).encode()]
";

/// A server with this configuration, and with `one.py` and `two.py` beside it, `other/three.py` below.
fn with(configuration: &str) -> Stack {
    let application = |name: &str| format!("NAME = '{name}'\n{TELL}");
    stack(["serve"])
        .file("stack.toml", configuration)
        .file("one.py", &application("one"))
        .file("two.py", &application("two"))
        .file("other/three.py", &application("three"))
        .file("other/.env", "VARIABLE='of three'\n")
        .file("public/a.txt", "a file")
        .file("oops.html", "<h1>{{status}} {{reason}}</h1>")
}

fn get(server: &Server, host: &str, target: &str) -> Response {
    get_with(server, host, target, "")
}

fn get_with(server: &Server, host: &str, target: &str, fields: &str) -> Response {
    let mut connection = server.connect();
    connection.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"));
    connection.response("GET").expect("a whole response")
}

/// The isolation of the second application: one that has the main interpreter has it alone.
fn second() -> &'static str {
    if isolation().as_deref() == Some("threads") { "isolation = 'auto'\n" } else { "" }
}

#[test]
fn django_and_flask_are_served_at_their_hosts_and_below_a_path() {
    let directory = tempfile::tempdir().unwrap();
    let database = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let python = virtual_environment().join("bin/python");
    let django = tests_argument("apps/django_project");
    let mut migrate = Command::new(python);
    migrate.args(["manage.py", "migrate", "--verbosity", "0"]).current_dir(&django);
    run(migrate.env("DATABASE", database("django")));
    // The one with another directory goes to processes by itself, unless an isolation is forced on it.
    let configuration = format!(
        "venv = '{}'\nchdir = '{django}'\n[[site]]\nhost = 'localhost'\napp = 'shop.wsgi'\nworkers = 2\n\
         [[site]]\nhost = ['flask.example', '*.flask.example']\nchdir = '{}'\napp = 'guestbook:create_app()'\n\
         mount = {{ '/guests' = 'wsgi' }}\nisolation = 'auto'\n",
        virtual_environment().display(),
        tests_argument("apps/flask_project"),
    );
    let server = stack(["serve"])
        .file("stack.toml", &configuration)
        .env("DATABASE", database("django"))
        .env("DATABASE_URL", format!("sqlite:///{}", database("flask")))
        .server();
    let products = get(&server, "localhost", "/products/").expect(200);
    assert_eq!(products.json(), json!({"products": []}));
    let login = get(&server, "LOCALHOST:80", "/admin/").expect(302);
    assert_eq!(login.header("location"), Some("/admin/login/?next=/admin/"));
    let mut connection = server.connect();
    let entry = br#"{"name": "Bob", "text": "hi"}"#;
    connection.send(format!(
        "POST /api/entries HTTP/1.1\r\nHost: www.flask.example\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        entry.len()
    ));
    connection.send(entry);
    connection.response("POST").unwrap().expect(201);
    // The same guest book once more, below a path: it has a pool of its own, and the same database.
    for (host, target) in [("flask.example", "/api/guests"), ("flask.example", "/guests/api/guests")] {
        assert_eq!(get(&server, host, target).expect(200).json(), json!([{"name": "Bob", "entries": 1}]), "{target}");
    }
    get(&server, "localhost", "/api/guests").expect(404);
    get(&server, "other.example", "/").expect(421);
    server.stop();
}

#[test]
fn django_makes_its_urls_below_its_mount() {
    let venv = virtual_environment().display().to_string();
    let configuration = format!(
        "venv = '{venv}'\nchdir = '{}'\nmount = {{ '/my/shop' = 'shop.wsgi' }}\n",
        tests_argument("apps/django_project")
    );
    let server = stack(["serve"]).file("stack.toml", &configuration).server();
    let login = server.get("/my/shop/admin/?a=b").expect(302);
    assert_eq!(login.header("location"), Some("/my/shop/admin/login/?next=/my/shop/admin/%3Fa%3Db"));
    let page = server.get("/my/shop/admin/login/").expect(200);
    assert!(page.text().contains("action=\"/my/shop/admin/login/\""), "{}", page.text());
    server.get("/admin/").expect(404);
    server.get("/my/shopping").expect(404);
    server.stop();
}

#[test]
fn each_application_has_its_own_variables_and_directory() {
    let server = with(&format!(
        "[[site]]\nhost = 'one.example'\napp = 'one:app'\n\
         [[site]]\nhost = 'two.example'\napp = 'two:app'\n{}\
         [[site]]\nhost = 'three.example'\napp = 'three:app'\nchdir = 'other'\nenv_file = 'other/.env'\n\
         isolation = 'auto'\n",
        second()
    ));
    let server = server.server();
    let root = server.process().directory().canonicalize().unwrap();
    let told = |host: &str| get(&server, host, "/").expect(200).json();
    for (name, directory, variable) in [
        ("one", root.clone(), json!(null)),
        ("two", root.clone(), json!(null)),
        ("three", root.join("other"), json!("of three")),
    ] {
        let answer = told(&format!("{name}.example"));
        // Both use setdefault on one variable, as Django projects do with their settings.
        assert_eq!((&answer["name"], &answer["whose"]), (&json!(name), &json!(name)), "{answer}");
        assert_eq!((&answer["cwd"], &answer["variable"]), (&json!(directory), &variable), "{answer}");
    }
    if isolation().is_none() && auto_tries_the_application() {
        let parent = json!(server.process().pids()[0]);
        assert_eq!((&told("one.example")["pid"], &told("two.example")["pid"]), (&parent, &parent));
        assert_ne!(told("three.example")["pid"], parent);
        server.wait_for_line("three:app can not run in the server's process: it has a chdir of its own");
    }
    server.stop();
}

#[test]
fn an_application_that_insists_where_it_can_not_run_is_refused_with_its_site() {
    let configuration = "[[site]]\nhost = 'one.example'\napp = 'one:app'\nisolation = 'threads'\n\
                         [[site]]\nhost = 'two.example'\napp = 'two:app'\nisolation = 'threads'\n";
    with(configuration).arguments(["--bind", "127.0.0.1:0"]).run().expect(1).says(&[
        "two:app (at two.example) can not run with isolation=threads",
        "there is one main interpreter, and one:app runs in it",
        "set isolation=processes or auto for it",
    ]);
}

#[test]
fn an_application_that_does_not_load_is_named_with_its_site() {
    for isolation in ["auto", "processes"] {
        let configuration = format!(
            "[[site]]\nhost = 'one.example'\napp = 'one:app'\n[[site]]\nhost = 'two.example'\nmount = {{ '/x' = 'nowhere:app' }}\n\
             isolation = '{isolation}'\n"
        );
        let finished = with(&configuration).arguments(["--bind", "127.0.0.1:0"]).default("--isolation", "auto").run();
        finished.expect(1).says(&["nowhere:app", "two.example/x", "no module named 'nowhere'"]);
    }
}

#[test]
fn a_site_s_rules_fields_and_pages_are_its_own() {
    let server = with(&format!(
        "app = 'one:app'\nheader = ['X-Site: top', '-Server']\nerror_page = ['404=oops.html', '5xx=oops.html']\n\
         [[site]]\nhost = ['two.example', 'www.two.example']\napp = 'two:app'\ncanonical_host = 'two.example'\n\
         static = ['/files=public']\nerror_pages_for_application = true\nheader = 'X-Site: two'\n{}\
         redirect = ['301 /old=/new', {{ from = '~ ^/u/(\\d+)$', to = '/users/$1?' }}]\nrewrite = {{ '/feed' = '/feed.xml?f=1' }}\n\
         return = ['410 /gone', '200 /robots.txt=User-agent: *']\n",
        second()
    ));
    let server = server.server();
    let two = |target: &str| get(&server, "two.example", target);
    assert_eq!(two("/old?a=b").expect(301).header("location"), Some("/new?a=b"));
    assert_eq!(two("/u/42?a=b").expect(302).header("location"), Some("/users/42"));
    assert_eq!(two("/robots.txt").expect(200).text(), "User-agent: *");
    let feed = two("/feed?x=2").expect(200).json();
    assert_eq!(
        (&feed["path"], &feed["query"], &feed["uri"]),
        (&json!("/feed.xml"), &json!("f=1&x=2"), &json!("/feed?x=2"))
    );
    assert_eq!(two("/files/a.txt").expect(200).text(), "a file");
    assert_eq!(two("/files/none").expect(404).text(), "<h1>404 Not Found</h1>");
    assert_eq!(two("/missing").expect(404).text(), "<h1>404 Not Found</h1>");
    assert_eq!(two("/raise").expect(500).text(), "<h1>500 Internal Server Error</h1>");
    assert_eq!(two("/gone").expect(410).text(), "Gone\n");
    let problem = get_with(&server, "two.example", "/raise", "Accept: application/json\r\n").expect(500);
    assert_eq!(problem.header("content-type"), Some("application/problem+json"));
    assert_eq!(problem.json()["title"], "Internal Server Error");
    let canonical = get(&server, "www.two.example", "/a?b").expect(308);
    assert_eq!(canonical.header("location"), Some("http://two.example/a?b"));
    let other = get(&server, "any.example", "/missing").expect(404);
    assert_eq!(other.text(), "the page of the application");
    assert_eq!((other.header("x-site"), other.header("server")), (Some("top"), None));
    for target in ["/", "/files/a.txt", "/files/none", "/old", "/raise", "/a/../.."] {
        assert_eq!(two(target).header("x-site"), Some("two"), "{target}");
    }
    server.stop();
}

#[test]
fn a_server_of_files_only_needs_no_application() {
    let server = with("app = 'none'\nstatic = 'public'\nerror_page = '404=oops.html'\n").server();
    assert_eq!(server.get("/a.txt").expect(200).text(), "a file");
    assert_eq!(server.get("/none").expect(404).text(), "<h1>404 Not Found</h1>");
    assert_eq!(server.process().pids().len(), 1, "no process is there for Python");
    server.stop().never_says(&["python="]);
}

#[test]
fn a_worker_process_that_dies_costs_no_other_application_anything() {
    let configuration = "isolation = 'processes'\n[[site]]\nhost = 'one.example'\napp = 'one:app'\n\
                         [[site]]\nhost = 'two.example'\napp = 'two:app'\n";
    let server = with(configuration).arguments(["--isolation", "processes"]).server();
    let pid = |host: &str| get(&server, host, "/").expect(200).json()["pid"].as_i64().unwrap();
    let (one, two) = (pid("one.example"), pid("two.example"));
    assert_ne!(one, two);
    kill_process(Pid::from_raw(i32::try_from(one).unwrap()).unwrap(), Signal::KILL).unwrap();
    assert_eq!(pid("two.example"), two);
    // Run once more in the process that takes its place.
    eventually("a new worker process", || (pid("one.example") != one).then_some(()));
    assert_eq!(pid("two.example"), two);
    server.wait_for_line("STACK0313");
    server.stop();
}

#[test]
fn one_application_moves_to_processes_and_the_other_stays() {
    if !auto_tries_the_application() {
        return;
    }
    let lazy = std::fs::read_to_string(crate::harness::tests_path("apps/wsgi/lazy.py")).unwrap();
    let configuration = format!(
        "venv = '{}'\n[[site]]\nhost = 'one.example'\napp = 'one:app'\n[[site]]\nhost = 'lazy.example'\napp = 'lazy'\n",
        virtual_environment().display()
    );
    let server = with(&configuration).file("lazy.py", &lazy).arguments(["--isolation", "auto"]).server();
    let parent = server.process().pids()[0];
    assert_eq!(get(&server, "lazy.example", "/").expect(200).header("x-pid"), Some(parent.to_string().as_str()));
    assert_eq!(get(&server, "lazy.example", "/hash").expect(200).text(), "True");
    let line = server.wait_for_line("the application has moved to worker processes");
    assert!(line.contains("app=lazy"), "{line}");
    let moved = get(&server, "lazy.example", "/").expect(200);
    assert_ne!(moved.header("x-pid"), Some(parent.to_string().as_str()));
    assert_eq!(get(&server, "one.example", "/").expect(200).json()["pid"], json!(parent));
    server.stop().never_says(&["app=one:app workers=1 \"the application has moved"]);
}

#[test]
fn check_doctor_and_config_tell_of_all_sites() {
    let configuration = format!(
        "static = 'public'\n[[site]]\nhost = ['one.example', '*.one.example']\napp = 'one:app'\n\
         [[site]]\nhost = 'two.example'\napp = 'two:app'\nmount = {{ '/one' = 'one:app' }}\n{}",
        second()
    );
    let run = |command: &str| {
        let mut command_line = stack([command]).file("stack.toml", &configuration).file("public/a.txt", "");
        for name in ["one", "two"] {
            command_line = command_line.file(&format!("{name}.py"), &format!("NAME = '{name}'\n{TELL}"));
        }
        command_line.run().expect(0).stdout()
    };
    let checked = run("check");
    for part in [
        "application  one:app",
        "serves       one.example, two.example/one",
        "application  two:app",
        "site         one.example *.one.example = one:app",
        "mount        /one = one:app",
        "site         default = none",
    ] {
        // Under threads the second site's settings differ, and so it has applications of its own.
        assert!(checked.contains(part) || !second().is_empty(), "no {part:?} in:\n{checked}");
    }
    let shown = run("config");
    for part in
        ["[[site]]", "host = [\"one.example\", \"*.one.example\"]", "mount = [\"/one=one:app\"]", "stack.toml:5"]
    {
        assert!(shown.contains(part), "no {part:?} in:\n{shown}");
    }
    let told = run("doctor");
    assert!(told.contains("one:app runs") && told.contains("two:app runs"), "{told}");
}
