//! The front over loopback sockets and raw bytes, with workers written in Rust behind the bridge.
//!
//! Tests wait for states, never for time; every wait ends after 10 seconds with a failure.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod access_log;
mod admission;
mod client;
mod direct;
mod disconnects;
mod drain;
mod forwarded;
mod gate;
mod health;
mod http2;
mod internal_files;
mod pki;
mod proxy_protocol;
mod rates;
mod ready;
mod representations;
mod requests;
mod responses;
mod sendfile;
mod server;
mod sites;
mod static_files;
mod timeouts;
mod tls;
