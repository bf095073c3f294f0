//! Requests that go to the application without hyper, which must be answered as those are that go with it.

use std::fs;

use stack_bridge::{Flow, Job, Push};
use stack_config::{AccessLog, FieldRule};
use stack_front::{Drained, Stop};

use crate::{
    client::{Client, Response},
    server::{Server, echo, head, holding, respond, static_root, wait_until},
};

/// Changes nothing but the way: no application sees it.
const LONG_WAY: &str = "under_score: 1\r\n";

fn request(target: &str, fields: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nhost: a\r\n{fields}\r\n")
}

/// Answers with what it saw, in the way that the path says: `/STATUS/WHAT`.
fn as_the_path_says(job: Job) {
    let Job { request, mut responder, .. } = job;
    let stack_bridge::Request { method, target, path, query, headers, script_name, version, scheme, body, .. } =
        &*request;
    let seen =
        format!("{method} {target:?} {path:?} {query:?} {script_name:?} {version:?} {scheme:?} {headers:?} {body:?}");
    let words: Vec<_> = path.split(|byte| *byte == b'/').skip(1).map(|word| str::from_utf8(word).unwrap()).collect();
    let status = words[0].parse().unwrap_or(200);
    let length = seen.len().to_string();
    let fields: &[_] = match words.get(1).copied().unwrap_or_default() {
        "length" => &[("content-length", length.as_str()), ("x-a", "1"), ("x-a", "2")],
        "long" => &[("content-length", "100000")],
        "date" => &[("date", "Sun, 06 Nov 1994 08:49:37 GMT")],
        "type" => &[("content-type", "text/html")],
        "secret" => &[("content-type", "text/html"), ("set-cookie", "a=b")],
        _ => &[],
    };
    let mut head = Some((head(status, fields), Flow::Buffered));
    if words.get(1) == Some(&"blocks") {
        let _ = responder.push(&mut Push { head: head.take(), block: b"first ", last: false, may_wait: false });
    }
    let block = if matches!(status, 204 | 304) { "" } else { &seen };
    let _ = responder.push(&mut Push { head, block: block.as_bytes(), last: true, may_wait: false });
}

/// The lines of a head in an order that does not depend on the way, without the clock's.
fn lines(response: &Response) -> Vec<String> {
    let mut lines: Vec<_> =
        response.head.lines().filter(|line| !line.starts_with("date: ")).map(str::to_owned).collect();
    assert_eq!(response.head.lines().count(), lines.len() + 1, "one date: {}", response.head);
    lines.sort_unstable();
    lines
}

/// Asks for it on both ways.
fn both_ways(server: &Server, client: &mut Client, target: &str, fields: &str) -> (Response, Response) {
    let before = server.snapshot().direct;
    let direct = client.send(request(target, fields)).response();
    assert_eq!(server.snapshot().direct, before + 1, "{target} {fields}");
    let long_way = client.send(request(target, &format!("{fields}{LONG_WAY}"))).response();
    assert_eq!(server.snapshot().direct, before + 1, "an ambiguous name needs the long way");
    (direct, long_way)
}

#[test]
fn the_application_and_the_client_see_what_they_see_on_the_long_way() {
    let server = Server::with(
        |config| {
            config.clients.security_headers = true;
            config.sites.rules.fields =
                vec![FieldRule::Set("x-site".into(), "one".into()), FieldRule::Add("x-a".into(), "3".into())];
        },
        as_the_path_says,
    );
    let mut client = server.client();
    for target in ["/", "/200/length", "/201", "/302?a=b%20c", "/200/a%2Fb%C3%A4?%zz", "/200/x?y?z"] {
        let fields = "Accept: */*\r\nX-One:  a \r\nx-one: b\r\nCookie: c=d\r\nconnection: keep-alive\r\n";
        let (direct, long_way) = both_ways(&server, &mut client, target, fields);
        assert_eq!((lines(&direct), direct.text()), (lines(&long_way), long_way.text()), "{target}");
        assert_eq!(direct.field("x-site"), Some("one"), "{}", direct.head);
    }
}

#[test]
fn an_answer_that_is_not_simple_is_given_by_the_long_way() {
    let server = Server::with(|config| config.files.compression.min_size = 1, as_the_path_says);
    let mut client = server.client();
    for target in ["/204", "/304", "/404", "/500", "/200/blocks", "/200/date", "/200/type", "/200/secret"] {
        for fields in ["", "accept-encoding: gzip\r\n"] {
            let (direct, long_way) = both_ways(&server, &mut client, target, fields);
            let both = [&direct, &long_way].map(|response| {
                response.head.lines().filter(|line| !line.starts_with("date: ")).collect::<Vec<_>>().join("\n")
            });
            assert_eq!((&both[0], &direct.body), (&both[1], &long_way.body), "{target} {fields}");
        }
    }
    let dated = client.get("/200/date");
    assert_eq!((dated.field("date"), dated.head.matches("date: ").count()), (Some("Sun, 06 Nov 1994 08:49:37 GMT"), 1));
    let dated = Server::with(
        |config| config.sites.rules.fields = vec![FieldRule::Set("date".into(), "today".into())],
        as_the_path_says,
    );
    assert_eq!(dated.client().get("/").head.matches("date: ").count(), 1);
    assert_eq!(dated.snapshot().direct, 0);
    // What is announced and does not come is a cut, on which way ever.
    for fields in ["", LONG_WAY] {
        let mut client = server.client();
        client.send(request("/200/long", fields)).head();
        assert!(client.rest().len() < 100_000);
    }
}

