//! The front: listeners, connections, routing, static files, and the way of a request to the application and back.
//!
//! It owns every socket, every HTTP rule and every limit on clients. It does not know Python or WSGI: an application is
//! a [`Queue`](stack_bridge::Queue) that takes complete requests, and is tested here with workers written in Rust.
//!
//! Invariants:
//! - A request reaches the queue only when it has been read completely, and only if its client is still there.
//! - The runtime's threads never block: what waits for a disk is handed to threads that may.
//! - Memory does not grow with the size of a body, in either direction, nor with the slowness of a client.
//! - A response that is cut short looks cut short to its client.
#![deny(unsafe_code)]

mod accept;
mod access_log;
mod admin;
mod admission;
mod application;
mod check;
mod client;
mod compression;
mod connection;
#[cfg(feature = "counts")]
pub mod counts;
mod details;
mod development;
mod direct;
mod error;
mod file_stream;
mod files;
mod front;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod health;
mod html;
mod https;
mod listen;
mod metrics;
mod networks;
mod outgoing;
mod path;
mod proxy_protocol;
mod rate;
mod ready;
mod reply_body;
mod request;
mod request_body;
mod sent_body;
mod server;
mod server_timing;
mod site;
mod strict;
mod timer;
mod tls;
mod transport;

pub use access_log::{AccessLogError, ReopenLog};
pub use admin::Admin;
pub use check::CheckError;
pub use development::Development;
pub use front::{Drained, Front, Stop};
pub use listen::{Closing, GivenUp, Listeners};
pub use metrics::{ApplicationSnapshot, Lineage, Metrics, Snapshot};
pub use tls::{CertificateReport, FileReason, LocalCa, LocalCaError, Tls, TlsError};
