use std::{io::Write, time::SystemTime};

use tempfile::TempDir;

use super::*;

/// Files with a line in each, and directories where the name ends with a slash.
pub(crate) fn made(names: &[&str]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for name in names {
        let path = directory.path().join(name);
        fs::create_dir_all(if name.ends_with('/') { &path } else { path.parent().unwrap() }).unwrap();
        if !name.ends_with('/') {
            let mut file = fs::File::create(path).unwrap();
            file.write_all(b"x = 1\n").unwrap();
            // Long ago, for those who look at it.
            file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        }
    }
    directory
}

pub(crate) fn settings(directory: &Path) -> Settings {
    Settings {
        directories: vec![directory.to_owned()],
        files: Vec::new(),
        statics: Vec::new(),
        include: Vec::new(),
        ignore: Vec::new(),
        since: SystemTime::now(),
    }
}

fn walked(tree: &mut Tree, directory: &Path) -> Vec<String> {
    let found = tree.walk(directory, |_| {});
    found.files.keys().map(|path| path.strip_prefix(directory).unwrap().display().to_string()).collect()
}

#[test]
fn a_walk_finds_the_applications_own_files() {
    let directory = made(&[
        "manage.py",
        "shop/views.py",
        "shop/templates/a.txt",
        "venv/pyvenv.cfg",
        "venv/lib/x.py",
        "node_modules/x.js",
        ".hidden/x.py",
        "shop/__pycache__/views.pyc",
        "db.sqlite3",
    ]);
    let mut tree = Tree::new(&settings(directory.path()));
    assert_eq!(walked(&mut tree, directory.path()), ["manage.py", "shop/templates/a.txt", "shop/views.py"]);
    let watched: Vec<_> = tree.watched.iter().map(|path| path.strip_prefix(directory.path()).unwrap()).collect();
    assert_eq!(watched, ["", "shop", "shop/templates"].map(Path::new));
}

#[test]
fn what_git_ignores_does_not_count_unless_it_was_imported() {
    let directory = made(&[".git/HEAD", "local.py", "made.py", "build/x.py"]);
    fs::write(directory.path().join(".gitignore"), "local.py\nmade.py\nbuild/\n").unwrap();
    let mut tree = Tree::new(&settings(directory.path()));
    assert_eq!(walked(&mut tree, directory.path()), [""; 0]);
    tree.add_modules(vec![Module { name: "local".into(), file: directory.path().join("local.py") }]);
    assert_eq!(tree.kind(&directory.path().join("local.py")), Some(Kind::Code));
    assert_eq!(tree.kind(&directory.path().join("made.py")), None);
}

#[test]
fn a_static_root_counts_whatever_git_says_and_uploads_never_do() {
    let directory = made(&[".git/HEAD", "dist/app.js", "dist/logo.png", "media/cat.svg"]);
    fs::write(directory.path().join(".gitignore"), "dist/\n").unwrap();
    let statics = vec![directory.path().join("dist")];
    let mut tree = Tree::new(&Settings { statics, ..settings(directory.path()) });
    let mut kind = |name: &str| tree.kind(&directory.path().join(name));
    assert_eq!((kind("dist/app.js"), kind("dist/logo.png")), (Some(Kind::Static), Some(Kind::Static)));
    assert_eq!(kind("media/cat.svg"), Some(Kind::Static));
    tree.add_uploads(&directory.path().join("media"));
    assert_eq!(tree.kind(&directory.path().join("media/cat.svg")), None);
}

#[test]
fn globs_add_files_and_take_them_away() {
    let directory = made(&["data/a.json", "made/x.py"]);
    let (include, ignore) = (vec!["*.json".into()], vec!["made/*".into()]);
    let mut tree = Tree::new(&Settings { include, ignore, ..settings(directory.path()) });
    assert_eq!(tree.kind(&directory.path().join("data/a.json")), Some(Kind::Code));
    assert_eq!(tree.kind(&directory.path().join("made/x.py")), None);
}

#[test]
fn a_package_from_elsewhere_is_looked_at_as_a_whole() {
    let (here, there) = (made(&[]), made(&["src/lib/__init__.py", "src/lib/deep/a.py", "src/one.py", "src/other.py"]));
    let there = there.path().join("src");
    let mut tree = Tree::new(&settings(here.path()));
    let module = |name: &str, file: &str| Module { name: name.into(), file: there.join(file) };
    let added = tree.add_modules(vec![module("lib.deep.a", "lib/deep/a.py"), module("one", "one.py")]);
    assert_eq!((added.packages, added.files), (vec![there.join("lib")], vec![there.join("one.py")]));
    assert_eq!(walked(&mut tree, &there.join("lib")), ["__init__.py", "deep/a.py"]);
    assert_eq!(tree.kind(&there.join("one.py")), Some(Kind::Code));
    assert_eq!(tree.kind(&there.join("other.py")), None, "a neighbour is somebody else's");
    assert_eq!(tree.places().1, [there.clone()].as_slice());
}
