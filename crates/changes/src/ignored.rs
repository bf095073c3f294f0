//! What git ignores.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use ignore::gitignore::{Gitignore, GitignoreBuilder};

/// The rules that apply below directories, read when they are first asked for.
#[derive(Debug)]
pub(crate) struct Ignored {
    /// `core.excludesFile`: of the user, in all repositories.
    of_user: Gitignore,
    by_directory: HashMap<PathBuf, Rules>,
}

/// Those in one directory.
#[derive(Clone, Debug)]
struct Rules {
    own: Gitignore,
    /// Of the repository whose top this is: `.git/info/exclude`.
    of_repository: Option<Gitignore>,
}

impl Ignored {
    pub(crate) fn new() -> Self {
        Self { of_user: Gitignore::global().0, by_directory: HashMap::new() }
    }

    /// Rules may have changed: they are read again.
    pub(crate) fn forget(&mut self) {
        self.by_directory.clear();
    }

    /// Whether git ignores something in a directory that it does not ignore. Outside a repository it ignores nothing.
    pub(crate) fn is_ignored(&mut self, path: &Path, is_directory: bool) -> bool {
        // The nearest rule decides (gitignore(5)).
        let mut verdict = None;
        for directory in path.ancestors().skip(1) {
            let rules = self.by_directory.entry(directory.to_owned()).or_insert_with(|| Rules::of(directory));
            verdict = verdict.or_else(|| matched(&rules.own, path, is_directory));
            if let Some(of_repository) = &rules.of_repository {
                let further = || {
                    matched(of_repository, path, is_directory).or_else(|| matched(&self.of_user, path, is_directory))
                };
                return verdict.or_else(further).unwrap_or(false);
            }
        }
        false
    }
}

impl Rules {
    fn of(directory: &Path) -> Self {
        // In a worktree it is a file, which says where the rest is.
        let git = directory.join(".git");
        let of_repository = git.exists().then(|| read(directory, &git.join("info/exclude")));
        Self { own: read(directory, &directory.join(".gitignore")), of_repository }
    }
}

/// A file that is not there has no rules, and a line that is none is left out, as git does.
fn read(directory: &Path, file: &Path) -> Gitignore {
    let mut builder = GitignoreBuilder::new(directory);
    let _ = builder.add(file);
    builder.build().unwrap_or_else(|_| Gitignore::empty())
}

fn matched(rules: &Gitignore, path: &Path, is_directory: bool) -> Option<bool> {
    match rules.matched(path, is_directory) {
        ignore::Match::None => None,
        ignore::Match::Ignore(_) => Some(true),
        ignore::Match::Whitelist(_) => Some(false),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn repository(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        directory
    }

    #[test]
    fn the_nearest_rule_decides() {
        let repository = repository(&[
            (".git/info/exclude", "private.py\n"),
            (".gitignore", "*.gen.py\nbuild/\n"),
            ("app/.gitignore", "!kept.gen.py\n"),
        ]);
        let mut ignored = Ignored::new();
        for (path, expected) in [
            ("a.gen.py", true),
            ("app/a.gen.py", true),
            ("app/kept.gen.py", false),
            ("kept.gen.py", true),
            ("app/private.py", true),
            ("app/views.py", false),
        ] {
            assert_eq!(ignored.is_ignored(&repository.path().join(path), false), expected, "{path}");
        }
        assert!(ignored.is_ignored(&repository.path().join("build"), true));
        assert!(!ignored.is_ignored(&repository.path().join("build"), false), "only a directory is meant");
    }

    #[test]
    fn outside_a_repository_nothing_is_ignored() {
        let directory = repository(&[(".gitignore", "*\n")]);
        assert!(!Ignored::new().is_ignored(&directory.path().join("a.py"), false));
    }

    #[test]
    fn changed_rules_are_read_again() {
        let repository = repository(&[(".git/HEAD", ""), (".gitignore", "a.py\n")]);
        let (mut ignored, path) = (Ignored::new(), repository.path().join("a.py"));
        assert!(ignored.is_ignored(&path, false));
        fs::write(repository.path().join(".gitignore"), "b.py\n").unwrap();
        ignored.forget();
        assert!(!ignored.is_ignored(&path, false));
    }
}
