//! HTTP/2 in raw frames: the rules of RFC 9113 and RFC 7541 one by one, and clients that mean harm.

mod attacks;
mod cases;
mod messages;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use serde_json::json;

use crate::harness::{
    Authority, Connection, Response, Server,
    http2::{Event, Http2, PREFACE, frame, kind, ping},
    serve,
};

/// The codes of errors (RFC 9113 §7).
mod code {
    pub(super) const PROTOCOL_ERROR: u32 = 1;
    pub(super) const FLOW_CONTROL_ERROR: u32 = 3;
    pub(super) const STREAM_CLOSED: u32 = 5;
    pub(super) const FRAME_SIZE_ERROR: u32 = 6;
    pub(super) const REFUSED_STREAM: u32 = 7;
    pub(super) const COMPRESSION_ERROR: u32 = 9;
}

/// One rule, and what a client does to try it.
struct Case {
    /// The section and what happens.
    name: &'static str,
    /// Sent behind the settings.
    bytes: Vec<u8>,
    expected: Expected,
}

/// What has to come of it.
#[derive(Clone, Copy, Debug)]
enum Expected {
    /// Nothing: the connection goes on.
    Nothing,
    /// A response on stream 1.
    Status(u16),
    /// An error of the stream with one of these codes, or of the connection (RFC 9113 §5.4.1 leaves the choice).
    Stream(&'static [u32]),
    /// A message that the application does not see: an error of the stream or the connection, or 400 (RFC 9113 §8.1.1).
    Malformed,
    /// An error of the connection with one of these codes, and its end. An end alone is as good (RFC 9113 §5.4.1).
    Connection(&'static [u32]),
}

/// Rows for which RFC 9113 names a code, and h2 says `PROTOCOL_ERROR`. That is for errors without a code of their own (RFC 9113
/// §7), and §5.4 leaves no choice; but the error is found, and it ends the connection, as it must or may (§5.4.1).
const UNSPECIFIC: [&str; 21] = [
    "4.3 a field block that can not be read",
    "5.1 half-closed: DATA",
    "6.3 PRIORITY of four bytes",
    "6.4 RST_STREAM of three bytes",
    "6.5 SETTINGS of three bytes",
    "6.5 SETTINGS that acknowledge and say something",
    "6.5.2 INITIAL_WINDOW_SIZE of 2^31",
    "6.7 PING of nine bytes",
    "6.7 PING of six bytes",
    "6.9 WINDOW_UPDATE of three bytes",
    "8.1 DATA behind trailers",
    "HPACK 2.3.3 a name's number past both tables",
    "HPACK 2.3.3 a number past both tables",
    "HPACK 4.2 a change of size at the end",
    "HPACK 5.1 a number that never ends",
    "HPACK 5.2 Huffman's code padded with zeros",
    "HPACK 5.2 Huffman's code with a whole byte of padding",
    "HPACK 5.2 Huffman's code with its end in it",
    "HPACK 5.2 a string longer than the block",
    "HPACK 6.1 number 0",
    "HPACK 6.3 a size over the setting",
];

fn case(name: &'static str, bytes: impl Into<Vec<u8>>, expected: Expected) -> Case {
    Case { name, bytes: bytes.into(), expected }
}

/// A request's pseudo-header fields, and more.
fn request<'a>(method: &'a str, path: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&[(":method", method), (":scheme", "http"), (":path", path), (":authority", "a")], more].concat()
}

/// Whether a connection does as the case says.
fn try_case(ask: &(impl Fn(&str) -> Response + Sync), case: &Case, connection: Connection) -> Result<(), String> {
    let port = connection.port();
    let mut client = Http2::start(connection, &[]);
    client.send(&case.bytes);
    judge(&mut client, case)?;
    if matches!(case.expected, Expected::Malformed) {
        let recorded = ask(&format!("/recorded/{port}")).json();
        if recorded != json!([]) {
            return Err(format!("the application saw {recorded}"));
        }
    }
    Ok(())
}

