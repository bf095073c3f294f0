//! `fd://N`: a listening socket that the parent process has left open for us.

use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd, RawFd};

use socket2::{Domain, Socket, Type};

use super::{BindError, Listener};

/// Takes a descriptor over. It is closed with the listener; what turns out not to be a listening socket is left open.
pub(super) fn adopt(fd: RawFd) -> Result<Listener, BindError> {
    let refuse = |reason| BindError::Inherited { fd, reason };
    if !std::path::Path::new("/dev/fd").join(fd.to_string()).exists() {
        return Err(refuse("is not open: the parent process has to pass it on"));
    }
    let socket = Socket::from(own(fd));
    let domain = match listening_domain(&socket) {
        Ok(domain) => domain,
        Err(reason) => {
            // It belongs to something else in this process.
            let _ = socket.into_raw_fd();
            return Err(refuse(reason));
        }
    };
    // Worker processes must not inherit it.
    let listener = socket.set_cloexec(true).and_then(|()| match domain {
        Domain::UNIX => Listener::unix(socket.into(), None),
        _ => Listener::tcp(socket.into()),
    });
    listener.map_err(|source| BindError::Io { address: format!("fd://{fd}"), source })
}

fn listening_domain(socket: &Socket) -> Result<Domain, &'static str> {
    if socket.r#type().map_err(|_| "is not a socket")? != Type::STREAM {
        return Err("is not a stream socket");
    }
    if !socket.is_listener().map_err(|_| "is not a socket")? {
        return Err("is a socket that does not listen");
    }
    match socket.domain() {
        Ok(domain) if [Domain::IPV4, Domain::IPV6, Domain::UNIX].contains(&domain) => Ok(domain),
        _ => Err("is neither a TCP nor a Unix socket"),
    }
}

#[expect(unsafe_code, reason = "no safe crate adopts a descriptor by its number without environment variables")]
fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: the descriptor is open, as the caller has checked. That nothing else in this process owns it is the
    // contract of `fd://N`, which names what the parent process passed on; it is adopted once, before any runtime.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, os::fd::AsRawFd};

    use stack_config::{Bind, Endpoint};

    use super::*;
    use crate::Listeners;

    #[test]
    fn a_listening_socket_is_adopted() {
        let parents = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = parents.local_addr().unwrap();
        let listeners = Listeners::bind(&[Endpoint::plain(Bind::Fd(parents.into_raw_fd()))], 16).unwrap();
        assert_eq!(listeners.describe(), [format!("http://{address}")]);
    }

    #[test]
    fn anything_else_is_refused_and_left_open() {
        let file = tempfile::tempfile().unwrap();
        let error = Listeners::bind(&[Endpoint::plain(Bind::Fd(file.as_raw_fd()))], 16).unwrap_err();
        assert_eq!(error.to_string(), format!("fd://{} is not a socket", file.as_raw_fd()));
        file.metadata().unwrap();
        let error = Listeners::bind(&[Endpoint::plain(Bind::Fd(9_999))], 16).unwrap_err();
        assert!(error.to_string().starts_with("fd://9999 is not open"), "{error}");
    }
}
