//! What crosses: frames of a length, a message, and what is left of the frame (bytes of a body).
//!
//! Numbers are little-endian. The length has four bytes and counts what follows it. A message that speaks of a file comes with
//! its descriptor (`SCM_RIGHTS`), attached to the frame's first byte.

use std::{borrow::Cow, fmt, net::SocketAddr, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{SeqAccess, Visitor},
    ser::SerializeSeq,
};
use stack_bridge::{ClientCertificate, DetailsForm, Failure, Flow, TlsFacts};

/// Bytes of the length in front of each frame.
pub(crate) const LENGTH_SIZE: usize = 4;
/// No frame is longer: bodies cross in pieces or as files, and heads have a limit far below.
pub(crate) const LONGEST_FRAME: usize = 64 * 1024 * 1024;

/// Why a frame can not be understood. The connection is mostly of no use after that.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("a frame of {0} bytes")]
    TooLong(usize),
    #[error("a message that can not be read")]
    Message(#[from] postcard::Error),
    #[error("a message without its descriptor")]
    NoDescriptor,
    /// The kernel left it out. Unlike after the others the connection is still of use.
    #[error("there is no room for a message's descriptor: this process may open no more files")]
    NoRoom,
    #[error("a message that has no place here")]
    OutOfPlace,
}

/// A message on a lane, to the worker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToWorker<'a> {
    /// Run this. A body in memory is what is left of the frame.
    #[serde(borrow)]
    Job(Box<JobHead<'a>>),
    /// The client of that job has left.
    ClientGone {
        /// The job's request.
        id: u64,
    },
}

/// A request without its body.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct JobHead<'a> {
    pub(crate) id: u64,
    /// It is to be claimed, and the server may take it back until then.
    pub(crate) to_claim: bool,
    pub(crate) method: &'a str,
    #[serde(with = "serde_bytes")]
    pub(crate) target: &'a [u8],
    #[serde(with = "serde_bytes")]
    pub(crate) path: &'a [u8],
    #[serde(with = "serde_bytes")]
    pub(crate) script_name: &'a [u8],
    #[serde(with = "serde_bytes")]
    pub(crate) query: &'a [u8],
    pub(crate) version: HttpVersion,
    #[serde(with = "fields")]
    pub(crate) headers: Cow<'a, HeaderMap>,
    pub(crate) https: bool,
    #[serde(borrow)]
    pub(crate) tls: Option<TlsHead<'a>>,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) local_name: &'a str,
    pub(crate) local_port: &'a str,
    pub(crate) body: BodyPlace,
    /// How long ago the request was complete.
    pub(crate) age: Duration,
    /// How long it has until the server answers in its place.
    pub(crate) time_left: Option<Duration>,
    pub(crate) details: Option<Form>,
}

/// [`DetailsForm`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Form {
    Html,
    Json,
    Text,
}

impl From<DetailsForm> for Form {
    fn from(form: DetailsForm) -> Self {
        match form {
            DetailsForm::Html => Self::Html,
            DetailsForm::Json => Self::Json,
            DetailsForm::Text => Self::Text,
        }
    }
}

impl From<Form> for DetailsForm {
    fn from(form: Form) -> Self {
        match form {
            Form::Html => Self::Html,
            Form::Json => Self::Json,
            Form::Text => Self::Text,
        }
    }
}

/// [`TlsFacts`].
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TlsHead<'a> {
    protocol: &'a str,
    cipher: &'a str,
    server_name: Option<&'a str>,
    #[serde(borrow)]
    client: Option<ClientHead<'a>>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ClientHead<'a> {
    subject: &'a str,
    issuer: &'a str,
    serial: &'a str,
    pem: &'a str,
}

impl<'a> From<&'a TlsFacts> for TlsHead<'a> {
    fn from(facts: &'a TlsFacts) -> Self {
        let TlsFacts { protocol, cipher, server_name, client } = facts;
        let client = client.as_ref().map(|ClientCertificate { subject, issuer, serial, pem }| ClientHead {
            subject,
            issuer,
            serial,
            pem,
        });
        Self { protocol, cipher, server_name: server_name.as_deref(), client }
    }
}

