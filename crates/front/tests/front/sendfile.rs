//! Large files that the kernel sends: the answer of the long way, byte for byte, whatever happens to file and client.

use std::{
    fs::{self, File},
    io::{Read, Write},
    os::unix::{fs::FileExt, net::UnixStream},
    path::Path,
    thread,
    time::{Duration, Instant, SystemTime},
};

use stack_config::{AccessLog, Bind, Config, Endpoint, Rates};
use stack_front::{Drained, Stop};
use tempfile::TempDir;

use crate::{
    client::{Client, Response},
    server::{Server, echo, static_root, wait_until},
};

/// Far more than the buffers of two sockets hold.
const LENGTH: usize = 24 << 20;

/// Bytes that differ from place to place, and with `seed`.
fn content(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..length).map(next).collect()
}

struct Site {
    folder: TempDir,
    server: Server,
    content: Vec<u8>,
}

impl Site {
    fn new(length: usize, configure: impl FnOnce(&mut Config, &Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let content = content(length, 1);
        fs::create_dir(folder.path().join("files")).unwrap();
        fs::write(folder.path().join("files/large.bin"), &content).unwrap();
        let statics = vec![static_root(Some("/files"), &folder.path().join("files"))];
        let log = AccessLog::File(folder.path().join("access.log"));
        let configure = |config: &mut Config| {
            config.statics = statics;
            config.log.access = log;
            configure(config, folder.path());
        };
        Self { server: Server::with(configure, echo), folder, content }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("files/large.bin")
    }

    /// A client whose next plain request for the file is answered by the kernel.
    fn client(&self) -> Client {
        let mut client = self.server.client();
        let ready = self.server.snapshot().ready;
        wait_until("the file is known to be large", || {
            client.send(request("HEAD", "")).response_to("HEAD");
            self.server.snapshot().ready > ready
        });
        client
    }

    /// A client that has asked for the file and reads nothing, so that all buffers are full.
    fn stalled(&self) -> Client {
        let mut client = self.client();
        client.send(request("GET", ""));
        assert!(client.head().starts_with("HTTP/1.1 200 "));
        let mut seen = 0;
        wait_until("it takes no more", || {
            let before = std::mem::replace(&mut seen, peeked(&client));
            thread::park_timeout(Duration::from_millis(50));
            before == seen && seen > 0
        });
        client
    }

    fn log(mut self) -> String {
        self.server.order(Stop::Draining);
        let _ = self.server.drained();
        fs::read_to_string(self.folder.path().join("access.log")).unwrap()
    }
}

/// Bytes that have arrived, up to what is looked at.
fn peeked(client: &Client) -> usize {
    client.stream.peek(&mut vec![0; LENGTH]).unwrap()
}

fn request(method: &str, fields: &str) -> String {
    format!("{method} /files/large.bin HTTP/1.1\r\nhost: a\r\n{fields}\r\n")
}

fn lines(response: &Response) -> Vec<&str> {
    let mut lines: Vec<_> = response.head.lines().filter(|line| !line.starts_with("date: ")).collect();
    lines.sort_unstable();
    lines
}

#[test]
fn it_is_the_answer_of_the_long_way() {
    let site = Site::new(3_000_001, |config, _| config.clients.security_headers = true);
    let (mut client, content) = (site.client(), &site.content);
    let etag = client.send(request("HEAD", "")).response_to("HEAD").field("etag").unwrap().to_owned();
    for (method, fields, status, expected) in [
        ("GET", String::new(), 200, &content[..]),
        ("HEAD", String::new(), 200, &[]),
        ("HEAD", "range: bytes=0-9\r\n".into(), 200, &[]),
        ("GET", "range: bytes=100-2500000\r\n".into(), 206, &content[100..=2_500_000]),
        ("GET", "range: bytes=0-\r\n".into(), 206, content),
        ("GET", "range: bytes=-1\r\n".into(), 206, &content[3_000_000..]),
        ("GET", "range: lines=1-2\r\n".into(), 200, content),
        ("GET", format!("range: bytes=262143-262144\r\nif-range: {etag}\r\n"), 206, &content[262_143..=262_144]),
        ("GET", "range: bytes=0-9\r\nif-range: \"other\"\r\n".into(), 200, content),
        ("GET", "if-range: \"other\"\r\naccept-encoding: br, gzip\r\n".into(), 200, content),
    ] {
        let ready = site.server.snapshot().ready;
        let sent = client.send(request(method, &fields)).response_to(method);
        assert_eq!(site.server.snapshot().ready, ready + 1, "{method} {fields}");
        let long_way = client.send(request(method, &format!("{fields}if-match: *\r\n"))).response_to(method);
        assert_eq!(site.server.snapshot().ready, ready + 1, "a condition needs the long way");
        assert_eq!((sent.status, lines(&sent)), (status, lines(&long_way)), "{method} {fields}");
        assert!(sent.body == expected && long_way.body == expected, "{method} {fields}: {} bytes", sent.body.len());
    }
    // What is not one part of the file is left to the long way.
    for (fields, status) in [("range: bytes=0-9, 1000-1009\r\n", 206), ("range: bytes=3000001-\r\n", 416)] {
        let ready = site.server.snapshot().ready;
        assert_eq!(client.send(request("GET", fields)).response().status, status, "{fields}");
        assert_eq!(site.server.snapshot().ready, ready, "{fields}");
    }
}

#[test]
fn what_is_behind_it_waits_for_its_turn() {
    let site = Site::new(3_000_000, |_, _| {});
    let mut client = site.client();
    let other = "GET /app HTTP/1.1\r\nhost: a\r\n\r\n";
    let part = request("GET", "range: bytes=5-2000004\r\n");
    let ready = site.server.snapshot().ready;
    client.send([&request("GET", ""), other, &part, &request("HEAD", ""), &request("GET", ""), other].concat());
    assert!(client.response().body == site.content);
    assert_eq!(client.response().text().trim(), "GET /app");
    assert!(client.response().body == site.content[5..2_000_005]);
    assert_eq!(client.response_to("HEAD").field("content-length"), Some("3000000"));
    assert!(client.response().body == site.content);
    assert_eq!(client.response().text().trim(), "GET /app");
    assert_eq!(site.server.snapshot().ready, ready + 4);
    let log = site.log();
    let logged = |line: &str| log.contains(&format!("HTTP/1.1\" {line} \"-\" \"-\" "));
    assert!(logged("200 3000000") && logged("206 2000000") && logged("200 0"), "{log}");
    assert!(!log.contains("aborted"), "{log}");
}

#[test]
fn without_memory_for_files_all_below_a_prefix_are_sent_so() {
    let site = Site::new(10, |config, _| config.files.cache_memory = 0);
    fs::write(site.folder.path().join("files/empty"), "").unwrap();
    let mut client = site.server.client();
    assert_eq!(client.get("/files/large.bin").body, site.content);
    assert_eq!(client.get("/files/empty").body, b"");
    assert_eq!(site.server.snapshot().ready, 2);
    assert_eq!(client.get("/files/none").status, 404);
    assert_eq!(client.get("/files/../app").text().trim(), "GET /app");
}

#[test]
fn a_unix_socket_gets_it_too() {
    let mut path = None;
    let site = Site::new(3_000_000, |config, folder| {
        config.files.cache_memory = 0;
        let socket = folder.join("socket");
        config.bind.push(Endpoint::plain(Bind::Unix(socket.clone())));
        path = Some(socket);
    });
    let mut stream = UnixStream::connect(path.unwrap()).unwrap();
    stream.write_all(request("GET", "").as_bytes()).unwrap();
    let mut answer = vec![0; 3_000_000];
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend_from_slice(&[0]);
        let last = head.len() - 1;
        stream.read_exact(&mut head[last..]).unwrap();
    }
    stream.read_exact(&mut answer).unwrap();
    assert!(answer == site.content);
    assert_eq!(site.server.snapshot().ready, 1);
}

