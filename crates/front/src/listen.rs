//! The listening sockets: bound before there is a runtime, closed when the server drains.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::{fd::RawFd, unix::net::UnixListener},
    path::PathBuf,
    sync::Arc,
};

use stack_bridge::Local;
use stack_config::{Bind, Endpoint, Transport};

mod holder;
mod inherited;
mod tcp;
mod unix;

pub use holder::Holder;
use unix::SocketFile;

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

/// Every listener of the server. Dropping it closes them and removes the files of Unix sockets.
#[derive(Debug)]
pub struct Listeners {
    pub(crate) listeners: Vec<Listener>,
}

/// One bound socket, not blocking.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) socket: ListenSocket,
    /// What requests on it get as `SERVER_NAME` and `SERVER_PORT`.
    pub(crate) local: Arc<Local>,
    pub(crate) address: String,
    /// Whether its connections begin with a handshake.
    pub(crate) is_tls: bool,
    /// Removes the file of a Unix socket that is ours.
    pub(crate) file: Option<SocketFile>,
}

#[derive(Debug)]
pub(crate) enum ListenSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listeners {
    /// Binds everything, or nothing. `backlog` is the kernel's accept queue of each listener.
    pub fn bind(endpoints: &[Endpoint], backlog: u32) -> Result<Self, BindError> {
        let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
        let mut listeners = Vec::new();
        for Endpoint { bind, transport } in endpoints {
            let bound = match bind {
                Bind::Tcp { written: _, addresses } => tcp::bind_name(addresses, endpoints, backlog)?,
                Bind::Unix(path) => vec![unix::bind(path, backlog)?],
                Bind::Fd(fd) => vec![inherited::adopt(*fd)?],
            };
            listeners.extend(bound.into_iter().map(|listener| listener.with_transport(*transport)));
        }
        Ok(Self { listeners })
    }

    /// The port of the first TCP listener that speaks TLS.
    pub(crate) fn tls_port(&self) -> Option<u16> {
        let encrypted = self.listeners.iter().filter(|listener| listener.is_tls);
        encrypted.filter_map(Listener::tcp_address).map(|address| address.port()).next()
    }

    /// Where the server can be reached: `http://127.0.0.1:8000`, with the real port where 0 was asked for.
    pub fn describe(&self) -> Vec<String> {
        self.listeners.iter().map(|listener| listener.address.clone()).collect()
    }

    /// The TCP addresses that are bound, in the order they were asked for.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(Listener::tcp_address).collect()
    }
}

impl Listener {
    pub(crate) fn tcp_address(&self) -> Option<SocketAddr> {
        match &self.socket {
            ListenSocket::Tcp(socket) => socket.local_addr().ok(),
            ListenSocket::Unix(_) => None,
        }
    }

    fn with_transport(self, transport: Transport) -> Self {
        let is_tcp = matches!(self.socket, ListenSocket::Tcp(_));
        match transport {
            Transport::Tls => {}
            Transport::TlsOnTcp if is_tcp => {}
            Transport::Plain | Transport::TlsOnTcp => return self,
        }
        let Self { socket, local, address, is_tls: _, file } = self;
        let (local, address) = match address.strip_prefix("http://") {
            Some(address) => (local, format!("https://{address}")),
            None => {
                (Arc::new(Local { name: local.name.clone(), port: "443".to_owned() }), format!("https://{address}"))
            }
        };
        Self { socket, local, address, is_tls: true, file }
    }

    fn tcp(socket: TcpListener) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        let local = Local { name: address.ip().to_string(), port: address.port().to_string() };
        Ok(Self {
            socket: ListenSocket::Tcp(socket),
            local: Arc::new(local),
            address: format!("http://{address}"),
            is_tls: false,
            file: None,
        })
    }

    fn unix(socket: UnixListener, file: Option<SocketFile>) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let address = match socket.local_addr()?.as_pathname() {
            Some(path) => format!("unix:{}", path.display()),
            None => "unix:".to_owned(),
        };
        // Neither may be empty (PEP 3333 "environ Variables"), and a path is neither.
        let local = Local { name: "localhost".to_owned(), port: "80".to_owned() };
        Ok(Self { socket: ListenSocket::Unix(socket), local: Arc::new(local), address, is_tls: false, file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_described_as_what_it_speaks() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let tcp = || Bind::Tcp { written: "127.0.0.1:0".into(), addresses: vec!["127.0.0.1:0".parse().unwrap()] };
        let endpoint = |bind, transport| Endpoint { bind, transport };
        let endpoints = [
            endpoint(tcp(), Transport::Plain),
            endpoint(tcp(), Transport::Tls),
            endpoint(tcp(), Transport::TlsOnTcp),
            endpoint(Bind::Unix(path.clone()), Transport::TlsOnTcp),
        ];
        let listeners = Listeners::bind(&endpoints, 16).unwrap();
        let ports: Vec<_> = listeners.addresses().iter().map(SocketAddr::port).collect();
        let expected = [
            format!("http://127.0.0.1:{}", ports[0]),
            format!("https://127.0.0.1:{}", ports[1]),
            format!("https://127.0.0.1:{}", ports[2]),
            format!("unix:{}", path.display()),
        ];
        assert_eq!(listeners.describe(), expected);
        assert_eq!(listeners.tls_port(), Some(ports[1]));
        drop(listeners);
        let encrypted = Listeners::bind(&[endpoint(Bind::Unix(path.clone()), Transport::Tls)], 16).unwrap();
        assert_eq!(encrypted.describe(), [format!("https://unix:{}", path.display())]);
        assert_eq!(encrypted.listeners[0].local.port, "443");
        assert_eq!(encrypted.tls_port(), None);
    }
}
