//! Files that the application has sent for it, and the compression of what it sends itself.

use std::{fs, io::Read, sync::mpsc};

use stack_bridge::{Flow, Job, Push};
use stack_config::{Config, InternalRoot};
use tempfile::TempDir;

use crate::server::{Server, head, static_root};

fn site() -> TempDir {
    let site = tempfile::tempdir().unwrap();
    for directory in ["media", "open", "elsewhere"] {
        fs::create_dir(site.path().join(directory)).unwrap();
    }
    fs::write(site.path().join("media/a b.pdf"), "0123456789").unwrap();
    fs::write(site.path().join("media/.secret"), "secret").unwrap();
    fs::write(site.path().join("elsewhere/x.pdf"), "secret").unwrap();
    fs::create_dir(site.path().join("open/protected")).unwrap();
    fs::write(site.path().join("open/protected/y.txt"), "not to be had").unwrap();
    site
}

/// Answers with the fields that stand in the query: `name=value&name=value`.
fn obey(job: Job) {
    let query = String::from_utf8(job.request.query.to_vec()).unwrap();
    let mut fields = vec![("content-length", "4".to_owned())];
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap();
        let name = [
            "x-accel-redirect",
            "x-sendfile",
            "content-type",
            "content-disposition",
            "set-cookie",
            "etag",
            "cache-control",
        ]
        .into_iter()
        .find(|known| *known == name)
        .unwrap();
        fields.push((name, value.replace('+', " ")));
    }
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut responder = job.responder;
    let head = Some((head(200, &fields), Flow::Buffered));
    let _ = responder.push(&mut Push { head, block: b"body", last: true, may_wait: false });
}

fn serve(site: &TempDir) -> Server {
    let media = site.path().join("media").canonicalize().unwrap();
    let configure = |config: &mut Config| {
        config.statics = vec![static_root(None, &site.path().join("open"))];
        config.files.internal = vec![InternalRoot { prefix: "/protected".into(), directory: media.clone() }];
        config.files.sendfile = vec![media.clone()];
    };
    Server::with(configure, obey)
}

