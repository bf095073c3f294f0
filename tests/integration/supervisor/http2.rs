//! Clients of HTTP/2 over TLS, while servers are replaced under them.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use rustix::process::Signal;
use rustls::ClientConfig;

use crate::harness::{
    Authority, Connection, Server,
    http2::{Http2, flag, headers, kind, status, window_update},
    serve,
};

/// Streams that a client has open at once.
const AT_ONCE: u32 = 4;

/// `REFUSED_STREAM` (RFC 9113 §8.7): nothing was done, and the request may be sent again.
const REFUSED: u32 = 7;

/// What the clients have seen.
#[derive(Default)]
struct Seen {
    answers: AtomicUsize,
    /// Connections that were ended by GOAWAY.
    ended: AtomicUsize,
    done: AtomicBool,
}

/// Asks on one connection until the server ends it, or all is done. Each stream is answered, or said not to have been taken.
fn ask_on(server: &Server, config: &Arc<ClientConfig>, seen: &Seen) {
    let connection = Connection::tls(server.address(), "localhost", config).unwrap();
    let mut client = Http2::start(connection, &[]);
    let request = [(":method", "GET"), (":scheme", "https"), (":path", "/"), (":authority", "localhost")];
    let mut next = 1;
    while !seen.done.load(Relaxed) {
        let mut open: BTreeSet<u32> = (0..AT_ONCE).map(|place| next + 2 * place).collect();
        next += 2 * AT_ONCE;
        let heads = open.iter().flat_map(|stream| headers(*stream, flag::END_STREAM, &request));
        client.send(heads.chain(window_update(0, 1000)).collect::<Vec<_>>());
        let mut is_ending = false;
        while !open.is_empty() {
            let frame = client.frame().unwrap_or_else(|| panic!("the connection ended with {open:?} unanswered"));
            let number = |at: usize| u32::from_be_bytes(frame.payload[at..at + 4].try_into().unwrap());
            match frame.kind {
                kind::GOAWAY => {
                    assert_eq!(number(4), 0, "no error");
                    is_ending = true;
                    open.retain(|stream| *stream <= number(0));
                }
                kind::RST_STREAM => {
                    assert_eq!(number(0), REFUSED, "stream {}", frame.stream);
                    open.remove(&frame.stream);
                }
                kind::HEADERS => assert_eq!(status(&frame.payload), 200),
                _ => {}
            }
            if matches!(frame.kind, kind::HEADERS | kind::DATA) && frame.flags & flag::END_STREAM != 0 {
                assert!(open.remove(&frame.stream), "an answer to stream {}, which is over", frame.stream);
                seen.answers.fetch_add(1, Relaxed);
            }
        }
        if is_ending {
            seen.ended.fetch_add(1, Relaxed);
            return;
        }
    }
}

#[test]
fn each_stream_is_answered_or_given_back_while_servers_are_replaced() {
    let authority = Authority::new("root");
    let pair = authority.sign("site", &["localhost"]);
    let arguments = ["--access-log", "off", "--tls-cert", "site.pem", "--tls-key", "site.key", "--threads", "4"];
    let stack = serve("hello", &arguments).file("site.pem", &pair.certificate).file("site.key", &pair.key);
    let server = stack.server();
    let mut config = (*authority.client(None)).clone();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let (config, seen) = (Arc::new(config), Seen::default());
    thread::scope(|scope| {
        let clients: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    while !seen.done.load(Relaxed) {
                        ask_on(&server, &config, &seen);
                    }
                })
            })
            .collect();
        for ended in 1..=3 {
            server.signal(Signal::HUP);
            server.wait_for_line(&format!("a generation has ended generation={ended} cut_off=0"));
            assert!(clients.iter().all(|client| !client.is_finished()), "a client has failed");
        }
        seen.done.store(true, Relaxed);
    });
    assert!(seen.answers.into_inner() > 100);
    assert!(seen.ended.into_inner() >= 3, "each connection of each server was ended with a word");
    server.stop().never_says(&["STACK0705"]);
}
