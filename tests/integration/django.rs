//! A Django project that knows nothing of the server it runs on: `tests/apps/django_project`.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use tempfile::TempDir;

use crate::harness::{
    Browser, Server, Stack, adler32, hidden_field, pattern, run, stack, tests_argument, tests_path, virtual_environment,
};

const PASSWORD: &str = "a password & its %-signs";

/// The project with a new database, 2 workers and 4 threads each.
struct Project {
    directory: TempDir,
}

impl Project {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn database(&self) -> String {
        self.directory.path().join("db.sqlite3").to_str().unwrap().to_owned()
    }

    fn static_root(&self) -> String {
        self.directory.path().join("static").to_str().unwrap().to_owned()
    }

    fn manage(&self, arguments: &[&str]) {
        let mut command = Command::new(virtual_environment().join("bin/python"));
        command.arg("manage.py").args(arguments).current_dir(tests_argument("apps/django_project"));
        command.env("DATABASE", self.database()).env("STATIC_ROOT", self.static_root());
        run(command.env("DJANGO_SUPERUSER_PASSWORD", PASSWORD));
    }

    fn with_database(self) -> Self {
        self.manage(&["migrate", "--verbosity", "0"]);
        self.manage(&["createsuperuser", "--noinput", "--username", "ada", "--email", "ada@example.org"]);
        self
    }

    fn serve(&self, arguments: &[&str]) -> Stack {
        let venv = virtual_environment().to_str().unwrap();
        stack(["serve", "--chdir", &tests_argument("apps/django_project"), "--app", "shop.wsgi", "--venv", venv])
            .arguments(["--workers", "2", "--threads", "4"])
            .arguments(arguments)
            .env("DATABASE", self.database())
    }
}

fn log_in(server: &Server) -> Browser {
    let mut browser = Browser::new(server);
    let page = browser.get("/admin/login/?next=/admin/").expect(200);
    let token = hidden_field(&page, "csrfmiddlewaretoken");
    let fields = [("username", "ada"), ("password", PASSWORD), ("next", "/admin/"), ("csrfmiddlewaretoken", &token)];
    let response = browser.post("/admin/login/?next=/admin/", &fields).expect(302);
    assert_eq!(response.header("location"), Some("/admin/"));
    assert!(browser.cookie("sessionid").is_some());
    browser
}

fn add_product(browser: &mut Browser, name: &str, price: &str) {
    let page = browser.get("/admin/catalogue/product/add/").expect(200);
    let token = hidden_field(&page, "csrfmiddlewaretoken");
    let fields = [("csrfmiddlewaretoken", token.as_str()), ("name", name), ("price", price), ("_save", "Save")];
    browser.post("/admin/catalogue/product/add/", &fields).expect(302);
}

#[test]
fn the_admin_logs_in_and_adds_what_the_site_then_shows() {
    let project = Project::new().with_database();
    let server = project.serve(&[]).server();
    let mut browser = log_in(&server);
    assert!(browser.get("/admin/").expect(200).text().contains("Products"));
    add_product(&mut browser, "Kettle", "12.50");
    let list = browser.get("/admin/catalogue/product/").expect(200);
    assert!(list.text().contains("Kettle") && list.text().contains("was added successfully"), "{}", list.text());
    let products = server.get("/products/").expect(200).json();
    assert_eq!(products["products"], serde_json::json!([{"name": "Kettle", "price": "12.50"}]));
    server.stop();
}

#[test]
fn many_users_write_at_once() {
    let project = Project::new().with_database();
    let server = project.serve(&[]).server();
    std::thread::scope(|scope| {
        for user in 0..4 {
            let server = &server;
            scope.spawn(move || {
                let mut browser = log_in(server);
                for number in 0..5 {
                    add_product(&mut browser, &format!("Cup {user}-{number}"), "3.00");
                }
                let visits: Vec<_> =
                    (0..5).map(|_| browser.get("/visits/").expect(200).json()["visits"].as_u64().unwrap()).collect();
                assert_eq!(visits, [1, 2, 3, 4, 5], "each user has a session of their own");
            });
        }
    });
    assert_eq!(server.get("/products/").expect(200).json()["products"].as_array().unwrap().len(), 20);
    server.stop();
}

