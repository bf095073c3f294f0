//! Opens a file below a root, and nothing outside it.
//!
//! On Linux the kernel keeps the lookup below the root (`openat2` with `RESOLVE_BENEATH`), whatever `..` or symbolic links
//! say and whoever renames directories meanwhile. Links inside the root are followed. Where the kernel refuses because a
//! link is absolute, or does not know `openat2`, the path is made canonical and compared instead: that leaves a moment in
//! which somebody who may write below the root could swap a directory.

use std::{
    fs::File,
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

use bytes::Bytes;
use rustix::{
    fs::{CWD, Mode, OFlags},
    io::Errno,
};

use crate::path::FilePath;

/// What a directory serves.
const INDEX: &str = "index.html";

/// A file up to this size is read in the call that opens it.
const SMALL: u64 = 64 * 1024;

/// How far a lookup may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lookup {
    /// Only what the kernel has in memory.
    Cached,
    /// To the disk.
    Complete,
}

/// What is at a path.
#[derive(Debug)]
pub(super) enum Found {
    File(Opened),
    /// A directory with an index, asked for without its slash.
    Directory,
    Nothing,
    Forbidden(io::Error),
}

/// An open regular file.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) name: PathBuf,
    pub(super) length: u64,
    pub(super) inode: u64,
    pub(super) modified: Option<SystemTime>,
    /// All of it, where it is small and the disk was asked anyway.
    pub(super) content: Option<Bytes>,
}

/// Looks for a file. `None`: the caches do not tell.
pub(super) fn find(root: &Path, path: &FilePath, lookup: Lookup) -> Option<io::Result<Found>> {
    match (Walk { root, lookup }).find(path) {
        Err(Miss::NotCached) => None,
        Err(Miss::Nothing) => Some(Ok(Found::Nothing)),
        Err(Miss::Failed(error)) if error.kind() == io::ErrorKind::PermissionDenied => {
            Some(Ok(Found::Forbidden(error)))
        }
        Err(Miss::Failed(error)) => Some(Err(error)),
        Ok(found) => Some(Ok(found)),
    }
}

struct Walk<'a> {
    root: &'a Path,
    lookup: Lookup,
}

enum Miss {
    NotCached,
    Nothing,
    Failed(io::Error),
}

impl Walk<'_> {
    fn find(&self, path: &FilePath) -> Result<Found, Miss> {
        let (file, metadata) = self.open(&path.relative)?;
        if metadata.is_file() {
            // `/file/` is no file's name.
            return if path.directory {
                Err(Miss::Nothing)
            } else {
                self.opened(file, path.relative.clone(), &metadata)
            };
        }
        if !metadata.is_dir() {
            return Err(Miss::Nothing);
        }
        let name = path.relative.join(INDEX);
        let (index, metadata) = self.open(&name)?;
        match (metadata.is_file(), path.directory) {
            (false, _) => Err(Miss::Nothing),
            (true, false) => Ok(Found::Directory),
            (true, true) => self.opened(index, name, &metadata),
        }
    }

    fn open(&self, relative: &Path) -> Result<(File, std::fs::Metadata), Miss> {
        let relative = if relative.as_os_str().is_empty() { Path::new(".") } else { relative };
        let file = match self.open_beneath(relative) {
            Ok(file) => file,
            Err(Errno::XDEV | Errno::NOSYS | Errno::PERM | Errno::INVAL) => match self.lookup {
                Lookup::Cached => return Err(Miss::NotCached),
                Lookup::Complete => self.open_canonical(relative)?,
            },
            Err(Errno::AGAIN) if self.lookup == Lookup::Cached => return Err(Miss::NotCached),
            Err(error) => return Err(miss(error.into())),
        };
        let metadata = file.metadata().map_err(Miss::Failed)?;
        Ok((file, metadata))
    }

    #[cfg(target_os = "linux")]
    fn open_beneath(&self, relative: &Path) -> Result<File, Errno> {
        use rustix::fs::{ResolveFlags, openat2};

        let cached = match self.lookup {
            Lookup::Cached => ResolveFlags::CACHED,
            Lookup::Complete => ResolveFlags::empty(),
        };
        // The root is opened each time: a build that replaces the directory must be seen.
        let root = openat2(CWD, self.root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty(), cached)?;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | cached;
        openat2(root, relative, flags(), Mode::empty(), resolve).map(File::from)
    }

    #[cfg(not(target_os = "linux"))]
    fn open_beneath(&self, _relative: &Path) -> Result<File, Errno> {
        Err(Errno::NOSYS)
    }

    fn open_canonical(&self, relative: &Path) -> Result<File, Miss> {
        let root = self.root.canonicalize().map_err(miss)?;
        let path = root.join(relative).canonicalize().map_err(miss)?;
        if !path.starts_with(&root) {
            return Err(Miss::Nothing);
        }
        let file = rustix::fs::openat(CWD, &path, flags() | OFlags::NOFOLLOW, Mode::empty());
        file.map(File::from).map_err(|error| miss(error.into()))
    }

    fn opened(&self, file: File, name: PathBuf, metadata: &std::fs::Metadata) -> Result<Found, Miss> {
        let length = metadata.len();
        let content = match self.lookup {
            Lookup::Complete if length <= SMALL => read(&file, length).map_err(Miss::Failed)?,
            _ => None,
        };
        Ok(Found::File(Opened {
            file,
            name,
            length,
            inode: metadata.ino(),
            modified: metadata.modified().ok(),
            content,
        }))
    }
}

/// A fifo or a device must not make the open wait (it is refused once its type is known).
fn flags() -> OFlags {
    OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC
}

fn miss(error: io::Error) -> Miss {
    let is_absence = matches!(
        Errno::from_io_error(&error),
        // NXIO: a socket, or a device without a driver.
        Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG | Errno::NXIO)
    );
    if is_absence { Miss::Nothing } else { Miss::Failed(error) }
}

/// `None` where the file has become shorter meanwhile: reading it again will tell.
fn read(file: &File, length: u64) -> io::Result<Option<Bytes>> {
    use std::os::unix::fs::FileExt;

    let Ok(length) = usize::try_from(length) else { return Ok(None) };
    let mut content = vec![0; length];
    match file.read_exact_at(&mut content, 0) {
        Ok(()) => Ok(Some(content.into())),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}
