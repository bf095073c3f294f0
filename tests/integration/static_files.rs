//! `--static`.

use std::{fs, os::unix::fs::symlink, path::Path};

use tempfile::TempDir;

use crate::harness::{Response, Server, eventually, pattern};

/// A folder with files that may be served, and beside it one that may not.
fn site() -> TempDir {
    let site = tempfile::tempdir().unwrap();
    let public = site.path().join("public");
    let file = |path: &str, content: &[u8]| {
        let path = site.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    file("public/index.html", b"<h1>index</h1>");
    file("public/style.css", b"body {}");
    file("public/docs/index.html", b"<h1>docs</h1>");
    file("public/empty/note.txt", b"note");
    file("public/with space.txt", b"space");
    file("public/caf\u{e9}.txt", b"accent");
    file("public/no-type", b"plain");
    file("public/zero.txt", b"");
    file("public/.hidden", b"secret");
    file("public/.git/config", b"secret");
    file("public/big.bin", &pattern(2_000_000));
    file("secret.txt", b"secret");
    symlink(site.path().join("secret.txt"), public.join("link.txt")).unwrap();
    symlink(site.path(), public.join("up")).unwrap();
    symlink("style.css", public.join("inside.css")).unwrap();
    site
}

fn root(site: &Path) -> Server {
    Server::start("environment", &["--static", site.join("public").to_str().unwrap()])
}

fn owned(site: &Path) -> Server {
    Server::start("environment", &["--static", &format!("/assets={}", site.join("public").display())])
}

/// Whether the application answered.
fn is_application(response: &Response) -> bool {
    response.status == 200 && response.header("content-type") == Some("application/json")
}

#[test]
fn a_document_root_goes_before_the_application() {
    let site = site();
    let server = root(site.path());
    let mut connection = server.connect();
    for (target, body, kind) in [
        ("/", "<h1>index</h1>", "text/html"),
        ("/style.css", "body {}", "text/css"),
        ("/style.css?v=1", "body {}", "text/css"),
        ("/docs/", "<h1>docs</h1>", "text/html"),
        ("/with%20space.txt", "space", "text/plain"),
        ("/caf%C3%A9.txt", "accent", "text/plain"),
        ("/inside.css", "body {}", "text/css"),
        ("/zero.txt", "", "text/plain"),
    ] {
        let response = connection.get(target).expect(200);
        assert_eq!(response.text(), body, "{target}");
        assert!(response.header("content-type").is_some_and(|known| known.starts_with(kind)), "{target}: {response:?}");
        assert_eq!(response.header("content-length"), Some(body.len().to_string().as_str()), "{target}");
        for field in ["etag", "last-modified"] {
            assert!(response.header(field).is_some(), "no {field} for {target}");
        }
    }
    for target in ["/elsewhere", "/empty/", "/docs/nothing", "/style.css/x"] {
        assert!(is_application(&connection.get(target)), "{target}");
    }
    let posted = connection.request("POST", "/style.css", &[], b"x");
    assert!(is_application(&posted), "only GET and HEAD are for files: {posted:?}");
    server.stop();
}

#[test]
fn an_owned_prefix_never_reaches_the_application() {
    let site = site();
    let server = owned(site.path());
    let mut connection = server.connect();
    assert_eq!(connection.get("/assets/style.css").expect(200).text(), "body {}");
    assert_eq!(connection.get("/assets/docs/").expect(200).text(), "<h1>docs</h1>");
    for target in ["/assets/nothing", "/assets/empty/", "/assets/.hidden"] {
        connection.get(target).expect(404);
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let response = server.connect().request(method, "/assets/style.css", &[], b"").expect(405);
        let allow = response.header("allow").unwrap_or_default().to_owned();
        assert!(allow.contains("GET") && allow.contains("HEAD"), "{allow}");
    }
    for target in ["/", "/assetsx/style.css", "/Assets/style.css"] {
        assert!(is_application(&server.get(target)), "{target}");
    }
    server.stop();
}

#[test]
fn a_folder_without_its_slash_is_redirected() {
    let site = site();
    let server = owned(site.path());
    let response = server.get("/assets/docs?x=y");
    assert!([301, 302, 307, 308].contains(&response.status), "{response:?}");
    let location = response.header("location").unwrap();
    assert!(location.ends_with("/assets/docs/?x=y"), "{location}");
}

#[test]
fn nothing_outside_the_folder_is_served() {
    let site = site();
    let server = owned(site.path());
    for target in [
        "/../secret.txt",
        "/assets/../../secret.txt",
        "/assets/..%2fsecret.txt",
        "/assets/%2e%2e%2fsecret.txt",
        "/assets/docs/..%2f..%2fsecret.txt",
        "/assets/..%5csecret.txt",
        "/assets/..\\secret.txt",
        "/assets//etc/passwd",
        "/assets/%2fetc%2fpasswd",
        "/assets/.%00./secret.txt",
        "/assets/style.css%00.txt",
        "/assets/link.txt",
        "/assets/up/secret.txt",
        "/assets/.hidden",
        "/assets/%2ehidden",
        "/assets/.git/config",
        "/assets/docs/.%2e/.hidden",
        "/assets/....//secret.txt",
        "/assets/%252e%252e/secret.txt",
        "/assets/%c0%ae%c0%ae/secret.txt",
        "/assets/%ff",
        "/assets/%zz",
    ] {
        let response = server.get(target);
        assert!([301, 308, 400, 403, 404].contains(&response.status), "{target}: {response:?}");
        assert!(!response.body.windows(6).any(|part| part == b"secret"), "{target}: {response:?}");
        assert!(!response.body.windows(5).any(|part| part == b"root:"), "{target}: {response:?}");
    }
    // These are /secret.txt, which is no file of the prefix but the application's.
    for target in ["/assets/../secret.txt", "/assets/%2e%2e/secret.txt", "/assets/docs/../../secret.txt"] {
        assert_eq!(server.get(target).expect(200).json()["PATH_INFO"], "/secret.txt", "{target}");
    }
    assert_eq!(server.get("/assets/style.css").expect(200).text(), "body {}");
    server.stop();
}

#[test]
fn an_unchanged_file_is_not_sent_again() {
    let site = site();
    let server = owned(site.path());
    let mut connection = server.connect();
    let first = connection.get("/assets/style.css").expect(200);
    let (etag, modified) = (first.header("etag").unwrap(), first.header("last-modified").unwrap());
    for (headers, status) in [
        (vec![("If-None-Match", etag)], 304),
        (vec![("If-None-Match", "\"other\"")], 200),
        (vec![("If-None-Match", "*")], 304),
        (vec![("If-Modified-Since", modified)], 304),
        (vec![("If-Modified-Since", "Thu, 01 Jan 1970 00:00:00 GMT")], 200),
        (vec![("If-Modified-Since", "yesterday")], 200),
        // The entity tag goes before the date (RFC 9110 §13.2.2).
        (vec![("If-None-Match", "\"other\""), ("If-Modified-Since", modified)], 200),
    ] {
        let response = connection.request("GET", "/assets/style.css", &headers, b"");
        assert_eq!(response.status, status, "{headers:?}");
        assert_eq!(response.header("etag"), Some(etag), "{headers:?}");
    }
    let list = format!("\"x\", {etag}");
    connection.request("GET", "/assets/style.css", &[("If-None-Match", &list)], b"").expect(304);
    fs::write(site.path().join("public/style.css"), "body { color: red }").unwrap();
    let changed = eventually("the change is noticed", || {
        let response = connection.request("GET", "/assets/style.css", &[("If-None-Match", etag)], b"");
        (response.status == 200).then_some(response)
    });
    assert_eq!(changed.text(), "body { color: red }");
    assert_ne!(changed.header("etag"), Some(etag));
}

#[test]
fn a_part_of_a_file_is_sent() {
    let site = site();
    let server = owned(site.path());
    let mut connection = server.connect();
    let whole = pattern(2_000_000);
    for (range, part) in [
        ("bytes=0-0", 0..1),
        ("bytes=10-19", 10..20),
        ("bytes=1999990-", 1_999_990..2_000_000),
        ("bytes=-5", 1_999_995..2_000_000),
        ("bytes=1999990-9999999", 1_999_990..2_000_000),
        ("bytes=0-", 0..2_000_000),
        ("bytes=-9999999", 0..2_000_000),
    ] {
        let response = connection.request("GET", "/assets/big.bin", &[("Range", range)], b"").expect(206);
        let said = format!("bytes {}-{}/2000000", part.start, part.end - 1);
        assert_eq!(response.header("content-range"), Some(said.as_str()), "{range}");
        assert!(response.body == whole[part], "{range}");
    }
    for range in ["bytes=2000000-", "bytes=-0"] {
        let response = connection.request("GET", "/assets/big.bin", &[("Range", range)], b"").expect(416);
        assert_eq!(response.header("content-range"), Some("bytes */2000000"), "{range}");
    }
    // What is not understood is ignored (RFC 9110 §14.2).
    for range in ["lines=1-2", "bytes=b-c", "bytes=5-1", "bytes=", "bytes=0-1,3-4"] {
        let response = connection.request("GET", "/assets/big.bin", &[("Range", range)], b"");
        assert!(matches!(response.status, 200 | 206 | 416), "{range}: {}", response.status);
    }
    let etag = connection.get("/assets/big.bin").header("etag").unwrap().to_owned();
    let resumed = [("Range", "bytes=0-1"), ("If-Range", etag.as_str())];
    connection.request("GET", "/assets/big.bin", &resumed, b"").expect(206);
    let outdated = [("Range", "bytes=0-1"), ("If-Range", "\"other\"")];
    connection.request("GET", "/assets/big.bin", &outdated, b"").expect(200);
}

#[test]
fn a_head_request_gets_a_file_s_head() {
    let site = site();
    let server = owned(site.path());
    let mut connection = server.connect();
    let head = connection.request("HEAD", "/assets/big.bin", &[], b"").expect(200);
    assert_eq!(head.header("content-length"), Some("2000000"));
    assert!(connection.get("/assets/big.bin").expect(200).body == pattern(2_000_000));
}

#[test]
fn several_roots_are_told_apart_by_the_longest_prefix() {
    let site = site();
    let (public, docs) = (site.path().join("public"), site.path().join("public/docs"));
    let (assets, deep) = (format!("/assets={}", public.display()), format!("/assets/deep={}", docs.display()));
    let server = Server::start("environment", &["--static", &assets, "--static", &deep]);
    assert_eq!(server.get("/assets/style.css").expect(200).text(), "body {}");
    assert_eq!(server.get("/assets/deep/").expect(200).text(), "<h1>docs</h1>");
    server.get("/assets/deep/style.css").expect(404);
}

#[test]
fn files_are_served_while_every_thread_is_busy() {
    let site = site();
    let gate = crate::harness::Gate::new();
    let public = site.path().join("public");
    let server = Server::start("gated", &["--workers", "1", "--threads", "1", "--static", public.to_str().unwrap()]);
    let mut running = server.connect();
    running.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", gate.target("/busy")));
    let held = gate.entered();
    assert_eq!(server.get("/style.css").expect(200).text(), "body {}");
    held.release();
    running.response("GET").unwrap().expect(200);
}
