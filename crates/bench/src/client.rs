//! A small HTTP/1.1 client that reads every byte of an answer: it checks servers before and after a load, waits for their start,
//! and is the crowd in the measurements that a load generator does not know.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};

/// How long an answer may take. A server that is busy answers later than one that hangs.
const PATIENCE: Duration = Duration::from_secs(20);
const BLOCK: usize = 64 * 1024;

/// Where a server is, and whether it is spoken to over TLS.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

/// A request in the bytes that are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request(Vec<u8>);

impl Request {
    /// A GET, or a POST where there is a body.
    pub(crate) fn new(path: &str, body: Option<&[u8]>, keep: bool) -> Self {
        let connection = if keep { "" } else { "Connection: close\r\n" };
        let method = if body.is_some() { "POST" } else { "GET" };
        let length = body.map(|body| format!("Content-Length: {}\r\n", body.len())).unwrap_or_default();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{length}{connection}\r\n");
        Self([head.as_bytes(), body.unwrap_or_default()].concat())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// Bytes of head and body as they were sent.
    pub(crate) size: usize,
    /// Whether no other request may follow.
    pub(crate) closes: bool,
}

impl Response {
    /// What is wrong with it, beside what was expected.
    pub(crate) fn problem(&self, expected: &[u8]) -> Option<String> {
        if self.status != 200 {
            Some(format!("the status is {}", self.status))
        } else if self.body.len() != expected.len() {
            Some(format!("the body has {} bytes and not {}", self.body.len(), expected.len()))
        } else if self.body != expected {
            Some("the body has other bytes".to_owned())
        } else {
            None
        }
    }
}

trait Stream: Read + Write + Send {}
impl<S: Read + Write + Send> Stream for S {}

/// A connection, with what was read of it and not used yet.
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("buffered", &self.buffer.len()).finish_non_exhaustive()
    }
}

impl Connection {
    pub(crate) fn open(endpoint: &Endpoint) -> io::Result<Self> {
        let socket = TcpStream::connect_timeout(&endpoint.address, PATIENCE)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let Some(tls) = &endpoint.tls else { return Ok(Self::over(socket)) };
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let connection = ClientConnection::new(Arc::clone(tls), name).map_err(io::Error::other)?;
        Ok(Self::over(StreamOwned::new(connection, socket)))
    }

    fn over(stream: impl Stream + 'static) -> Self {
        Self { stream: Box::new(stream), buffer: Vec::new() }
    }

    /// Sends a request and reads its answer.
    pub(crate) fn exchange(&mut self, request: &Request) -> io::Result<Response> {
        self.stream.write_all(request.bytes())?;
        self.stream.flush()?;
        self.response()
    }

    fn response(&mut self) -> io::Result<Response> {
        let end = self.find(b"\r\n\r\n", 0)? + 4;
        let head = Head::parse(&self.buffer[..end]).ok_or_else(|| invalid("its head is none"))?;
        let (body, size) = match head.length {
            Length::Known(length) => {
                self.fill(end + length)?;
                (self.buffer[end..end + length].to_vec(), end + length)
            }
            Length::Chunked => self.chunks(end)?,
            Length::UntilClose => {
                while self.read()? > 0 {}
                (self.buffer[end..].to_vec(), self.buffer.len())
            }
        };
        self.buffer.drain(..size);
        if self.buffer.is_empty() {
            // Ten thousand idle connections hold nothing.
            self.buffer = Vec::new();
        }
        Ok(Response { status: head.status, body, size, closes: head.closes })
    }

    /// A body in chunks (RFC 9112 §7.1), without extensions and trailers, and where it ends in the buffer.
    fn chunks(&mut self, start: usize) -> io::Result<(Vec<u8>, usize)> {
        let (mut body, mut position) = (Vec::new(), start);
        loop {
            let end = self.find(b"\r\n", position)?;
            let line = std::str::from_utf8(&self.buffer[position..end]).ok();
            let size = line.and_then(|line| usize::from_str_radix(line.trim(), 16).ok());
            let size = size.ok_or_else(|| invalid("the size of a chunk is none"))?;
            let (data, after) = (end + 2, end + 2 + size + 2);
            self.fill(after)?;
            body.extend_from_slice(&self.buffer[data..data + size]);
            position = after;
            if size == 0 {
                return Ok((body, position));
            }
        }
    }

    /// Where these bytes begin, at or behind `start`.
    fn find(&mut self, wanted: &[u8], start: usize) -> io::Result<usize> {
        let mut from = start;
        loop {
            if let Some(found) = self.buffer[from..].windows(wanted.len()).position(|window| window == wanted) {
                return Ok(from + found);
            }
            from = self.buffer.len().saturating_sub(wanted.len()).max(start);
            self.fill(self.buffer.len() + 1)?;
        }
    }

