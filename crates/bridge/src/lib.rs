//! The contract between the asynchronous front and the blocking Python side.
//!
//! A complete [`Request`] and the sending half of an exchange make a [`Job`]; the front pushes it into the [`Queue`], a
//! worker's thread takes it out, runs the application and sends the response back through its [`Responder`], which the
//! front reads as a [`Reply`].
//!
//! A worker's thread may be in another process. Then a task takes its jobs out of the queue ([`TaskConsumer`]) and sends
//! its responses; in that process the thread has [`Jobs`] of another kind and a [`RemoteResponder`].
//!
//! This crate does not know axum, TLS, sockets, a runtime, Python or other processes: the front is tested with a worker
//! written in Rust, the WSGI side with jobs made by hand.
//!
//! Invariants:
//! - Every job is answered. A [`Responder`] that is dropped before it finished makes its [`Reply`] fail; it never hangs.
//! - The front never blocks here, and a worker blocks only where the response body is over its limits.
//! - A job whose [`Reply`] is gone never reaches a worker.
//! - A job that is given back ([`Queue::give_back`]) is run before those that wait, or answered.
//! - While any worker has all its threads idle, no worker gets a second job.
#![forbid(unsafe_code)]

mod exchange;
mod queue;
mod request;
mod responder;
mod response;
mod spill;
mod sync;
#[cfg(test)]
mod testing;
mod worker_state;

pub use exchange::{BodyLimits, Chunk, Flow, Reply, SendError, Trace, exchange};
pub use queue::{Closed, Consumer, Crew, Depth, Job, Jobs, Queue, Refused, TaskConsumer, WorkerId};
pub use request::{
    BodyReader, ClientCertificate, ClientConnection, DetailsForm, Local, Peer, Request, RequestBody, RequestId, Scheme,
    TlsFacts,
};
pub use responder::{ClientHandle, Push, RemoteClient, RemoteResponder, Responder, WhenClientGone};
pub use response::{Failure, FileRegion, ResponseHead};
pub use worker_state::WorkerState;
