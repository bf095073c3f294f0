//! Answers that are ready: files in memory, which must be what the long way gives.

use std::{fs, time::Duration};

use stack_config::{AccessLog, FieldRule, RateKey};
use stack_front::{Drained, Stop};
use tempfile::TempDir;

use crate::{
    admission::rate,
    client::{Client, Response},
    server::{Server, echo, static_root, wait_until},
};

/// The largest file that is sent so, nearly.
const LARGE: usize = 250_000;

fn files() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.bin"), "0123456789").unwrap();
    fs::write(folder.path().join("page.html"), "<p>".repeat(1000)).unwrap();
    fs::write(folder.path().join("page.html.br"), "brotli").unwrap();
    fs::write(folder.path().join("style.css"), "a{}".repeat(1000)).unwrap();
    fs::write(folder.path().join("large.bin"), vec![b'x'; LARGE]).unwrap();
    folder
}

fn request(method: &str, target: &str, fields: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nhost: a\r\n{fields}\r\n")
}

/// The lines of a head in an order that does not depend on the way, without the clock's.
fn lines(response: &Response) -> Vec<String> {
    let mut lines: Vec<_> =
        response.head.lines().filter(|line| !line.starts_with("date: ")).map(str::to_owned).collect();
    assert_eq!(response.head.lines().count(), lines.len() + 1, "one date: {}", response.head);
    lines.sort_unstable();
    lines
}

/// Asks until the file is in memory, and gives that answer; then once more with a condition that holds.
fn both_ways(server: &Server, client: &mut Client, method: &str, target: &str, fields: &str) -> (Response, Response) {
    let mut answer = None;
    wait_until("an answer is ready", || {
        let before = server.snapshot().ready;
        answer = Some(client.send(request(method, target, fields)).response_to(method));
        server.snapshot().ready > before
    });
    let before = server.snapshot().ready;
    let conditional = format!("{fields}if-match: *\r\n");
    let long_way = client.send(request(method, target, &conditional)).response_to(method);
    assert_eq!(server.snapshot().ready, before, "a condition needs the long way");
    (answer.unwrap(), long_way)
}

#[test]
fn it_is_the_answer_of_the_long_way() {
    let folder = files();
    for prefix in [Some("/files"), None] {
        let server = Server::with(
            |config| {
                config.statics = vec![static_root(prefix, folder.path())];
                config.clients.security_headers = true;
                config.sites.rules.fields = vec![
                    FieldRule::Set("x-site".into(), "one".into()),
                    FieldRule::Add("x-site".into(), "two".into()),
                    FieldRule::Remove("server".into()),
                ];
            },
            echo,
        );
        let mut client = server.client();
        for (method, name, fields) in [
            ("GET", "a.bin", ""),
            ("GET", "a.bin?v=1", "cookie: a=b\r\naccept-encoding: br\r\n"),
            ("HEAD", "a.bin", "connection: keep-alive\r\n"),
            ("GET", "%61.bin", ""),
            ("GET", "page.html", ""),
            ("GET", "page.html", "accept-encoding: gzip;q=0.5, br\r\n"),
            ("GET", "style.css", "accept-encoding: identity\r\n"),
            ("GET", "large.bin", ""),
        ] {
            let target = format!("{}/{name}", prefix.unwrap_or_default());
            let (ready, long_way) = both_ways(&server, &mut client, method, &target, fields);
            assert_eq!((lines(&ready), &ready.body), (lines(&long_way), &long_way.body), "{method} {target} {fields}");
            assert_eq!(ready.field("x-site"), Some("one"), "{}", ready.head);
        }
    }
}

#[test]
fn what_is_compressed_meanwhile_is_sent_so() {
    let folder = files();
    let server = Server::with(|config| config.statics = vec![static_root(None, folder.path())], echo);
    let mut client = server.client();
    wait_until("a compressed answer is ready", || {
        let before = server.snapshot().ready;
        let response = client.send(request("GET", "/style.css", "accept-encoding: gzip\r\n")).response();
        response.field("content-encoding") == Some("gzip") && server.snapshot().ready > before
    });
    assert_eq!(client.get("/style.css").field("content-encoding"), None);
}

#[test]
fn a_file_that_changes_or_goes_is_noticed() {
    let folder = files();
    let server = Server::with(|config| config.statics = vec![static_root(None, folder.path())], echo);
    let mut client = server.client();
    both_ways(&server, &mut client, "GET", "/a.bin", "");
    fs::write(folder.path().join("a.bin"), "other").unwrap();
    wait_until("the other content", || client.get("/a.bin").text() == "other");
    fs::remove_file(folder.path().join("a.bin")).unwrap();
    wait_until("the application's answer", || client.get("/a.bin").text().starts_with("GET /a.bin"));
}

