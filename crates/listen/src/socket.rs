//! One listening socket.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixListener,
    },
};

use socket2::{Domain, Socket, Type};

use crate::SocketFile;

/// A socket that listens, not blocking.
#[derive(Debug)]
pub enum ListenSocket {
    /// On an address.
    Tcp(TcpListener),
    /// On a path, or on no name at all.
    Unix(UnixListener),
}

/// A socket, and the file that goes with it. Dropping it closes the one and removes the other.
#[derive(Debug)]
pub struct Bound {
    /// What listens.
    pub socket: ListenSocket,
    /// There where this process has made it.
    pub file: Option<SocketFile>,
}

impl ListenSocket {
    /// Takes over a socket that listens already; else says what is wrong with it, and gives it back.
    pub fn adopt(descriptor: OwnedFd) -> Result<Self, (&'static str, OwnedFd)> {
        let socket = Socket::from(descriptor);
        let domain = match listening_domain(&socket) {
            Ok(domain) => domain,
            Err(reason) => return Err((reason, socket.into())),
        };
        // Worker processes must not inherit it.
        if socket.set_cloexec(true).and_then(|()| socket.set_nonblocking(true)).is_err() {
            return Err(("can not be set up", socket.into()));
        }
        Ok(if domain == Domain::UNIX { Self::Unix(socket.into()) } else { Self::Tcp(socket.into()) })
    }

    /// The address of a TCP socket.
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(socket) => socket.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }
}

impl AsFd for ListenSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
        }
    }
}

impl Bound {
    pub(crate) fn tcp(socket: TcpListener) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self { socket: ListenSocket::Tcp(socket), file: None })
    }

    pub(crate) fn unix(socket: UnixListener, file: SocketFile) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self { socket: ListenSocket::Unix(socket), file: Some(file) })
    }

    /// Whether clients still find it: the file of a Unix socket may have been removed or replaced by somebody.
    pub(crate) fn is_reachable(&self) -> bool {
        self.file.as_ref().is_none_or(SocketFile::is_there)
    }
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
