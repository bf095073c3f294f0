//! Frames, streams and connections (RFC 9113 §3 to §7), and the compression of fields (RFC 7541).

use super::{Case, Expected, Expected::*, case, code::*, request};
use crate::harness::http2::{block, flag, frame, headers, kind, settings, window_update};

const END: u8 = flag::END_STREAM;

/// A request on a stream, whole.
fn get(stream: u32) -> Vec<u8> {
    headers(stream, END, &request("GET", "/", &[]))
}

/// A request whose body is still to come.
fn post(stream: u32) -> Vec<u8> {
    headers(stream, 0, &request("POST", "/", &[]))
}

fn get_block() -> Vec<u8> {
    block(&request("GET", "/", &[]))
}

fn data(stream: u32, flags: u8, content: &[u8]) -> Vec<u8> {
    frame(kind::DATA, flags, stream, content)
}

fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(kind::RST_STREAM, 0, stream, &code.to_be_bytes())
}

fn priority(stream: u32, depends_on: u32) -> Vec<u8> {
    frame(kind::PRIORITY, 0, stream, &[&depends_on.to_be_bytes()[..], &[15]].concat())
}

/// The start of a head that goes on in CONTINUATION frames.
fn open_head(stream: u32) -> Vec<u8> {
    frame(kind::HEADERS, END, stream, &get_block())
}

fn continuation(stream: u32, flags: u8, block: &[u8]) -> Vec<u8> {
    frame(kind::CONTINUATION, flags, stream, block)
}

fn all_of(parts: &[Vec<u8>]) -> Vec<u8> {
    parts.concat()
}

pub(super) fn all() -> Vec<Case> {
    [framing(), idle_and_closed(), stream_numbers(), data_and_headers(), small_frames(), settings_frames(), windows()]
        .into_iter()
        .chain([continuations(), compression()])
        .flatten()
        .collect()
}

fn framing() -> Vec<Case> {
    let large = vec![b'x'; 16_384];
    let larger = vec![b'x'; 16_385];
    let opened = |more: Vec<u8>| all_of(&[post(1), more]);
    vec![
        case("4.1 a frame of an unknown type", frame(0x16, 0, 0, b"12345678"), Nothing),
        case("4.1 a frame of an unknown type on a stream", opened(frame(0xfe, 0xff, 1, b"x")), Nothing),
        case("4.1 a PING with undefined flags", frame(kind::PING, 0x16, 0, b"12345678"), Nothing),
        case("4.1 a reserved bit that is set", frame(kind::PING, 0, 0x8000_0000, b"12345678"), Nothing),
        case("4.2 DATA of 16384 bytes", opened(data(1, END, &large)), Status(200)),
        case("4.2 DATA of 16385 bytes", opened(data(1, END, &larger)), Stream(&[FRAME_SIZE_ERROR])),
        case(
            "4.2 HEADERS of 16385 bytes",
            frame(kind::HEADERS, END | flag::END_HEADERS, 1, &larger),
            Connection(&[FRAME_SIZE_ERROR]),
        ),
        case("4.2 SETTINGS of 16386 bytes", settings(&[(0xff00, 1); 2731]), Connection(&[FRAME_SIZE_ERROR])),
        case("4.2 an unknown frame of 16385 bytes", frame(0x16, 0, 0, &larger), Connection(&[FRAME_SIZE_ERROR])),
        case(
            "4.3 a field block that can not be read",
            frame(kind::HEADERS, END | flag::END_HEADERS, 1, &[0x00, 0xff, 0xff, 0xff]),
            Connection(&[COMPRESSION_ERROR]),
        ),
        case("4.3 PRIORITY in a head", all_of(&[open_head(1), priority(1, 0)]), Connection(&[PROTOCOL_ERROR])),
        case("4.3 HEADERS in a head", all_of(&[open_head(1), get(3)]), Connection(&[PROTOCOL_ERROR])),
        case("5.5 an unknown frame", frame(0x20, 0, 0, b""), Nothing),
        case(
            "5.5 an unknown frame in a head",
            all_of(&[open_head(1), frame(0x16, 0, 0, b"x")]),
            Connection(&[PROTOCOL_ERROR]),
        ),
        case(
            "5.4.1 an error of the connection ends it",
            frame(kind::PING, 0, 3, b"12345678"),
            Connection(&[PROTOCOL_ERROR]),
        ),
        case(
            "8.4 PUSH_PROMISE by a client",
            frame(kind::PUSH_PROMISE, 4, 1, &[0, 0, 0, 2, 0x82]),
            Connection(&[PROTOCOL_ERROR]),
        ),
        case("9.1 a request", get(1), Status(200)),
        case("9.1 a request on stream 5 first", all_of(&[get(5), get(7)]), Nothing),
    ]
}

