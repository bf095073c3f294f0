//! `bind`: `HOST:PORT`, `:PORT`, `PORT`, `unix:PATH`, `fd://N`.

use std::{
    net::{Ipv6Addr, SocketAddr, ToSocketAddrs},
    os::{fd::RawFd, unix::ffi::OsStrExt},
    path::PathBuf,
};

use super::{Place, paths};
use crate::{Bind, error::Reason};

/// `sun_path` without its final zero byte.
const LONGEST_SOCKET_PATH: usize = 107;

/// Where a user names no host, as in nginx and gunicorn.
const EVERY_IPV4_ADDRESS: &str = "0.0.0.0";

/// What a user wrote before an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    const ALL: [(&str, Self); 2] = [("http://", Self::Http), ("https://", Self::Https)];

    fn default_port(self) -> &'static str {
        match self {
            Self::Http => "80",
            Self::Https => "443",
        }
    }
}

/// An address, and the scheme before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parsed {
    pub(super) bind: Bind,
    pub(super) scheme: Option<Scheme>,
}

pub(super) fn parse(place: Place<'_>, text: &str) -> Result<Parsed, Reason> {
    let with_scheme = Scheme::ALL.into_iter().find_map(|(prefix, scheme)| Some((scheme, text.strip_prefix(prefix)?)));
    let (scheme, address) = with_scheme.map_or((None, text), |(scheme, address)| (Some(scheme), address));
    Ok(Parsed { bind: address_of(place, address, scheme)?, scheme })
}

fn address_of(place: Place<'_>, text: &str, scheme: Option<Scheme>) -> Result<Bind, Reason> {
    if let Some(path) = text.strip_prefix("unix:") {
        return socket_path(place, path.strip_prefix("//").unwrap_or(path)).map(Bind::Unix);
    }
    if let Some(number) = text.strip_prefix("fd://") {
        // 0 too: inetd and supervisord pass a socket as standard input.
        let number = number.parse().ok().filter(|number: &RawFd| *number >= 0);
        return number.map(Bind::Fd).ok_or(Reason::NotDescriptor);
    }
    if text.contains("://") {
        return Err(Reason::AddressIsUrl);
    }
    // As in a URL.
    let with_port = |scheme: Scheme| format!("{text}:{}", scheme.default_port());
    let text = &match (host_and_port(text), scheme) {
        (Err(Reason::NoPort), Some(scheme)) => with_port(scheme),
        _ => text.to_owned(),
    };
    let (host, port) = host_and_port(text)?;
    let port: u16 = port.parse().map_err(|_| Reason::NotPort(port.to_owned()))?;
    let host = if host.is_empty() { EVERY_IPV4_ADDRESS } else { host };
    Ok(Bind::Tcp { written: text.to_owned(), addresses: resolve(host, port)? })
}

/// `fd://NAME` with the number of the descriptor that the service manager has given that name (`LISTEN_FDNAMES`); anything
/// else as it is.
pub(super) fn numbered(text: &str, environment: &[(String, String)]) -> String {
    const FIRST: usize = 3;
    let names = environment.iter().find(|(name, _)| name == "LISTEN_FDNAMES").map_or("", |(_, names)| names.as_str());
    let Some((scheme, name)) = text.split_once("fd://").filter(|(_, name)| !name.is_empty()) else {
        return text.to_owned();
    };
    let place = names.split(':').position(|known| known == name);
    place.map_or_else(|| text.to_owned(), |place| format!("{scheme}fd://{}", place + FIRST))
}

/// The first listener that is there twice, by its place.
pub(super) fn repetition(all: &[Parsed]) -> Option<(usize, Reason)> {
    all.iter().enumerate().find_map(|(index, Parsed { bind, scheme: _ })| {
        let before = || all[..index].iter().map(|parsed| &parsed.bind);
        let reason = match bind {
            Bind::Tcp { written: _, addresses } => Reason::AddressTwice(*addresses.iter().find(|address| {
                // Port 0 is another port each time.
                let taken =
                    |other: &Bind| matches!(other, Bind::Tcp { written: _, addresses } if addresses.contains(address));
                address.port() != 0 && before().any(taken)
            })?),
            Bind::Unix(_) | Bind::Fd(_) if before().any(|other| other == bind) => Reason::Twice,
            Bind::Unix(_) | Bind::Fd(_) => return None,
        };
        Some((index, reason))
    })
}

/// Where a Unix socket can be made.
pub(super) fn socket_path(place: Place<'_>, written: &str) -> Result<PathBuf, Reason> {
    if written.is_empty() {
        return Err(Reason::NotAddress);
    }
    let path = place.absolute(written);
    let length = path.as_os_str().as_bytes().len();
    if length > LONGEST_SOCKET_PATH {
        return Err(Reason::SocketPathTooLong(length));
    }
    paths::parent_exists(&path)?;
    if path.is_dir() { Err(Reason::IsDirectory(path)) } else { Ok(path) }
}

fn host_and_port(text: &str) -> Result<(&str, &str), Reason> {
    if text.is_empty() {
        return Err(Reason::NotAddress);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(("", text));
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or(Reason::NotAddress)?;
        let port = rest.strip_prefix(':').ok_or(Reason::NoPort)?;
        // `[]:8000` is a typing error, not every address.
        return if host.is_empty() { Err(Reason::NotAddress) } else { Ok((host, port)) };
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err(Reason::AddressWithoutBrackets);
    }
    let (host, port) = text.rsplit_once(':').ok_or(Reason::NoPort)?;
    match host {
        _ if host.contains(['/', ' ']) || port.contains('/') => Err(Reason::NotAddress),
        _ if host.contains(':') => Err(Reason::AddressWithoutBrackets),
        _ => Ok((host, port)),
    }
}

fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, Reason> {
    let found =
        (host, port).to_socket_addrs().map_err(|error| Reason::Unresolvable { host: host.to_owned(), error })?;
    let mut addresses = Vec::new();
    for address in found {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() { Err(Reason::NoAddress(host.to_owned())) } else { Ok(addresses) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Setup, problem};

    fn bound(values: &[&str]) -> Vec<Bind> {
        Setup::new().flag_values("bind", values).config().bind.into_iter().map(|endpoint| endpoint.bind).collect()
    }

    fn address(written: &str) -> String {
        let Bind::Tcp { written: kept, addresses } = bound(&[written]).remove(0) else { panic!("{written}") };
        assert_eq!(kept, written);
        addresses[0].to_string()
    }

    #[test]
    fn a_listener_has_host_and_port() {
        assert_eq!(address("127.0.0.1:8000"), "127.0.0.1:8000");
        assert_eq!(address("[::1]:8000"), "[::1]:8000");
        assert_eq!(address("127.0.0.1:0"), "127.0.0.1:0");
    }

    #[test]
    fn without_a_host_it_is_every_ipv4_address() {
        assert_eq!(address(":8000"), "0.0.0.0:8000");
        assert_eq!(address("8000"), "0.0.0.0:8000");
    }

    #[test]
    fn a_name_is_resolved() {
        assert!(["127.0.0.1:8000", "[::1]:8000"].contains(&address("localhost:8000").as_str()));
    }

    #[test]
    fn a_unix_socket_has_an_absolute_path() {
        let setup = Setup::new().flag("bind", "unix:run.sock");
        let expected = setup.directory().join("run.sock");
        assert_eq!(setup.config().bind[0].bind, Bind::Unix(expected));
        assert_eq!(bound(&["unix:/tmp/a.sock"]), [Bind::Unix("/tmp/a.sock".into())]);
        assert_eq!(bound(&["unix:///tmp/a.sock"]), [Bind::Unix("/tmp/a.sock".into())]);
    }

    #[test]
    fn an_inherited_socket_has_a_number() {
        assert_eq!(bound(&["fd://3", "fd://0"]), [Bind::Fd(3), Bind::Fd(0)]);
    }

    #[test]
    fn an_inherited_socket_may_have_a_name() {
        let setup = || Setup::new().variable("LISTEN_FDNAMES", "web:admin").variable("LISTEN_FDS", "2");
        let bound =
            |setup: Setup| -> Vec<Bind> { setup.config().bind.into_iter().map(|endpoint| endpoint.bind).collect() };
        assert_eq!(bound(setup().flag("bind", "fd://admin")), [Bind::Fd(4)]);
        assert_eq!(bound(setup()), [Bind::Fd(3), Bind::Fd(4)], "without bind it is all of them");
        assert!(problem(&setup().flag("bind", "fd://metrics")).contains("not a file descriptor"));
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        let long = format!("unix:/tmp/{}", "a".repeat(120));
        for (written, reason) in [
            ("localhost", "no port"),
            ("[::1]", "no port"),
            ("::1", "an IPv6 address without brackets"),
            ("fe80::1%lo:8000", "an IPv6 address without brackets"),
            ("[]:8000", "not an address to listen on"),
            ("127.0.0.1:http", "`http` is not a port"),
            ("127.0.0.1:", "`` is not a port"),
            ("65536", "`65536` is not a port"),
            ("ftp://127.0.0.1:8000", "a URL"),
            ("http://127.0.0.1:8000/", "not an address"),
            ("http://", "not an address"),
            ("127.0.0.1:8000/path", "not an address"),
            ("no such host:8000", "not an address"),
            ("fd://-1", "not a file descriptor"),
            ("fd://x", "not a file descriptor"),
            ("unix:", "not an address"),
            ("unix:/nowhere/a.sock", "no such directory /nowhere"),
            ("unix:/tmp", "/tmp is a directory"),
            (&long, "the path of the socket has 125 bytes"),
            ("host.invalid:80", "no address found for host `host.invalid`"),
        ] {
            let text = problem(&Setup::new().flag("bind", written));
            assert!(text.starts_with(&format!("flag --bind: bind = `{written}`: {reason}")), "{text}");
        }
    }

    #[test]
    fn the_same_listener_twice_is_refused() {
        let text = problem(&Setup::new().flag_values("bind", &["127.0.0.1:8000", "fd://3", "127.0.0.1:8000"]));
        assert!(text.contains("127.0.0.1:8000 is there twice"), "{text}");
        let text = problem(&Setup::new().flag_values("bind", &["fd://3", "fd://3"]));
        assert!(text.contains("there twice"), "{text}");
        assert_eq!(bound(&["127.0.0.1:0", "127.0.0.1:0"]).len(), 2);
    }

    #[test]
    fn no_listener_at_all_is_refused() {
        let text = problem(&Setup::new().file("workers = 1\nbind = []\n"));
        assert!(text.starts_with("stack.toml:2: `bind`: empty"), "{text}");
    }
}
