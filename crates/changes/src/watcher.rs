//! One thread that hears what happens to files, and says what has changed when it has been quiet for a moment.

use std::{
    collections::{BTreeMap, HashSet},
    fmt, fs, io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant, SystemTime},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};
use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode, CreateKind, ModifyKind, RemoveKind},
};

use crate::{
    Change, Kind, Module, Settings,
    contents::{Contents, Digest},
    tree::{Added, Found, Tree},
};

/// A change is over when nothing more has happened for so long. An editor's steps follow one another within a millisecond.
const QUIET: Duration = Duration::from_millis(15);

/// A file that was written to less than this ago is still being written, or is again. More than [`CLOCK`], less than [`QUIET`].
const SETTLED: Duration = Duration::from_millis(12);

/// The same of a file with nothing in it.
const EMPTY: Duration = Duration::from_millis(300);

/// The clock that files have their times from may be as late as this.
const CLOCK: Duration = Duration::from_millis(10);

/// It is told after so long at the latest, however much goes on.
const LONGEST: Duration = Duration::from_millis(200);

/// Watches until it is dropped.
pub struct Watcher {
    inbox: Sender<Message>,
    /// Closed once all that was there at the begin is watched.
    begun: Receiver<()>,
}

/// What the thread is told.
enum Message {
    Happened(notify::Result<Event>),
    Modules(Vec<Module>),
    Statics(PathBuf),
    Uploads(PathBuf),
    End,
}

impl Watcher {
    /// Starts the thread, which calls `tell` for each change.
    pub fn start(settings: &Settings, tell: impl FnMut(Change) + Send + 'static) -> io::Result<Self> {
        let (inbox, messages) = unbounded();
        let happened = inbox.clone();
        let system = notify::recommended_watcher(move |event| {
            let _ = happened.send(Message::Happened(event));
        })
        .map_err(io::Error::other)?;
        let tree = Tree::new(settings);
        let watching = Watching {
            system,
            tree,
            since: settings.since,
            tell,
            batch: Batch::default(),
            contents: Contents::default(),
            being_written: HashSet::new(),
            has_complained: false,
        };
        let (begins, begun) = bounded(0);
        thread::Builder::new().name("changes".to_owned()).spawn(move || watching.run(&messages, begins))?;
        Ok(Self { inbox, begun })
    }

    /// Waits until all that was there at the begin is watched: no later change goes unseen.
    pub fn wait_until_begun(&self) {
        // It ends with the other side.
        let _ = self.begun.recv();
    }

    /// Watches the files of these modules as well, and the packages that they belong to.
    pub fn add_modules(&self, modules: Vec<Module>) {
        self.tell(Message::Modules(modules));
    }

    /// Watches a directory whose files are sent as they are.
    pub fn add_statics(&self, directory: PathBuf) {
        self.tell(Message::Statics(directory));
    }

    /// Leaves out a directory that users write into.
    pub fn add_uploads(&self, directory: PathBuf) {
        self.tell(Message::Uploads(directory));
    }

    fn tell(&self, message: Message) {
        // A thread that is gone has nobody to tell.
        let _ = self.inbox.send(message);
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.tell(Message::End);
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher").finish_non_exhaustive()
    }
}

/// What has happened and is not told yet.
#[derive(Debug, Default)]
struct Batch {
    files: BTreeMap<PathBuf, Heard>,
    first: Option<Instant>,
    last: Option<Instant>,
}

/// What was heard of a file.
#[derive(Clone, Copy, Debug)]
struct Heard {
    kind: Kind,
    /// It counts whatever is in it.
    is_certain: bool,
}

impl Batch {
    fn add(&mut self, path: PathBuf, kind: Kind, is_certain: bool, now: Instant) {
        let heard = self.files.entry(path).or_insert(Heard { kind, is_certain });
        heard.kind = heard.kind.max(kind);
        heard.is_certain |= is_certain;
        self.first.get_or_insert(now);
        self.last = Some(now);
    }

    /// When it is to be told.
    fn due(&self) -> Option<Instant> {
        let (first, last) = (self.first?, self.last?);
        Some((last + QUIET).min(first + LONGEST))
    }

