//! Static files before the application, and below prefixes of their own.

use std::{fs, os::unix::fs::symlink, path::Path};

use tempfile::TempDir;

use crate::server::{Server, echo, static_root};

fn site() -> TempDir {
    let outer = tempfile::tempdir().unwrap();
    let root = outer.path().join("public");
    fs::create_dir_all(root.join("sub")).unwrap();
    fs::create_dir(root.join("empty")).unwrap();
    fs::create_dir(root.join(".well-known")).unwrap();
    for (name, content) in [
        ("../secret.txt", "secret"),
        ("a.txt", "0123456789"),
        ("a b.txt", "space"),
        ("app.js", "js"),
        (".env", "secret"),
        (".well-known/x", "known"),
        ("sub/index.html", "index"),
    ] {
        fs::write(root.join(name), content).unwrap();
    }
    fs::write(root.join("large.bin"), vec![b'x'; 300_000]).unwrap();
    symlink("../secret.txt", root.join("escape.txt")).unwrap();
    symlink(outer.path(), root.join("outside")).unwrap();
    symlink("a.txt", root.join("inside.txt")).unwrap();
    symlink(root.canonicalize().unwrap().join("a.txt"), root.join("absolute.txt")).unwrap();
    outer
}

fn owned(outer: &Path) -> Server {
    let root = static_root(Some("/assets"), &outer.join("public"));
    Server::with(|config| config.statics = vec![root], echo)
}

fn document_root(outer: &Path) -> Server {
    let root = static_root(None, &outer.join("public"));
    Server::with(|config| config.statics = vec![root], echo)
}

#[test]
fn a_file_is_sent_with_its_type_and_validators() {
    let outer = site();
    let server = owned(outer.path());
    let mut client = server.client();
    let response = client.get("/assets/a.txt?v=1");
    assert_eq!((response.status, response.text()), (200, "0123456789"));
    assert_eq!(response.field("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(response.field("accept-ranges"), Some("bytes"));
    let etag = response.field("etag").unwrap().to_owned();
    let date = response.field("last-modified").unwrap().to_owned();
    for condition in [format!("if-none-match: {etag}"), format!("if-modified-since: {date}")] {
        client.send(format!("GET /assets/a.txt HTTP/1.1\r\nhost: a\r\n{condition}\r\n\r\n"));
        let response = client.response();
        assert_eq!((response.status, response.field("etag")), (304, Some(etag.as_str())), "{condition}");
    }
    assert_eq!(client.get("/assets/a%20b.txt").text(), "space");
    assert_eq!(client.get("/assets/inside.txt").text(), "0123456789");
    assert_eq!(client.get("/assets/absolute.txt").text(), "0123456789");
    assert_eq!(client.get("/assets/.well-known/x").text(), "known");
    assert_eq!(client.get("/assets/large.bin").body, vec![b'x'; 300_000]);
    client.send("HEAD /assets/a.txt HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(client.response_to("HEAD").field("content-length"), Some("10"));
    assert_eq!(client.get("/assets/app.js").field("content-type"), Some("text/javascript; charset=utf-8"));
}

#[test]
fn a_range_of_a_file_is_sent() {
    let outer = site();
    let server = owned(outer.path());
    let mut client = server.client();
    let mut get = |range: &str| {
        client.send(format!("GET /assets/a.txt HTTP/1.1\r\nhost: a\r\nrange: {range}\r\n\r\n")).response()
    };
    let response = get("bytes=2-4");
    assert_eq!((response.status, response.text()), (206, "234"));
    assert_eq!(response.field("content-range"), Some("bytes 2-4/10"));
    let response = get("bytes=10-");
    assert_eq!((response.status, response.field("content-range")), (416, Some("bytes */10")));
    // Ranges that are so close to each other are sent as one.
    let response = get("bytes=0-1,3-4");
    assert_eq!((response.status, response.field("content-range")), (206, Some("bytes 0-4/10")));
}

#[test]
fn an_owned_prefix_answers_for_everything_below_it() {
    let outer = site();
    let server = owned(outer.path());
    let mut client = server.client();
    assert_eq!(client.get("/assets/none").status, 404);
    assert_eq!(client.get("/assets/empty/").status, 404);
    client.send("POST /assets/a.txt HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status, response.field("allow")), (405, Some("GET, HEAD")));
    let response = client.get("/assets/sub?x=1");
    assert_eq!((response.status, response.field("location")), (301, Some("/assets/sub/?x=1")));
    assert_eq!(client.get("/assets/sub/").text(), "index");
    assert_eq!(client.get("/assetsx").text(), "GET /assetsx  ");
}

#[test]
fn nothing_outside_the_root_and_nothing_hidden_is_sent() {
    let outer = site();
    let server = owned(outer.path());
    let mut client = server.client();
    for path in [
        "%252e%252e/secret.txt",
        "..%5csecret.txt",
        "%2fetc/passwd",
        "/etc/passwd",
        ".env",
        "%2eenv",
        "escape.txt",
        "outside/secret.txt",
        "a.txt/",
    ] {
        let response = client.get(&format!("/assets/{path}"));
        assert_eq!(response.status, 404, "{path}: {}", response.text());
    }
    assert_eq!(client.get("/assets/./sub/../a.txt").text(), "0123456789");
    // What dot segments lead out of the prefix is not below it: the application's, as without them.
    for path in ["../secret.txt", "%2e%2e/secret.txt", "sub/../../secret.txt"] {
        assert_eq!(client.get(&format!("/assets/{path}")).text(), "GET /secret.txt  ");
    }
    for path in ["..%2fsecret.txt", "%2e%2e%2fsecret.txt", "sub/..%2f../secret.txt", "..%00/secret.txt", "a.txt%00"] {
        assert_eq!(server.client().get(&format!("/assets/{path}")).status, 400, "{path}");
    }
}

#[test]
fn a_document_root_leaves_what_it_has_not_to_the_application() {
    let outer = site();
    let server = document_root(outer.path());
    let mut client = server.client();
    assert_eq!(client.get("/a.txt").text(), "0123456789");
    assert_eq!(client.get("/sub/").text(), "index");
    assert_eq!(client.get("/sub").field("location"), Some("/sub/"));
    for path in ["/", "/none", "/empty/", "/escape.txt", "/.env", "//a.txt"] {
        assert_eq!(client.get(path).text(), format!("GET {path}  "));
    }
    client.send("POST /a.txt HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx");
    assert_eq!(client.response().text(), "POST /a.txt  x");
}

#[test]
fn a_fifo_is_no_file_and_does_not_block() {
    let outer = site();
    let fifo = outer.path().join("public/fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    let server = owned(outer.path());
    assert_eq!(server.client().get("/assets/fifo").status, 404);
}
