//! TCP listeners.

use std::{io, net::SocketAddr};

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use stack_config::Bind;

use crate::{BindError, Bound, holder};

/// `[::]` takes IPv4 clients too, as users of containers expect, unless IPv4 is asked for on the same port.
pub(crate) fn only_v6(address: SocketAddr, binds: &[Bind]) -> bool {
    let SocketAddr::V6(v6) = address else { return false };
    let has_v4 = binds.iter().any(|bind| match bind {
        Bind::Tcp { written: _, addresses } => {
            addresses.iter().any(|other| other.is_ipv4() && other.port() == v6.port())
        }
        Bind::Unix(_) | Bind::Fd(_) => false,
    });
    has_v4 || !v6.ip().is_unspecified()
}

/// Opens every address of a name. One of a family that this machine does not have is left out (`localhost` in a container
/// without IPv6), unless it is the last hope.
pub(crate) fn open_name<T>(
    addresses: &[SocketAddr],
    mut open: impl FnMut(SocketAddr) -> Result<T, BindError>,
) -> Result<Vec<T>, BindError> {
    let mut opened = Vec::new();
    let mut absent = None;
    for &address in addresses {
        match open(address) {
            Ok(socket) => opened.push(socket),
            Err(BindError::Io { address, source }) if is_absent(&source) => {
                absent = Some(BindError::Io { address, source });
            }
            Err(error) => return Err(error),
        }
    }
    match absent {
        Some(error) if opened.is_empty() => Err(error),
        _ => Ok(opened),
    }
}

fn is_absent(error: &io::Error) -> bool {
    // A family that the kernel was built or started without has no ErrorKind.
    error.kind() == io::ErrorKind::AddrNotAvailable || Errno::from_io_error(error) == Some(Errno::AFNOSUPPORT)
}

pub(crate) fn bind(address: SocketAddr, only_v6: bool, backlog: i32) -> Result<Bound, BindError> {
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

fn listener(address: SocketAddr, only_v6: bool, backlog: i32) -> io::Result<Bound> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of the process before this one may still be in TIME_WAIT.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Bound::tcp(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(address: &str) -> Bind {
        Bind::Tcp { written: address.to_owned(), addresses: vec![address.parse().unwrap()] }
    }

    #[test]
    fn an_address_that_this_machine_does_not_have_is_left_out_of_a_name() {
        // RFC 5737: an address that no machine has.
        let absent = "192.0.2.1:0".parse().unwrap();
        let loopback = "127.0.0.1:0".parse().unwrap();
        let open = |address| bind(address, false, 16);
        assert_eq!(open_name(&[absent, loopback], open).unwrap().len(), 1);
        assert!(matches!(open_name(&[absent], open), Err(BindError::Io { .. })));
    }

    #[test]
    fn the_ipv6_wildcard_leaves_ipv4_to_a_listener_of_its_own() {
        let wildcard = "[::]:80".parse().unwrap();
        assert!(!only_v6(wildcard, &[tcp("[::]:80")]));
        assert!(only_v6(wildcard, &[tcp("[::]:80"), tcp("0.0.0.0:80")]));
        assert!(only_v6("[::1]:80".parse().unwrap(), &[]));
    }
}
