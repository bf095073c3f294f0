use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
        mpsc,
    },
    time::Duration,
};

use super::*;
use crate::tree::tests::{made, settings};

/// Nothing takes as long as this where it works.
const LIMIT: Duration = Duration::from_secs(20);

struct Watched {
    directory: tempfile::TempDir,
    watcher: Watcher,
    changes: mpsc::Receiver<Change>,
    /// No two are the same.
    written: AtomicU32,
}

fn watched(names: &[&str], settle: impl FnOnce(Settings) -> Settings) -> Watched {
    let directory = made(names);
    let (sender, changes) = mpsc::channel();
    let settings = settle(settings(directory.path()));
    let watcher = Watcher::start(&settings, move |change| sender.send(change).unwrap()).unwrap();
    watcher.wait_until_begun();
    Watched { directory, watcher, changes, written: AtomicU32::new(2) }
}

impl Watched {
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str) {
        let content = format!("x = {}\n", self.written.fetch_add(1, Relaxed));
        fs::write(self.path(name), content).unwrap();
    }

    fn next(&self) -> Change {
        self.changes.recv_timeout(LIMIT).expect("a change")
    }

    fn noticed(&self, name: &str) -> Change {
        self.write(name);
        let change = self.next();
        assert_eq!(change, Change { kind: change.kind, files: vec![self.path(name)] });
        change
    }
}

#[test]
fn a_saved_file_is_a_change() {
    let watched = watched(&["app.py", "site.css"], |settings| settings);
    assert_eq!(watched.noticed("app.py").kind, Kind::Code);
    assert_eq!(watched.noticed("site.css").kind, Kind::Static);
}

#[test]
fn a_file_that_is_replaced_as_editors_do_is_one_change() {
    let watched = watched(&["app.py", "other.py"], |settings| settings);
    watched.noticed("other.py");
    watched.write(".app.py.swp");
    watched.write("app.py.tmp");
    fs::rename(watched.path("app.py.tmp"), watched.path("app.py")).unwrap();
    assert_eq!(watched.next().files, [watched.path("app.py")]);
    watched.noticed("other.py");
}

#[test]
fn what_does_not_count_is_no_change() {
    let watched = watched(&["app.py"], |settings| settings);
    watched.noticed("app.py");
    for name in ["db.sqlite3", "visits.json", "debug.log", "app.pyc"] {
        watched.write(name);
    }
    fs::create_dir(watched.path("__pycache__")).unwrap();
    watched.write("__pycache__/x.py");
    // The next change is the one that counts, alone.
    watched.noticed("app.py");
}

#[test]
fn a_file_with_the_same_content_has_not_changed_unless_it_was_touched() {
    let watched = watched(&["app.py", "made.py", "other.py"], |settings| settings);
    watched.noticed("app.py");
    fs::write(watched.path("made.py"), "x = 1\n").unwrap();
    watched.write("new.py");
    fs::remove_file(watched.path("new.py")).unwrap();
    watched.noticed("app.py");
    fs::OpenOptions::new().append(true).open(watched.path("other.py")).unwrap();
    assert_eq!(watched.next().files, [watched.path("other.py")]);
}

#[test]
fn a_module_from_elsewhere_that_was_saved_after_it_was_read_is_a_change() {
    let elsewhere = made(&["late.py", "early.py"]);
    let watched = watched(&["app.py"], |settings| settings);
    watched.noticed("app.py");
    let module = |name: &str| Module { name: name.into(), file: elsewhere.path().join(format!("{name}.py")) };
    fs::write(elsewhere.path().join("late.py"), "x = 2\n").unwrap();
    watched.watcher.add_modules(vec![module("early"), module("late")]);
    assert_eq!(watched.next().files, [elsewhere.path().join("late.py")]);
    // The same once more is no news.
    watched.watcher.add_modules(vec![module("early"), module("late")]);
    watched.noticed("app.py");
}

#[test]
fn a_new_directory_is_watched_and_a_removed_one_is_a_change() {
    let watched = watched(&["app.py"], |settings| settings);
    watched.noticed("app.py");
    fs::create_dir(watched.path("shop")).unwrap();
    watched.write("shop/views.py");
    assert_eq!(watched.next().files, [watched.path("shop/views.py")]);
    watched.noticed("shop/views.py");
    fs::rename(watched.path("shop"), watched.path("../gone")).ok();
    fs::remove_dir_all(watched.path("shop")).ok();
    assert!(watched.next().files.iter().any(|file| file.starts_with(watched.path("shop"))));
    fs::remove_dir_all(watched.path("../gone")).ok();
}

#[test]
fn a_file_is_not_looked_at_while_it_is_being_written() {
    let watched = watched(&["app.py", "made.html"], |settings| settings);
    let mut writing = fs::File::create(watched.path("made.html")).unwrap();
    watched.noticed("app.py");
    writing.write_all(b"x = 1\n").unwrap();
    drop(writing);
    watched.noticed("app.py");
}

#[test]
fn a_module_from_elsewhere_is_watched_when_it_is_told_of() {
    let elsewhere = made(&["lib/__init__.py", "lib/page.html", "lib/deep/a.py"]);
    let watched = watched(&["app.py"], |settings| settings);
    let file = elsewhere.path().join("lib/__init__.py");
    watched.watcher.add_modules(vec![Module { name: "lib".into(), file }]);
    // In the order in which they are told: the packages are watched before this is noticed.
    watched.noticed("app.py");
    let page = elsewhere.path().join("lib/page.html");
    fs::write(&page, "new").unwrap();
    assert_eq!(watched.next(), Change { kind: Kind::Code, files: vec![page] });
}

#[test]
fn a_named_file_counts_wherever_it_is_and_its_neighbours_do_not() {
    let elsewhere = made(&["stack.toml", "other.toml"]);
    let named = elsewhere.path().join("stack.toml");
    let watched = watched(&["app.py"], |settings| Settings { files: vec![named.clone()], ..settings });
    watched.noticed("app.py");
    fs::write(elsewhere.path().join("other.toml"), "").unwrap();
    fs::write(&named, "").unwrap();
    assert_eq!(watched.next(), Change { kind: Kind::Code, files: vec![named] });
}

#[test]
fn code_and_static_files_together_are_a_change_of_code() {
    let mut batch = Batch::default();
    let now = Instant::now();
    batch.add("a.css".into(), Kind::Static, true, now);
    batch.add("a.py".into(), Kind::Code, true, now + Duration::from_millis(5));
    assert_eq!(batch.due(), Some(now + Duration::from_millis(5) + QUIET));
    batch.add("b.py".into(), Kind::Code, true, now + LONGEST);
    assert_eq!(batch.due(), Some(now + LONGEST), "a change that does not end is told as well");
    let files = ["a.py", "b.py"].map(PathBuf::from).to_vec();
    let mut contents = Contents::default();
    assert_eq!(batch.take(&mut contents, &HashSet::new()), Some(Change { kind: Kind::Code, files }));
    assert_eq!((batch.take(&mut contents, &HashSet::new()), batch.due()), (None, None));
}

#[test]
fn a_file_that_is_written_again_and_again_with_the_same_is_never_a_change() {
    let watched = watched(&["app.py", "made.html"], |settings| settings);
    let stop = Arc::new(AtomicBool::new(false));
    let (path, is_over) = (watched.path("made.html"), Arc::clone(&stop));
    let writing = thread::spawn(move || {
        while !is_over.load(Relaxed) {
            fs::write(&path, "x = 1\n").unwrap();
        }
    });
    for _ in 0..20 {
        watched.noticed("app.py");
    }
    stop.store(true, Relaxed);
    writing.join().unwrap();
}