#[test]
fn answers_keep_their_places_among_others() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.txt"), "a file").unwrap();
    let server = Server::with(|config| config.statics = vec![static_root(Some("/files"), folder.path())], echo);
    let mut client = server.client();
    let post = "POST /post HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody".to_owned();
    let round = [
        (request("/one", ""), "GET /one "),
        (post, "POST /post  body"),
        (request("/files/a.txt", ""), "a file"),
        (request("/two", ""), "GET /two "),
        (request("/three", LONG_WAY), "GET /three "),
    ];
    client.send(round.iter().cycle().take(500).map(|(request, _)| request.as_str()).collect::<String>());
    for (request, expected) in round.iter().cycle().take(500) {
        let response = client.response();
        assert!(response.text().starts_with(expected), "{request}: {}", response.text());
    }
    assert_eq!(server.snapshot().direct, 300);
}

#[test]
fn a_small_body_that_is_here_goes_along() {
    const LIMIT: usize = 64 * 1024;
    let server = Server::with(
        |config| (config.limits.max_body_size, config.limits.body_buffer_size) = (100_000, 2 * LIMIT),
        as_the_path_says,
    );
    let mut client = server.client();
    let post = |path: &str, fields: &str, body: &str| {
        let length = body.len();
        format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n{fields}\r\n{body}")
    };
    // An answer that is not simple has hyper read the body, which is not to be taken for the next request.
    for path in ["/200", "/201/length", "/404", "/204", "/200/blocks"] {
        for body in ["", "b", "GET / HTTP/1.1\r\n\r\n", &"x".repeat(9000)] {
            let before = server.snapshot().direct;
            let direct = client.send(post(path, "", body)).response();
            assert_eq!(server.snapshot().direct, before + 1, "{path} {}", body.len());
            let long_way = client.send(post(path, LONG_WAY, body)).response();
            assert_eq!((lines(&direct), direct.text()), (lines(&long_way), long_way.text()), "{path} {}", body.len());
            assert_eq!(server.snapshot().direct, before + 1);
        }
    }
    // Nor is one that hyper would not read to its end by itself, if it has not to.
    for _ in 0..20 {
        client.send(post("/404", "", &"x".repeat(60_000)) + &request("/200/next", ""));
        assert_eq!(client.response().status, 404);
        assert!(client.response().text().starts_with("GET "), "the connection goes on");
    }
    for method in ["PUT", "PATCH", "DELETE"] {
        let before = server.snapshot().direct;
        let request = post("/200", "", "body").replacen("POST", method, 1);
        let response = client.send(request).response();
        assert!(response.text().starts_with(&format!("{method} ")) && response.text().contains("body"), "{method}");
        assert_eq!(server.snapshot().direct, before + 1, "{method}");
    }
    // What is not here, or is large, is waited for with its timeouts.
    let before = server.snapshot().direct;
    let whole = post("/200", "", "in two pieces");
    client.send(&whole[..whole.len() - 3]);
    wait_until("its body is waited for", || server.snapshot().in_flight == 1);
    assert!(client.send(&whole[whole.len() - 3..]).response().text().contains("in two pieces"));
    assert!(client.send(post("/200", "", &"x".repeat(LIMIT + 1))).response().text().contains("xxx"));
    assert_eq!(client.send(post("/200", "", &"x".repeat(100_001))).response().status, 413);
    assert_eq!(server.snapshot().direct, before);
}