#[test]
fn a_file_takes_the_place_of_the_body_and_the_applications_fields_stay() {
    let site = site();
    let server = serve(&site);
    let mut client = server.client();
    let fields =
        "content-type=application/x-own&content-disposition=attachment&set-cookie=a=b&etag=app&cache-control=private";
    let media = site.path().join("media").canonicalize().unwrap();
    let by_path = format!("x-sendfile={}/a+b.pdf", media.display());
    for wish in ["x-accel-redirect=/protected/a%20b.pdf", &by_path] {
        let response = client.get(&format!("/download?{wish}&{fields}"));
        assert_eq!((response.status, response.text()), (200, "0123456789"), "{wish}");
        for (name, value) in [
            ("content-type", Some("application/x-own")),
            ("content-disposition", Some("attachment")),
            ("set-cookie", Some("a=b")),
            ("cache-control", Some("private")),
            ("accept-ranges", Some("bytes")),
            ("content-length", Some("10")),
            ("x-accel-redirect", None),
            ("x-sendfile", None),
        ] {
            assert_eq!(response.field(name), value, "{wish}: {name}");
        }
        let tag = response.field("etag").unwrap().to_owned();
        assert_ne!(tag, "app");
        let mut conditional = |fields: &str| {
            client.send(format!("GET /download?{wish} HTTP/1.1\r\nhost: a\r\n{fields}\r\n\r\n")).response()
        };
        assert_eq!(conditional(&format!("if-none-match: {tag}")).status, 304);
        let part = conditional("range: bytes=2-3");
        assert_eq!((part.status, part.text(), part.field("content-type")), (206, "23", Some("application/pdf")));
    }
    client.send("POST /download?x-accel-redirect=/protected/a%20b.pdf HTTP/1.1\r\nhost: a\r\nrange: bytes=0-0\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(client.response().text(), "0123456789");
}

#[test]
fn nothing_but_a_file_of_such_a_directory_is_sent() {
    let site = site();
    let server = serve(&site);
    let mut client = server.client();
    let elsewhere = site.path().join("elsewhere/x.pdf").canonicalize().unwrap();
    let media = site.path().join("media").canonicalize().unwrap();
    for wish in [
        "x-accel-redirect=/elsewhere/x.pdf".to_owned(),
        "x-accel-redirect=/protected/../elsewhere/x.pdf".into(),
        "x-accel-redirect=/protected/%2e%2e/elsewhere/x.pdf".into(),
        "x-accel-redirect=/protected/.secret".into(),
        "x-accel-redirect=/protectedx/a%20b.pdf".into(),
        "x-accel-redirect=protected/a%20b.pdf".into(),
        format!("x-sendfile={}", elsewhere.display()),
        format!("x-sendfile={}/../elsewhere/x.pdf", media.display()),
        format!("x-sendfile={}/.secret", media.display()),
        "x-sendfile=a b.pdf".replace(' ', "+"),
    ] {
        let response = client.get(&format!("/download?{wish}"));
        assert_eq!((response.status, response.text()), (500, "Internal server error\n"), "{wish}");
        assert_eq!((response.field("x-accel-redirect"), response.field("x-sendfile")), (None, None));
    }
    assert_eq!(client.get("/download?x-accel-redirect=/protected/none.pdf").status, 404);
    assert_eq!(client.get("/download?x-accel-redirect=/protected/").status, 404);
}

#[test]
fn a_request_from_outside_gets_no_internal_file() {
    let site = site();
    let server = serve(&site);
    let mut client = server.client();
    for path in ["/protected/a%20b.pdf", "/protected/y.txt", "/%70rotected/y.txt"] {
        assert_eq!(client.get(path).text(), "body", "{path} is the application's");
    }
    let unused = Server::with(|_| {}, obey);
    let response = unused.client().get("/?x-accel-redirect=/protected/a%20b.pdf");
    assert_eq!((response.status, response.field("x-accel-redirect")), (500, None), "it never leaks");
}

#[test]
fn a_stream_is_compressed_and_each_block_can_be_read_at_once() {
    let (go, wait) = mpsc::channel::<()>();
    let application = move |job: Job| {
        let mut responder = job.responder;
        let first = Some((head(200, &[("content-type", "text/plain")]), Flow::Buffered));
        responder.push(&mut Push { head: first, block: b"the first block", last: false, may_wait: false }).unwrap();
        wait.recv().unwrap();
        responder.push(&mut Push { head: None, block: b", the last", last: true, may_wait: false }).unwrap();
    };
    let server = Server::with(|_| {}, application);
    let mut client = server.client();
    client.send("GET / HTTP/1.1\r\nhost: a\r\naccept-encoding: gzip\r\nconnection: close\r\n\r\n");
    let head = client.head();
    assert!(head.contains("content-encoding: gzip") && head.contains("transfer-encoding: chunked"), "{head}");
    let mut raw = Vec::new();
    let decoded = |raw: &[u8]| {
        let mut text = Vec::new();
        let _ = flate2::read::MultiGzDecoder::new(&dechunked(raw)[..]).read_to_end(&mut text);
        String::from_utf8(text).unwrap()
    };
    while decoded(&raw) != "the first block" {
        raw.extend(client.take(1));
    }
    go.send(()).unwrap();
    raw.extend(client.rest());
    assert_eq!(decoded(&raw), "the first block, the last");
}

/// As much as there is.
fn dechunked(mut raw: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    while let Some(end) = raw.windows(2).position(|pair| pair == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&raw[..end]).unwrap(), 16).unwrap();
        raw = &raw[end + 2..];
        content.extend_from_slice(&raw[..size.min(raw.len())]);
        raw = raw.get(size + 2..).unwrap_or_default();
    }
    content
}

#[test]
fn a_file_that_could_be_compressed_goes_out_as_it_is() {
    let site = site();
    fs::write(site.path().join("media/export.csv"), "a,b,c\n".repeat(200_000)).unwrap();
    let server = serve(&site);
    let mut client = server.client();
    client.send("GET /?x-accel-redirect=/protected/export.csv HTTP/1.1\r\nhost: a\r\naccept-encoding: gzip\r\n\r\n");
    let response = client.response();
    assert_eq!((response.field("content-encoding"), response.field("accept-ranges")), (None, Some("bytes")));
    assert_eq!(response.body.len(), 1_200_000);
}
