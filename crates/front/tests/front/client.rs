//! A client that sends raw bytes and reads what comes.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{IpAddr, Shutdown, SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use rustls::{ClientConfig, ClientConnection};
use socket2::{Domain, SockRef, Socket, Type};

pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    /// The encryption, where there is some.
    pub(crate) tls: Option<ClientConnection>,
    buffer: Vec<u8>,
    /// Whether the other side ended the encryption before it closed (RFC 8446 §6.1).
    pub(crate) was_told_of_end: bool,
}

/// One response, its body decoded.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Status line and fields.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect(address).unwrap())
    }

    /// Connects from another loopback address.
    pub(crate) fn connect_from(source: &str, address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let source: IpAddr = source.parse().unwrap();
        socket.bind(&SocketAddr::new(source, 0).into()).unwrap();
        socket.connect(&address.into()).unwrap();
        Self::new(socket.into())
    }

    fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream, tls: None, buffer: Vec::new(), was_told_of_end: false }
    }

    /// Connects and shakes hands, asking for a host by its name.
    pub(crate) fn with_tls(address: SocketAddr, name: &str, config: &Arc<ClientConfig>) -> io::Result<Self> {
        Self::connect(address).start_tls(name, config)
    }

    /// Goes on with TLS behind what has been sent.
    pub(crate) fn start_tls(mut self, name: &str, config: &Arc<ClientConfig>) -> io::Result<Self> {
        let name = name.to_owned().try_into().unwrap();
        let mut connection = ClientConnection::new(Arc::clone(config), name).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut self.stream)?;
        }
        Ok(Self { tls: Some(connection), ..self })
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.try_send(bytes).unwrap();
        self
    }

    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        match &mut self.tls {
            None => self.stream.write_all(bytes.as_ref()),
            Some(connection) => {
                let mut stream = rustls::Stream::new(connection, &mut self.stream);
                stream.write_all(bytes.as_ref())?;
                stream.flush()
            }
        }
    }

    pub(crate) fn get(&mut self, path: &str) -> Response {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")).response()
    }

    /// Like [`Self::get`], of a connection that may fail.
    pub(crate) fn try_get(&mut self, path: &str) -> io::Result<String> {
        self.try_send(format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"))?;
        self.read_to_end()
    }

    /// Everything up to an orderly end.
    pub(crate) fn read_to_end(&mut self) -> io::Result<String> {
        let mut text = String::new();
        let connection = self.tls.as_mut().expect("asked of encrypted connections");
        rustls::Stream::new(connection, &mut self.stream).read_to_string(&mut text)?;
        Ok(text)
    }

    /// Leaves as one does whose machine has lost the connection.
    pub(crate) fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    pub(crate) fn shut_down_sending(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Reads one response.
    pub(crate) fn response(&mut self) -> Response {
        self.response_to("GET")
    }

    pub(crate) fn response_to(&mut self, method: &str) -> Response {
        let head = self.head();
        let status: u16 = head[9..12].parse().unwrap();
        let mut response = Response { status, head, body: Vec::new() };
        if method == "HEAD" || matches!(status, 100..200 | 204 | 304) {
            return response;
        }
        response.body = if response.field("transfer-encoding") == Some("chunked") {
            self.chunked()
        } else if let Some(length) = response.field("content-length") {
            let length = length.parse().unwrap();
            self.take(length)
        } else {
            self.rest()
        };
        response
    }

    pub(crate) fn head(&mut self) -> String {
        let end = loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            assert!(self.more(), "closed within a head: {:?}", String::from_utf8_lossy(&self.buffer));
        };
        let head = self.take(end + 4);
        String::from_utf8(head).unwrap()
    }

    fn chunked(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let size = usize::from_str_radix(&self.line(), 16).unwrap();
            body.extend(self.take(size));
            assert_eq!(self.line(), "");
            if size == 0 {
                return body;
            }
        }
    }

    fn line(&mut self) -> String {
        let end = loop {
            if let Some(end) = self.buffer.windows(2).position(|window| window == b"\r\n") {
                break end;
            }
            assert!(self.more(), "closed within a line");
        };
        let mut line = self.take(end + 2);
        line.truncate(end);
        String::from_utf8(line).unwrap()
    }

    pub(crate) fn take(&mut self, length: usize) -> Vec<u8> {
        while self.buffer.len() < length {
            assert!(self.more(), "closed {} bytes early", length - self.buffer.len());
        }
        self.buffer.drain(..length).collect()
    }

    /// Everything up to the end of the connection, however it ends.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.more() {}
        std::mem::take(&mut self.buffer)
    }

    pub(crate) fn is_closed(&mut self) -> bool {
        self.rest().is_empty()
    }

    fn more(&mut self) -> bool {
        let mut block = [0; 16 * 1024];
        let outcome = match &mut self.tls {
            None => self.stream.read(&mut block),
            Some(connection) => rustls::Stream::new(connection, &mut self.stream).read(&mut block),
        };
        match outcome {
            Ok(0) => {
                self.was_told_of_end = self.tls.is_some();
                false
            }
            Ok(read) => {
                self.buffer.extend_from_slice(&block[..read]);
                true
            }
            Err(error) if is_end(&error) => false,
            Err(error) => panic!("{error}"),
        }
    }
}

fn is_end(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof)
}