fn judge(client: &mut Http2, case: &Case) -> Result<(), String> {
    let expected = case.expected;
    let is_unspecific = UNSPECIFIC.contains(&case.name);
    // Frames are read in order, but an answer to a PING may overtake another. Behind the second, nothing more will come.
    let pings = [*b"first...", *b"second.."];
    client.send(ping(pings[0]));
    let mut pongs = 0;
    loop {
        let event = client.event();
        let is_excused = is_unspecific && event == Event::GoAway { code: code::PROTOCOL_ERROR };
        if is_excused || is_right(expected, event) {
            if matches!(event, Event::GoAway { .. }) {
                // Reading to the end is the test that there is one.
                client.ending();
            }
            return Ok(());
        }
        match event {
            Event::Pong(pong) if pong == pings[pongs] && !matches!(expected, Expected::Status(_)) => {
                pongs += 1;
                if pongs == pings.len() {
                    let goes_on = matches!(expected, Expected::Nothing);
                    return if goes_on { Ok(()) } else { Err("goes on".to_owned()) };
                }
                client.send(ping(pings[pongs]));
            }
            Event::Pong(_) | Event::Ended { .. } => {}
            // Of an earlier request.
            Event::Status { .. } if !matches!(expected, Expected::Status(_) | Expected::Malformed) => {}
            _ => return Err(format!("{event:?}")),
        }
    }
}

fn is_right(expected: Expected, event: Event) -> bool {
    match (expected, event) {
        (Expected::Status(wanted), Event::Status { stream, status }) => stream == 1 && status == wanted,
        (Expected::Malformed, Event::Status { status, .. }) => status == 400,
        (Expected::Malformed, Event::Reset { code, .. } | Event::GoAway { code }) => code == code::PROTOCOL_ERROR,
        (Expected::Stream(codes), Event::Reset { code, .. } | Event::GoAway { code })
        | (Expected::Connection(codes), Event::GoAway { code }) => codes.contains(&code),
        (Expected::Connection(_), Event::Closed) => true,
        _ => false,
    }
}

/// Tries all cases, each on a connection of its own, and insists that all hold. `ask` is for a request of HTTP/1.1.
fn assert_all_hold(cases: &[Case], connect: impl Fn() -> Connection + Sync, ask: impl Fn(&str) -> Response + Sync) {
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = catch_unwind(AssertUnwindSafe(|| try_case(&ask, case, connect())));
                    let what = match outcome {
                        Ok(Ok(())) => continue,
                        Ok(Err(what)) => what,
                        Err(_) => "an answer that can not be read".to_owned(),
                    };
                    let line = format!("{}: {what}, not {:?}", case.name, case.expected);
                    wrong.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                }
            });
        }
    });
    let mut wrong = wrong.into_inner().unwrap_or_else(PoisonError::into_inner);
    wrong.sort();
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

fn all_cases() -> Vec<Case> {
    let all: Vec<_> = cases::all().into_iter().chain(messages::all()).collect();
    assert!(all.len() >= 110, "{} cases", all.len());
    for name in UNSPECIFIC {
        assert!(all.iter().any(|case| case.name == name), "no case {name}");
    }
    all
}

#[test]
fn every_rule_holds_with_prior_knowledge() {
    let server = Server::start("recording", &["--threads", "4", "--access-log", "off"]);
    assert_all_hold(&all_cases(), || server.connect(), |target| server.get(target));
    server.stop();
}

#[test]
fn every_rule_holds_over_tls() {
    let authority = Authority::new("root");
    let pair = authority.sign("site", &["localhost"]);
    let arguments = ["--threads", "4", "--access-log", "off", "--tls-cert", "site.pem", "--tls-key", "site.key"];
    let stack = serve("recording", &arguments).file("site.pem", &pair.certificate).file("site.key", &pair.key);
    let server = stack.server();
    let plain = authority.client(None);
    let mut http2 = (*plain).clone();
    http2.alpn_protocols = vec![b"h2".to_vec()];
    let http2 = Arc::new(http2);
    let connect = |config| Connection::tls(server.address(), "localhost", config).unwrap();
    assert_all_hold(&all_cases(), || connect(&http2), |target| connect(&plain).get(target).expect(200));
    server.stop();
}

#[test]
fn a_preface_that_is_none_ends_the_connection() {
    let server = Server::start("recording", &["--access-log", "off"]);
    for preface in [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r"[..],
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        b"PRI * HTTP/2.0\r\nHost: a\r\n\r\n",
    ] {
        let mut connection = server.connect();
        connection.send(preface);
        connection.shut_down_sending();
        let answer = connection.rest();
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 505 "), "{:?}", String::from_utf8_lossy(&answer));
    }
    // Behind a preface come settings (RFC 9113 §3.4).
    let mut connection = server.connect();
    connection.send([PREFACE, &frame(kind::HEADERS, 5, 1, &[0x82, 0x86, 0x84])].concat());
    let mut client = Http2 { connection };
    client.ending();
    server.stop();
}
