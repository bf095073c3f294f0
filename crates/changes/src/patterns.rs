//! Globs as a user writes them.

use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// Globs for file names, and for paths from a directory on.
#[derive(Debug)]
pub(crate) struct Patterns {
    names: GlobSet,
    paths: GlobSet,
}

impl Patterns {
    /// Globs that are none are left out: the configuration refuses them.
    pub(crate) fn new(globs: &[String]) -> Self {
        let (paths, names): (Vec<&String>, Vec<&String>) = globs.iter().partition(|glob| glob.contains('/'));
        Self { names: set(&names), paths: set(&paths) }
    }

    /// Whether a file is meant, whose path from the directory on this is.
    pub(crate) fn include(&self, path: &Path) -> bool {
        path.file_name().is_some_and(|name| self.names.is_match(name)) || self.paths.is_match(path)
    }
}

fn set(globs: &[&String]) -> GlobSet {
    let mut set = GlobSetBuilder::new();
    for glob in globs.iter().filter_map(|glob| GlobBuilder::new(glob).literal_separator(true).build().ok()) {
        set.add(glob);
    }
    set.build().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_is_for_names_or_with_a_slash_for_paths() {
        let patterns = Patterns::new(&["*.json".into(), "data/*.csv".into(), "made/**".into()]);
        for (path, expected) in [
            ("a.json", true),
            ("deep/in/a.json", true),
            ("data/a.csv", true),
            ("data/old/a.csv", false),
            ("a.csv", false),
            ("made/by/us.py", true),
        ] {
            assert_eq!(patterns.include(path.as_ref()), expected, "{path}");
        }
    }
}
