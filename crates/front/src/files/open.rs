//! Opens a file below a root, and nothing outside it.
//!
//! On Linux the kernel keeps the lookup below the root (`openat2` with `RESOLVE_BENEATH`), whatever `..` or symbolic links
//! say and whoever renames directories meanwhile. Links inside the root are followed. Where the kernel refuses because a
//! link is absolute, or does not know `openat2`, the path is made canonical and compared instead: that leaves a moment in
//! which somebody who may write below the root could swap a directory.

use std::{
    fs::{File, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

use rustix::{
    fs::{CWD, Mode, OFlags},
    io::Errno,
};

use crate::path::FilePath;

/// What a directory serves.
pub(super) const INDEX: &str = "index.html";

/// How far a lookup may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lookup {
    /// Only what the kernel has in memory.
    Cached,
    /// To the disk.
    Complete,
}

/// The kernel's caches do not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotCached;

/// What is at a path.
#[derive(Debug)]
pub(super) enum Found {
    File(Opened),
    /// A directory with an index, asked for without its slash.
    Directory,
    /// A directory without one.
    Bare,
    Nothing,
    Forbidden(io::Error),
}

/// An open regular file.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: File,
    /// Where it was found, below the root.
    pub(super) name: PathBuf,
    pub(super) stamp: Stamp,
}

/// What tells one state of a file from another, as far as the system notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) length: u64,
    pub(super) inode: u64,
    pub(super) modified: Option<SystemTime>,
    device: u64,
    /// Seconds and nanoseconds of the last change of any kind: it moves also where `modified` was set by hand.
    changed: (i64, i64),
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            length: metadata.len(),
            inode: metadata.ino(),
            modified: metadata.modified().ok(),
            device: metadata.dev(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Looks for a file.
pub(super) fn find(root: &Path, path: &FilePath, lookup: Lookup) -> Result<io::Result<Found>, NotCached> {
    match (Walk { root, lookup, access: OFlags::RDONLY }).find(path) {
        Err(Miss::NotCached) => Err(NotCached),
        Err(Miss::Nothing) => Ok(Ok(Found::Nothing)),
        Err(Miss::Failed(error)) if error.kind() == io::ErrorKind::PermissionDenied => Ok(Ok(Found::Forbidden(error))),
        Err(Miss::Failed(error)) => Ok(Err(error)),
        Ok(found) => Ok(Ok(found)),
    }
}

/// Opens a regular file. Whatever keeps it from being read, it is none.
pub(super) fn file(root: &Path, name: &Path, lookup: Lookup) -> Result<Option<Opened>, NotCached> {
    match (Walk { root, lookup, access: OFlags::RDONLY }).open(name) {
        Err(Miss::NotCached) => Err(NotCached),
        Ok((file, metadata)) if metadata.is_file() => {
            Ok(Some(Opened { file, name: name.to_owned(), stamp: Stamp::of(&metadata) }))
        }
        Ok(_) | Err(Miss::Nothing | Miss::Failed(_)) => Ok(None),
    }
}

/// A directory that is kept open for lookups, by who opens it anew from time to time: another may take its place.
#[derive(Debug)]
pub(super) struct OpenDirectory(rustix::fd::OwnedFd);

impl OpenDirectory {
    /// `None` where the kernel would have to ask the disk.
    #[cfg(target_os = "linux")]
    pub(super) fn open(root: &Path) -> Option<Self> {
        use rustix::fs::{ResolveFlags, openat2};

        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat2(CWD, root, flags, Mode::empty(), ResolveFlags::CACHED).ok().map(Self)
    }

    /// Whether nothing at all is there, neither a file nor a directory, as far as the kernel knows without the disk: an open that
    /// fails is all that it takes to find that out.
    #[cfg(target_os = "linux")]
    pub(super) fn has_nothing_at(&self, relative: &Path) -> bool {
        use rustix::fs::{ResolveFlags, openat2};

        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::CACHED;
        let opened = openat2(&self.0, relative, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve);
        matches!(opened, Err(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG))
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn open(_root: &Path) -> Option<Self> {
        None
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn has_nothing_at(&self, _relative: &Path) -> bool {
        false
    }
}

/// The stamp of a regular file that may be read or not.
pub(super) fn stamp(root: &Path, name: &Path, lookup: Lookup) -> Result<Option<Stamp>, NotCached> {
    match (Walk { root, lookup, access: OFlags::PATH }).open(name) {
        Err(Miss::NotCached) => Err(NotCached),
        Ok((_, metadata)) if metadata.is_file() => Ok(Some(Stamp::of(&metadata))),
        Ok(_) | Err(Miss::Nothing | Miss::Failed(_)) => Ok(None),
    }
}

/// Opens a directory to read its entries.
pub(super) fn directory(root: &Path, name: &Path) -> io::Result<File> {
    match (Walk { root, lookup: Lookup::Complete, access: OFlags::RDONLY | OFlags::DIRECTORY }).open(name) {
        Ok((directory, _)) => Ok(directory),
        Err(Miss::Failed(error)) => Err(error),
        Err(Miss::Nothing | Miss::NotCached) => Err(io::ErrorKind::NotFound.into()),
    }
}

/// The metadata of whatever is at a path.
pub(super) fn metadata(root: &Path, name: &Path) -> Option<Metadata> {
    (Walk { root, lookup: Lookup::Complete, access: OFlags::PATH }).open(name).ok().map(|(_, metadata)| metadata)
}

struct Walk<'a> {
    root: &'a Path,
    lookup: Lookup,
    access: OFlags,
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
                Ok(Found::File(Opened { file, name: path.relative.clone(), stamp: Stamp::of(&metadata) }))
            };
        }
        if !metadata.is_dir() {
            return Err(Miss::Nothing);
        }
        let name = path.relative.join(INDEX);
        match self.open(&name) {
            Ok((_, metadata)) if metadata.is_file() && !path.directory => Ok(Found::Directory),
            Ok((file, metadata)) if metadata.is_file() => {
                Ok(Found::File(Opened { file, name, stamp: Stamp::of(&metadata) }))
            }
            Ok(_) | Err(Miss::Nothing) => Ok(Found::Bare),
            Err(miss) => Err(miss),
        }
    }

    fn open(&self, relative: &Path) -> Result<(File, Metadata), Miss> {
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
        openat2(root, relative, self.flags(), Mode::empty(), resolve).map(File::from)
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
        let file = rustix::fs::openat(CWD, &path, self.flags() | OFlags::NOFOLLOW, Mode::empty());
        file.map(File::from).map_err(|error| miss(error.into()))
    }

    /// A fifo or a device must not make the open wait (it is refused once its type is known).
    fn flags(&self) -> OFlags {
        if self.access.contains(OFlags::PATH) {
            // The kernel refuses the others beside it.
            OFlags::PATH | OFlags::CLOEXEC
        } else {
            self.access | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC
        }
    }
}

fn miss(error: io::Error) -> Miss {
    let is_absence = matches!(
        Errno::from_io_error(&error),
        // NXIO: a socket, or a device without a driver.
        Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG | Errno::NXIO)
    );
    if is_absence { Miss::Nothing } else { Miss::Failed(error) }
}
