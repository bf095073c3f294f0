//! Worker processes: how they are started and watched, and how jobs cross to them.
//!
//! A worker process has one control connection for its life, and one *lane* for each of its threads: two socket pairs, one
//! for jobs and one for answers. On the server's side a task holds a place in the job queue for each lane, so a worker process
//! is one more consumer of that queue; on the worker's side a thread takes jobs from its lane as it would from the queue.
//!
//! A thread runs one job at a time. While jobs are short and more wait than there are threads, a lane sends several at once,
//! which saves most of the wake-ups; those that the thread has not begun with after a few milliseconds are taken back.
//!
//! This crate does not know Python, WSGI or HTTP's wire format: what a worker is to run is a text it passes on.
//!
//! Invariants:
//! - Every frame has its length in front, so one that was cut short is seen as such, and never taken for a whole one.
//! - A worker that dies takes nobody with it: each job it had is run again or answered, and its place is filled again.
//! - Bodies that are too large for memory cross as descriptors of their files; the bytes are not copied through a socket.
//! - Worker processes are started by exec, or forked from a process with one thread; never forked from the server.
#![forbid(unsafe_code)]

mod claims;
mod control;
mod lane;
mod link;
mod pool;
mod wire;
pub mod worker;

pub use pool::{Exit, ProcessPool, ProcessSettings, Program, Recycling, StartError, Stopped, WhenTold};