fn idle_and_closed() -> Vec<Case> {
    // What a stream that is closed comes to may be told of the stream or the connection.
    let closed: Expected = Stream(&[STREAM_CLOSED]);
    let ended = |more: Vec<u8>| all_of(&[get(1), more]);
    let was_reset = |more: Vec<u8>| all_of(&[post(1), reset(1, 8), more]);
    vec![
        case("5.1 idle: DATA", data(1, END, b"x"), Connection(&[PROTOCOL_ERROR, STREAM_CLOSED])),
        case("5.1 idle: RST_STREAM", reset(1, 8), Connection(&[PROTOCOL_ERROR])),
        case("5.1 idle: WINDOW_UPDATE", window_update(1, 100), Connection(&[PROTOCOL_ERROR])),
        case("5.1 idle: CONTINUATION", continuation(1, 4, &get_block()), Connection(&[PROTOCOL_ERROR])),
        case("5.1 idle: PRIORITY", priority(1, 0), Nothing),
        case("5.1 half-closed: DATA", ended(data(1, END, b"x")), closed),
        case("5.1 half-closed: HEADERS", ended(get(1)), Stream(&[STREAM_CLOSED, PROTOCOL_ERROR])),
        case(
            "5.1 half-closed: CONTINUATION",
            ended(continuation(1, 4, &get_block())),
            Connection(&[STREAM_CLOSED, PROTOCOL_ERROR]),
        ),
        case("5.1 half-closed: WINDOW_UPDATE", ended(window_update(1, 100)), Status(200)),
        case("5.1 half-closed: PRIORITY", ended(priority(1, 3)), Status(200)),
        case("5.1 half-closed: RST_STREAM", ended(reset(1, 8)), Nothing),
        case("5.1 reset: DATA", was_reset(data(1, END, b"x")), closed),
        case("5.1 reset: HEADERS", was_reset(get(1)), Stream(&[STREAM_CLOSED, PROTOCOL_ERROR])),
        case(
            "5.1 reset: CONTINUATION",
            was_reset(continuation(1, 4, &get_block())),
            Connection(&[STREAM_CLOSED, PROTOCOL_ERROR]),
        ),
        case("5.1 reset: PRIORITY", was_reset(priority(1, 0)), Nothing),
        case("5.1 reset: RST_STREAM", was_reset(reset(1, 8)), Nothing),
        case("5.1 reset: WINDOW_UPDATE", was_reset(window_update(1, 1)), Nothing),
    ]
}

fn stream_numbers() -> Vec<Case> {
    vec![
        case("5.1.1 an even number", get(2), Connection(&[PROTOCOL_ERROR])),
        case("5.1.1 a number smaller than before", all_of(&[get(5), get(3)]), Stream(&[PROTOCOL_ERROR, STREAM_CLOSED])),
        case(
            "5.1.2 more streams than are allowed",
            (0..200).flat_map(|number| post(number * 2 + 1)).collect::<Vec<_>>(),
            Stream(&[PROTOCOL_ERROR, REFUSED_STREAM]),
        ),
        case("5.3 PRIORITY between streams", all_of(&[priority(3, 1), priority(5, 3), get(1)]), Status(200)),
        case(
            "5.3 HEADERS with a priority",
            frame(
                kind::HEADERS,
                END | flag::END_HEADERS | flag::PRIORITY,
                1,
                &[&[0x80, 0, 0, 3, 15], &get_block()[..]].concat(),
            ),
            Status(200),
        ),
    ]
}