#[test]
fn ready_answers_keep_their_places_among_others() {
    let folder = files();
    let server = Server::with(|config| config.statics = vec![static_root(None, folder.path())], echo);
    let mut client = server.client();
    both_ways(&server, &mut client, "GET", "/a.bin", "");
    let before = server.snapshot().ready;
    let round = ["/a.bin", "/app", "/a.bin", "/a.bin", "/other"];
    let all: String = round.iter().cycle().take(500).map(|path| request("GET", path, "")).collect();
    client.send(all);
    for path in round.iter().cycle().take(500) {
        let response = client.response();
        let expected = if *path == "/a.bin" { "0123456789".to_owned() } else { format!("GET {path} ") };
        assert!(response.text().starts_with(expected.trim_end()), "{path}: {}", response.text());
    }
    // Those that came in the second in which the file was looked at again went the long way.
    assert!(server.snapshot().ready > before, "{:?}", server.snapshot());
}

#[test]
fn each_is_a_line_of_the_log_and_a_request_like_others() {
    let folder = files();
    let log = folder.path().join("access.log");
    let mut server = Server::with(
        |config| {
            config.statics = vec![static_root(None, folder.path())];
            config.log.access = AccessLog::File(log.clone());
            config.clients.keepalive_requests = std::num::NonZero::new(1000);
        },
        echo,
    );
    let mut client = server.client();
    both_ways(&server, &mut client, "GET", "/a.bin", "");
    client.send(request("GET", "/a.bin?x", "user-agent: me\r\nreferer: there\r\n")).response();
    client.send(request("HEAD", "/a.bin?y", "")).response_to("HEAD");
    wait_until("nothing is in flight", || server.snapshot().in_flight == 0);
    let requests = server.snapshot().requests;
    server.order(Stop::Draining);
    assert_eq!(server.drained(), Drained { cut_off: 0 });
    let log = fs::read_to_string(log).unwrap();
    assert_eq!(log.lines().count() as u64, requests, "{log}");
    assert!(log.contains("\"GET /a.bin?x HTTP/1.1\" 200 10 \"there\" \"me\" "), "{log}");
    assert!(log.contains("\"HEAD /a.bin?y HTTP/1.1\" 200 0 \"-\" \"-\" "), "{log}");
    assert!(!log.contains("aborted"), "{log}");
}

#[test]
fn limits_on_requests_hold() {
    let folder = files();
    let root = static_root(None, folder.path());
    let most = std::num::NonZero::new(20);
    let server = Server::with(
        |config| {
            config.statics = vec![root.clone()];
            config.clients.keepalive_requests = most;
        },
        echo,
    );
    let mut client = server.client();
    let answers: Vec<_> = (0..20).map(|_| client.get("/a.bin")).collect();
    assert_eq!(answers[18].field("connection"), None);
    assert_eq!(answers[19].field("connection"), Some("close"));
    assert!(client.is_closed());
    assert!(server.snapshot().ready > 0);

    let server = Server::with(
        |config| {
            config.statics = vec![root.clone()];
            config.clients.rate_limit = Some(rate(3, RateKey::Address));
        },
        echo,
    );
    let mut client = server.client();
    let statuses: Vec<_> = (0..20).map(|_| client.get("/a.bin").status).collect();
    assert!(statuses.contains(&429), "{statuses:?}");
    assert_eq!(server.snapshot().ready, 0);
}

/// Sends so many requests for the large file that the answers do not fit into the sockets' buffers.
fn stalled(server: &Server) -> Client {
    let mut client = server.client();
    both_ways(server, &mut client, "GET", "/large.bin", "");
    client.send(request("GET", "/large.bin", "").repeat(400));
    let mut seen = (0, 0);
    wait_until("it takes no more", || {
        let sent = (server.snapshot().requests, server.snapshot().in_flight);
        std::thread::park_timeout(Duration::from_millis(50));
        std::mem::replace(&mut seen, sent) == sent && sent.1 == 1
    });
    client
}

#[test]
fn a_drain_lets_the_one_that_is_on_its_way_arrive() {
    let folder = files();
    let mut server = Server::with(|config| config.statics = vec![static_root(None, folder.path())], echo);
    let mut client = stalled(&server);
    server.order(Stop::Draining);
    // It may take a moment until the connection hears of it, but not until all have been answered.
    let rest = client.rest();
    let answers = rest.windows(15).filter(|window| *window == b"HTTP/1.1 200 OK").count();
    assert!((1..400).contains(&answers), "{answers}");
    assert_eq!(rest.windows(4).filter(|window| *window == b"xxxx").count(), answers * (LARGE - 3));
    assert_eq!(server.drained(), Drained { cut_off: 0 });
}

#[test]
fn a_client_that_stops_reading_is_cut_off_and_logged() {
    let folder = files();
    let log = folder.path().join("access.log");
    let mut server = Server::with(
        |config| {
            config.statics = vec![static_root(None, folder.path())];
            config.timeouts.send = Duration::from_millis(300);
            config.log.access = AccessLog::File(log.clone());
        },
        echo,
    );
    let _client = stalled(&server);
    wait_until("the connection is cut", || server.snapshot().connections == 0);
    server.order(Stop::Draining);
    let _ = server.drained();
    let log = fs::read_to_string(log).unwrap();
    assert!(log.lines().last().unwrap().ends_with(" aborted"), "{log}");
}
