//! What is in files: one that is written again with what it had before has not changed.
//!
//! Without this an application that writes a module or a template whenever it is imported would be loaded again for ever.

use std::{
    collections::HashMap,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
};

/// Of larger files only size and time are looked at.
const LARGEST: u64 = 1024 * 1024;

/// Digests of files, as they were when they were looked at last.
#[derive(Debug, Default)]
pub(crate) struct Contents(HashMap<PathBuf, Digest>);

/// What is in a file, in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digest(u64);

impl Contents {
    /// Notes what is in a file; whether that is something else than before. One that came and went has not changed.
    pub(crate) fn differ(&mut self, path: &Path, digest: Option<Digest>) -> bool {
        match digest {
            Some(digest) => self.0.insert(path.to_owned(), digest) != Some(digest),
            None => self.0.remove(path).is_some(),
        }
    }
}

impl Digest {
    /// `None` where there is no file to be read.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        let mut hasher = DefaultHasher::new();
        if metadata.len() > LARGEST {
            (metadata.len(), metadata.modified().ok()).hash(&mut hasher);
        } else {
            fs::read(path).ok()?.hash(&mut hasher);
        }
        Some(Self(hasher.finish()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_differs_when_its_content_does() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.py");
        let mut contents = Contents::default();
        assert!(!contents.differ(&path, Digest::of(&path)), "there is nothing, and was nothing");
        fs::write(&path, "x = 1").unwrap();
        assert!(contents.differ(&path, Digest::of(&path)));
        fs::write(&path, "x = 1").unwrap();
        assert!(!contents.differ(&path, Digest::of(&path)));
        fs::write(&path, "x = 2").unwrap();
        assert!(contents.differ(&path, Digest::of(&path)));
        fs::remove_file(&path).unwrap();
        assert!(contents.differ(&path, Digest::of(&path)));
        assert!(!contents.differ(&path, Digest::of(&path)));
    }
}
