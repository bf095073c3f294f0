//! Prefixes of paths, of which the longest counts.

use std::collections::HashMap;

/// Values by prefix. A look-up takes one hash for each segment, as far as the deepest prefix goes.
#[derive(Debug)]
pub(super) struct Prefixes<T> {
    values: HashMap<Box<[u8]>, T>,
    /// Segments of the longest prefix.
    deepest: usize,
}

/// Whether a prefix stands for the path that it is, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// `/a` and all below it.
    WithItself,
    /// What begins with `/a/`.
    Below,
}

impl<T> Default for Prefixes<T> {
    fn default() -> Self {
        Self { values: HashMap::new(), deepest: 0 }
    }
}

impl<T> Prefixes<T> {
    /// Adds a prefix without a slash at its end; the empty one is the root.
    pub(super) fn insert(&mut self, prefix: &str, value: T) {
        self.deepest = self.deepest.max(prefix.matches('/').count());
        self.values.insert(prefix.as_bytes().into(), value);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.values.values()
    }

    /// The value of the longest prefix of whole segments, and the prefix's length.
    pub(super) fn find(&self, path: &[u8], reach: Reach) -> Option<(&T, usize)> {
        if self.values.is_empty() {
            return None;
        }
        let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        let mut end = slashes.map(|(at, _)| at).nth(self.deepest).unwrap_or(path.len());
        loop {
            if (end < path.len() || reach == Reach::WithItself)
                && let Some(value) = self.values.get(&path[..end])
            {
                return Some((value, end));
            }
            end = path[..end].iter().rposition(|&byte| byte == b'/')?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(prefixes: &[&str], path: &str, reach: Reach) -> Option<String> {
        let mut all = Prefixes::default();
        for prefix in prefixes {
            all.insert(prefix, (*prefix).to_owned());
        }
        let (prefix, length) = all.find(path.as_bytes(), reach)?;
        assert_eq!(prefix, &path[..length]);
        Some(prefix.clone())
    }

    #[test]
    fn the_longest_prefix_of_whole_segments_is_found() {
        let prefixes = ["/a", "/a/b/c", "/b"];
        for (path, expected) in [
            ("/a", Some("/a")),
            ("/a/", Some("/a")),
            ("/a/b", Some("/a")),
            ("/a/b/c", Some("/a/b/c")),
            ("/a/b/c/d/e/f", Some("/a/b/c")),
            ("/a/b/cd", Some("/a")),
            ("/ab", None),
            ("/", None),
            ("/c/a", None),
        ] {
            assert_eq!(found(&prefixes, path, Reach::WithItself).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn what_is_below_a_prefix_is_not_the_prefix() {
        for (path, expected) in [("/a", Some("")), ("/a/", Some("/a")), ("/a/b", Some("/a")), ("/", Some(""))] {
            assert_eq!(found(&["/a", ""], path, Reach::Below).as_deref(), expected, "{path}");
        }
        assert_eq!(found(&["/a"], "/a", Reach::Below), None);
    }
}