fn data_and_headers() -> Vec<Case> {
    let opened = |more: Vec<u8>| all_of(&[post(1), more]);
    let head = END | flag::END_HEADERS;
    vec![
        case("6.1 DATA on stream 0", data(0, END, b"x"), Connection(&[PROTOCOL_ERROR])),
        case("6.1 DATA with padding", opened(data(1, END | flag::PADDED, b"\x02abc\0\0")), Status(200)),
        case("6.1 DATA of nothing but padding", opened(data(1, END | flag::PADDED, b"\x02\0\0")), Status(200)),
        case(
            "6.1 DATA with more padding than bytes",
            opened(data(1, END | flag::PADDED, b"\x06abc")),
            Connection(&[PROTOCOL_ERROR]),
        ),
        case(
            "6.1 DATA with padding and no length of it",
            opened(data(1, END | flag::PADDED, b"")),
            Connection(&[PROTOCOL_ERROR, FRAME_SIZE_ERROR]),
        ),
        case(
            "6.1 DATA in three frames",
            opened(all_of(&[data(1, 0, b"a"), data(1, 0, b""), data(1, END, b"b")])),
            Status(200),
        ),
        case("6.2 HEADERS on stream 0", get(0), Connection(&[PROTOCOL_ERROR])),
        case(
            "6.2 HEADERS with padding",
            frame(kind::HEADERS, head | flag::PADDED, 1, &[&[3], &get_block()[..], &[0; 3]].concat()),
            Status(200),
        ),
        case(
            "6.2 HEADERS with more padding than bytes",
            frame(kind::HEADERS, head | flag::PADDED, 1, &[&[0xff], &get_block()[..]].concat()),
            Connection(&[PROTOCOL_ERROR]),
        ),
        case(
            "6.2 HEADERS too short for its priority",
            frame(kind::HEADERS, head | flag::PRIORITY, 1, &[0, 0]),
            Connection(&[PROTOCOL_ERROR, FRAME_SIZE_ERROR, COMPRESSION_ERROR]),
        ),
    ]
}

fn small_frames() -> Vec<Case> {
    let opened = |more: Vec<u8>| all_of(&[post(1), more]);
    vec![
        case("6.3 PRIORITY on stream 0", priority(0, 1), Connection(&[PROTOCOL_ERROR])),
        case("6.3 PRIORITY of four bytes", opened(frame(kind::PRIORITY, 0, 1, &[0; 4])), Stream(&[FRAME_SIZE_ERROR])),
        case("6.4 RST_STREAM on stream 0", reset(0, 8), Connection(&[PROTOCOL_ERROR])),
        case(
            "6.4 RST_STREAM of three bytes",
            opened(frame(kind::RST_STREAM, 0, 1, &[0; 3])),
            Connection(&[FRAME_SIZE_ERROR]),
        ),
        case("7 RST_STREAM with an unknown code", opened(reset(1, 0xff)), Nothing),
        case("6.7 PING", frame(kind::PING, 0, 0, b"abcdefgh"), Nothing),
        case("6.7 PING that is an answer", frame(kind::PING, flag::ACK, 0, b"abcdefgh"), Nothing),
        case("6.7 PING on a stream", frame(kind::PING, 0, 1, b"abcdefgh"), Connection(&[PROTOCOL_ERROR])),
        case("6.7 PING of six bytes", frame(kind::PING, 0, 0, b"abcdef"), Connection(&[FRAME_SIZE_ERROR])),
        case("6.7 PING of nine bytes", frame(kind::PING, 0, 0, b"abcdefghi"), Connection(&[FRAME_SIZE_ERROR])),
        case("6.8 GOAWAY on a stream", frame(kind::GOAWAY, 0, 1, &[0; 8]), Connection(&[PROTOCOL_ERROR])),
        case(
            "6.8 GOAWAY of four bytes",
            frame(kind::GOAWAY, 0, 0, &[0; 4]),
            Connection(&[FRAME_SIZE_ERROR, PROTOCOL_ERROR]),
        ),
    ]
}

