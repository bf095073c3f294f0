//! Listeners on Unix domain sockets, and the files that name them.

use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
        net::UnixStream,
    },
    path::{Path, PathBuf},
};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::{BindError, Bound};

/// The file of a socket that this process has bound. Removed when this is dropped, unless another has taken its place.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    inode: (u64, u64),
}

impl SocketFile {
    pub(crate) fn is_there(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|metadata| identity(&metadata) == self.inode)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.is_there() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(metadata: &fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// A socket that others than its owner can not connect to.
pub fn bind_private(path: &Path) -> Result<Bound, BindError> {
    bind_with(path, 16, Some(0o600))
}

pub(crate) fn bind(path: &Path, backlog: i32) -> Result<Bound, BindError> {
    bind_with(path, backlog, None)
}

fn bind_with(path: &Path, backlog: i32, mode: Option<u32>) -> Result<Bound, BindError> {
    let address = || format!("unix:{}", path.display());
    make_room(path)?;
    listener(path, backlog, mode).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse { address: address(), holder: None },
        io::ErrorKind::PermissionDenied => BindError::Forbidden { address: address(), hint: "" },
        _ => BindError::Io { address: address(), source },
    })
}

/// Removes the file that a process left behind: nobody answers there.
fn make_room(path: &Path) -> Result<(), BindError> {
    let address = || format!("unix:{}", path.display());
    let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        return Err(BindError::NotASocket { path: path.to_owned() });
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|source| BindError::Io { address: address(), source })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // Anything else but a refusal leaves open whether somebody is there.
        Ok(_) | Err(_) => Err(BindError::InUse { address: address(), holder: None }),
    }
}

fn listener(path: &Path, backlog: i32, mode: Option<u32>) -> io::Result<Bound> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let file = SocketFile { path: path.to_owned(), inode: identity(&fs::symlink_metadata(path)?) };
    if let Some(mode) = mode {
        // As long as it does not listen nobody gets in.
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    }
    socket.listen(backlog)?;
    Bound::unix(socket.into(), file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_stale_socket_file_is_replaced_and_ours_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        drop(UnixListener::bind(&path).unwrap());
        let bound = bind(&path, 16).unwrap();
        UnixStream::connect(&path).unwrap();
        drop(bound);
        assert!(!path.exists());
    }

    #[test]
    fn a_private_socket_is_its_owner_s() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let _bound = bind_private(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_live_socket_and_another_file_are_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let live = directory.path().join("live");
        let _listener = UnixListener::bind(&live).unwrap();
        assert!(matches!(bind(&live, 16), Err(BindError::InUse { .. })));
        let file = directory.path().join("file");
        fs::write(&file, "precious").unwrap();
        assert!(matches!(bind(&file, 16), Err(BindError::NotASocket { .. })));
        assert_eq!(fs::read(file).unwrap(), b"precious");
    }
}
