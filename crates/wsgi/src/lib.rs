//! The WSGI side: PEP 3333's gateway, the workers that run it, and their pool.
//!
//! It takes complete jobs from the bridge and sends responses back over it. It knows neither sockets nor TLS, and no C:
//! Python is reached through `stack-interp`.
//!
//! Invariants:
//! - Whatever an application does, its request is answered or visibly cut, its iterable's `close()` runs, and the thread
//!   takes the next job.
//! - What a request gave out (its input, its `write`) is dead when the request is over.
//! - Whatever may wait for a client or a disk waits detached.
#![forbid(unsafe_code)]

mod application;
mod discover;
mod environ;
mod errors;
mod file_wrapper;
mod gateway;
mod headers;
mod input;
pub mod inspect;
mod pool;
mod refused;
mod response;
mod worker;

pub use application::LoadError;
pub use discover::{DiscoverError, Discovered, discover};
pub use gateway::WhenRefused;
pub use pool::{Place, Pool, PoolSettings, StartError, Stopped};
pub use refused::{Refused, by_package, listed};
pub use worker::{Worker, WorkerReport, WorkerSettings, WorkerState};
