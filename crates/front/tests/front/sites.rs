//! Hosts, mounts and rules, with a worker in Rust for each application.

use stack_bridge::Job;
use stack_config::{
    AppSource, AppSpec, Application, Config, ErrorPage, ErrorStatus, FieldRule, Host, Mount, PathPattern, Piece,
    Redirect, Return, Rewrite, Rules, Section, Target,
};

use crate::{
    client::{Client, Response},
    server::{Server, respond, static_root, wait_until},
};

fn app(module: &str) -> AppSpec {
    AppSpec { module: module.into(), callable: None }
}

fn section(config: &Config, host: &str, module: Option<&str>) -> Section {
    let application = Application {
        app: module.map_or(AppSource::None, |module| AppSource::Named(app(module))),
        chdir: config.chdir.clone(),
        venv: None,
        env: Vec::new(),
        isolation: config.isolation,
        workers: config.workers,
        workers_given: false,
        threads: config.threads,
        threads_given: false,
        preload: false,
    };
    let host = host.strip_prefix("*.").map_or_else(|| Host::Exact(host.into()), |name| Host::Below(name.into()));
    Section {
        hosts: vec![host],
        is_default: false,
        statics: Vec::new(),
        application,
        env_file: None,
        mounts: Vec::new(),
        rules: Rules::default(),
    }
}

