//! Drives the real executable: small Python applications behind it, raw bytes in front of it.
//!
//! One module holds the tests of one part; a test's name is the behaviour. `harness` starts servers on free ports and
//! waits for their states. The applications are in `tests/apps`.
#![cfg(test)]

mod harness;

mod clients;
mod commands;
mod concurrency;
mod demo;
mod details;
mod dev;
mod discovery;
mod django;
mod doctor;
mod environ;
mod files;
mod flask;
mod framing;
mod health;
mod http2;
mod input;
mod isolation;
mod iterables;
mod leaving;
mod limits;
mod listeners;
mod logs;
mod malformed;
mod memory;
mod packages;
mod preload;
mod processes;
mod raising;
mod raw;
mod recycling;
mod relocation;
mod server_timing;
mod shutdown;
mod sites;
mod start_errors;
mod start_response;
mod static_files;
mod stuck;
mod supervisor;
mod tls;