impl From<TlsHead<'_>> for TlsFacts {
    fn from(head: TlsHead<'_>) -> Self {
        let TlsHead { protocol, cipher, server_name, client } = head;
        let client = client.map(|ClientHead { subject, issuer, serial, pem }| ClientCertificate {
            subject: subject.to_owned(),
            issuer: issuer.to_owned(),
            serial: serial.to_owned(),
            pem: pem.to_owned(),
        });
        Self {
            protocol: protocol.to_owned().into(),
            cipher: cipher.to_owned().into(),
            server_name: server_name.map(Into::into),
            client,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum HttpVersion {
    Http09,
    Http10,
    Http11,
    Http2,
    Http3,
}

/// Where a request's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum BodyPlace {
    Nowhere,
    /// In the rest of the frame.
    Inline,
    /// In the file whose descriptor comes along, from its start.
    File {
        length: u64,
    },
}

/// A message on a lane, to the server.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToServer<'a> {
    /// The next block of the response is what is left of the frame.
    Block {
        #[serde(borrow)]
        head: Option<Head<'a>>,
        last: bool,
    },
    /// The next block is in the file whose descriptor comes along.
    FileBlock {
        #[serde(borrow)]
        head: Option<Head<'a>>,
        offset: u64,
        length: u64,
        last: bool,
    },
    /// The rest of the response is in a file of the application's.
    FileTail {
        #[serde(borrow)]
        head: Option<Head<'a>>,
        offset: u64,
        length: u64,
    },
    /// The response is not whole, and will not be. What the client is to see of it, if anything, is what is left of the frame.
    Failed(FailureKind),
    /// The client's connection is to be closed when the response is out.
    CloseConnection,
    /// The thread is done with the job.
    Done {
        /// It took so little time that others may be sent with such a one.
        was_short: bool,
    },
    /// The thread came to a job that the server has taken back.
    Skipped,
    /// Of the jobs that were sent ahead the thread leaves the last ones to others: what it said of the one that it had takes long
    /// to be handed on.
    Left { jobs: usize },
}

/// The head of a response.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Head<'a> {
    pub(crate) status: u16,
    #[serde(borrow)]
    pub(crate) reason: Option<&'a str>,
    #[serde(with = "fields")]
    pub(crate) headers: Cow<'a, HeaderMap>,
    pub(crate) streamed: bool,
}

impl Head<'_> {
    pub(crate) fn flow(&self) -> Flow {
        if self.streamed { Flow::Streamed } else { Flow::Buffered }
    }
}

/// [`Failure`], as far as a worker can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FailureKind {
    Dropped,
    NotRun,
    Application,
    Gateway,
}

impl From<Failure> for FailureKind {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Dropped | Failure::WorkerGone => Self::Dropped,
            Failure::NotRun => Self::NotRun,
            Failure::Application => Self::Application,
            Failure::Gateway => Self::Gateway,
        }
    }
}

impl From<FailureKind> for Failure {
    fn from(kind: FailureKind) -> Self {
        match kind {
            FailureKind::Dropped => Self::Dropped,
            FailureKind::NotRun => Self::NotRun,
            FailureKind::Application => Self::Application,
            FailureKind::Gateway => Self::Gateway,
        }
    }
}

