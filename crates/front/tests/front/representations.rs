//! Files in their codings, in memory, in parts, and as pages.

use std::{
    fs::{self, File},
    io::{Read, Write},
    path::Path,
    time::{Duration, SystemTime},
};

use stack_config::{CacheRule, Config, Fallback};
use tempfile::TempDir;

use crate::{
    client::{Client, Response},
    server::{Server, echo, static_root, wait_until},
};

const PROSE: &str = "It was the best of times, it was the worst of times. ";

fn site() -> TempDir {
    let site = tempfile::tempdir().unwrap();
    fs::create_dir_all(site.path().join("docs/deep")).unwrap();
    fs::write(site.path().join("app.js"), PROSE.repeat(200)).unwrap();
    fs::write(site.path().join("index.html"), "<h1>front page</h1>").unwrap();
    fs::write(site.path().join("main.8f3a9b2c.css"), "body {}").unwrap();
    fs::write(site.path().join("photo.png"), vec![7; 5000]).unwrap();
    fs::write(site.path().join("large.bin"), large()).unwrap();
    fs::write(site.path().join("docs/<b>.txt"), "x").unwrap();
    fs::write(site.path().join("docs/.hidden"), "x").unwrap();
    site
}

fn large() -> Vec<u8> {
    (0..1_500_000_u32).map(|place| (place % 251) as u8).collect()
}

fn serve(site: &Path, configure: impl FnOnce(&mut Config)) -> Server {
    let root = static_root(Some("/s"), site);
    let configured = |config: &mut Config| {
        config.statics = vec![root];
        configure(config);
    };
    Server::with(configured, echo)
}

fn get(client: &mut Client, path: &str, fields: &str) -> Response {
    client.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n{fields}\r\n")).response()
}

fn with_coding(client: &mut Client, path: &str, accept: &str) -> Response {
    get(client, path, &format!("accept-encoding: {accept}\r\n"))
}

fn gunzip(content: &[u8]) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(content).read_to_string(&mut text).unwrap();
    text
}

/// Writes a neighbour that is so many seconds younger than the file, or older.
fn neighbour(site: &Path, name: &str, content: &[u8], seconds: i64) {
    let path = site.join(name);
    fs::write(&path, content).unwrap();
    let original = fs::metadata(site.join("app.js")).unwrap().modified().unwrap();
    let age = Duration::from_secs(seconds.unsigned_abs());
    let modified = if seconds < 0 { original - age } else { original + age };
    File::options().write(true).open(path).unwrap().set_modified(modified).unwrap();
}

#[test]
fn a_precompressed_neighbour_is_sent_to_those_who_want_it() {
    let site = site();
    neighbour(site.path(), "app.js.br", b"pretend this is brotli", 0);
    neighbour(site.path(), "app.js.gz", b"pretend this is gzip", 5);
    neighbour(site.path(), "app.js.zst", b"out of date", -5);
    let server = serve(site.path(), |config| config.files.cache_memory = 0);
    let mut client = server.client();
    let mut tags = Vec::new();
    for (accept, coding, content) in [
        ("gzip, br, zstd", Some("br"), "pretend this is brotli"),
        ("gzip, br;q=0.9", Some("gzip"), "pretend this is gzip"),
        ("zstd", None, &PROSE.repeat(200)),
        ("*;q=0.1, br;q=0", Some("gzip"), "pretend this is gzip"),
        ("identity, gzip;q=0.5", None, &PROSE.repeat(200)),
    ] {
        let response = with_coding(&mut client, "/s/app.js", accept);
        assert_eq!((response.status, response.field("content-encoding")), (200, coding), "{accept}");
        assert_eq!(response.text(), content, "{accept}");
        assert_eq!(response.field("content-type"), Some("text/javascript; charset=utf-8"));
        assert_eq!(response.field("vary"), Some("accept-encoding"), "{accept}");
        tags.push((coding, response.field("etag").unwrap().to_owned()));
    }
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 3, "one for each representation: {tags:?}");
    assert!(tags.iter().all(|(_, tag)| tag.starts_with('"')), "strong: {tags:?}");
    let part = get(&mut client, "/s/app.js", "accept-encoding: br\r\nrange: bytes=8-11\r\n");
    assert_eq!((part.status, part.text(), part.field("content-range")), (206, "this", Some("bytes 8-11/22")));
    assert_eq!(get(&mut client, "/s/photo.png", "").field("vary"), None);
}