    /// What has changed, if anything has.
    fn take(&mut self, contents: &mut Contents, being_written: &HashSet<PathBuf>) -> Option<Change> {
        let Self { mut files, .. } = std::mem::take(self);
        // Half of a file is no version of it. Its end will be heard.
        files.retain(|path, _| !being_written.contains(path));
        for (path, heard) in std::mem::take(&mut files) {
            let read_at = SystemTime::now();
            let digest = Digest::of(&path);
            if !heard.is_certain && !had_settled(&path, read_at) {
                self.files.insert(path, heard);
            } else if contents.differ(&path, digest) || heard.is_certain {
                files.insert(path, heard);
            }
        }
        if !self.files.is_empty() {
            (self.first, self.last) = (Some(Instant::now()), Some(Instant::now()));
        }
        let kind = files.values().map(|heard| heard.kind).max()?;
        let files = files.into_iter().filter(|(_, heard)| heard.kind == kind).map(|(path, _)| path).collect();
        Some(Change { kind, files })
    }
}

struct Watching<T> {
    system: RecommendedWatcher,
    tree: Tree,
    /// What is not watched yet was read after this: by this process, or by another one that was told of the last change.
    since: SystemTime,
    tell: T,
    batch: Batch,
    contents: Contents,
    /// Files that have been written to, and not closed yet.
    being_written: HashSet<PathBuf>,
    has_complained: bool,
}

impl<T: FnMut(Change)> Watching<T> {
    fn run(mut self, messages: &Receiver<Message>, begins: Sender<()>) {
        let (roots, parents) = self.tree.places();
        for root in roots {
            self.walk(&root);
        }
        self.watch(&parents);
        for file in self.tree.named() {
            self.contents.differ(file, Digest::of(file));
        }
        drop(begins);
        loop {
            let next = match self.batch.due() {
                Some(due) => messages.recv_deadline(due),
                None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match next {
                Ok(Message::End) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(change) = self.batch.take(&mut self.contents, &self.being_written) {
                        self.since = SystemTime::now();
                        (self.tell)(change);
                    }
                }
            }
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Happened(Ok(event)) => self.happened(event),
            Message::Happened(Err(error)) => complain(&mut self.has_complained, &error),
            Message::Modules(modules) => self.add_modules(modules),
            Message::Statics(directory) => {
                let root = self.tree.add_statics(&directory);
                self.walk(&root);
            }
            Message::Uploads(directory) => self.tree.add_uploads(&directory),
            Message::End => {}
        }
    }

    /// Watches where these are from. What is not below a directory that was watched all the time was read before it is watched:
    /// it may have changed since.
    fn add_modules(&mut self, modules: Vec<Module>) {
        let Added { packages, files } = self.tree.add_modules(modules);
        let is_news = !packages.is_empty() || !files.is_empty();
        for package in packages {
            let files = self.walk(&package);
            self.add_if_changed(files);
        }
        let (_, parents) = self.tree.places();
        self.watch(&parents);
        for file in &files {
            self.contents.differ(file, Digest::of(file));
        }
        self.add_if_changed(files.into_iter().map(|file| (file, Kind::Code)).collect());
        if is_news {
            tracing::debug!("modules from elsewhere are watched");
        }
    }

    /// Watches a directory and what is below it; gives the files there that count.
    fn walk(&mut self, root: &Path) -> BTreeMap<PathBuf, Kind> {
        let Self { tree, system, has_complained, .. } = self;
        let Found { files, is_cut } = tree.walk(root, |directory| {
            // One that is gone again is no problem.
            match system.watch(directory, RecursiveMode::NonRecursive) {
                Err(error) if !matches!(error.kind, notify::ErrorKind::PathNotFound) => {
                    complain(has_complained, &error);
                }
                _ => {}
            }
        });
        if is_cut && !self.has_complained {
            self.has_complained = true;
            tracing::warn!(
                code = "STACK0721",
                directory = %root.display(),
                "too many directories: changes in some of them are not noticed; start in the application's own directory (chdir)"
            );
        }
        for file in files.keys() {
            self.contents.differ(file, Digest::of(file));
        }
        files
    }