fn settings_frames() -> Vec<Case> {
    let raw = |flags, stream, payload: &[u8]| frame(kind::SETTINGS, flags, stream, payload);
    vec![
        case("6.5 SETTINGS of nothing", settings(&[]), Nothing),
        case(
            "6.5 SETTINGS that acknowledge and say something",
            raw(flag::ACK, 0, &[0, 3, 0, 0, 0, 1]),
            Connection(&[FRAME_SIZE_ERROR]),
        ),
        case("6.5 SETTINGS on a stream", raw(0, 1, &[0, 3, 0, 0, 0, 1]), Connection(&[PROTOCOL_ERROR])),
        case("6.5 SETTINGS of three bytes", raw(0, 0, &[0, 3, 0]), Connection(&[FRAME_SIZE_ERROR])),
        case("6.5.2 ENABLE_PUSH of 2", settings(&[(2, 2)]), Connection(&[PROTOCOL_ERROR])),
        case("6.5.2 INITIAL_WINDOW_SIZE of 2^31", settings(&[(4, 1 << 31)]), Connection(&[FLOW_CONTROL_ERROR])),
        case("6.5.2 MAX_FRAME_SIZE of 2^14 - 1", settings(&[(5, 16_383)]), Connection(&[PROTOCOL_ERROR])),
        case("6.5.2 MAX_FRAME_SIZE of 2^24", settings(&[(5, 1 << 24)]), Connection(&[PROTOCOL_ERROR])),
        case("6.5.2 an unknown setting", settings(&[(0xff, 1)]), Nothing),
        case("6.5.2 a small MAX_HEADER_LIST_SIZE", all_of(&[settings(&[(6, 4096)]), get(1)]), Status(200)),
        case(
            "6.5.3 a setting twice: the last counts",
            all_of(&[settings(&[(4, 0), (4, 65_535)]), get(1)]),
            Status(200),
        ),
    ]
}

fn windows() -> Vec<Case> {
    let opened = |more: Vec<u8>| all_of(&[post(1), more]);
    let most = (1 << 31) - 1;
    vec![
        case("6.9 WINDOW_UPDATE by 0", window_update(0, 0), Connection(&[PROTOCOL_ERROR])),
        case("6.9 WINDOW_UPDATE by 0 on a stream", opened(window_update(1, 0)), Stream(&[PROTOCOL_ERROR])),
        case(
            "6.9 WINDOW_UPDATE of three bytes",
            frame(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 1]),
            Connection(&[FRAME_SIZE_ERROR]),
        ),
        case(
            "6.9.1 a window over 2^31 - 1",
            all_of(&[window_update(0, most), window_update(0, most)]),
            Connection(&[FLOW_CONTROL_ERROR]),
        ),
        case(
            "6.9.1 a stream's window over 2^31 - 1",
            opened(all_of(&[window_update(1, most), window_update(1, most)])),
            Stream(&[FLOW_CONTROL_ERROR]),
        ),
        case(
            "6.9.2 a window made small and large again",
            all_of(&[settings(&[(4, 1)]), get(1), settings(&[(4, 65_535)])]),
            Status(200),
        ),
        case(
            "6.9.2 a setting that takes a window over 2^31 - 1",
            opened(all_of(&[window_update(1, most - 65_535), settings(&[(4, most)])])),
            Connection(&[FLOW_CONTROL_ERROR]),
        ),
    ]
}

