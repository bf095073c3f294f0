//! Everything that can keep a request from its response, and what the client is told.
//!
//! The client gets a short fixed text; the log gets the cause, the request id and a stable code.
//! The README's table explains each code: cause, outcome, what to do.

use std::{io, time::Duration};

use axum::{body::Body, response::Response};
use http::{HeaderValue, StatusCode, header};
use stack_bridge::{Failure, RequestId};

use crate::{client::Unclear, path::BadPath, strict::Refusal};

/// Why a request is not answered by the application or with a file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("not a request")]
    Refused(#[source] Refusal),
    #[error("the fields of a trusted proxy are not clear")]
    Forwarded(#[source] Unclear),
    #[error("the client is not allowed")]
    Denied,
    #[error("more requests than the client may make")]
    RateLimited(Duration),
    #[error("CONNECT is not implemented")]
    Connect,
    #[error("no site for this host")]
    Misdirected,
    #[error("a path with two readings")]
    Path(#[source] BadPath),
    #[error("nothing is served at this path")]
    NothingThere,
    #[error("request body paused for too long")]
    BodyTimeout,
    #[error("request body too slow")]
    BodyTooSlow,
    #[error("request body too large")]
    BodyTooLarge,
    #[error("malformed request body")]
    BodyMalformed(#[source] axum::Error),
    #[error("the client left")]
    ClientGone,
    #[error("the application failed")]
    Application,
    #[error("no response within the request timeout")]
    RequestTimeout,
    #[error("the job queue is full")]
    QueueFull,
    #[error("the job queue is too slow")]
    Overloaded,
    #[error("the server is stopping")]
    Stopping,
    #[error("the job was dropped")]
    Dropped,
    #[error("the worker died")]
    WorkerGone,
    #[error("the gateway failed")]
    Gateway,
    #[error("request body not stored on disk")]
    Storage(#[source] io::Error),
    #[error("static file not read")]
    File(#[source] io::Error),
    #[error("static file not readable by this user")]
    FileForbidden(#[source] io::Error),
    #[error("the application sends a file that is in no directory for it: {0}")]
    InternalOutside(String),
    #[error("the application sends a file that is not there: {0}")]
    InternalMissing(String),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Dropped | Failure::NotRun => Self::Dropped,
            Failure::WorkerGone => Self::WorkerGone,
            Failure::Application => Self::Application,
            Failure::Gateway => Self::Gateway,
        }
    }
}

/// Marks a response that an error was made into. An extension of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IsError;

/// Who has to change something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    Client,
    Application,
    Server,
}

/// A request that never was one.
fn refused(refusal: Refusal) -> (StatusCode, &'static str, Blame, bool, &'static str) {
    let (code, text) = match refusal {
        Refusal::Malformed(_) => ("STACK0101", "Bad request\n"),
        Refusal::SlowHead => ("STACK0102", "The request head took too long\n"),
        Refusal::Version => ("STACK0109", "HTTP version not supported\n"),
        Refusal::LongLine => ("STACK0110", "The request line is too long\n"),
        Refusal::Expectation => ("STACK0138", "Expectation failed\n"),
        Refusal::LargeHead | Refusal::ManyFields => ("STACK0137", "The request head is too large\n"),
    };
    (refusal.status(), code, Blame::Client, true, text)
}

/// What an error comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Verdict {
    status: StatusCode,
    code: &'static str,
    blame: Blame,
    /// The connection can not be used again.
    close: bool,
    text: &'static str,
}

/// nginx's status for a client that left; it is only ever logged.
pub(crate) fn client_closed_request() -> StatusCode {
    StatusCode::from_u16(499).expect("three digits")
}

impl Error {
    fn verdict(&self) -> Verdict {
        use Blame::{Application, Client, Server};
        let (status, code, blame, close, text) = match self {
            Self::Refused(refusal) => refused(*refusal),
            Self::BodyTimeout => {
                (StatusCode::REQUEST_TIMEOUT, "STACK0103", Client, true, "The request body took too long\n")
            }
            Self::BodyTooLarge => {
                (StatusCode::PAYLOAD_TOO_LARGE, "STACK0104", Client, true, "The request body is too large\n")
            }
            Self::BodyMalformed(_) => (StatusCode::BAD_REQUEST, "STACK0105", Client, true, "Bad request body\n"),
            Self::Forwarded(_) => (StatusCode::BAD_REQUEST, "STACK0115", Client, true, "Bad request\n"),
            Self::Denied => (StatusCode::FORBIDDEN, "STACK0116", Client, false, "Forbidden\n"),
            Self::RateLimited(_) => (StatusCode::TOO_MANY_REQUESTS, "STACK0117", Client, false, "Too many requests\n"),
            Self::BodyTooSlow => {
                (StatusCode::REQUEST_TIMEOUT, "STACK0120", Client, true, "The request body took too long\n")
            }
            Self::Connect => (StatusCode::NOT_IMPLEMENTED, "STACK0106", Client, true, "Not implemented\n"),
            Self::Misdirected => (StatusCode::MISDIRECTED_REQUEST, "STACK0130", Client, false, "No such site\n"),
            Self::Path(_) => (StatusCode::BAD_REQUEST, "STACK0131", Client, true, "Bad request\n"),
            Self::NothingThere => (StatusCode::NOT_FOUND, "STACK0132", Client, false, "Not found\n"),
            Self::ClientGone => (client_closed_request(), "STACK0107", Client, true, ""),
            Self::Application => {
                (StatusCode::INTERNAL_SERVER_ERROR, "STACK0201", Application, false, "Internal server error\n")
            }
            Self::RequestTimeout => {
                (StatusCode::GATEWAY_TIMEOUT, "STACK0202", Application, false, "The application took too long\n")
            }
            Self::QueueFull => (StatusCode::SERVICE_UNAVAILABLE, "STACK0302", Server, false, "The server is busy\n"),
            Self::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "STACK0351", Server, false, "The server is busy\n"),
            Self::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "STACK0303", Server, true, "The server is stopping\n"),
            Self::Dropped => (StatusCode::SERVICE_UNAVAILABLE, "STACK0304", Server, false, "Service unavailable\n"),
            Self::WorkerGone => (StatusCode::BAD_GATEWAY, "STACK0312", Server, false, "Bad gateway\n"),
            Self::Gateway => (StatusCode::INTERNAL_SERVER_ERROR, "STACK0305", Server, false, "Internal server error\n"),
            Self::Storage(_) => (StatusCode::INSUFFICIENT_STORAGE, "STACK0306", Server, true, "Insufficient storage\n"),
            Self::File(_) => (StatusCode::INTERNAL_SERVER_ERROR, "STACK0307", Server, false, "Internal server error\n"),
            Self::FileForbidden(_) => (StatusCode::FORBIDDEN, "STACK0308", Server, false, "Forbidden\n"),
            Self::InternalOutside(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "STACK0341", Server, false, "Internal server error\n")
            }
            Self::InternalMissing(_) => (StatusCode::NOT_FOUND, "STACK0342", Server, false, "Not found\n"),
        };
        Verdict { status, code, blame, close, text }
    }

    /// Logs the error and makes the response to it.
    pub(crate) fn respond(self, request_id: RequestId) -> Response {
        let verdict = self.verdict();
        self.log(&verdict, request_id);
        let mut response = Response::new(Body::from(verdict.text));
        *response.status_mut() = verdict.status;
        response.extensions_mut().insert(IsError);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if verdict.close {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(seconds) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    /// Whole seconds, at least one.
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::QueueFull | Self::Overloaded | Self::Dropped => Some(1),
            Self::RateLimited(wait) => Some(wait.as_secs() + u64::from(wait.subsec_nanos() > 0)),
            _ => None,
        }
    }

    fn log(&self, verdict: &Verdict, request_id: RequestId) {
        let Verdict { status, code, blame, close: _, text: _ } = *verdict;
        let status = status.as_u16();
        let cause = std::error::Error::source(self).map(tracing::field::display);
        match (self, blame) {
            // The worker has logged what it raised; shedding is counted, and must not flood the log of a busy server.
            (Self::Application | Self::QueueFull | Self::Overloaded | Self::Stopping, _) | (_, Blame::Client) => {
                tracing::debug!(code, %request_id, status, ?blame, error = %self, cause, "request refused");
            }
            _ => tracing::warn!(code, %request_id, status, ?blame, error = %self, cause, "request failed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::strict::Malformed;

    fn every() -> Vec<Error> {
        let io = || io::Error::other("x");
        vec![
            Error::Refused(Malformed::NoHost.into()),
            Error::Refused(Refusal::SlowHead),
            Error::Refused(Refusal::Version),
            Error::Refused(Refusal::LongLine),
            Error::Refused(Refusal::LargeHead),
            Error::Forwarded(Unclear::InvalidHost),
            Error::Denied,
            Error::RateLimited(Duration::from_millis(1500)),
            Error::BodyTooSlow,
            Error::Overloaded,
            Error::Refused(Refusal::Expectation),
            Error::Connect,
            Error::Misdirected,
            Error::Path(BadPath::Nul),
            Error::NothingThere,
            Error::BodyTimeout,
            Error::BodyTooLarge,
            Error::BodyMalformed(axum::Error::new(io())),
            Error::ClientGone,
            Error::Application,
            Error::RequestTimeout,
            Error::QueueFull,
            Error::Stopping,
            Error::Dropped,
            Error::WorkerGone,
            Error::Gateway,
            Error::Storage(io()),
            Error::File(io()),
            Error::FileForbidden(io()),
            Error::InternalOutside("x".into()),
            Error::InternalMissing("x".into()),
        ]
    }

    #[test]
    fn every_error_has_a_code_of_its_own_in_the_range_of_whom_it_blames() {
        let mut codes = HashSet::new();
        for error in every() {
            let verdict = error.verdict();
            let range = match verdict.blame {
                Blame::Client => "STACK01",
                Blame::Application => "STACK02",
                Blame::Server => "STACK03",
            };
            assert!(verdict.code.starts_with(range), "{error}");
            assert!(codes.insert(verdict.code), "{error}");
        }
    }

    #[test]
    fn only_what_passes_asks_to_try_again() {
        for error in every() {
            let expected = match error {
                Error::QueueFull | Error::Overloaded | Error::Dropped => Some("1"),
                Error::RateLimited(_) => Some("2"),
                _ => None,
            };
            let response = error.respond(RequestId(1));
            let seconds = response.headers().get(header::RETRY_AFTER).map(|value| value.to_str().unwrap());
            assert_eq!(seconds, expected);
        }
    }
}
