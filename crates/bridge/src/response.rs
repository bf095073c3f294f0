//! What comes back over the bridge.

use std::fs::File;

use http::{HeaderMap, StatusCode};

/// The head of a response, complete and checked: the front adds only what is the server's (`Date`, `Server`, framing).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// Status code.
    pub status: StatusCode,
    /// Reason phrase, where the application chose another than the registered one.
    pub reason: Option<String>,
    /// Fields in the application's order.
    pub headers: HeaderMap,
}

/// Part of a file that is to be sent from its descriptor, without passing through Python.
#[derive(Debug)]
pub struct FileRegion {
    /// The open file. Its own position is neither used nor changed.
    pub file: File,
    /// First byte to send.
    pub offset: u64,
    /// Bytes to send.
    pub length: u64,
}

/// Why there is no response, or no more of it. Whom to blame and what the client gets is the front's to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The job was dropped before an application saw it, or its worker went away.
    #[error("the job was dropped before it was answered")]
    Dropped,
    /// The worker's process died while it ran the job.
    #[error("the worker died")]
    WorkerGone,
    /// The worker could not begin with it: the application has not seen it. It may be run elsewhere.
    #[error("the worker could not begin")]
    NotRun,
    /// The application raised, or broke the gateway's contract. The worker has logged the cause.
    #[error("the application failed")]
    Application,
    /// This server's own fault: an interpreter out of memory, a file that could not be read.
    #[error("the gateway failed")]
    Gateway,
}
