//! Values by pattern: a path, all that is below one, a regular expression, in this order.

use std::{collections::HashMap, ops::Range};

use regex::bytes::Regex;
use stack_config::PathPattern;

use super::prefixes::{Prefixes, Reach};

/// `$0` to `$9`.
const GROUPS: usize = 10;

/// Values, each with the pattern of the paths that it is for.
#[derive(Debug)]
pub(super) struct Patterns<T> {
    exact: HashMap<Box<[u8]>, T>,
    below: Prefixes<T>,
    regexes: Vec<(Regex, T)>,
}

/// What the groups of a pattern matched in a path.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Captures([Option<Range<usize>>; GROUPS]);

impl Captures {
    /// What `$number` stands for; nothing where the group took no part.
    pub(super) fn of<'a>(&self, number: usize, path: &'a [u8]) -> &'a [u8] {
        self.0.get(number).cloned().flatten().and_then(|range| path.get(range)).unwrap_or_default()
    }
}

impl<T> Default for Patterns<T> {
    fn default() -> Self {
        Self { exact: HashMap::new(), below: Prefixes::default(), regexes: Vec::new() }
    }
}

impl<T> Patterns<T> {
    pub(super) fn insert(&mut self, pattern: &PathPattern, value: T) {
        match pattern {
            PathPattern::Exact(path) => {
                self.exact.insert(path.as_bytes().into(), value);
            }
            PathPattern::Below(prefix) => self.below.insert(prefix, value),
            PathPattern::Regex(text) => {
                let regex = Regex::new(text).expect("the configuration compiled it");
                self.regexes.push((regex, value));
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.below.is_empty() && self.regexes.is_empty()
    }

    /// The value for a decoded path, its slashes merged.
    pub(super) fn find(&self, path: &[u8]) -> Option<(&T, Captures)> {
        let mut captures = Captures::default();
        captures.0[0] = Some(0..path.len());
        if let Some(value) = self.exact.get(path) {
            return Some((value, captures));
        }
        if let Some((value, length)) = self.below.find(path, Reach::Below) {
            captures.0[1] = Some(length + 1..path.len());
            return Some((value, captures));
        }
        let (found, value) = self.regexes.iter().find_map(|(regex, value)| Some((regex.captures(path)?, value)))?;
        for (place, group) in captures.0.iter_mut().zip(found.iter()) {
            *place = group.map(|group| group.range());
        }
        Some((value, captures))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str) -> Option<(&'static str, Vec<String>)> {
        let mut patterns = Patterns::default();
        patterns.insert(&PathPattern::Regex("^/u/([0-9]+)(/x)?".into()), "first");
        patterns.insert(&PathPattern::Regex("(?i)\\.PHP$".into()), "second");
        patterns.insert(&PathPattern::Below("/u/1".into()), "below");
        patterns.insert(&PathPattern::Below(String::new()), "all");
        patterns.insert(&PathPattern::Exact("/u/1/exact".into()), "exact");
        if path.starts_with("/u/2") || path.ends_with("php") {
            patterns.below = Prefixes::default();
        }
        let (value, captures) = patterns.find(path.as_bytes())?;
        let text = |number| String::from_utf8(captures.of(number, path.as_bytes()).to_vec()).unwrap();
        Some((value, (0..3).map(text).collect()))
    }

    #[test]
    fn a_path_goes_before_a_prefix_and_a_prefix_before_an_expression() {
        for (path, value, groups) in [
            ("/u/1/exact", "exact", ["/u/1/exact", "", ""]),
            ("/u/1/a/b", "below", ["/u/1/a/b", "a/b", ""]),
            ("/u/1/", "below", ["/u/1/", "", ""]),
            ("/u/1", "all", ["/u/1", "u/1", ""]),
            ("/u/22/x", "first", ["/u/22/x", "22", "/x"]),
            ("/u/22", "first", ["/u/22", "22", ""]),
            ("/u/22/y.php", "first", ["/u/22", "22", ""]),
            ("/a.php", "second", [".php", "", ""]),
        ] {
            assert_eq!(found(path), Some((value, groups.map(str::to_owned).to_vec())), "{path}");
        }
        assert_eq!(found("/u/x.html.php5").map(|(value, _)| value), Some("all"));
    }
}
