//! The WSGI side: PEP 3333's gateway, the workers that run it, and the pool of those in this process.
//!
//! It takes complete jobs from the bridge and sends responses back over it. A [`Worker`] is the same wherever it runs:
//! where its jobs come from, the queue or another process, is its caller's to say. This crate knows neither sockets nor
//! TLS, and no C: Python is reached through `stack-interp`.
//!
//! Invariants:
//! - Whatever an application does, its request is answered or visibly cut, its iterable's `close()` runs, and the thread
//!   takes the next job.
//! - What a request gave out (its input, its `write`) is dead when the request is over.
//! - Whatever may wait for a client or a disk waits detached.
//! - A request is handed on to be run elsewhere ([`WhenRefused`]) only if its method is safe and nothing of its response
//!   was sent.
#![forbid(unsafe_code)]

mod application;
#[cfg(feature = "counts")]
pub mod counts;
mod details;
mod discover;
mod django;
mod environ;
mod errors;
mod file_wrapper;
mod gateway;
mod headers;
mod imported;
mod input;
pub mod inspect;
mod pool;
mod refused;
mod response;
mod watch;
mod worker;

pub use application::LoadError;
pub use discover::{DiscoverError, Discovered, discover};
pub use django::{DirectoryKind, ProjectDirectory};
pub use gateway::WhenRefused;
pub use imported::{ModuleFile, WhenImported};
pub use pool::{Decision, Permission, Place, Pool, PoolSettings, Rest, StartError, Stopped, WhenWorn, Worn};
pub use refused::{Refused, by_package, listed};
pub use watch::{Overseer, Watch, WatchSettings};
pub use worker::{Watching, Worker, WorkerReport, WorkerSettings};
