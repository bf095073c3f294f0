//! Descriptors that the process which started this one has left open for it.

use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd, RawFd};

use crate::{BindError, Bound, ListenSocket};

/// Takes over the descriptor of this number, if it is open. Nothing else in this process may own it: the number is what
/// the parent process has passed on, and is to be asked for once.
pub fn inherited(fd: RawFd) -> Option<OwnedFd> {
    let is_open = std::path::Path::new("/dev/fd").join(fd.to_string()).exists();
    is_open.then(|| own(fd))
}

/// The socket of `fd://N`. It is closed with the listener; what turns out not to be a listening socket is left open.
pub(crate) fn adopt(fd: RawFd) -> Result<Bound, BindError> {
    let refuse = |reason| BindError::Inherited { fd, reason };
    let Some(descriptor) = inherited(fd) else {
        return Err(refuse("is not open: the parent process has to pass it on"));
    };
    match ListenSocket::adopt(descriptor) {
        Ok(socket) => Ok(Bound { socket, file: None }),
        Err((reason, descriptor)) => {
            // It belongs to something else in this process.
            let _ = descriptor.into_raw_fd();
            Err(refuse(reason))
        }
    }
}

#[expect(unsafe_code, reason = "no safe crate adopts a descriptor by its number without environment variables")]
fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: the descriptor is open, as the caller has checked. That nothing else in this process owns it is the
    // contract of `inherited`, which takes what the parent process passed on; it is adopted once, before any runtime.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, os::fd::AsRawFd};

    use super::*;

    #[test]
    fn a_listening_socket_is_adopted() {
        let parents = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = parents.local_addr().unwrap();
        let bound = adopt(parents.into_raw_fd()).unwrap();
        assert_eq!(bound.socket.tcp_address(), Some(address));
    }

    #[test]
    fn anything_else_is_refused_and_left_open() {
        let file = tempfile::tempfile().unwrap();
        let error = adopt(file.as_raw_fd()).unwrap_err();
        assert_eq!(error.to_string(), format!("fd://{} is not a socket", file.as_raw_fd()));
        file.metadata().unwrap();
        let error = adopt(9_999).unwrap_err();
        assert!(error.to_string().starts_with("fd://9999 is not open"), "{error}");
    }
}
