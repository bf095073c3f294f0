//! What a request must satisfy before anything else looks at it.
//!
//! Two parties that read one request differently is how requests are smuggled past the first of them. So the front
//! reads every HTTP/1.1 head and every chunk itself, as RFC 9112 has them and without its indulgences, and hands only
//! what has one meaning to hyper. Every refusal closes the connection, because where the next request begins can no
//! longer be trusted.
//!
//! - [`head`] reads a head line by line, as its bytes come;
//! - [`chunks`] follows a chunked body to its end;
//! - [`host`], [`target`] and [`fields`] are the grammar of their parts;
//! - [`http2`] checks what of this HTTP/2's own framing leaves open.

use http::StatusCode;

pub(crate) mod chunks;
pub(crate) mod fields;
pub(crate) mod head;
pub(crate) mod host;
pub(crate) mod http2;
pub(crate) mod target;

/// Why a request is refused before it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("an HTTP version other than 1.0 and 1.1 (RFC 9110 section 15.6.6)")]
    Version,
    #[error("a request line longer than max_request_line_size")]
    LongLine,
    #[error("a head larger than max_head_size")]
    LargeHead,
    #[error("more fields than max_header_fields")]
    ManyFields,
    #[error("an expectation other than 100-continue (RFC 9110 section 10.1.1)")]
    Expectation,
    #[error("a head that took longer than header_timeout")]
    SlowHead,
}

impl Refusal {
    /// The status of the answer.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::LongLine => StatusCode::URI_TOO_LONG,
            Self::LargeHead | Self::ManyFields => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
            Self::SlowHead => StatusCode::REQUEST_TIMEOUT,
        }
    }
}

/// The rule that a request breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("a line that does not end in CR LF (RFC 9112 section 2.2)")]
    LineEnd,
    #[error("a request line that is not method, target and version with one space between (RFC 9112 section 3)")]
    RequestLine,
    #[error("a method that is not a token (RFC 9110 section 9.1)")]
    Method,
    #[error("a target with bytes that no URI has (RFC 9112 section 3.2)")]
    TargetBytes,
    #[error("a target in none of the four forms (RFC 9112 section 3.2)")]
    TargetForm,
    #[error("the asterisk form outside OPTIONS (RFC 9112 section 3.2.4)")]
    Asterisk,
    #[error("the authority form outside CONNECT, or CONNECT without it (RFC 9112 section 3.2.3)")]
    Authority,
    #[error("the target's authority and Host disagree (RFC 9112 section 3.2.2)")]
    Contradiction,
    #[error("a field without a colon (RFC 9112 section 5)")]
    NoColon,
    #[error("a field name that is not a token, or white space around it (RFC 9112 section 5.1)")]
    FieldName,
    #[error("a control character in a field value (RFC 9110 section 5.5)")]
    FieldValue,
    #[error("a field that goes on in a second line (RFC 9112 section 5.2)")]
    Folding,
    #[error("an HTTP/1.1 request without Host (RFC 9112 section 3.2)")]
    NoHost,
    #[error("more than one Host (RFC 9112 section 3.2)")]
    SeveralHosts,
    #[error("Host is not a host and port (RFC 9110 section 7.2)")]
    InvalidHost,
    #[error("Content-Length together with Transfer-Encoding (RFC 9112 section 6.1)")]
    LengthAndEncoding,
    #[error("more than one Content-Length (RFC 9110 section 8.6)")]
    SeveralLengths,
    #[error("Content-Length is not a number (RFC 9110 section 8.6)")]
    InvalidLength,
    #[error("Transfer-Encoding other than one chunked (RFC 9112 section 6.1)")]
    UnknownEncoding,
    #[error("Transfer-Encoding in an HTTP/1.0 request (RFC 9112 section 6.1)")]
    EncodingInHttp10,
    #[error("more than one Content-Type (RFC 9110 section 8.3)")]
    SeveralTypes,
    #[error("a chunk size that is not a hexadecimal number (RFC 9112 section 7.1)")]
    ChunkSize,
    #[error("a chunk larger than max_body_size")]
    LargeChunk,
    #[error("a malformed chunk extension (RFC 9112 section 7.1.1)")]
    ChunkExtension,
    #[error("a chunk that does not end in CR LF (RFC 9112 section 7.1)")]
    ChunkEnd,
    #[error("a trailer field that only a head may have (RFC 9110 section 6.5.1)")]
    Trailer,
    #[error("trailers larger than max_head_size, or more of them than max_header_fields")]
    LargeTrailers,
}
