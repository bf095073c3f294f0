//! What is watched, and what of it counts.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use crate::{Kind, Module, Settings, ignored::Ignored, kinds, patterns::Patterns};

/// As many directories are watched at the most. A larger tree is no application: somebody has started the server in their
/// home directory.
const MOST_DIRECTORIES: usize = 10_000;

/// All places, and the rules for them.
#[derive(Debug)]
pub(crate) struct Tree {
    /// Directories below which all is looked at.
    roots: BTreeSet<PathBuf>,
    /// Files that count wherever they are, and whatever git thinks of them.
    files: BTreeSet<PathBuf>,
    statics: BTreeSet<PathBuf>,
    /// What users send is kept there.
    uploads: BTreeSet<PathBuf>,
    include: Patterns,
    ignore: Patterns,
    ignored: Ignored,
    /// Those that the system tells of.
    pub(crate) watched: BTreeSet<PathBuf>,
}

/// What modules have added.
#[derive(Debug, Default)]
pub(crate) struct Added {
    /// Where to walk.
    pub(crate) packages: Vec<PathBuf>,
    /// Single files.
    pub(crate) files: Vec<PathBuf>,
}

/// What a walk has found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Files that count.
    pub(crate) files: BTreeMap<PathBuf, Kind>,
    /// There were more than can be watched.
    pub(crate) is_cut: bool,
}

impl Tree {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            roots: settings.directories.iter().map(|path| real(path)).collect(),
            files: settings.files.iter().map(|path| real(path)).collect(),
            statics: settings.statics.iter().map(|path| real(path)).collect(),
            uploads: BTreeSet::new(),
            include: Patterns::new(&settings.include),
            ignore: Patterns::new(&settings.ignore),
            ignored: Ignored::new(),
            watched: BTreeSet::new(),
        }
    }

    /// What a changed file asks for; `None` where it does not count. A file that is gone counts as it did before.
    pub(crate) fn kind(&mut self, path: &Path) -> Option<Kind> {
        if self.files.contains(path) {
            return Some(Kind::Code);
        }
        let root = self.roots.iter().filter(|root| path.starts_with(root)).max_by_key(|root| root.as_os_str().len());
        let relative = root.and_then(|root| path.strip_prefix(root).ok()).unwrap_or(Path::new(""));
        if self.ignore.include(relative) || below(&self.uploads, path).is_some() {
            return None;
        }
        if let Some(below) = self.static_root(path).and_then(|root| path.strip_prefix(root).ok()) {
            let is_code = kinds::of(below) == Some(Kind::Code) && path.extension().is_some_and(|suffix| suffix == "py");
            return (!is_code && !kinds::is_left_over(below)).then_some(Kind::Static);
        }
        root?;
        if self.include.include(relative) {
            return Some(Kind::Code);
        }
        let kind = kinds::of(relative)?;
        (!self.ignored.is_ignored(path, false)).then_some(kind)
    }

    /// The static root that a path is in. A directory that has an application in it is that application's first of all.
    fn static_root(&self, path: &Path) -> Option<&Path> {
        let root = below(&self.statics, path)?;
        let holds_application = self.roots.iter().any(|directory| directory.starts_with(root));
        (!holds_application).then_some(root)
    }

    /// Adds the files of modules, and the packages outside the directories that they are from: templates lie in them too.
    pub(crate) fn add_modules(&mut self, modules: Vec<Module>) -> Added {
        let mut added = Added::default();
        for Module { name, file } in modules {
            let file = real(&file);
            if below(&self.roots, &file).is_none() {
                let depth = name.split('.').count() - usize::from(!is_package(&file));
                // `shop.views` in /src/shop/views.py: the package is one level up.
                match file.ancestors().nth(depth).filter(|_| depth > 0) {
                    Some(package) if package.join("__init__.py").is_file() => {
                        self.roots.insert(package.to_owned());
                        added.packages.push(package.to_owned());
                    }
                    _ if !self.files.contains(&file) => added.files.push(file.clone()),
                    _ => {}
                }
            }
            self.files.insert(file);
        }
        added
    }

    /// Adds a directory of files that are sent as they are.
    pub(crate) fn add_statics(&mut self, directory: &Path) -> PathBuf {
        let directory = real(directory);
        self.statics.insert(directory.clone());
        directory
    }

    /// Adds a directory that users write into.
    pub(crate) fn add_uploads(&mut self, directory: &Path) {
        self.uploads.insert(real(directory));
    }

    /// Where the walk begins, and the directories of single files.
    pub(crate) fn places(&self) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let roots = self.roots.iter().chain(&self.statics).cloned().collect();
        let parents = self.files.iter().filter_map(|file| file.parent());
        let others: BTreeSet<PathBuf> =
            parents.filter(|parent| !self.watched.contains(*parent)).map(Path::to_owned).collect();
        (roots, others.into_iter().collect())
    }

    /// The single files.
    pub(crate) fn named(&self) -> impl Iterator<Item = &PathBuf> {
        self.files.iter()
    }

    pub(crate) fn forget_rules(&mut self) {
        self.ignored.forget();
    }

    /// Walks a directory and what is below it, as far as it counts. Symbolic links are not followed. Each directory is given to
    /// `watch` before it is read: what changes meanwhile is seen in one of the two ways.
    pub(crate) fn walk(&mut self, directory: &Path, mut watch: impl FnMut(&Path)) -> Found {
        let mut found = Found::default();
        if !self.leads_on(directory) {
            return found;
        }
        let mut next = vec![directory.to_owned()];
        while let Some(directory) = next.pop() {
            if self.watched.len() >= MOST_DIRECTORIES {
                found.is_cut = true;
                break;
            }
            if self.watched.insert(directory.clone()) {
                watch(&directory);
            }
            // It may be gone again, or not be ours to read.
            let Ok(entries) = fs::read_dir(&directory) else { continue };
            for entry in entries.flatten() {
                let path = entry.path();
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() && self.leads_on(&path) => next.push(path),
                    Ok(kind) if kind.is_file() => {
                        if let Some(kind) = self.kind(&path) {
                            found.files.insert(path, kind);
                        }
                    }
                    _ => {}
                }
            }
        }
        found
    }

    /// Whether anything in a directory may count.
    fn leads_on(&mut self, directory: &Path) -> bool {
        let is_root = self.roots.contains(directory) || self.statics.contains(directory);
        if is_root {
            return true;
        }
        if below(&self.uploads, directory).is_some() || kinds::is_foreign(directory) {
            return false;
        }
        if self.static_root(directory).is_some() {
            return true;
        }
        below(&self.roots, directory).is_some() && !self.ignored.is_ignored(directory, true)
    }
}

/// The longest of the directories that a path is in.
fn below<'a>(directories: &'a BTreeSet<PathBuf>, path: &Path) -> Option<&'a Path> {
    path.ancestors().find_map(|ancestor| directories.get(ancestor)).map(PathBuf::as_path)
}

fn is_package(file: &Path) -> bool {
    file.file_stem().is_some_and(|stem| stem == "__init__")
}

/// With symbolic links resolved, as far as it is there.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
pub(crate) mod tests;
