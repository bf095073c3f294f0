//! Pages that load themselves again.

use super::{dev_of, event, listen, page, save, version_of, versioned, wait_for_text};
use crate::harness::{
    Connection, eventually,
    http2::{Http2, flag, headers, kind},
    stack, trusting,
};

#[test]
fn a_page_has_the_script_and_what_it_listens_to() {
    let server = dev_of(&versioned("<p>one</p>")).server();
    let page = page(&mut server.connect()).expect(200);
    assert!(page.text().starts_with("<p>one</p>\n<script src=\"/.stack/reload.js\" "), "{}", page.text());
    assert_eq!(page.header("content-length"), Some(page.body.len().to_string().as_str()));
    let script = server.get("/.stack/reload.js").expect(200);
    assert_eq!(script.header("content-type"), Some("text/javascript; charset=utf-8"));
    assert!(script.text().contains("new EventSource(\"/.stack/events\")"));
    let mut listening = server.connect();
    assert_eq!(listen(&mut listening)["version"], version_of(&page));
    // A request that is no browser's, and one of a script: as they are in production.
    assert_eq!(server.get("/").expect(200).text(), "<p>one</p>");
    let fetched = server.connect().request("GET", "/", &[("Accept", "text/html"), ("Sec-Fetch-Dest", "empty")], b"");
    assert_eq!(fetched.text(), "<p>one</p>");
    let head = server.connect().request("HEAD", "/", &[("Accept", "text/html")], b"");
    assert_eq!(head.header("content-length"), Some("10"));
    server.stop();
}

#[test]
fn a_reload_ends_the_stream_with_a_word_and_the_next_page_has_another_version() {
    let server = dev_of(&versioned("one")).server();
    let before = version_of(&page(&mut server.connect()));
    let mut listening = server.connect();
    assert_eq!(listen(&mut listening)["version"], before);
    save(&server, "changing.py", &versioned("two"));
    assert_eq!(event(&mut listening).expect("a last event")["version"], serde_json::Value::Null);
    assert_eq!(event(&mut listening), None);
    let after = page(&mut server.connect());
    assert!(after.text().starts_with("two"), "the word comes when the new code is there: {}", after.text());
    assert_ne!(version_of(&after), before);
    server.stop();
}

#[test]
fn a_changed_static_file_has_pages_loaded_again_without_a_reload() {
    let server = dev_of(&versioned("one")).file("public/site.css", "a {}").arguments(["--static", "public"]).server();
    let mut listening = server.connect();
    let before = listen(&mut listening);
    assert_eq!(server.get("/site.css").expect(200).text(), "a {}");
    save(&server, "public/site.css", "b {}");
    let after = event(&mut listening).expect("an event");
    assert_ne!(after["version"], before["version"]);
    assert_eq!(server.get("/site.css").expect(200).text(), "b {}");
    assert!(super::reloads(&server).is_empty());
    server.stop();
}

#[test]
fn a_page_that_is_compressed_or_kept_elsewhere_has_the_script_too() {
    let text = versioned("<p>one</p>").replace(
        "    start_response('200 OK', [",
        "    assert 'HTTP_ACCEPT_ENCODING' not in environ\n    start_response('200 OK', [('ETag', '\"1\"'), ('Cache-Control', 'max-age=60'), \
         ('Strict-Transport-Security', 'max-age=60'), ('Content-Security-Policy', \"script-src 'nonce-abc'\"), ",
    );
    let server = dev_of(&text).server();
    let fields = [("Accept", "text/html"), ("Accept-Encoding", "gzip"), ("Sec-Fetch-Dest", "document")];
    let page = server.connect().request("GET", "/", &fields, b"").expect(200);
    assert!(page.text().contains(" nonce=\"abc\" async"), "{}", page.text());
    assert_eq!(page.header("etag"), None);
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(page.header("strict-transport-security"), None, "localhost is not for TLS alone");
    server.stop();
}

#[test]
fn the_page_of_an_exception_reloads_itself() {
    let server = dev_of("def application(environ, start_response):\n    raise ValueError('here')\n").server();
    let failed = page(&mut server.connect()).expect(500);
    let mut listening = server.connect();
    assert_eq!(listen(&mut listening)["version"], version_of(&failed));
    save(&server, "changing.py", &versioned("mended"));
    assert_eq!(event(&mut listening).expect("a last event")["version"], serde_json::Value::Null);
    assert!(page(&mut server.connect()).text().starts_with("mended"));
    server.stop();
}

#[test]
fn it_works_over_tls_and_http2() {
    let home = tempfile::tempdir().unwrap();
    let server =
        dev_of(&versioned("one")).arguments(["--tls", "self-signed"]).env("XDG_DATA_HOME", home.path()).server();
    let url = server.wait_for_line("open this in a browser");
    assert!(url.contains("url=https://127.0.0.1:"), "{url}");
    let pem = std::fs::read_to_string(home.path().join("stack/local-ca/ca.pem")).unwrap();
    let trust = trusting(&pem, None);
    let connect = || Connection::tls(server.address(), "localhost", &trust).unwrap();
    let version = version_of(&page(&mut connect()));
    let mut listening = connect();
    assert_eq!(listen(&mut listening)["version"], version);

    let mut alpn = (*trust).clone();
    alpn.alpn_protocols = vec![b"h2".to_vec()];
    let second = Connection::tls(server.address(), "localhost", &alpn.into()).unwrap();
    let mut second = Http2::start(second, &[]);
    let fields = [(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", "/.stack/events")];
    second.send(headers(1, flag::END_STREAM, &fields));
    let mut data = |part: &str| loop {
        let frame = second.frame().expect("a frame");
        if frame.kind == kind::DATA && String::from_utf8_lossy(&frame.payload).contains(part) {
            return;
        }
    };
    data(&version);
    save(&server, "changing.py", &versioned("two"));
    data("\"version\":null");
    assert_eq!(event(&mut listening).expect("a last event")["version"], serde_json::Value::Null);
    let page = page(&mut connect());
    assert!(page.text().starts_with("two"), "{}", page.text());
    server.stop();
}

#[test]
fn in_production_there_is_none_of_it() {
    let text = versioned("one")
        .replace("[b'one']", "[environ['PATH_INFO'].encode()]")
        .replace(", ('Content-Length', '3')", "");
    let server = stack(["serve", "--app", "changing"]).file("changing.py", &text).server();
    let shown = page(&mut server.connect()).expect(200);
    assert_eq!(shown.text(), "/", "no script");
    for path in ["/.stack/reload.js", "/.stack/events"] {
        assert_eq!(server.get(path).expect(200).text(), path, "the path is the application's");
    }
    save(&server, "changing.py", &versioned("another"));
    // What is noticed would be noticed before this is over.
    server.signal(rustix::process::Signal::HUP);
    wait_for_text(&server, "another");
    let lines = server.stop().stderr();
    assert!(!lines.contains("changed="), "{lines}");
}

#[test]
fn it_can_be_turned_off() {
    let server = dev_of(&versioned("one")).arguments(["--no-browser-reload"]).server();
    assert_eq!(page(&mut server.connect()).expect(200).text(), "one");
    assert_eq!(server.get("/.stack/events").expect(200).text(), "one");
    save(&server, "changing.py", &versioned("two"));
    eventually("the new code", || (page(&mut server.connect()).text() == "two").then_some(()));
    server.stop();
}