#[test]
fn a_file_in_a_document_root_comes_before_the_application() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| fs::write(folder.path().join(name), format!("file {name}")).unwrap();
    fs::create_dir(folder.path().join("folder")).unwrap();
    file("a.txt");
    let server = Server::with(|config| config.statics = vec![static_root(None, folder.path())], as_the_path_says);
    let mut client = server.client();
    for target in ["/", "/200/b.txt", "/folder", "/folder/", "/.hidden", "/200//x"] {
        // Whether something is there may have to be looked up on the disk.
        client.get(target);
        let (direct, long_way) = both_ways(&server, &mut client, target, "");
        assert_eq!((lines(&direct), direct.text()), (lines(&long_way), long_way.text()), "{target}");
        assert!(direct.text().starts_with("GET "), "{target}: {}", direct.text());
    }
    let before = server.snapshot().direct;
    assert_eq!(client.get("/a.txt").text(), "file a.txt");
    assert_eq!(client.send(request("/a.txt", "range: bytes=0-3\r\n")).response().text(), "file");
    assert_eq!(server.snapshot().direct, before);
    // A form may be sent to where a file is.
    let post = "POST /a.txt HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n";
    assert!(client.send(post).response().text().starts_with("POST "));
    assert_eq!(server.snapshot().direct, before + 1);
    // What was not there may come, and what was may go.
    assert!(client.get("/b.txt").text().starts_with("GET "));
    file("b.txt");
    assert_eq!(client.get("/b.txt").text(), "file b.txt");
    fs::remove_file(folder.path().join("b.txt")).unwrap();
    wait_until("it is gone", || client.get("/b.txt").text().starts_with("GET "));
    let pages = Server::with(
        |config| {
            config.statics = vec![static_root(None, folder.path())];
            config.files.fallbacks =
                vec![stack_config::Fallback { prefix: None, file: std::path::PathBuf::from("a.txt") }];
        },
        as_the_path_says,
    );
    let page = pages.client().send(request("/page", "accept: text/html\r\n")).response();
    assert_eq!(page.text(), "file a.txt");
}

#[test]
fn each_is_a_line_of_the_log_with_its_times() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let mut server = Server::with(
        |config| {
            config.log.access = AccessLog::File(log.clone());
            config.files.compression.min_size = 1;
        },
        as_the_path_says,
    );
    let mut client = server.client();
    client.send(request("/200?x", "user-agent: me\r\nreferer: there\r\n")).response();
    let (direct, _) = both_ways(&server, &mut client, "/200/type", "accept-encoding: gzip\r\n");
    assert_eq!(direct.field("content-encoding"), Some("gzip"));
    wait_until("nothing is in flight", || server.snapshot().in_flight == 0);
    assert_eq!(server.snapshot().requests, 3);
    server.order(Stop::Draining);
    assert_eq!(server.drained(), Drained { cut_off: 0 });
    let log = fs::read_to_string(log).unwrap();
    let lines: Vec<_> = log.lines().collect();
    assert_eq!(lines.len(), 3, "{log}");
    assert!(lines[0].contains("\"GET /200?x HTTP/1.1\" 200 ") && lines[0].contains(" \"there\" \"me\" "), "{log}");
    for line in lines {
        // Behind the request's id: the time in the queue, in the application, and the worker.
        let times: Vec<_> = line.rsplitn(4, ' ').collect();
        assert!(times[2].parse::<f64>().is_ok() && times[1].parse::<f64>().is_ok(), "{line}");
        assert_eq!(times[0], "7", "{line}");
    }
}

#[test]
fn answers_of_all_sizes_go_out_whole_and_are_counted() {
    let sizes = [0, 1, 2047, 2048, 2049, 100_000];
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let mut server = Server::with(
        |config| config.log.access = AccessLog::File(log.clone()),
        |job| {
            let size = str::from_utf8(&job.request.path[1..]).unwrap().parse().unwrap();
            respond(job, &"abc".repeat(size).as_bytes()[..size]);
        },
    );
    let mut client = server.client();
    for size in sizes {
        let (direct, long_way) = both_ways(&server, &mut client, &format!("/{size}"), "");
        assert_eq!((lines(&direct), direct.body.len()), (lines(&long_way), size));
        assert_eq!(direct.body, long_way.body);
    }
    server.order(Stop::Draining);
    assert_eq!(server.drained(), Drained { cut_off: 0 });
    let log = fs::read_to_string(log).unwrap();
    for size in sizes {
        assert_eq!(log.matches(&format!("\"GET /{size} HTTP/1.1\" 200 {size} ")).count(), 2, "{size}: {log}");
    }
}

#[test]
fn the_last_request_of_a_connection_and_the_last_before_a_drain_say_so() {
    let (application, jobs, release) = holding();
    let mut server = Server::with(|config| config.clients.keepalive_requests = std::num::NonZero::new(2), application);
    let mut client = server.client();
    client.send(request("/", ""));
    respond(jobs.recv().unwrap(), "one");
    release.send(()).unwrap();
    assert_eq!(client.response().field("connection"), None);
    client.send(request("/", ""));
    respond(jobs.recv().unwrap(), "two");
    release.send(()).unwrap();
    assert_eq!(client.response().field("connection"), Some("close"));
    assert!(client.is_closed());
    assert_eq!(server.snapshot().direct, 1);

    let mut client = server.client();
    client.send(request("/", ""));
    let job = jobs.recv().unwrap();
    assert_eq!(server.snapshot().direct, 2);
    server.order(Stop::Draining);
    wait_until("the listener is closed", || std::net::TcpStream::connect(server.address).is_err());
    respond(job, "three");
    let response = client.response();
    assert_eq!((response.field("connection"), response.text()), (Some("close"), "three"));
    drop(release);
    assert_eq!(server.drained(), Drained { cut_off: 0 });
}
