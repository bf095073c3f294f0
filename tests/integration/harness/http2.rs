//! A client of HTTP/2 that sends exactly the frames it is given (RFC 9113), with fields in the plainest form that HPACK
//! has (RFC 7541 §6.2.2).

use super::Connection;

/// What a client sends first (RFC 9113 §3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The types of frames (RFC 9113 §6).
pub(crate) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const PRIORITY: u8 = 2;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const PUSH_PROMISE: u8 = 5;
    pub(crate) const PING: u8 = 6;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const WINDOW_UPDATE: u8 = 8;
    pub(crate) const CONTINUATION: u8 = 9;
}

/// The flags of frames.
pub(crate) mod flag {
    pub(crate) const ACK: u8 = 1;
    pub(crate) const END_STREAM: u8 = 1;
    pub(crate) const END_HEADERS: u8 = 4;
    pub(crate) const PADDED: u8 = 8;
    pub(crate) const PRIORITY: u8 = 0x20;
}

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// What a server does that a client can not overlook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A response's head.
    Status {
        stream: u32,
        status: u16,
    },
    /// The end of a response.
    Ended {
        stream: u32,
    },
    Reset {
        stream: u32,
        code: u32,
    },
    GoAway {
        code: u32,
    },
    /// The answer to a PING of ours.
    Pong([u8; 8]),
    /// The connection has ended.
    Closed,
}

/// The bytes of a frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame").to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

/// Settings in the order given.
pub(crate) fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let payload = values.iter().flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat());
    frame(kind::SETTINGS, 0, 0, &payload.collect::<Vec<_>>())
}

/// A PING that is to come back.
pub(crate) fn ping(content: [u8; 8]) -> Vec<u8> {
    frame(kind::PING, 0, 0, &content)
}

/// More room in the window of a stream, or of the connection with 0.
pub(crate) fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(kind::WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

/// A whole head.
pub(crate) fn headers(stream: u32, flags: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(kind::HEADERS, flags | flag::END_HEADERS, stream, &block(fields))
}

/// Fields as literals that enter no table.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            string(&mut block, text.as_bytes());
        }
    }
    block
}

/// A string without Huffman's code: its length with a prefix of seven bits (RFC 7541 §5.1, §5.2), and itself.
fn string(block: &mut Vec<u8>, text: &[u8]) {
    let mut rest = text.len();
    if rest >= 127 {
        block.push(127);
        rest -= 127;
        while rest >= 128 {
            block.push(u8::try_from(rest % 128).expect("a remainder") | 128);
            rest /= 128;
        }
    }
    block.push(u8::try_from(rest).expect("less than 128"));
    block.extend(text);
}

/// A connection that has exchanged its settings.
pub(crate) struct Http2 {
    pub(crate) connection: Connection,
}

impl Http2 {
    /// Sends the preface and settings, reads the server's, and acknowledges them.
    pub(crate) fn start(connection: Connection, values: &[(u16, u32)]) -> Self {
        let mut client = Self { connection };
        // Without a table responses need no memory to be read.
        let values = [&[(1, 0)], values].concat();
        client.connection.send([PREFACE, &settings(&values)].concat());
        let first = client.frame().expect("the server's settings");
        assert_eq!((first.kind, first.flags), (kind::SETTINGS, 0), "the server's preface (RFC 9113 section 3.4)");
        client.connection.send(frame(kind::SETTINGS, flag::ACK, 0, &[]));
        client
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.connection.send(bytes);
    }

    /// The next frame; `None` where the connection has ended.
    pub(crate) fn frame(&mut self) -> Option<Frame> {
        let head = self.read(9)?;
        let number = |bytes: &[u8]| bytes.iter().fold(0, |sum: u32, byte| sum << 8 | u32::from(*byte));
        let payload = self.read(usize::try_from(number(&head[..3])).expect("24 bits"))?;
        Some(Frame { kind: head[3], flags: head[4], stream: number(&head[5..]) & 0x7fff_ffff, payload })
    }

    fn read(&mut self, length: usize) -> Option<Vec<u8>> {
        match self.connection.read_exactly(length) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "nothing comes, and the connection is open");
                None
            }
        }
    }

    /// The next event. What a body holds is passed over.
    pub(crate) fn event(&mut self) -> Event {
        loop {
            let Some(Frame { kind, flags, stream, payload }) = self.frame() else { return Event::Closed };
            let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().expect("four bytes"));
            match kind {
                kind::HEADERS => return Event::Status { stream, status: status(&payload) },
                kind::DATA if flags & flag::END_STREAM != 0 => return Event::Ended { stream },
                kind::RST_STREAM => return Event::Reset { stream, code: number(&payload) },
                kind::GOAWAY => return Event::GoAway { code: number(&payload[4..8]) },
                kind::PING if flags & flag::ACK != 0 => {
                    return Event::Pong(payload.try_into().expect("a PING has eight bytes"));
                }
                _ => {}
            }
        }
    }

    /// Waits for the head of the response on a stream.
    pub(crate) fn status(&mut self, wanted: u32) -> u16 {
        loop {
            match self.event() {
                Event::Status { stream, status } if stream == wanted => return status,
                Event::Status { .. } | Event::Ended { .. } | Event::Pong(_) => {}
                other => panic!("{other:?} where a response on stream {wanted} was to come"),
            }
        }
    }

    /// Reads until the connection has ended, and gives the codes of the GOAWAY frames before.
    pub(crate) fn ending(&mut self) -> Vec<u32> {
        let mut codes = Vec::new();
        loop {
            match self.event() {
                Event::Closed => return codes,
                Event::GoAway { code } => codes.push(code),
                _ => {}
            }
        }
    }
}

/// `:status`, which comes first: an entry of the static table, or one of those names with a value of its own.
pub(crate) fn status(block: &[u8]) -> u16 {
    // A change of the table's size may stand before.
    let start = block.iter().position(|byte| byte & 0xe0 != 0x20).expect("a field");
    let block = &block[start..];
    match block[0] {
        indexed @ 0x88..=0x8e => [200, 204, 206, 304, 400, 404, 500][usize::from(indexed - 0x88)],
        _ if block[1] & 0x80 == 0 => {
            let digits = &block[2..2 + usize::from(block[1])];
            std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).expect("a status")
        }
        _ => huffman_digits(&block[2..2 + usize::from(block[1] & 0x7f)]),
    }
}

/// A number in Huffman's code (RFC 7541 appendix B): 0 to 2 have five bits, the other digits six.
fn huffman_digits(code: &[u8]) -> u16 {
    let mut bits = code.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
    let mut number = 0;
    for _ in 0..3 {
        let five = bits.by_ref().take(5).fold(0, |sum, bit| sum << 1 | u16::from(bit));
        let digit = if five <= 2 { five } else { (five << 1 | u16::from(bits.next().expect("a sixth bit"))) - 0x16 };
        number = number * 10 + digit;
    }
    number
}

#[test]
fn statuses_are_read_in_each_of_their_forms() {
    assert_eq!(status(&[0x88]), 200);
    assert_eq!(status(&[0x20, 0x8d]), 404);
    assert_eq!(status(b"\x08\x03413"), 413);
    // 302 and 307 of RFC 7541 appendix C.6.
    assert_eq!(status(&[0x48, 0x82, 0x64, 0x02]), 302);
    assert_eq!(status(&[0x48, 0x83, 0x64, 0x0e, 0xff]), 307);
}