    /// Watches directories for the single files in them.
    fn watch(&mut self, directories: &[PathBuf]) {
        for directory in directories {
            if let Err(error) = self.system.watch(directory, RecursiveMode::NonRecursive) {
                complain(&mut self.has_complained, &error);
            }
        }
    }

    /// Files that have changed since they may have been read. A time in the future is no change.
    fn add_if_changed(&mut self, files: BTreeMap<PathBuf, Kind>) {
        let now = SystemTime::now();
        for (path, kind) in files {
            let modified = fs::metadata(&path).and_then(|metadata| metadata.modified());
            if modified.is_ok_and(|at| at + CLOCK > self.since && at <= now) {
                self.batch.add(path, kind, true, Instant::now());
            }
        }
    }

    fn happened(&mut self, event: Event) {
        if event.need_rescan() {
            // The system could not keep up, and does not say with what.
            let (roots, _) = self.tree.places();
            let directory = roots.into_iter().next().unwrap_or_default();
            return self.batch.add(directory, Kind::Code, true, Instant::now());
        }
        let is_change = match event.kind {
            EventKind::Create(_) | EventKind::Remove(_) | EventKind::Access(AccessKind::Close(AccessMode::Write)) => {
                true
            }
            // Who may read it, or when it was read, is no change.
            EventKind::Modify(kind) => !matches!(kind, ModifyKind::Metadata(_)),
            EventKind::Any | EventKind::Access(_) | EventKind::Other => false,
        };
        if !is_change {
            return;
        }
        let may_be_directory = matches!(
            event.kind,
            EventKind::Create(CreateKind::Folder | CreateKind::Any)
                | EventKind::Modify(ModifyKind::Name(_))
                | EventKind::Remove(RemoveKind::Folder)
        );
        for path in event.paths {
            if may_be_directory && self.directory_changed(&path) {
                continue;
            }
            if path.file_name().is_some_and(|name| name == ".gitignore") {
                self.tree.forget_rules();
            }
            let Some(kind) = self.tree.kind(&path) else { continue };
            let is_closed = matches!(event.kind, EventKind::Access(_));
            // Opened to be written to, and nothing was: `touch`, which is how somebody asks for a reload.
            let is_touched = is_closed && !self.being_written.remove(&path);
            if matches!(event.kind, EventKind::Modify(ModifyKind::Data(_))) {
                self.being_written.insert(path.clone());
            }
            self.batch.add(path, kind, is_touched, Instant::now());
        }
    }

    /// Whether it was a directory that came or went. All that counts in it has come or gone with it.
    fn directory_changed(&mut self, path: &Path) -> bool {
        if self.tree.watched.contains(path) && !path.is_dir() {
            let gone: Vec<PathBuf> = self.tree.watched.iter().filter(|it| it.starts_with(path)).cloned().collect();
            for directory in gone {
                self.tree.watched.remove(&directory);
                let _ = self.system.unwatch(&directory);
            }
            self.batch.add(path.to_owned(), Kind::Code, true, Instant::now());
            return true;
        }
        if !path.is_dir() {
            return false;
        }
        for (path, kind) in self.walk(path) {
            self.batch.add(path, kind, true, Instant::now());
        }
        true
    }
}

/// Whether nothing was being written to a file when it was read. One that is gone is as it will be, and one that is empty is
/// mostly about to be written.
fn had_settled(path: &Path, read_at: SystemTime) -> bool {
    let Ok(metadata) = fs::metadata(path) else { return true };
    let enough = if metadata.len() == 0 { EMPTY } else { SETTLED };
    let Ok(modified) = metadata.modified() else { return true };
    // A time in the future says nothing.
    modified > SystemTime::now() || read_at.duration_since(modified).is_ok_and(|age| age >= enough)
}

/// Says once that it does not work as it should.
fn complain(has_complained: &mut bool, error: &notify::Error) {
    if !std::mem::replace(has_complained, true) {
        tracing::warn!(code = "STACK0720", %error, "files can not all be watched: some changes are not noticed");
    }
}

#[cfg(test)]
mod tests;
