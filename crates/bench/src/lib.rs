//! The peer benchmark: stack beside the servers that it is to replace, under the same load in one run.
//!
//! It owns the scenarios, how each peer is installed and started, the load, the accounts of CPU time and memory, and the report
//! with its charts. It knows nothing of the other crates of this project: stack is an executable to it, as nginx is.
//!
//! Invariants:
//! - Peers take turns, round by round, so that a slow minute of the machine meets all of them. Each turn starts the server anew, alone.
//! - No answer is believed: what an application answers without a server, or the file, is what every server has to send. It is
//!   compared before a load, in all answers of a warm-up and after the load; during the load statuses and bytes are counted. A row in
//!   which something was wrong says so.
//! - CPU time and memory are those of all processes of a server, those that ended included.
//! - What was started is ended: each process is in a group of its own, which a signal to the benchmark kills.
#![forbid(unsafe_code)]

mod accounting;
mod arguments;
mod client;
mod counts;
mod error;
mod floor;
mod install;
mod interrupt;
mod load;
mod machine;
mod measure;
mod measurement;
mod peer;
mod process;
mod report;
mod run;
mod scenario;
mod server;
mod site;
mod versions;

pub use arguments::{Asked, Plan, list, parse};
pub use counts::{CountPlan, count, parse_counts};
pub use error::Error;
pub use floor::serve_floor;
pub use interrupt::Interrupt;
pub use run::run;