    /// Reads until the buffer has so many bytes.
    fn fill(&mut self, length: usize) -> io::Result<()> {
        while self.buffer.len() < length {
            if self.read()? == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the answer is cut"));
            }
        }
        Ok(())
    }

    fn read(&mut self) -> io::Result<usize> {
        let before = self.buffer.len();
        self.buffer.resize(before + BLOCK, 0);
        let read = self.stream.read(&mut self.buffer[before..]);
        self.buffer.truncate(before + read.as_ref().map_or(0, |count| *count));
        read
    }
}

/// What matters of a response's head.
struct Head {
    status: u16,
    length: Length,
    closes: bool,
}

enum Length {
    Known(usize),
    Chunked,
    UntilClose,
}

impl Head {
    fn parse(head: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(head).ok()?;
        let mut lines = text.split("\r\n");
        let mut words = lines.next()?.split(' ');
        let is_old = words.next()? == "HTTP/1.0";
        let status = words.next()?.parse().ok()?;
        let (mut length, mut closes) = (Length::UntilClose, is_old);
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                length = Length::Known(value.parse().ok()?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") && value.eq_ignore_ascii_case("chunked") {
                length = Length::Chunked;
            } else if name.eq_ignore_ascii_case("connection") {
                closes = if is_old {
                    !value.eq_ignore_ascii_case("keep-alive")
                } else {
                    value.eq_ignore_ascii_case("close")
                };
            }
        }
        closes |= matches!(length, Length::UntilClose);
        Some(Self { status, length, closes })
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// One request on a connection of its own: the size of the right answer, or what was wrong with it.
pub(crate) fn check(endpoint: &Endpoint, request: &Request, expected: &[u8]) -> Result<usize, String> {
    let answer = Connection::open(endpoint).and_then(|mut connection| connection.exchange(request));
    let response = answer.map_err(|error| described(&error))?;
    response.problem(expected).map_or(Ok(response.size), Err)
}

/// A time that is over is told by the system as something that would block.
fn described(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => format!("no answer in {} s", PATIENCE.as_secs()),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a byte at a time, so that nothing depends on where a read ends.
    struct Slow(Vec<u8>);

    impl Read for Slow {
        fn read(&mut self, block: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            block[0] = self.0.remove(0);
            Ok(1)
        }
    }

    impl Write for Slow {
        fn write(&mut self, block: &[u8]) -> io::Result<usize> {
            Ok(block.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn responses(bytes: &str) -> (io::Result<Response>, io::Result<Response>) {
        let mut connection = Connection::over(Slow(bytes.as_bytes().to_vec()));
        let request = Request::new("/", None, true);
        (connection.exchange(&request), connection.exchange(&request))
    }

    #[test]
    fn a_response_with_a_length_leaves_the_next_one() {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
        let (first, second) = responses(&format!("{head}hello{head}world"));
        let first = first.unwrap();
        assert_eq!((first.status, first.body.as_slice(), first.closes), (200, &b"hello"[..], false));
        assert_eq!(first.size, head.len() + 5);
        assert_eq!(second.unwrap().body, b"world");
    }

    #[test]
    fn a_response_in_chunks_leaves_the_next_one() {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let (first, second) = responses(&format!("{head}5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n{head}0\r\n\r\n"));
        assert_eq!(first.unwrap().body, b"hello0123456789");
        assert_eq!(second.unwrap().body, b"");
    }

    #[test]
    fn a_response_without_a_length_ends_with_the_connection() {
        let (first, second) = responses("HTTP/1.1 200 OK\r\n\r\nall of it");
        let first = first.unwrap();
        assert_eq!((first.body.as_slice(), first.closes), (&b"all of it"[..], true));
        assert_eq!(second.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_cut_response_is_an_error() {
        let (first, _) = responses("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        assert_eq!(first.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let (first, _) = responses("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n");
        assert_eq!(first.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn http_1_0_closes_unless_it_says_otherwise() {
        let (first, _) = responses("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n");
        assert!(first.unwrap().closes);
        let (first, _) = responses("HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n");
        assert!(!first.unwrap().closes);
    }

    #[test]
    fn a_wrong_answer_is_described() {
        let response = |status, body: &[u8]| Response { status, body: body.to_vec(), size: 0, closes: false };
        assert_eq!(response(200, b"right").problem(b"right"), None);
        assert_eq!(response(502, b"right").problem(b"right").unwrap(), "the status is 502");
        assert_eq!(response(200, b"rig").problem(b"right").unwrap(), "the body has 3 bytes and not 5");
        assert_eq!(response(200, b"wrong").problem(b"right").unwrap(), "the body has other bytes");
    }

    #[test]
    fn a_time_that_is_over_is_called_so() {
        assert_eq!(described(&io::ErrorKind::WouldBlock.into()), "no answer in 20 s");
        assert_eq!(described(&io::Error::other("cut")), "cut");
    }

    #[test]
    fn a_body_makes_a_post() {
        let bytes = Request::new("/up", Some(b"abc"), false).bytes().to_vec();
        let expected = "POST /up HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc";
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }
}
