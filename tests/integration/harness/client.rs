//! An HTTP/1.1 client that sends exactly the bytes it is given and hides nothing of the answer.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    sync::Arc,
    time::Duration,
};

use rustls::{ClientConfig, ClientConnection};

use super::LIMIT;

/// One connection to the server.
pub(crate) struct Connection {
    reader: BufReader<Socket>,
}

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<rustls::StreamOwned<ClientConnection, TcpStream>>),
}

/// One response, interim ones included.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) version: String,
    pub(crate) status: u16,
    pub(crate) reason: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Connection {
    pub(crate) fn tcp(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, LIMIT).expect("the server accepts");
        stream.set_nodelay(true).expect("a connected socket");
        Self::new(Socket::Tcp(stream))
    }

    pub(crate) fn unix(path: &Path) -> Self {
        Self::new(Socket::Unix(UnixStream::connect(path).expect("the server accepts")))
    }

    /// Connects with encryption, asking for a host by its name. An error of the handshake shows here, or later with TLS 1.3.
    pub(crate) fn tls(address: SocketAddr, name: &str, config: &Arc<ClientConfig>) -> io::Result<Self> {
        let mut stream = TcpStream::connect_timeout(&address, LIMIT).expect("the server accepts");
        stream.set_nodelay(true).expect("a connected socket");
        stream.set_read_timeout(Some(LIMIT)).expect("the time is not zero");
        let name = name.to_owned().try_into().expect("a host's name");
        let mut connection = ClientConnection::new(Arc::clone(config), name).expect("a sound configuration");
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        Ok(Self::new(Socket::Tls(Box::new(rustls::StreamOwned::new(connection, stream)))))
    }

    /// The encryption.
    pub(crate) fn encryption(&self) -> &ClientConnection {
        match self.reader.get_ref() {
            Socket::Tls(stream) => &stream.conn,
            Socket::Tcp(_) | Socket::Unix(_) => unreachable!("asked of encrypted connections only"),
        }
    }

    fn new(socket: Socket) -> Self {
        socket.set_read_timeout(LIMIT);
        Self { reader: BufReader::new(socket) }
    }

    /// Sends bytes as they are. The server may have closed already: that shows when the answer is read.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.try_send(bytes);
    }

    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        match self.reader.get_mut() {
            Socket::Tcp(stream) => stream.write_all(bytes.as_ref()),
            Socket::Unix(stream) => stream.write_all(bytes.as_ref()),
            Socket::Tls(stream) => stream.write_all(bytes.as_ref()),
        }
    }

    /// Sends a request without a body and reads its response.
    pub(crate) fn get(&mut self, target: &str) -> Response {
        self.request("GET", target, &[], b"")
    }

    /// Sends a request and reads its response. A `Host` is added, and `Content-Length` where there is a body.
    pub(crate) fn request(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        self.send(request_head(method, target, headers, body.len()));
        self.send(body);
        self.response(method).expect("a whole response")
    }

    /// Reads the response to a request of `method`; an interim one (1xx) counts as one. An error of the kind
    /// `UnexpectedEof` is a connection that was closed too early.
    pub(crate) fn response(&mut self, method: &str) -> io::Result<Response> {
        let mut response = self.response_head()?;
        let body = self.body(method, &response)?;
        response.body = body;
        Ok(response)
    }

    /// Reads a response up to the end of its head.
    pub(crate) fn response_head(&mut self) -> io::Result<Response> {
        let status_line = self.line()?;
        let mut parts = status_line.splitn(3, ' ');
        let version = parts.next().unwrap_or_default().to_owned();
        let status = parts.next().and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status line: {status_line:?}"));
        let reason = parts.next().unwrap_or_else(|| panic!("no reason phrase: {status_line:?}")).to_owned();
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(Response { version, status, reason, headers, body: Vec::new() });
            }
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no field: {line:?}"));
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    /// Reads the body that belongs to a head (RFC 9112 §6.3).
    fn body(&mut self, method: &str, head: &Response) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        if method == "HEAD" || matches!(head.status, 100..200 | 204 | 304) {
            return Ok(body);
        }
        if head.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            while let Some(chunk) = self.chunk()? {
                body.extend(chunk);
            }
        } else if let Some(length) = head.header("content-length") {
            body.resize(length.parse().expect("Content-Length is a number"), 0);
            self.reader.read_exact(&mut body)?;
        } else {
            self.reader.read_to_end(&mut body)?;
        }
        Ok(body)
    }

    /// Reads one chunk; `None` is the last one, its trailer section read as well.
    pub(crate) fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let line = self.line()?;
        let size = usize::from_str_radix(&line, 16).unwrap_or_else(|_| panic!("no chunk size: {line:?}"));
        if size == 0 {
            while !self.line()?.is_empty() {}
            return Ok(None);
        }
        let mut chunk = vec![0; size];
        self.reader.read_exact(&mut chunk)?;
        assert_eq!(self.line()?, "", "a chunk ends with CRLF");
        Ok(Some(chunk))
    }

    /// Reads up to `length` bytes of whatever comes.
    pub(crate) fn read_exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.reader.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Everything up to the end of the connection.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        match self.reader.read_to_end(&mut rest) {
            Ok(_) => rest,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => rest,
            Err(error) => panic!("the connection is still open: {error}"),
        }
    }

    /// Waits until the server closes, and insists that nothing more comes before.
    pub(crate) fn assert_closed(&mut self) {
        assert_eq!(String::from_utf8_lossy(&self.rest()), "", "nothing was to come before the connection's end");
    }

    /// Whether anything can be read now, without waiting.
    pub(crate) fn has_input(&mut self) -> bool {
        if !self.reader.buffer().is_empty() {
            return true;
        }
        let Socket::Tcp(stream) = self.reader.get_ref() else { unreachable!("asked of TCP connections only") };
        stream.set_nonblocking(true).expect("a connected socket");
        let outcome = stream.peek(&mut [0]);
        stream.set_nonblocking(false).expect("a connected socket");
        !matches!(outcome, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Our own port.
    pub(crate) fn port(&self) -> u16 {
        self.stream().local_addr().expect("a connected socket").port()
    }

    /// Says that nothing more will be sent, and goes on reading.
    pub(crate) fn shut_down_sending(&self) {
        // The server may have closed already: that shows when the answer is read.
        let _ = self.stream().shutdown(Shutdown::Write);
    }

    /// Leaves with a RST instead of a FIN: what a killed browser on a full network looks like.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(self.stream()).set_linger(Some(Duration::ZERO)).expect("a connected socket");
    }

    /// The TCP stream below.
    pub(crate) fn stream(&self) -> &TcpStream {
        match self.reader.get_ref() {
            Socket::Tcp(stream) => stream,
            Socket::Tls(stream) => &stream.sock,
            Socket::Unix(_) => unreachable!("asked of TCP connections only"),
        }
    }

    /// A line without its CRLF. A bare LF is an error of the server's.
    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        assert_eq!(line.pop(), Some(b'\r'), "a line ended by a bare LF");
        Ok(line.into_iter().map(char::from).collect())
    }
}

/// The head of a request with the fields that every request has.
pub(crate) fn request_head(method: &str, target: &str, headers: &[(&str, &str)], length: usize) -> String {
    let fields: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = if length > 0 { format!("Content-Length: {length}\r\n") } else { String::new() };
    format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{}{length}\r\n", fields.concat())
}

impl Response {
    /// The value of a field that may stand once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let values = self.header_values(name);
        assert!(values.len() <= 1, "{name} stands {} times", values.len());
        values.first().copied()
    }

    /// All values of a field, in order.
    pub(crate) fn header_values(&self, name: &str) -> Vec<&str> {
        let same = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.as_str()).collect()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    /// Whether the server says that it closes the connection after this.
    pub(crate) fn closes(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// This response, which must have the status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
}

impl Socket {
    fn set_read_timeout(&self, limit: Duration) {
        match self {
            Self::Tcp(stream) => stream.set_read_timeout(Some(limit)),
            Self::Unix(stream) => stream.set_read_timeout(Some(limit)),
            Self::Tls(stream) => stream.sock.set_read_timeout(Some(limit)),
        }
        .expect("the time is not zero");
    }
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(into),
            Self::Unix(stream) => stream.read(into),
            Self::Tls(stream) => stream.read(into),
        }
    }
}