fn continuations() -> Vec<Case> {
    let (first, rest) = {
        let block = get_block();
        (block[..5].to_vec(), block[5..].to_vec())
    };
    let start = |flags| frame(kind::HEADERS, flags, 1, &first);
    let middle = rest.len() / 2;
    vec![
        case(
            "6.10 a head in four frames",
            all_of(&[
                start(END),
                continuation(1, 0, &rest[..middle]),
                continuation(1, 0, &[]),
                continuation(1, 4, &rest[middle..]),
            ]),
            Status(200),
        ),
        case(
            "6.10 DATA between CONTINUATION frames",
            all_of(&[start(END), continuation(1, 0, &rest[..middle]), data(1, END, b"x")]),
            Connection(&[PROTOCOL_ERROR]),
        ),
        case(
            "6.10 CONTINUATION on stream 0",
            all_of(&[start(END), continuation(0, 4, &rest)]),
            Connection(&[PROTOCOL_ERROR]),
        ),
        case(
            "6.10 CONTINUATION on another stream",
            all_of(&[start(END), continuation(3, 4, &rest)]),
            Connection(&[PROTOCOL_ERROR]),
        ),
        case(
            "6.10 CONTINUATION behind a whole head",
            all_of(&[post(1), continuation(1, 4, &rest)]),
            Connection(&[PROTOCOL_ERROR]),
        ),
        case(
            "6.10 CONTINUATION behind the last one",
            all_of(&[start(0), continuation(1, 4, &rest), continuation(1, 4, &block(&[("x", "y")]))]),
            Connection(&[PROTOCOL_ERROR]),
        ),
        case(
            "6.10 CONTINUATION behind DATA",
            all_of(&[post(1), data(1, 0, b"x"), continuation(1, 4, &rest)]),
            Connection(&[PROTOCOL_ERROR]),
        ),
    ]
}

/// `:method: GET`, `:scheme: http` and `:path: /` by their numbers, and `:authority: a` with its name's.
const INDEXED: [u8; 6] = [0x82, 0x86, 0x84, 0x41, 0x01, b'a'];

fn compression() -> Vec<Case> {
    let head = |more: &[u8]| frame(kind::HEADERS, END | flag::END_HEADERS, 1, &[&INDEXED, more].concat());
    let whole = |block: &[u8]| frame(kind::HEADERS, END | flag::END_HEADERS, 1, block);
    let wrong = Connection(&[COMPRESSION_ERROR]);
    let huffman = |code: &[u8]| [&[0x00, 0x01, b'x', 0x80 | u8::try_from(code.len()).expect("short")], code].concat();
    vec![
        case("HPACK 6.1 fields by number", head(&[]), Status(200)),
        case("HPACK 6.1 an entry that was added before", head(&[0x40, 1, b'x', 1, b'y', 0xbe]), Status(200)),
        case("HPACK 6.1 number 0", head(&[0x80]), wrong),
        case("HPACK 2.3.3 a number past both tables", head(&[0xff, 0x00]), wrong),
        case("HPACK 2.3.3 a name's number past both tables", head(&[0x7f, 0x40, 1, b'y']), wrong),
        case("HPACK 6.2.3 a field that is never indexed", head(&[0x10, 1, b'x', 1, b'y']), Status(200)),
        case("HPACK 6.2.2 a name by number", head(&[0x0f, 0x04, 1, b'y']), Status(200)),
        case("HPACK 4.2 a change of size at the start", whole(&[&[0x20], &INDEXED[..]].concat()), Status(200)),
        case("HPACK 4.2 a change of size at the end", head(&[0x20]), wrong),
        case("HPACK 6.3 a size over the setting", whole(&[&[0x3f, 0xe1, 0xff, 0x03], &INDEXED[..]].concat()), wrong),
        case(
            "HPACK 5.1 a number that never ends",
            head(&[0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
            wrong,
        ),
        case("HPACK 5.2 a string longer than the block", head(&[0x00, 0x05, b'x']), wrong),
        // a, padded with ones as it must be.
        case("HPACK 5.2 Huffman's code", head(&huffman(&[0x1f])), Status(200)),
        case("HPACK 5.2 Huffman's code padded with zeros", head(&huffman(&[0x18])), wrong),
        case("HPACK 5.2 Huffman's code with a whole byte of padding", head(&huffman(&[0x1f, 0xff])), wrong),
        case("HPACK 5.2 Huffman's code with its end in it", head(&huffman(&[0x1f, 0xff, 0xff, 0xff])), wrong),
    ]
}
