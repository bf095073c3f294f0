//! Clients that make the server work and themselves not (RFC 9113 §10.5). Each has a connection of its own, which ends; the
//! others are served.

use super::request;
use crate::harness::{
    Connection, Server,
    http2::{Event, Http2, flag, frame, headers, kind, ping, settings, window_update},
};

/// How often a client repeats itself.
const TIMES: u32 = 20_000;

/// What the server may need for a client that attacks it, in bytes.
const MEMORY: u64 = 32 * 1024 * 1024;

fn server() -> Server {
    let server = Server::start("recording", &["--threads", "4", "--access-log", "off"]);
    // What serving takes has been taken before it is measured.
    server.get("/").expect(200);
    server
}

fn get(stream: u32) -> Vec<u8> {
    headers(stream, flag::END_STREAM, &request("GET", "/", &[]))
}

/// Sends it all, while another client is served, and waits for the end of the connection.
fn assert_ends(server: &Server, values: &[(u16, u32)], flood: &[u8]) {
    let mut other = Http2::start(server.connect(), &[]);
    other.send(get(1));
    assert_eq!(other.status(1), 200, "before");
    server.reset_peak_memory();
    let before = server.memory();
    let mut client = Http2::start(server.connect(), values);
    client.send(flood);
    client.ending();
    other.send(get(3));
    assert_eq!(other.status(3), 200, "behind");
    let more = server.peak_memory().saturating_sub(before);
    assert!(more < MEMORY, "it took {more} bytes");
}

#[test]
fn streams_that_are_reset_at_once_end_the_connection() {
    let server = server();
    let reset = |stream| frame(kind::RST_STREAM, 0, stream, &8u32.to_be_bytes());
    let pair = |number| [get(number * 2 + 1), reset(number * 2 + 1)].concat();
    assert_ends(&server, &[], &(0..TIMES).flat_map(pair).collect::<Vec<_>>());
    server.stop();
}

#[test]
fn streams_that_are_made_to_fail_end_the_connection() {
    // The client does not reset them itself, but has the server do so.
    let server = server();
    let pair = |number| [get(number * 2 + 1), window_update(number * 2 + 1, 0)].concat();
    assert_ends(&server, &[], &(0..TIMES).flat_map(pair).collect::<Vec<_>>());
    server.stop();
}

#[test]
fn heads_without_an_end_end_the_connection() {
    let server = server();
    let start = frame(kind::HEADERS, flag::END_STREAM, 1, &[0x82]);
    let field = [&[0x00, 0x01, b'x', 0x7d][..], &[b'y'; 125]].concat();
    let large = frame(kind::CONTINUATION, 0, 1, &field.repeat(100));
    assert_ends(&server, &[], &[start.clone(), large.repeat(2000)].concat());
    let empty = frame(kind::CONTINUATION, 0, 1, &[]);
    assert_ends(&server, &[], &[start, empty.repeat(TIMES as usize)].concat());
    server.stop();
}

#[test]
fn frames_without_a_use_end_the_connection() {
    let server = server();
    let post = headers(1, 0, &request("POST", "/", &[]));
    for (name, before, frame) in [
        ("SETTINGS", &[][..], settings(&[(4, 65_535)])),
        ("empty SETTINGS", &[], settings(&[])),
        ("PING", &[], ping(*b"flooding")),
        ("PRIORITY", &[], frame(kind::PRIORITY, 0, 1, &[0, 0, 0, 3, 1])),
        ("an unknown type", &[], frame(0x77, 0, 0, &[])),
        ("WINDOW_UPDATE", &[], window_update(0, 1)),
        ("empty DATA", &post, frame(kind::DATA, 0, 1, &[])),
        ("padding alone", &post, frame(kind::DATA, flag::PADDED, 1, &[0])),
    ] {
        println!("{name}");
        assert_ends(&server, &[], &[before, &frame.repeat(TIMES as usize)].concat());
    }
    server.stop();
}

#[test]
fn a_small_head_that_grows_is_refused_and_takes_no_memory() {
    let server = server();
    server.reset_peak_memory();
    let before = server.memory();
    let mut client = Http2::start(server.connect(), &[]);
    // An entry of 3 KB in the table, and 4000 references to it: 12 MB of fields in 8 KB, over and over.
    let entry = [&[0x40, 0x01, b'x', 0x7f, 0xb9, 0x16][..], &[b'y'; 3000]].concat();
    let start = [&[0x82, 0x86, 0x84, 0x41, 0x01, b'a'][..], &entry].concat();
    for number in 0..50u32 {
        let block = if number == 0 { start.clone() } else { vec![0x82, 0x86, 0x84, 0x41, 0x01, b'a'] };
        let block = [block, vec![0xbe; 4000]].concat();
        client.send(frame(kind::HEADERS, flag::END_STREAM | flag::END_HEADERS, number * 2 + 1, &block));
    }
    client.send(ping(*b"are you?"));
    loop {
        match client.event() {
            Event::Pong(_) | Event::Closed => break,
            Event::Status { status, .. } => assert_eq!(status, 431),
            Event::Ended { .. } | Event::Reset { .. } | Event::GoAway { .. } => {}
        }
    }
    let more = server.peak_memory().saturating_sub(before);
    assert!(more < MEMORY, "it took {more} bytes");
    let calls = server.get(&format!("/recorded/{}", client.connection.port())).expect(200).json();
    assert_eq!(calls, serde_json::json!([]), "nobody saw them");
    server.stop();
}

#[test]
fn a_stream_that_stalls_stalls_no_other() {
    let server = Server::start("download", &["--threads", "4", "--access-log", "off"]);
    // No stream has any room until it is given some.
    let mut client = Http2::start(server.connect(), &[(4, 0)]);
    let large = |stream| headers(stream, flag::END_STREAM, &request("GET", "/?size=40000", &[]));
    client.send([large(1), large(3)].concat());
    client.send(window_update(3, 40_000));
    wait_for_end(&mut client, 3);
    // And the one that stalled goes on when it may.
    client.send(window_update(1, 40_000));
    client.send(window_update(0, 40_000));
    wait_for_end(&mut client, 1);
    server.stop();
}

fn wait_for_end(client: &mut Http2, wanted: u32) {
    loop {
        match client.event() {
            Event::Ended { stream } if stream == wanted => return,
            Event::Ended { .. } | Event::Status { status: 200, .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_client_that_opens_streams_and_reads_nothing_holds_up_no_other() {
    let server = Server::start("download", &["--threads", "4", "--access-log", "off"]);
    let mut silent = Http2::start(server.connect(), &[(4, 0)]);
    let large = |stream| headers(stream, flag::END_STREAM, &request("GET", "/?size=1000000", &[]));
    silent.send((0..100).flat_map(|number| large(number * 2 + 1)).collect::<Vec<_>>());
    assert_eq!(silent.status(1), 200);
    let mut other: Connection = server.connect();
    for _ in 0..20 {
        assert_eq!(other.get("/?size=10").expect(200).body.len(), 10);
    }
    server.stop();
}