#[test]
fn a_file_is_compressed_once_and_kept() {
    let site = site();
    let server = serve(site.path(), |_| {});
    let mut client = server.client();
    let first = with_coding(&mut client, "/s/app.js", "gzip");
    assert_eq!((first.field("content-encoding"), first.text()), (None, &*PROSE.repeat(200)), "the first does not wait");
    let mut response = first;
    wait_until("the compressed file", || {
        response = with_coding(&mut client, "/s/app.js", "gzip");
        response.field("content-encoding") == Some("gzip")
    });
    assert_eq!(gunzip(&response.body), PROSE.repeat(200));
    assert_eq!(response.field("vary"), Some("accept-encoding"));
    let plain = get(&mut client, "/s/app.js", "");
    let (tag, plain_tag) = (response.field("etag").unwrap(), plain.field("etag").unwrap());
    assert_ne!(tag, plain_tag);
    for named in [tag, plain_tag] {
        let fields = format!("accept-encoding: gzip\r\nif-none-match: {named}\r\n");
        let unchanged = get(&mut client, "/s/app.js", &fields);
        assert_eq!((unchanged.status, unchanged.field("etag")), (304, Some(named)));
    }
    // What may be made anew with other bytes has no parts.
    assert_eq!(response.field("accept-ranges"), None);
    let part = get(&mut client, "/s/app.js", "accept-encoding: gzip\r\nrange: bytes=0-1\r\n");
    assert_eq!((part.status, part.text(), part.field("content-encoding")), (206, "It", None));
    let png = with_coding(&mut client, "/s/photo.png", "gzip");
    assert_eq!((png.field("content-encoding"), png.field("vary")), (None, None));
}

#[test]
fn a_changed_file_is_noticed_though_it_is_in_memory() {
    let site = site();
    let server = serve(site.path(), |_| {});
    let mut client = server.client();
    let path = site.path().join("app.js");
    let tag = get(&mut client, "/s/app.js", "").field("etag").unwrap().to_owned();
    fs::write(&path, "changed").unwrap();
    let begun = SystemTime::now();
    wait_until("the changed file", || {
        let response = get(&mut client, "/s/app.js", "");
        let is_old = response.field("etag") == Some(&tag);
        assert_eq!(response.text() == "changed", !is_old, "a head goes with its body");
        !is_old
    });
    assert!(begun.elapsed().unwrap() < Duration::from_secs(3), "within a second, and some for a busy machine");
    // Same time, same length: only the file itself is another.
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(site.path().join("new"), "CHANGED").unwrap();
    File::options().write(true).open(site.path().join("new")).unwrap().set_modified(modified).unwrap();
    fs::rename(site.path().join("new"), &path).unwrap();
    wait_until("the replaced file", || get(&mut client, "/s/app.js", "").text() == "CHANGED");
    fs::remove_file(&path).unwrap();
    wait_until("the file is gone", || get(&mut client, "/s/app.js", "").status == 404);
}

fn set_modified(path: &Path, modified: SystemTime) {
    File::options().write(true).open(path).unwrap().set_modified(modified).unwrap();
}

fn tag_of(client: &mut Client, path: &str, coding: &str) -> String {
    let response = with_coding(client, path, coding);
    assert_eq!(response.status, 200, "{path}");
    response.field("etag").unwrap().to_owned()
}

