//! A client that sends the frames it is given and no others (RFC 9113 §4.1).

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
};

use socket2::{Domain, Socket, Type};

use crate::{client::PATIENCE, server::Server};

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const END_STREAM: u8 = 1;
pub(super) const ACK: u8 = 1;

#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u8,
    pub(super) payload: Vec<u8>,
}

pub(super) struct Raw {
    stream: TcpStream,
}

impl Raw {
    /// Connects, and lets the server send `window` bytes of each response.
    pub(super) fn start(server: &Server, window: u32) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        // What it does not read stays with the server.
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(&server.address.into()).unwrap();
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut client = Self { stream };
        client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        // No table for the fields of responses, and the window (RFC 9113 §6.5.2).
        let [table, window] =
            [(1_u16, 0_u32), (4, window)].map(|(name, value)| (name.to_be_bytes(), value.to_be_bytes()));
        client.frame(SETTINGS, 0, 0, &[&table.0[..], &table.1, &window.0, &window.1].concat());
        client
    }

    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub(super) fn frame(&mut self, kind: u8, flags: u8, stream: u8, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        self.send(&[&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat());
    }

    /// Sends a request for a path that has less than 127 bytes.
    pub(super) fn get(&mut self, stream: u8, path: &str) {
        // GET and http by their numbers; path and authority as values of the names with these (RFC 7541 appendix A).
        let path_value = [&[0x04, u8::try_from(path.len()).unwrap()], path.as_bytes()].concat();
        self.frame(HEADERS, 0x4 | END_STREAM, stream, &[&[0x82, 0x86], &path_value[..], &[0x01, 1, b'a']].concat());
    }

    pub(super) fn update_window(&mut self, stream: u8, increment: u32) {
        self.frame(WINDOW_UPDATE, 0, stream, &increment.to_be_bytes());
    }

    /// The next frame; `None` at an orderly end of the connection.
    pub(super) fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        match self.stream.read_exact(&mut head) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return None,
            outcome => outcome.unwrap(),
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.stream.read_exact(&mut payload).unwrap();
        Some(Frame { kind: head[3], flags: head[4], stream: head[8], payload })
    }

    /// The next frame of this kind.
    pub(super) fn until(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.next().expect("the connection goes on");
            if frame.kind == kind {
                return frame;
            }
            assert_ne!(frame.kind, RST_STREAM, "{frame:?}");
        }
    }
}
