//! The one rule for what a request target means.
//!
//! The target is split at its first `?` (RFC 9112 §3.2.1). What is before it, the path, has one reading, which hosts' rules,
//! mounts, static files and the application (`SCRIPT_NAME` and `PATH_INFO`) share:
//!
//! 1. It is percent-decoded exactly once, to bytes. A `%` without two hexadecimal digits stays as it is, `+` is a plus
//!    sign, and `%2F` is a slash like any other. So `/%61dmin` is `/admin` for everybody.
//! 2. Dot segments are removed (RFC 3986 §5.2.4), however their dots are written (§6.2.2.2): `/static/../admin` is
//!    `/admin` for everybody. This is [`normalise`], and nothing looks at a path before it.
//! 3. Refused with 400 is what two readers may take for two paths: a NUL, `..` above the root, and a dot segment that is
//!    only one because of an encoded slash (`/shop/..%2fadmin`: in RFC 3986 that is no dot segment, for a decoder it is).
//! 4. Routing reads a run of slashes as one, so that a rule for `/admin` also holds for `//admin`. The application gets the
//!    slashes as they came, because a URL in its path may have two.
//! 5. A prefix is whole segments: `/shop` owns `/shop` and `/shop/x`, not `/shopping`. Case counts.
//!
//! A **static file** is looked for by [`file_path`], which reads the same bytes as names below a directory and refuses every
//! path that could mean another file than it shows: an empty segment, a backslash (a separator elsewhere), a hidden file.
//!
//! `REQUEST_URI` alone is the target as it was sent.

mod normal;

use std::{borrow::Cow, ffi::OsStr, os::unix::ffi::OsStrExt, path::PathBuf};

use bytes::Bytes;
use percent_encoding::percent_decode;

pub(crate) use normal::{BadPath, below, merged, normalise};

/// A request target, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Path, percent-decoded once.
    pub(crate) path: Bytes,
    /// What follows the first `?`, as sent.
    pub(crate) query: Bytes,
}

/// Splits and decodes a target in origin form.
pub(crate) fn split(target: &Bytes) -> Target {
    let (path, query) = match target.iter().position(|&byte| byte == b'?') {
        Some(mark) => (target.slice(..mark), target.slice(mark + 1..)),
        None => (target.clone(), Bytes::new()),
    };
    let path = match decode(&path) {
        Cow::Borrowed(_) => path,
        Cow::Owned(decoded) => decoded.into(),
    };
    Target { path, query }
}

/// Percent-decodes once; without a `%` nothing is copied.
pub(crate) fn decode(path: &[u8]) -> Cow<'_, [u8]> {
    percent_decode(path).into()
}

/// A path below a static root.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FilePath {
    /// Relative, made of plain names only; empty for the root itself.
    pub(crate) relative: PathBuf,
    /// The path ended in `/`: only a directory can be meant.
    pub(crate) directory: bool,
}

/// Reads a decoded path, from its leading `/`, as a path below a static root. `None`: refused, it names no file.
pub(crate) fn file_path(decoded: &[u8]) -> Option<FilePath> {
    let names = decoded.strip_prefix(b"/")?;
    if names.iter().any(|&byte| byte == 0 || byte == b'\\') {
        return None;
    }
    let (names, directory) = match names.strip_suffix(b"/") {
        Some(names) => (names, true),
        None => (names, names.is_empty()),
    };
    let mut relative = PathBuf::new();
    if names.is_empty() {
        // `//` is an empty segment, `/` is the root.
        return (decoded == b"/").then_some(FilePath { relative, directory });
    }
    for (index, name) in names.split(|&byte| byte == b'/').enumerate() {
        // RFC 8615 reserves this one hidden name for what clients must find.
        let well_known = index == 0 && name == b".well-known";
        if name.is_empty() || (name[0] == b'.' && !well_known) {
            return None;
        }
        relative.push(OsStr::from_bytes(name));
    }
    Some(FilePath { relative, directory })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_split_and_decoded_once() {
        for (target, path, query) in [
            ("/", "/", ""),
            ("/a%20b?x=%20?y", "/a b", "x=%20?y"),
            ("/%2541", "/%41", ""),
            ("/a+b%zz%4", "/a+b%zz%4", ""),
            ("//a/../b", "//a/../b", ""),
            ("/?", "/", ""),
        ] {
            let split = split(&Bytes::from(target));
            assert_eq!((&split.path[..], &split.query[..]), (path.as_bytes(), query.as_bytes()), "{target}");
        }
    }

    #[test]
    fn a_plain_path_names_a_file() {
        for (path, relative, directory) in [
            ("/", "", true),
            ("/a.txt", "a.txt", false),
            ("/a/b/", "a/b", true),
            ("/.well-known/x", ".well-known/x", false),
        ] {
            let expected = FilePath { relative: relative.into(), directory };
            assert_eq!(file_path(path.as_bytes()), Some(expected), "{path}");
        }
    }

    #[test]
    fn a_path_that_shows_another_file_than_it_means_is_refused() {
        for path in [
            "",
            "a",
            "//",
            "//a",
            "/a//b",
            "/..",
            "/a/../b",
            "/./a",
            "/a/.",
            "/.env",
            "/a/.git/x",
            "/a\0",
            "/a\\b",
            "/a/.well-known",
        ] {
            assert_eq!(file_path(path.as_bytes()), None, "{path:?}");
        }
    }
}