/// A message on the control connection, to a worker or to the process that workers are forked from.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order<'a> {
    /// The file for the last words of a process that dies comes along.
    LastWords,
    /// The two connections of a lane come along, the one for jobs first, and its counter of claims; each thread has one.
    Lane,
    /// Be a worker: load the application, unless it was before a fork, and serve it on the lanes that came before.
    Start { worker: u16, spec: &'a str },
    /// Be the process that workers are forked from: load the application and wait.
    Preload { spec: &'a str },
    /// Fork a worker, whose control connection comes along.
    Fork { worker: u16 },
}

/// A message on the control connection, to the server.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Notice<'a> {
    /// The application is loaded.
    Ready { report: &'a str },
    /// It could not be loaded, or the worker can not serve it.
    Failed { problem: &'a str },
    /// No thread of the worker can run Python code.
    Stalled,
    /// They can again.
    Recovered,
    /// A request does not end: its thread is not to be counted on any more.
    GivenUp,
    /// It has ended after all.
    CameBack,
    /// What who runs the worker tells who has the pool.
    Told { text: &'a str },
    /// A worker was forked.
    Forked { worker: u16, pid: u32 },
    /// A worker that was forked has ended: exit code or signal.
    Exited { pid: u32, code: Option<i32>, signal: Option<i32>, core_dumped: bool },
}

/// Begins a frame in `buffer` with a message; [`end_frame`] ends it.
pub(crate) fn begin_frame(buffer: &mut Vec<u8>, message: &impl Serialize) -> Result<(), WireError> {
    buffer.extend_from_slice(&[0; LENGTH_SIZE]);
    *buffer = postcard::to_extend(message, std::mem::take(buffer))?;
    Ok(())
}

/// Sets the length of the frame that begins at `start` of `buffer` and of which `rest` bytes are still to come from
/// elsewhere.
pub(crate) fn end_frame(buffer: &mut [u8], start: usize, rest: usize) -> Result<(), WireError> {
    let length = buffer.len() - start - LENGTH_SIZE + rest;
    if length > LONGEST_FRAME {
        return Err(WireError::TooLong(length));
    }
    let length = u32::try_from(length).map_err(|_| WireError::TooLong(length))?;
    buffer[start..start + LENGTH_SIZE].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

/// Reads a frame's message; what is left of the frame comes with it.
pub(crate) fn read<'a, M: Deserialize<'a>>(frame: &'a [u8]) -> Result<(M, &'a [u8]), WireError> {
    Ok(postcard::take_from_bytes(frame)?)
}

/// Fields in their order, as pairs of name and value.
mod fields {
    use super::{Cow, Deserializer, FieldsVisitor, HeaderMap, SerializeSeq, Serializer};

    #[expect(clippy::ptr_arg, reason = "the signature that serde calls")]
    pub(super) fn serialize<S: Serializer>(fields: &Cow<'_, HeaderMap>, serializer: S) -> Result<S::Ok, S::Error> {
        let mut sequence = serializer.serialize_seq(Some(fields.len()))?;
        for (name, value) in fields.iter() {
            sequence.serialize_element(&(name.as_str(), serde_bytes::Bytes::new(value.as_bytes())))?;
        }
        sequence.end()
    }

    pub(super) fn deserialize<'de, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Cow<'a, HeaderMap>, D::Error> {
        deserializer.deserialize_seq(FieldsVisitor).map(Cow::Owned)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = HeaderMap;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pairs of field name and value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<HeaderMap, A::Error> {
        use serde::de::Error;
        // What the other side says of the number is not trusted with memory.
        let mut fields = HeaderMap::with_capacity(sequence.size_hint().unwrap_or(0).min(64));
        while let Some((name, value)) = sequence.next_element::<(&str, &serde_bytes::Bytes)>()? {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(A::Error::custom)?;
            let value = HeaderValue::from_bytes(value).map_err(A::Error::custom)?;
            fields.try_append(name, value).map_err(A::Error::custom)?;
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(message: &impl Serialize, rest: &[u8]) -> Vec<u8> {
        let mut buffer = Vec::new();
        begin_frame(&mut buffer, message).unwrap();
        end_frame(&mut buffer, 0, rest.len()).unwrap();
        buffer.extend_from_slice(rest);
        buffer
    }

    #[test]
    fn a_response_head_survives_with_repeated_fields_in_order() {
        let mut headers = HeaderMap::new();
        headers.append("set-cookie", HeaderValue::from_static("a=1"));
        headers.append("x-latin", HeaderValue::from_bytes(b"caf\xe9").unwrap());
        headers.append("set-cookie", HeaderValue::from_static("b=2"));
        let head = Head { status: 201, reason: Some("Made"), headers: Cow::Borrowed(&headers), streamed: true };
        let frame = frame(&ToServer::Block { head: Some(head), last: true }, b"body");
        assert_eq!(frame.len() - LENGTH_SIZE, u32::from_le_bytes(frame[..4].try_into().unwrap()) as usize);
        let (ToServer::Block { head: Some(head), last: true }, rest) = read(&frame[LENGTH_SIZE..]).unwrap() else {
            panic!("another message")
        };
        assert_eq!((head.status, head.reason, head.flow(), rest), (201, Some("Made"), Flow::Streamed, &b"body"[..]));
        assert_eq!(*head.headers, headers);
    }

    fn facts() -> TlsFacts {
        let client = ClientCertificate {
            subject: "CN=Ann".into(),
            issuer: "CN=Root".into(),
            serial: "01".into(),
            pem: "-----BEGIN".into(),
        };
        TlsFacts {
            protocol: "TLSv1.3".into(),
            cipher: "TLS_AES_128_GCM_SHA256".into(),
            server_name: Some("example.org".into()),
            client: Some(client),
        }
    }

    #[test]
    fn what_is_known_of_the_encryption_survives() {
        for facts in [facts(), TlsFacts { server_name: None, client: None, ..facts() }] {
            let frame = frame(&TlsHead::from(&facts), b"");
            let (head, _) = read::<TlsHead<'_>>(&frame[LENGTH_SIZE..]).unwrap();
            assert_eq!(TlsFacts::from(head), facts);
        }
    }

    #[test]
    fn a_message_that_was_cut_short_is_an_error_wherever_it_was_cut() {
        let mut headers = HeaderMap::new();
        headers.append("host", HeaderValue::from_static("example.org"));
        let facts = facts();
        let head = JobHead {
            to_claim: false,
            id: 7,
            method: "GET",
            target: b"/a?b",
            path: b"/a",
            script_name: b"",
            query: b"b",
            version: HttpVersion::Http11,
            headers: Cow::Borrowed(&headers),
            https: true,
            tls: Some(TlsHead::from(&facts)),
            peer: Some("127.0.0.1:80".parse().unwrap()),
            local_name: "localhost",
            local_port: "8000",
            body: BodyPlace::File { length: 9 },
            age: Duration::from_millis(3),
            time_left: Some(Duration::from_mins(1)),
            details: Some(Form::Html),
        };
        let frame = frame(&ToWorker::Job(Box::new(head)), b"");
        for end in LENGTH_SIZE..frame.len() {
            assert!(read::<ToWorker<'_>>(&frame[LENGTH_SIZE..end]).is_err(), "cut at {end}");
        }
        assert!(read::<ToWorker<'_>>(&frame[LENGTH_SIZE..]).is_ok());
    }

    #[test]
    fn a_field_that_is_none_is_refused() {
        let mut frame = frame(
            &ToServer::Block {
                head: Some(Head {
                    status: 200,
                    reason: None,
                    headers: Cow::Owned(
                        [(HeaderName::from_static("x-a"), HeaderValue::from_static("bbb"))].into_iter().collect(),
                    ),
                    streamed: false,
                }),
                last: false,
            },
            b"",
        );
        let place = frame.windows(3).position(|window| window == b"bbb").unwrap();
        frame[place] = b'\n';
        assert!(read::<ToServer<'_>>(&frame[LENGTH_SIZE..]).is_err());
    }
}