#[test]
fn every_server_with_the_same_file_gives_it_the_same_entity_tag() {
    let then = SystemTime::UNIX_EPOCH + Duration::from_nanos(1_600_000_000_123_456_789);
    let sites = [site(), site()];
    let tags = sites.iter().zip([0, 3600]).map(|(site, age)| {
        let path = |name: &str| site.path().join(name);
        fs::write(path("app.js.br"), "pretend this is brotli").unwrap();
        for name in ["app.js", "app.js.br"] {
            set_modified(&path(name), then + Duration::from_secs(age));
        }
        // Too large to be read before it is sent: its time counts.
        set_modified(&path("large.bin"), then);
        let server = serve(site.path(), |_| {});
        let mut client = server.client();
        [("/s/app.js", "identity"), ("/s/app.js", "br"), ("/s/large.bin", "identity")]
            .map(|(path, coding)| tag_of(&mut client, path, coding))
    });
    let tags: Vec<_> = tags.collect();
    assert_eq!(tags[0], tags[1]);
    assert!(tags[0].iter().all(|tag| tag.starts_with('"')), "strong: {tags:?}");
}

#[test]
fn content_that_is_replaced_in_place_has_another_tag_though_its_time_and_length_are_the_same() {
    let site = site();
    let server = serve(site.path(), |_| {});
    let mut client = server.client();
    let path = site.path().join("app.js");
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
    fs::write(&path, "one").unwrap();
    set_modified(&path, then);
    let tag = tag_of(&mut client, "/s/app.js", "identity");
    fs::write(&path, "two").unwrap();
    set_modified(&path, then);
    wait_until("the new content", || {
        let fields = format!("if-none-match: {tag}\r\n");
        let response = get(&mut client, "/s/app.js", &fields);
        assert_eq!(response.status == 200, response.text() == "two", "{}", response.text());
        response.status == 200
    });
}

#[test]
fn a_large_file_is_the_same_from_the_disk_and_from_memory() {
    let site = site();
    let server = serve(site.path(), |_| {});
    let mut client = server.client();
    let mut tags = std::collections::HashSet::new();
    for _ in 0..20 {
        let response = get(&mut client, "/s/large.bin", "");
        assert_eq!((response.status, response.body.len()), (200, 1_500_000));
        assert!(response.body == large());
        tags.insert(response.field("etag").unwrap().to_owned());
    }
    assert_eq!(tags.len(), 1);
    let part = get(&mut client, "/s/large.bin", "range: bytes=1000000-1400000\r\n");
    assert!(part.status == 206 && part.body == large()[1_000_000..=1_400_000]);
}

#[test]
fn several_ranges_come_as_parts() {
    let site = site();
    for memory in [0, 64 << 20] {
        let server = serve(site.path(), |config| config.files.cache_memory = memory);
        let mut client = server.client();
        let response = get(&mut client, "/s/large.bin", "range: bytes=5-9, 1000000-1000099, -3\r\n");
        assert_eq!(response.status, 206);
        let media_type = response.field("content-type").unwrap();
        let boundary = media_type.strip_prefix("multipart/byteranges; boundary=").unwrap();
        let mut expected = Vec::new();
        for (range, said) in
            [(5..10, "5-9"), (1_000_000..1_000_100, "1000000-1000099"), (1_499_997..1_500_000, "1499997-1499999")]
        {
            write!(
                expected,
                "\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes {said}/1500000\r\n\r\n"
            )
            .unwrap();
            expected.extend_from_slice(&large()[range]);
        }
        write!(expected, "\r\n--{boundary}--\r\n").unwrap();
        assert_eq!(response.field("content-length"), Some(expected.len().to_string().as_str()));
        assert!(response.body == expected, "{}", String::from_utf8_lossy(&response.body));
        assert_eq!(response.field("content-range"), None);
        let many = vec!["0-"; 500].join(",");
        assert_eq!(get(&mut client, "/s/large.bin", &format!("range: bytes={many}\r\n")).status, 200);
        client.send("HEAD /s/large.bin HTTP/1.1\r\nhost: a\r\nrange: bytes=0-1\r\n\r\n");
        let head = client.response_to("HEAD");
        assert_eq!((head.status, head.field("content-length")), (200, Some("1500000")));
    }
}

