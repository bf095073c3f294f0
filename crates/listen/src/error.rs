//! Why a listener could not be had.

use std::{io, os::fd::RawFd, path::PathBuf};

use crate::Holder;

/// Why a listener could not be had.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else listens there.
    #[error("{address} is in use{}", holder.as_ref().map_or_else(String::new, |holder| format!(" by {holder}")))]
    InUse {
        /// The address or path.
        address: String,
        /// Who listens there, where `/proc` tells.
        holder: Option<Holder>,
    },
    /// The address may not be bound by this user.
    #[error("no permission to listen on {address}{hint}")]
    Forbidden {
        /// The address or path.
        address: String,
        /// What to do about it; empty, or beginning with `: `.
        hint: &'static str,
    },
    /// There is a file at the path, and it is not a socket.
    #[error("{} exists and is not a socket", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The descriptor of an `fd://N` is not a listening stream socket.
    #[error("fd://{fd} {reason}")]
    Inherited {
        /// The number.
        fd: RawFd,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Anything else.
    #[error("no listener on {address}")]
    Io {
        /// The address or path.
        address: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
}