#[test]
fn a_throttled_connection_gets_no_more_than_its_share() {
    let site = Site::new(600_000, |config, _| {
        config.clients.rates = Rates { send_limit: 1_000_000, ..Rates::default() };
    });
    let mut client = site.client();
    let start = Instant::now();
    let response = client.send(request("GET", "")).response();
    assert!(response.body == site.content);
    // All but the first tenth of a second's worth.
    assert!(start.elapsed() >= Duration::from_millis(450), "{:?}", start.elapsed());
}

#[test]
fn a_file_that_becomes_shorter_is_cut_and_not_padded() {
    let site = Site::new(LENGTH, |_, _| {});
    let mut client = site.stalled();
    File::options().write(true).open(site.path()).unwrap().set_len(LENGTH as u64 - 1_000_000).unwrap();
    let rest = client.rest();
    assert!(rest.len() <= LENGTH - 1_000_000, "{} bytes", rest.len());
    assert!(rest == site.content[..rest.len()]);
    let last = site.log().lines().last().unwrap().to_owned();
    assert!(last.contains(&format!("\" 200 {} ", rest.len())) && last.ends_with(" aborted"), "{last}");
}

#[test]
fn a_file_that_is_overwritten_is_cut() {
    let site = Site::new(LENGTH, |_, _| {});
    let mut client = site.stalled();
    // Its end has not been sent yet.
    let file = File::options().write(true).open(site.path()).unwrap();
    file.write_all_at(&content(1_000_000, 2), LENGTH as u64 - 1_000_000).unwrap();
    let rest = client.rest();
    assert!(rest.len() <= LENGTH - 1_000_000, "{} bytes", rest.len());
    assert!(rest == site.content[..rest.len()]);
    assert!(site.log().lines().last().unwrap().ends_with(" aborted"));
}

