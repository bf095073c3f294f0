//! TCP listeners.

use std::{io, net::SocketAddr};

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use stack_config::{Bind, Endpoint};

use super::{BindError, Listener, holder};

/// `[::]` takes IPv4 clients too, as users of containers expect, unless IPv4 is asked for on the same port.
pub(super) fn only_v6(address: SocketAddr, endpoints: &[Endpoint]) -> bool {
    let SocketAddr::V6(v6) = address else { return false };
    let has_v4 = endpoints.iter().any(|endpoint| match &endpoint.bind {
        Bind::Tcp { written: _, addresses } => {
            addresses.iter().any(|other| other.is_ipv4() && other.port() == v6.port())
        }
        Bind::Unix(_) | Bind::Fd(_) => false,
    });
    has_v4 || !v6.ip().is_unspecified()
}

/// Binds every address of a name. One of a family that this machine does not have is left out (`localhost` in a container
/// without IPv6), unless it is the last hope.
pub(super) fn bind_name(
    addresses: &[SocketAddr],
    endpoints: &[Endpoint],
    backlog: i32,
) -> Result<Vec<Listener>, BindError> {
    let mut listeners = Vec::new();
    let mut absent = None;
    for &address in addresses {
        match bind(address, only_v6(address, endpoints), backlog) {
            Ok(listener) => listeners.push(listener),
            Err(BindError::Io { address, source }) if is_absent(&source) => {
                absent = Some(BindError::Io { address, source });
            }
            Err(error) => return Err(error),
        }
    }
    match absent {
        Some(error) if listeners.is_empty() => Err(error),
        _ => Ok(listeners),
    }
}

fn is_absent(error: &io::Error) -> bool {
    // A family that the kernel was built or started without has no ErrorKind.
    error.kind() == io::ErrorKind::AddrNotAvailable || Errno::from_io_error(error) == Some(Errno::AFNOSUPPORT)
}

fn bind(address: SocketAddr, only_v6: bool, backlog: i32) -> Result<Listener, BindError> {
    listener(address, only_v6, backlog).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => {
            BindError::InUse { address: address.to_string(), holder: holder::of_port(address.port()) }
        }
        io::ErrorKind::PermissionDenied => BindError::Forbidden {
            address: address.to_string(),
            hint: if address.port() < 1024 {
                ": ports below 1024 need CAP_NET_BIND_SERVICE, or a lower net.ipv4.ip_unprivileged_port_start"
            } else {
                ""
            },
        },
        _ => BindError::Io { address: address.to_string(), source },
    })
}

fn listener(address: SocketAddr, only_v6: bool, backlog: i32) -> io::Result<Listener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of the process before this one may still be in TIME_WAIT.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Listener::tcp(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Listeners;

    fn tcp(address: &str) -> Endpoint {
        Endpoint::plain(Bind::Tcp { written: address.to_owned(), addresses: vec![address.parse().unwrap()] })
    }

    #[test]
    fn port_0_is_described_as_the_port_it_became() {
        let listeners = Listeners::bind(&[tcp("127.0.0.1:0")], 16).unwrap();
        let port = listeners.addresses()[0].port();
        assert_ne!(port, 0);
        assert_eq!(listeners.describe(), [format!("http://127.0.0.1:{port}")]);
    }

    #[test]
    fn a_port_in_use_names_who_holds_it() {
        let first = Listeners::bind(&[tcp("127.0.0.1:0")], 16).unwrap();
        let address = first.addresses()[0].to_string();
        let error = Listeners::bind(&[tcp(&address)], 16).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with(&format!("{address} is in use")), "{text}");
        if cfg!(target_os = "linux") && std::path::Path::new("/proc/net/tcp").exists() {
            assert!(text.contains(&format!("(pid {})", std::process::id())), "{text}");
        }
    }

    #[test]
    fn an_address_that_this_machine_does_not_have_is_left_out_of_a_name() {
        // RFC 5737: an address that no machine has.
        let absent = "192.0.2.1:0".parse().unwrap();
        let loopback = "127.0.0.1:0".parse().unwrap();
        let name = |addresses| Endpoint::plain(Bind::Tcp { written: "name:0".to_owned(), addresses });
        let listeners = Listeners::bind(&[name(vec![absent, loopback])], 16).unwrap();
        assert_eq!(listeners.addresses().len(), 1);
        assert!(matches!(Listeners::bind(&[name(vec![absent])], 16), Err(BindError::Io { .. })));
    }

    #[test]
    fn the_ipv6_wildcard_leaves_ipv4_to_a_listener_of_its_own() {
        let wildcard = "[::]:80".parse().unwrap();
        assert!(!only_v6(wildcard, &[tcp("[::]:80")]));
        assert!(only_v6(wildcard, &[tcp("[::]:80"), tcp("0.0.0.0:80")]));
        assert!(only_v6("[::1]:80".parse().unwrap(), &[]));
    }
}