/// Says who it is and what it got.
fn tell(name: &'static str) -> impl Fn(Job) + Send + 'static {
    move |job| {
        let request = &job.request;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (script, path) = (text(&request.script_name), text(&request.path));
        let (query, target) = (text(&request.query), text(&request.target));
        let answer = format!("{name}: {script}|{path}|{query}|{target}");
        respond(job, answer);
    }
}

/// `one.example` with `first`, `*.two.example` with `second`, which is also at `one.example/two`.
fn two_sites(change: impl FnOnce(&mut [Section; 2])) -> Server {
    let server = Server::start(|config| {
        config.app = AppSource::None;
        let mut sections =
            [section(config, "one.example", Some("first")), section(config, "*.two.example", Some("second"))];
        sections[0].mounts = vec![Mount { prefix: "/two".into(), app: app("second") }];
        change(&mut sections);
        config.sites.sections = sections.into();
    });
    assert_eq!(server.queues.len(), 2, "the second application is there once");
    server.worker_of(0, tell("first"));
    server.worker_of(1, tell("second"));
    server
}

fn get(client: &mut Client, host: &str, target: &str) -> Response {
    client.send(format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n\r\n")).response()
}

#[test]
fn each_host_has_its_own_application() {
    let server = two_sites(|_| {});
    let mut client = server.client();
    for (host, target, expected) in [
        ("one.example", "/a?b", "first: |/a|b|/a?b"),
        ("ONE.example:80", "/", "first: |/||/"),
        ("one.example.", "/", "first: |/||/"),
        ("a.two.example", "/a", "second: |/a||/a"),
        ("a.b.two.example", "/a", "second: |/a||/a"),
        ("two.example", "/two", "No such site\n"),
        ("one.example", "/two", "second: /two|||/two"),
        ("one.example", "/two/", "second: /two|/||/two/"),
        ("one.example", "//two//x%2fy?q", "second: /two|//x/y|q|//two//x%2fy?q"),
        ("one.example", "/twofold", "first: |/twofold||/twofold"),
        ("one.example", "/two/../a", "first: |/a||/two/../a"),
        ("one.example", "/x/%2e%2e/two/b", "second: /two|/b||/x/%2e%2e/two/b"),
        ("one.example", "/%74wo/b", "second: /two|/b||/%74wo/b"),
    ] {
        assert_eq!(get(&mut client, host, target).text(), expected, "{host}{target}");
    }
}

#[test]
fn a_host_that_no_site_serves_is_misdirected() {
    let server = two_sites(|_| {});
    let mut client = server.client();
    let response = get(&mut client, "three.example", "/");
    assert_eq!((response.status, response.text()), (421, "No such site\n"));
    assert_eq!(get(&mut client, "one.example", "/").status, 200, "the connection goes on");
    assert_eq!(server.client().send("GET / HTTP/1.0\r\n\r\n").response().status, 421);
    let with_default = two_sites(|sections| sections[1].is_default = true);
    assert_eq!(get(&mut with_default.client(), "three.example", "/").text(), "second: |/||/");
    assert_eq!(with_default.client().send("GET / HTTP/1.0\r\n\r\n").response().text(), "second: |/||/");
}

#[test]
fn a_path_with_two_readings_is_refused_before_anybody_sees_it() {
    let server = two_sites(|_| {});
    for target in ["/..", "/two/..%2fa", "/a%00b", "/two%2f..", "/%2e%2e/two"] {
        let mut client = server.client();
        let response = get(&mut client, "one.example", target);
        assert_eq!((response.status, response.field("connection")), (400, Some("close")), "{target}");
        assert!(client.is_closed());
    }
}

#[test]
fn rules_answer_before_the_application() {
    let server = two_sites(|sections| sections[0].rules = rules());
    let mut client = server.client();
    for (target, status, location) in [
        ("/old?x=1", 301, Some("/new?x=1")),
        ("/go/a/b", 308, Some("https://other.example/a/b")),
        ("/go//evil.example", 308, Some("https://other.example/evil.example")),
        ("//old", 301, Some("/new")),
        ("/%6fld", 301, Some("/new")),
        ("/old/x", 200, None),
        ("/gone", 410, None),
    ] {
        let response = get(&mut client, "one.example", target);
        assert_eq!((response.status, response.field("location")), (status, location), "{target}");
    }
    assert_eq!(get(&mut client, "one.example", "/ping").text(), "pong");
    assert_eq!(get(&mut client, "one.example", "/feed?x").text(), "second: /two|/feed.xml|x|/feed?x");
    assert_eq!(get(&mut client, "a.two.example", "/old").text(), "second: |/old||/old", "another site's rules");
}

fn rules() -> Rules {
    let to = |origin: Option<&str>, path: Vec<Piece>| Target {
        origin: origin.map(str::to_owned),
        path,
        query: Vec::new(),
        keeps_query: true,
    };
    let text = |text: &str| Piece::Text(text.into());
    Rules {
        redirects: vec![
            Redirect { from: PathPattern::Exact("/old".into()), to: to(None, vec![text("/new")]), status: 301 },
            Redirect {
                from: PathPattern::Below("/go".into()),
                to: to(Some("https://other.example"), vec![text("/"), Piece::Capture(1)]),
                status: 308,
            },
        ],
        rewrites: vec![Rewrite { from: PathPattern::Exact("/feed".into()), to: to(None, vec![text("/two/feed.xml")]) }],
        returns: vec![
            Return { from: PathPattern::Exact("/gone".into()), status: 410, body: None },
            Return { from: PathPattern::Exact("/ping".into()), status: 200, body: Some("pong".into()) },
        ],
        ..Rules::default()
    }
}

#[test]
fn other_names_of_a_site_are_sent_to_its_canonical_one() {
    let server = two_sites(|sections| {
        sections[0].hosts.push(Host::Exact("www.one.example".into()));
        sections[0].rules.canonical_host = Some("one.example:8000".into());
        sections[1].rules.canonical_host = Some("https://www.two.example".into());
    });
    let mut client = server.client();
    let response = get(&mut client, "www.one.example", "/a?b");
    assert_eq!((response.status, response.field("location")), (308, Some("http://one.example:8000/a?b")));
    assert_eq!(get(&mut client, "ONE.example", "/").status, 200);
    let response = get(&mut client, "x.two.example", "//evil.example/");
    assert_eq!(response.field("location"), Some("https://www.two.example//evil.example/"));
    assert_eq!(get(&mut client, "www.two.example", "/").status, 200);
}

#[test]
fn a_site_s_fields_are_in_all_its_responses() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a.txt"), "file").unwrap();
    let root = static_root(Some("/files"), directory.path());
    let server = two_sites(|sections| {
        sections[0].statics = vec![root];
        sections[0].rules = Rules {
            fields: vec![
                FieldRule::Set("x-frame-options".into(), "DENY".into()),
                FieldRule::Add("link".into(), "</a>".into()),
                FieldRule::Add("link".into(), "</b>".into()),
                FieldRule::Remove("server".into()),
            ],
            ..rules()
        };
    });
    let mut client = server.client();
    for target in ["/", "/two", "/files/a.txt", "/files/none", "/old", "/ping", "/.."] {
        let response = get(&mut client, "one.example", target);
        assert_eq!(response.field("x-frame-options"), Some("DENY"), "{target}");
        assert_eq!(response.head.matches("link: ").count(), 2, "{target}");
        assert_eq!(response.field("server"), None, "{target}");
    }
    let response = get(&mut server.client(), "a.two.example", "/");
    assert_eq!((response.field("x-frame-options"), response.field("server")), (None, Some("stack")));
}

#[test]
fn an_error_has_the_page_of_its_site() {
    let page = |status, content: &str| ErrorPage { status, path: "page.html".into(), content: content.into() };
    let server = two_sites(|sections| {
        sections[0].application.app = AppSource::Named(app("first"));
        sections[0].rules = Rules {
            error_pages: vec![
                page(ErrorStatus::Class(4), "<h1>{{status}}</h1>"),
                page(ErrorStatus::Code(410), "all gone"),
            ],
            ..rules()
        };
    });
    let mut client = server.client();
    let response = get(&mut client, "one.example", "/gone");
    assert_eq!((response.status, response.text()), (410, "all gone"));
    client.send("HEAD /gone HTTP/1.1\r\nhost: one.example\r\n\r\n");
    let head = client.response_to("HEAD");
    assert_eq!((head.status, head.field("content-length")), (410, Some("8")));
    client.send("GET /gone HTTP/1.1\r\nhost: one.example\r\naccept: application/json\r\n\r\n");
    let json = client.response();
    assert_eq!(json.field("content-type"), Some("application/problem+json"));
    assert!(json.text().contains("\"status\":410"), "{}", json.text());
    let refused = get(&mut client, "one.example", "/..");
    assert_eq!((refused.status, refused.text(), refused.field("connection")), (400, "<h1>400</h1>", Some("close")));
    assert!(client.is_closed());
}

#[test]
fn a_changed_error_page_is_noticed_and_a_lost_one_stays() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("404.html");
    std::fs::write(&path, "before {{status}}").unwrap();
    let server = Server::start(|config| {
        config.app = AppSource::None;
        config.statics = vec![static_root(Some("/files"), directory.path())];
        let content = std::fs::read(&path).unwrap();
        config.sites.rules.error_pages =
            vec![ErrorPage { status: ErrorStatus::Code(404), path: path.clone(), content }];
    });
    let mut client = server.client();
    let mut becomes = |text: &str| wait_until(text, || client.get("/none").text() == text);
    becomes("before 404");
    std::fs::write(&path, "written {{status}}").unwrap();
    becomes("written 404");
    let other = directory.path().join("other.html");
    std::fs::write(&other, "renamed {{status}}").unwrap();
    std::fs::rename(&other, &path).unwrap();
    becomes("renamed 404");
    std::fs::write(&path, "").unwrap();
    becomes("");
    std::fs::write(&path, "last").unwrap();
    becomes("last");
    std::fs::remove_file(&path).unwrap();
    let begun = std::time::Instant::now();
    // Long enough for a look at what is not there any more.
    wait_until("it stays", || {
        assert_eq!(client.get("/none").text(), "last");
        begun.elapsed() > std::time::Duration::from_millis(1500)
    });
    std::fs::write(&path, "again").unwrap();
    wait_until("it is back", || client.get("/none").text() == "again");
}

#[test]
fn a_site_may_have_files_only() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a.txt"), "file").unwrap();
    let root = static_root(None, directory.path());
    let server = Server::start(|config| {
        config.app = AppSource::None;
        config.statics = vec![root];
    });
    assert!(server.queues.is_empty());
    assert_eq!(server.client().get("/a.txt").text(), "file");
    let response = server.client().get("/none");
    assert_eq!((response.status, response.text()), (404, "Not found\n"));
}

#[test]
fn a_full_queue_of_one_application_does_not_shed_the_other_s_requests() {
    let server = Server::start(|config| {
        config.app = AppSource::None;
        config.limits.queue_size = 0;
        config.sites.sections =
            vec![section(config, "one.example", Some("first")), section(config, "two.example", Some("second"))];
    });
    server.worker_of(1, tell("second"));
    let mut client = server.client();
    assert_eq!(get(&mut client, "one.example", "/").status, 503);
    wait_until("the second application waits", || server.queues[1].depth().idle == 1);
    assert_eq!(get(&mut client, "two.example", "/").text(), "second: |/||/");
    let counted: Vec<_> =
        server.metrics.applications().iter().map(|counters| (counters.requests, counters.refused)).collect();
    assert_eq!(counted, [(1, 1), (1, 0)]);
}