#[test]
fn a_form_without_its_token_is_refused() {
    let project = Project::new();
    let server = project.serve(&[]).server();
    Browser::new(&server).post("/upload/", &[("note", "forged")]).expect(403);
}

#[test]
fn an_upload_of_20_mb_arrives_whole() {
    let project = Project::new();
    let server = project.serve(&["--max-body-size", "32MiB"]).server();
    let mut browser = Browser::new(&server);
    let token = hidden_field(&browser.get("/upload/").expect(200), "csrfmiddlewaretoken");
    let file = pattern(20_000_000);
    let fields = [("csrfmiddlewaretoken", token.as_str()), ("note", "for the shop")];
    let answer = browser.upload("/upload/", &fields, ("picture.raw", &file)).expect(200).json();
    assert_eq!(answer["name"], "picture.raw");
    assert_eq!(answer["size"], 20_000_000);
    assert_eq!(answer["adler32"], adler32(&file));
    assert_eq!(answer["note"], "for the shop");
    server.stop();
}

#[test]
fn a_chunked_form_is_read_like_any_other() {
    let project = Project::new();
    let server = project.serve(&[]).server();
    let mut browser = Browser::new(&server);
    let token = hidden_field(&browser.get("/upload/").expect(200), "csrfmiddlewaretoken");
    let cookie = format!("csrftoken={}", browser.cookie("csrftoken").unwrap());
    let part =
        |name: &str, value: &str| format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let file = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\nhello\r\n--b--\r\n";
    let body = part("csrfmiddlewaretoken", &token) + &part("note", "in chunks") + file;
    let mut connection = server.connect();
    connection.send(format!(
        "POST /upload/ HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nTransfer-Encoding: chunked\r\n\
         Content-Type: multipart/form-data; boundary=b\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    ));
    let answer = connection.response("POST").unwrap().expect(200).json();
    assert_eq!(answer["note"], "in chunks");
    assert_eq!(answer["size"], 5);
}

#[test]
fn responses_are_streamed() {
    let project = Project::new();
    let server = project.serve(&[]).server();
    let mut connection = server.connect();
    let response = connection.get("/stream/?lines=10000").expect(200);
    assert_eq!(response.header("transfer-encoding"), Some("chunked"));
    assert_eq!(response.text().lines().count(), 10_000);
    assert_eq!(connection.get("/download/").expect(200).text(), "from memory ".repeat(10_000));
    let file = connection.get("/download/?path=here").expect(200);
    assert!(file.text().contains("def download(request)"));
    assert_eq!(file.header("content-length"), Some(file.body.len().to_string().as_str()));
    server.stop();
}

#[test]
fn collected_static_files_are_served_without_python() {
    let project = Project::new();
    project.manage(&["collectstatic", "--noinput", "--verbosity", "0"]);
    let server = project.serve(&["--static", &format!("/static={}", project.static_root())]).server();
    let page = server.get("/upload/").expect(200);
    assert!(page.text().contains("/static/catalogue/shop.css"), "{}", page.text());
    let style = server.get("/static/catalogue/shop.css").expect(200);
    assert!(style.text().contains("display: grid"));
    assert!(style.header("content-type").is_some_and(|kind| kind.starts_with("text/css")));
    server.get("/static/admin/css/base.css").expect(200);
    server.get("/static/nothing.css").expect(404);
    server.stop();
}

/// A project with collected files and an upload, which knows where they are and tells nobody but Django.
fn project_with_files() -> Project {
    let project = Project::new();
    project.manage(&["collectstatic", "--noinput", "--verbosity", "0"]);
    fs::create_dir(project.directory.path().join("media")).unwrap();
    fs::write(project.directory.path().join("media/note.html"), "<script>alert(1)</script>").unwrap();
    // What another user has put beside it is no representation of it.
    fs::write(project.directory.path().join("media/note.html.gz"), "another upload").unwrap();
    project
}

impl Project {
    fn serve_files(&self, arguments: &[&str]) -> Stack {
        let media = self.directory.path().join("media");
        self.serve(arguments).env("STATIC_ROOT", self.static_root()).env("MEDIA_ROOT", media.to_str().unwrap())
    }
}

#[test]
fn static_and_media_files_are_found_in_the_settings_in_every_isolation() {
    let project = project_with_files();
    for isolation in ["auto", "processes", "threads"] {
        let own = "Content-Security-Policy: default-src *";
        let server = project.serve_files(&["--isolation", isolation, "--header", own]).server();
        let style = server.get("/static/catalogue/shop.css").expect(200);
        assert!(style.text().contains("display: grid"), "{isolation}");
        let mut connection = server.connect();
        let upload = connection.request("GET", "/media/note.html", &[("Accept-Encoding", "gzip")], b"").expect(200);
        assert_eq!(upload.header("content-encoding"), None, "{isolation}");
        assert_eq!(upload.header("x-content-type-options"), Some("nosniff"), "{isolation}");
        let policies = upload.header_values("content-security-policy");
        let is_sandboxed = policies.iter().any(|it| it.starts_with("sandbox;") && !it.contains("allow-scripts"));
        assert!(is_sandboxed && policies.len() == 2, "{isolation}: {policies:?}");
        server.get("/static/none.css").expect(404);
        assert!(server.get("/products/").status != 404, "{isolation}: the rest is the application's");
        let said = server.wait_for_line("static files of the Django project");
        assert!(said.contains("/static"), "{said}");
        server.stop();
    }
}

#[test]
fn what_the_user_or_the_project_says_goes_before_what_is_found() {
    let project = project_with_files();
    let other = tempfile::tempdir().unwrap();
    fs::write(other.path().join("own.css"), "own").unwrap();
    let own = format!("/static={}", other.path().display());
    let server = project.serve_files(&["--static", &own]).server();
    assert_eq!(server.get("/static/own.css").expect(200).text(), "own");
    server.get("/static/catalogue/shop.css").expect(404);
    server.stop();
    // The project has a view for what is below it, which may let only some users have the files.
    let server = project.serve_files(&[]).env("MEDIA_URL", "guarded/").server();
    let left = server.wait_for_line("left to the application");
    assert!(left.contains("the project has a route for it"), "{left}");
    assert_eq!(server.get("/guarded/note.html").expect(403).text(), "not for everybody");
    server.stop();
    let server = project.serve_files(&["--django-static=false"]).server();
    server.get("/static/catalogue/shop.css").expect(404);
    server.stop();
    let media = project.directory.path().join("media");
    let internal = format!("/protected={}", media.display());
    let server = project.serve_files(&["--internal", &internal]).server();
    server.get("/media/note.html").expect(404);
    server.stop();
}

/// What a check says of the project with this directory for uploads.
fn checked_with_uploads_in(project: &Project, media: &Path, arguments: &[&str]) -> String {
    let venv = virtual_environment().to_str().unwrap();
    let check =
        stack(["check", "--chdir", &tests_argument("apps/django_project"), "--app", "shop.wsgi", "--venv", venv]);
    let check = check.env("DATABASE", project.database()).env("STATIC_ROOT", project.static_root());
    check.arguments(arguments).env("MEDIA_ROOT", media).run().expect(0).stdout()
}

#[test]
fn uploads_are_never_served_as_the_site_s_own_files() {
    let project = project_with_files();
    let directory = project.directory.path();
    fs::create_dir(directory.join("static/uploads")).unwrap();
    fs::write(directory.join("static/uploads/note.html"), "<script>alert(1)</script>").unwrap();
    symlink(directory.join("static/uploads"), directory.join("link")).unwrap();
    for (media, is_there) in
        [("static/uploads", true), ("link", true), ("static", true), ("static/later", false), ("", true)]
    {
        let media = directory.join(media);
        let said = checked_with_uploads_in(&project, &media, &[]);
        let left = said.lines().find(|line| line.starts_with("not static   /static = ")).unwrap_or_default();
        assert!(left.contains("STATIC_ROOT") && left.contains("MEDIA_ROOT"), "{}: {said}", media.display());
        assert!(!said.contains("\nstatic       /static = "), "{}: {said}", media.display());
        assert_eq!(said.contains("\nstatic       /media = "), is_there, "{}: {said}", media.display());
    }
    let server = project.serve(&[]).env("STATIC_ROOT", project.static_root());
    let server = server.env("MEDIA_ROOT", directory.join("link")).env("MEDIA_URL", "https://media.example/").server();
    let said = server.wait_for_line("STACK0150");
    assert!(said.contains("STATIC_ROOT") && said.contains("MEDIA_ROOT"), "{said}");
    server.get("/static/uploads/note.html").expect(404);
    server.stop();
}

#[test]
fn the_application_s_code_is_not_served_though_a_link_leads_to_it() {
    let project = project_with_files();
    let link = project.directory.path().join("code");
    let code = tests_path("apps/django_project").canonicalize().unwrap();
    symlink(&code, &link).unwrap();
    let venv = virtual_environment().to_str().unwrap();
    for named in [&code, code.parent().unwrap()] {
        let check = stack(["check", "--chdir", link.to_str().unwrap(), "--app", "shop.wsgi", "--venv", venv]);
        let check = check.env("DATABASE", project.database()).env("STATIC_ROOT", named);
        let said = check.env("MEDIA_ROOT", project.directory.path().join("media")).run().expect(0).stdout();
        let left = format!("static   /static = {} (STATIC_ROOT): the application's code is in it\n", named.display());
        assert!(said.contains(&left), "{said}");
    }
}

#[test]
fn uploads_below_the_url_of_static_files_are_served_as_uploads() {
    let project = project_with_files();
    let server = project.serve_files(&[]).env("MEDIA_URL", "static/uploads/").server();
    server.get("/static/catalogue/shop.css").expect(200);
    let upload = server.get("/static/uploads/note.html").expect(200);
    assert!(upload.header("content-security-policy").is_some_and(|policy| policy.starts_with("sandbox;")));
    server.stop();
}

#[test]
fn a_check_lists_the_directories_that_would_be_served() {
    let project = project_with_files();
    let media = project.directory.path().join("media");
    let (statics, uploads) = (project.static_root(), media.display().to_string());
    let listed = |arguments: &[&str]| -> Vec<String> {
        let said = checked_with_uploads_in(&project, &media, arguments);
        said.lines().filter(|line| line.contains("static  ")).map(ToOwned::to_owned).collect()
    };
    let by_settings = [
        format!("static       /static = {statics} (STATIC_ROOT)"),
        format!("static       /media = {uploads} (MEDIA_ROOT)"),
    ];
    for isolation in ["auto", "processes", "threads"] {
        assert_eq!(listed(&["--isolation", isolation]), by_settings, "{isolation}");
    }
    assert_eq!(listed(&["--django-static=false"]), [""; 0]);
    let own = format!("/static={statics}");
    assert_eq!(listed(&["--static", &own]), [format!("static       /static = {statics}"), by_settings[1].clone()]);
    let internal = format!("/protected={uploads}");
    let left = format!("not {}: it holds files that only the application may send", by_settings[1]);
    assert_eq!(
        listed(&["--internal", &internal]),
        [by_settings[0].clone(), left.replacen("static       ", "static   ", 1)]
    );
}

#[test]
fn a_view_that_fails_is_django_s_own_500() {
    let project = Project::new();
    let server = project.serve(&[]).server();
    let response = server.get("/broken/").expect(500);
    assert!(response.text().contains("Server Error (500)"), "{}", response.text());
    server.get("/stream/").expect(200);
    server.stop();
}