#[test]
fn a_file_that_grows_is_sent_as_far_as_it_reached() {
    let site = Site::new(LENGTH, |_, _| {});
    let mut client = site.stalled();
    File::options().append(true).open(site.path()).unwrap().write_all(b"more").unwrap();
    assert!(client.take(LENGTH) == site.content);
    assert_eq!(client.get("/app").text().trim(), "GET /app");
}

#[test]
fn a_file_that_is_replaced_or_removed_is_sent_as_it_was() {
    for is_replaced in [true, false] {
        let site = Site::new(LENGTH, |_, _| {});
        let mut client = site.stalled();
        if is_replaced {
            let other = site.folder.path().join("files/other.bin");
            fs::write(&other, content(LENGTH, 2)).unwrap();
            fs::rename(&other, site.path()).unwrap();
        } else {
            fs::remove_file(site.path()).unwrap();
        }
        assert!(client.take(LENGTH) == site.content, "{is_replaced}");
        let next = client.send(request("GET", "")).response();
        assert_eq!(next.status, if is_replaced { 200 } else { 404 });
        assert!(!is_replaced || next.body == content(LENGTH, 2));
    }
}

#[test]
fn a_small_file_is_never_a_mixture() {
    // Small enough to be in memory, large enough to be sent from the disk beside it.
    let length = 100_000;
    let site = Site::new(length, |_, _| {});
    let other = content(length, 2);
    let mut client = site.client();
    let etag = client.get("/files/large.bin").field("etag").unwrap().to_owned();
    let file = File::options().write(true).open(site.path()).unwrap();
    // The same time and length again, for a while: only the time of the last change of any kind tells.
    let modified = file.metadata().unwrap().modified().unwrap();
    file.write_all_at(&other, 0).unwrap();
    file.set_modified(modified).unwrap();
    wait_until("the other content", || {
        let response = client.get("/files/large.bin");
        let is_other = response.field("etag") != Some(&etag);
        assert!(response.body == if is_other { &other[..] } else { &site.content });
        is_other
    });
}