#[test]
fn a_precondition_that_does_not_hold_is_answered_with_412() {
    let site = site();
    let server = serve(site.path(), |_| {});
    let mut client = server.client();
    let tag = get(&mut client, "/s/app.js", "").field("etag").unwrap().to_owned();
    assert_eq!(get(&mut client, "/s/app.js", &format!("if-match: {tag}\r\n")).status, 200);
    let failed = get(&mut client, "/s/app.js", "if-match: \"other\"\r\n");
    assert_eq!((failed.status, failed.text(), failed.field("etag")), (412, "", Some(tag.as_str())));
    let old = "if-unmodified-since: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
    assert_eq!(get(&mut client, "/s/app.js", old).status, 412);
}

#[test]
fn how_long_a_copy_is_good_follows_from_name_and_rules() {
    let site = site();
    let rule = CacheRule { glob: "/s/docs/**".into(), value: "max-age=5".into() };
    let server = serve(site.path(), |config| config.files.cache_rules = vec![rule]);
    let mut client = server.client();
    for (path, expected) in [
        ("/s/main.8f3a9b2c.css", "public, max-age=31536000, immutable"),
        ("/s/app.js", "no-cache"),
        ("/s/", "no-cache"),
        ("/s/docs/%3Cb%3E.txt", "max-age=5"),
    ] {
        assert_eq!(get(&mut client, path, "").field("cache-control"), Some(expected), "{path}");
    }
}

#[test]
fn a_page_that_only_the_browser_knows_is_the_fallback() {
    let site = site();
    for prefix in [Some("/s"), None] {
        let fallback = Fallback { prefix: prefix.map(str::to_owned), file: "index.html".into() };
        let server = serve(site.path(), |config| {
            config.statics = vec![static_root(prefix, site.path())];
            config.files.fallbacks = vec![fallback];
        });
        let mut client = server.client();
        let base = prefix.unwrap_or_default();
        let navigation = "accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n";
        let page = get(&mut client, &format!("{base}/users/7"), navigation);
        assert_eq!((page.status, page.text()), (200, "<h1>front page</h1>"));
        assert_eq!(page.field("vary"), Some("accept-encoding"));
        assert!(page.head.contains("vary: accept\r\n"), "{}", page.head);
        let there = get(&mut client, &format!("{base}/main.8f3a9b2c.css"), navigation);
        assert_eq!(there.text(), "body {}");
        let script = get(&mut client, &format!("{base}/missing.js"), "accept: */*\r\n");
        let refused = get(&mut client, &format!("{base}/users/7"), "accept: text/html;q=0, */*\r\n");
        match prefix {
            Some(_) => assert_eq!((script.status, refused.status), (404, 404)),
            None => assert_eq!((script.text(), refused.text()), ("GET /missing.js  ", "GET /users/7  ")),
        }
        client.send(format!("HEAD {base}/users/7 HTTP/1.1\r\nhost: a\r\n{navigation}\r\n"));
        assert_eq!(client.response_to("HEAD").field("content-length"), Some("19"));
    }
}

#[test]
fn a_directory_is_listed_only_where_that_is_asked_for() {
    let site = site();
    let server = serve(site.path(), |_| {});
    assert_eq!(server.client().get("/s/docs/").status, 404);
    let server = serve(site.path(), |config| config.files.listings = vec![Some("/s".into())]);
    let mut client = server.client();
    let page = client.get("/s/docs/");
    assert_eq!((page.status, page.field("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.text().contains("&lt;b&gt;.txt") && page.text().contains("href=\"./deep/\""), "{}", page.text());
    assert!(!page.text().contains("<b>") && !page.text().contains("hidden"), "{}", page.text());
    assert_eq!(client.get("/s/docs").field("location"), Some("/s/docs/"));
    let json = get(&mut client, "/s/docs/", "accept: application/json\r\n");
    let entries: serde_json::Value = serde_json::from_slice(&json.body).unwrap();
    assert_eq!((&entries[0]["name"], &entries[0]["type"]), (&"deep".into(), &"directory".into()));
    assert_eq!((&entries[1]["name"], &entries[1]["size"]), (&"<b>.txt".into(), &1.into()));
    assert_eq!(client.get("/s/").text(), "<h1>front page</h1>", "an index goes before a listing");
}
