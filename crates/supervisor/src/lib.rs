//! The small parent of the server: it owns the listening sockets and the life of the process that serves on them.
//!
//! The parent starts the server process by exec and knows nothing of what that does: the server reads the configuration,
//! asks for its sockets over a control connection, and says when it is ready. A reload is a second server process beside the
//! first, a *generation* of its own: it takes over when it is ready, and then the first one drains. A generation that ends
//! without having been told to is followed by another one. The sockets stay open through all of this.
//!
//! One thread, one `poll`, no runtime, no Python. [`Supervisor`] is the parent's side; [`server`] is what a server process
//! needs of it; [`command`] is how `stack status`, `reload` and `stop` talk to the parent.
//!
//! Invariants:
//! - At most one generation starts at a time, and the one that serves is told to drain only when another one accepts.
//! - Every child is waited for, those that were adopted as process 1 as well.
//! - Both sides of a control connection ignore what they do not know: the server's program may be a newer one.
#![forbid(unsafe_code)]

mod channel;
pub mod command;
mod control;
mod ending;
mod generation;
pub mod message;
mod notify;
mod oom;
mod program;
mod restarts;
pub mod server;
mod signals;
mod supervisor;

pub use generation::State as GenerationState;
pub use program::Program;
pub use supervisor::{ControlPath, Outcome, Settings, State, Supervisor, SupervisorError};