#[test]
fn a_client_that_stops_reading_is_cut_off_and_logged() {
    let site = Site::new(LENGTH, |config, _| config.timeouts.send = Duration::from_millis(300));
    let mut client = site.stalled();
    wait_until("the connection is cut", || site.server.snapshot().connections == 0);
    assert!(client.rest().len() < LENGTH);
    let last = site.log().lines().last().unwrap().to_owned();
    assert!(last.ends_with(" aborted") && !last.contains(&LENGTH.to_string()), "{last}");
}

#[test]
fn a_client_that_takes_too_little_is_cut_off() {
    let rates = Rates { min_send: 100_000_000, grace: Duration::from_millis(100), ..Rates::default() };
    let site = Site::new(LENGTH, |config, _| config.clients.rates = rates);
    let mut client = site.client();
    client.send(request("GET", "")).head();
    let mut total = 0;
    // It never stops for long.
    while let Ok(read @ 1..) = client.stream.read(&mut [0; 1000]) {
        total += read;
        thread::park_timeout(Duration::from_millis(2));
    }
    assert!(total < LENGTH, "{total}");
}

#[test]
fn a_client_that_takes_its_time_gets_all() {
    let site = Site::new(LENGTH, |config, _| config.timeouts.send = Duration::from_millis(500));
    let mut client = site.stalled();
    let start = Instant::now();
    // For longer than a pause may be.
    for part in site.content.chunks(LENGTH / 200) {
        assert!(client.take(part.len()) == part);
        thread::park_timeout(Duration::from_millis(5));
    }
    assert!(start.elapsed() > Duration::from_millis(700));
}

#[test]
fn a_drain_lets_it_arrive() {
    let mut site = Site::new(LENGTH, |_, _| {});
    let mut client = site.stalled();
    site.server.order(Stop::Draining);
    assert!(client.rest() == site.content);
    assert_eq!(site.server.drained(), Drained { cut_off: 0 });
}

#[test]
fn a_file_that_is_not_in_the_page_cache_is_read_from_the_disk() {
    let site = Site::new(LENGTH, |_, _| {});
    let mut client = site.client();
    for range in [0..LENGTH, 1_000_000..20_000_001] {
        let file = File::open(site.path()).unwrap();
        file.sync_all().unwrap();
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        let fields = format!("range: bytes={}-{}\r\n", range.start, range.end - 1);
        assert!(client.send(request("GET", &fields)).response().body == site.content[range]);
    }
}

#[test]
fn a_large_text_is_compressed_for_those_who_want_it() {
    let site = Site::new(10, |config, _| config.files.compression.min_size = 1);
    let text = "a{}".repeat(200_000);
    fs::write(site.folder.path().join("files/style.css"), &text).unwrap();
    let mut client = site.server.client();
    let get = "GET /files/style.css HTTP/1.1\r\nhost: a\r\n";
    wait_until("it is compressed", || {
        let response = client.send(format!("{get}accept-encoding: gzip\r\n\r\n")).response();
        response.field("content-encoding") == Some("gzip")
    });
    let ready = site.server.snapshot().ready;
    assert_eq!(client.get("/files/style.css").text(), text);
    assert_eq!(site.server.snapshot().ready, ready + 1, "who wants no coding gets the file");
}

#[test]
fn what_is_changed_long_before_is_new() {
    let site = Site::new(3_000_000, |_, _| {});
    let mut client = site.client();
    let first = client.get("/files/large.bin");
    let file = File::options().write(true).open(site.path()).unwrap();
    file.write_all_at(b"other", 0).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000)).unwrap();
    let second = client.get("/files/large.bin");
    assert!(second.body.starts_with(b"other"));
    assert_ne!(first.field("etag"), second.field("etag"));
}
