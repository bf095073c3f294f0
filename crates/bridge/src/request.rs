//! A complete request, as the application is to see it.

use std::{
    borrow::Cow,
    fmt,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    net::SocketAddr,
    sync::Arc,
    time::Instant,
};

use bytes::{Buf, Bytes, buf};
use http::{HeaderMap, Method, Version};

/// Names a request in every log line about it: 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(pub u64);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// `http` or `https`: how the client reached us (`wsgi.url_scheme`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    /// The scheme as it stands in a URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// What there is to know of an encrypted connection, in the words of OpenSSL and `mod_ssl`. Shared by all its requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFacts {
    /// The version: `TLSv1.3` (`SSL_PROTOCOL`).
    pub protocol: Cow<'static, str>,
    /// The cipher suite: `TLS_AES_128_GCM_SHA256` (`SSL_CIPHER`).
    pub cipher: Cow<'static, str>,
    /// The host that the client asked for (SNI), in lower case.
    pub server_name: Option<Box<str>>,
    /// The client's certificate, which has been checked; `None` where it showed none.
    pub client: Option<ClientCertificate>,
}

/// A client's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Whose it is, as RFC 4514 writes it (`SSL_CLIENT_S_DN`).
    pub subject: String,
    /// Who signed it, in the same form (`SSL_CLIENT_I_DN`).
    pub issuer: String,
    /// Its number, in hexadecimal (`SSL_CLIENT_M_SERIAL`).
    pub serial: String,
    /// The whole certificate (`SSL_CLIENT_CERT`).
    pub pem: String,
}

/// The client: the other end of the socket, or whom a proxy there speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A TCP peer. The port is 0 where a proxy did not tell it.
    Tcp(SocketAddr),
    /// A peer on a Unix domain socket, which has no address.
    Unix,
}

/// The listener a request came in on: the source of `SERVER_NAME` and `SERVER_PORT`, neither of which may be empty
/// (PEP 3333 "environ Variables"). Shared by all requests of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// Host name or address.
    pub name: String,
    /// Port in decimal.
    pub port: String,
}

/// The client's connection, as far as the application's side may touch it.
pub trait ClientConnection: fmt::Debug + Send + Sync {
    /// Closes it when the response that is on its way has been sent: what followed that response was not in order.
    fn close(&self);
}

/// One complete request. Plain data: it belongs to the job, and ends with it.
#[derive(Debug)]
pub struct Request {
    /// The name of this request in the logs.
    pub id: RequestId,
    /// The method as sent (methods are case-sensitive, RFC 9110 §9.1).
    pub method: Method,
    /// The request target as sent, without decoding (`REQUEST_URI`, `RAW_URI`).
    pub target: Bytes,
    /// The path below the mount point, percent-decoded (`PATH_INFO`).
    pub path: Bytes,
    /// The mount point, percent-decoded, empty at the root (`SCRIPT_NAME`).
    pub script_name: Bytes,
    /// What follows the first `?` of the target, as sent; empty without one.
    pub query: Bytes,
    /// HTTP version of the request line.
    pub version: Version,
    /// Fields in the order of arrival, with repeated ones kept apart.
    pub headers: HeaderMap,
    /// How the client reached us.
    pub scheme: Scheme,
    /// The encryption; `None` where there is none, or where another server ended it.
    pub tls: Option<Arc<TlsFacts>>,
    /// The client.
    pub peer: Peer,
    /// The listener.
    pub local: Arc<Local>,
    /// The whole body.
    pub body: RequestBody,
    /// The connection it came on, where it can be told of an error that shows only after a complete response.
    pub connection: Option<Arc<dyn ClientConnection>>,
    /// When the front had read the request completely.
    pub received_at: Instant,
    /// In which form its client may see what the application raised; `None`: it may not.
    pub details: Option<DetailsForm>,
}

/// The form in which a client is told why the application failed: the one it asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DetailsForm {
    /// A page for people.
    Html,
    /// A problem (RFC 9457).
    Json,
    /// Plain text.
    Text,
}

/// A request body that has been read completely.
#[derive(Debug)]
pub enum RequestBody {
    /// No body.
    Empty,
    /// A body small enough for memory.
    Memory(Bytes),
    /// A body in an unlinked temporary file, positioned at its start.
    File {
        /// The file; its disk space is free again when this is dropped.
        file: File,
        /// Bytes in it.
        length: u64,
    },
}

impl RequestBody {
    /// Bytes in the body.
    pub fn len(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { file: _, length } => *length,
        }
    }

    /// Whether there is nothing to read.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads the body from its start.
    pub fn into_reader(self) -> BodyReader {
        BodyReader(match self {
            Self::Empty => Source::Memory(Bytes::new().reader()),
            Self::Memory(bytes) => Source::Memory(bytes.reader()),
            Self::File { file, length } => {
                Source::File(Box::new(BufReader::with_capacity(64 * 1024, file.take(length))))
            }
        })
    }
}

/// A request body while it is read. End of file is the end of the body.
#[derive(Debug)]
pub struct BodyReader(Source);

#[derive(Debug)]
enum Source {
    Memory(buf::Reader<Bytes>),
    File(Box<BufReader<io::Take<File>>>),
}

impl Read for BodyReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Source::Memory(reader) => reader.read(into),
            Source::File(reader) => reader.read(into),
        }
    }
}

impl BufRead for BodyReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match &mut self.0 {
            Source::Memory(reader) => reader.fill_buf(),
            Source::File(reader) => reader.fill_buf(),
        }
    }

    fn consume(&mut self, amount: usize) {
        match &mut self.0 {
            Source::Memory(reader) => reader.consume(amount),
            Source::File(reader) => reader.consume(amount),
        }
    }
}

impl BodyReader {
    /// Whether reading it never waits for a disk.
    pub fn is_in_memory(&self) -> bool {
        matches!(self.0, Source::Memory(_))
    }

    /// Bytes left to read.
    pub fn remaining(&self) -> u64 {
        match &self.0 {
            Source::Memory(reader) => reader.get_ref().remaining() as u64,
            Source::File(reader) => reader.buffer().len() as u64 + reader.get_ref().limit(),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::io::{Seek, Write};

    use super::*;

    fn in_file(content: &[u8]) -> RequestBody {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file.rewind().unwrap();
        RequestBody::File { file, length: content.len() as u64 }
    }

    #[test]
    fn a_body_reads_the_same_from_memory_and_from_a_file() {
        for body in [RequestBody::Memory(Bytes::from_static(b"one\ntwo\n")), in_file(b"one\ntwo\n")] {
            assert_eq!(body.len(), 8);
            let mut reader = body.into_reader();
            let mut line = Vec::new();
            reader.read_until(b'\n', &mut line).unwrap();
            assert_eq!(line, b"one\n");
            assert_eq!(reader.remaining(), 4);
            let mut rest = String::new();
            reader.read_to_string(&mut rest).unwrap();
            assert_eq!((rest.as_str(), reader.remaining()), ("two\n", 0));
        }
    }

    #[test]
    fn a_request_id_is_sixteen_digits() {
        assert_eq!(RequestId(0x2a).to_string(), "000000000000002a");
    }
}
