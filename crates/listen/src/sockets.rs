//! All listening sockets of a program.

use std::{net::SocketAddr, os::fd::RawFd, path::PathBuf};

use stack_config::Bind;

use crate::{BindError, Bound, SocketFile, inherited, tcp, unix};

/// One of the sockets of a [`Sockets`]. No other one there ever has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SocketId(u64);

/// Sockets that were asked for, in one call or in several. They stay open until they are taken or let go.
#[derive(Debug, Default)]
pub struct Sockets {
    open: Vec<Open>,
    next: u64,
}

#[derive(Debug)]
struct Open {
    id: SocketId,
    what: What,
    /// Of those with the same address in one call: port 0 may be asked for twice, and is two ports then.
    nth: usize,
    bound: Bound,
}

/// What a socket was asked for by.
#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Tcp { address: SocketAddr, only_v6: bool },
    Unix(PathBuf),
    Fd(RawFd),
}

impl Sockets {
    /// Gives the sockets of these addresses, in their order; a name may come to several. What is not open yet is bound. With
    /// an error nothing new is open. `backlog` is the kernel's accept queue of each.
    pub fn listen(&mut self, binds: &[Bind], backlog: u32) -> Result<Vec<Vec<SocketId>>, BindError> {
        let before = self.next;
        let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
        let mut given = Vec::new();
        let groups = binds.iter().map(|bind| match bind {
            Bind::Tcp { written: _, addresses } => tcp::open_name(addresses, |address| {
                let only_v6 = tcp::only_v6(address, binds);
                self.find_or(What::Tcp { address, only_v6 }, &mut given, backlog, || {
                    tcp::bind(address, only_v6, backlog)
                })
            }),
            Bind::Unix(path) => {
                let bind = || unix::bind(path, backlog);
                Ok(vec![self.find_or(What::Unix(path.clone()), &mut given, backlog, bind)?])
            }
            Bind::Fd(fd) => Ok(vec![self.find_or(What::Fd(*fd), &mut given, backlog, || inherited::adopt(*fd))?]),
        });
        let groups: Result<_, _> = groups.collect();
        if groups.is_err() {
            self.open.retain(|open| open.id.0 < before);
        }
        groups
    }

    /// A socket that is open.
    pub fn get(&self, id: SocketId) -> Option<&Bound> {
        self.open.iter().find(|open| open.id == id).map(|open| &open.bound)
    }

    /// Gives a socket away.
    pub fn take(&mut self, id: SocketId) -> Option<Bound> {
        let place = self.open.iter().position(|open| open.id == id)?;
        Some(self.open.remove(place).bound)
    }

    /// Closes all others. What was inherited stays open: it could not be had again.
    pub fn keep(&mut self, ids: &[SocketId]) {
        self.open.retain(|open| matches!(open.what, What::Fd(_)) || ids.contains(&open.id));
    }

    /// Closes all; their files stay where they are until they are dropped. Other processes that have the sockets are still
    /// reached.
    pub fn close(&mut self) -> Vec<SocketFile> {
        self.open.drain(..).filter_map(|open| open.bound.file).collect()
    }

    fn find_or(
        &mut self,
        what: What,
        given: &mut Vec<What>,
        backlog: i32,
        bind: impl FnOnce() -> Result<Bound, BindError>,
    ) -> Result<SocketId, BindError> {
        let nth = given.iter().filter(|other| **other == what).count();
        if let (What::Fd(fd), 1..) = (&what, nth) {
            return Err(BindError::Inherited { fd: *fd, reason: "is there twice" });
        }
        given.push(what.clone());
        let is_it = |open: &&Open| open.what == what && open.nth == nth && open.bound.is_reachable();
        if let Some(open) = self.open.iter().find(is_it) {
            if !matches!(what, What::Fd(_)) {
                // It can only fail on what does not listen.
                let _ = rustix::net::listen(&open.bound.socket, backlog);
            }
            return Ok(open.id);
        }
        let id = SocketId(self.next);
        self.next += 1;
        let bound = bind()?;
        self.open.push(Open { id, what, nth, bound });
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::fd::IntoRawFd};

    use super::*;

    fn tcp(address: &str) -> Bind {
        Bind::Tcp { written: address.to_owned(), addresses: vec![address.parse().unwrap()] }
    }

    fn address(sockets: &Sockets, id: SocketId) -> String {
        sockets.get(id).unwrap().socket.tcp_address().unwrap().to_string()
    }

    #[test]
    fn port_0_is_another_port_each_time_and_the_same_ones_in_the_next_call() {
        let mut sockets = Sockets::default();
        let binds = [tcp("127.0.0.1:0"), tcp("127.0.0.1:0")];
        let first = sockets.listen(&binds, 16).unwrap().concat();
        assert_ne!(address(&sockets, first[0]), address(&sockets, first[1]));
        assert_eq!(sockets.listen(&binds, 32).unwrap().concat(), first);
    }

    #[test]
    fn a_port_in_use_names_who_holds_it() {
        let mut first = Sockets::default();
        let id = first.listen(&[tcp("127.0.0.1:0")], 16).unwrap()[0][0];
        let address = address(&first, id);
        let error = Sockets::default().listen(&[tcp(&address)], 16).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with(&format!("{address} is in use")), "{text}");
        if cfg!(target_os = "linux") && std::path::Path::new("/proc/net/tcp").exists() {
            assert!(text.contains(&format!("(pid {})", std::process::id())), "{text}");
        }
    }

    #[test]
    fn a_call_that_fails_leaves_nothing_open() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let mut sockets = Sockets::default();
        let kept = sockets.listen(&[tcp("127.0.0.1:0")], 16).unwrap().concat();
        let binds = [tcp("127.0.0.1:0"), Bind::Unix(path.clone()), Bind::Fd(9_999)];
        sockets.listen(&binds, 16).unwrap_err();
        assert!(!path.exists());
        assert!(sockets.get(kept[0]).is_some());
        assert_eq!(sockets.open.len(), 1);
    }

    #[test]
    fn a_socket_whose_file_was_removed_is_bound_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let bind = [Bind::Unix(path.clone())];
        let mut sockets = Sockets::default();
        let first = sockets.listen(&bind, 16).unwrap().concat();
        fs::remove_file(&path).unwrap();
        let second = sockets.listen(&bind, 16).unwrap().concat();
        assert_ne!(first, second);
        sockets.keep(&second);
        assert!(path.exists());
        drop(sockets);
        assert!(!path.exists());
    }

    #[test]
    fn what_was_inherited_is_kept_and_given_once() {
        let parents = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let fd = Bind::Fd(parents.into_raw_fd());
        let mut sockets = Sockets::default();
        let id = sockets.listen(std::slice::from_ref(&fd), 16).unwrap().concat();
        sockets.keep(&[]);
        assert!(sockets.get(id[0]).is_some());
        let error = sockets.listen(&[fd.clone(), fd], 16).unwrap_err();
        assert!(error.to_string().ends_with("is there twice"), "{error}");
    }
}
