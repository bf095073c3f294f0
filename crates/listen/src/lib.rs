//! Listening sockets: bound, inherited, or received from the process that owns them.
//!
//! This crate owns the rules of binding: which addresses a name stands for, what becomes of the file of a Unix socket, what a
//! taken port is answered with. It does not know what is spoken on a connection, and accepts none.
//!
//! Invariants:
//! - Everything of one call is bound, or nothing.
//! - A socket that is open already is not bound again: whoever asks for the same address later shares it.
//! - No socket blocks, and none is inherited by a program that is started.
#![deny(unsafe_code)]

mod error;
mod holder;
mod inherited;
mod socket;
mod sockets;
mod tcp;
mod unix;

pub use error::BindError;
pub use holder::Holder;
pub use inherited::inherited;
pub use socket::{Bound, ListenSocket};
pub use sockets::{SocketId, Sockets};
pub use unix::{SocketFile, bind_private};
