//! Follows the files that the applications are made of, and has the parent start another server when they change.
//!
//! Each server watches for itself, from before it reads anything. The one that serves tells its parent, whatever that is doing:
//! what is saved while another server starts has that one started again. A server that is to take over keeps what it sees to itself
//! until it has.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use stack_changes::{Change, Kind, Module, Settings, Watcher};
use stack_config::Loaded;
use stack_front::Development;
use stack_process::WhenTold;
use stack_supervisor::{
    message::{Changed, Notice},
    server::Link,
};
use stack_wsgi::{DirectoryKind, ModuleFile, ProjectDirectory, WhenImported};

/// As many are looked for in a traceback.
const MOST_FRAMES: usize = 200;

/// The files of this server's applications. Clones follow the same.
#[derive(Clone, Debug)]
pub(crate) struct Reloading {
    watcher: Arc<Watcher>,
    gate: Arc<Mutex<Gate>>,
}

/// What there is to watch before an application is loaded.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    settings: Settings,
    /// Names of files are shown from there on.
    directory: PathBuf,
}

/// Where changes of code go.
#[derive(Debug)]
struct Gate {
    link: Link,
    state: GateState,
}

#[derive(Debug)]
enum GateState {
    /// Another server serves: this one's parent would not listen.
    Closed {
        /// What has changed since.
        changed: Option<Changed>,
    },
    Open,
    /// This server ends.
    Over,
}

impl Watched {
    /// What the configuration says, if it wants to have anything watched.
    pub(crate) fn new(loaded: &Loaded, since: SystemTime) -> Option<Self> {
        let config = &loaded.config;
        if !config.lifecycle.changes.reload {
            return None;
        }
        let current = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let layout = config.layout();
        let settings = Settings {
            directories: layout.applications.iter().map(|served| served.application.chdir.clone()).collect(),
            files: loaded.files().into_iter().map(current).collect(),
            statics: layout.sites.iter().flat_map(|site| &site.statics).map(|root| root.directory.clone()).collect(),
            include: config.lifecycle.changes.include.clone(),
            ignore: config.lifecycle.changes.ignore.clone(),
            since,
        };
        // As the system tells of files: with symbolic links resolved.
        let directory = config.chdir.canonicalize().unwrap_or_else(|_| config.chdir.clone());
        Some(Self { settings, directory })
    }

    /// Begins to watch. `is_open` is whether the parent is to be told at once.
    pub(crate) fn start(self, link: Link, is_open: bool, development: Development) -> anyhow::Result<Reloading> {
        let Self { settings, directory } = self;
        let state = if is_open { GateState::Open } else { GateState::Closed { changed: None } };
        let gate = Arc::new(Mutex::new(Gate { link, state }));
        let at_gate = Arc::clone(&gate);
        let tell = move |Change { kind, files }| match kind {
            Kind::Static => {
                tracing::info!(changed = Changed::new(files, &directory).names, "pages are loaded again");
                development.files_changed();
            }
            Kind::Code => lock(&at_gate).changed(Changed::new(files, &directory)),
        };
        Ok(Reloading { watcher: Arc::new(Watcher::start(&settings, tell)?), gate })
    }
}

impl Reloading {
    /// Waits until nothing that changes goes unseen any more.
    pub(crate) async fn begun(&self) {
        let watcher = Arc::clone(&self.watcher);
        // A thread that has panicked has begun as well.
        let _ = tokio::task::spawn_blocking(move || watcher.wait_until_begun()).await;
    }

    /// This server serves: the parent listens.
    pub(crate) fn serving(&self) {
        lock(&self.gate).open();
    }

    /// It does no more.
    pub(crate) fn ends(&self) {
        lock(&self.gate).state = GateState::Over;
    }

    /// The directories that a Django project has named.
    pub(crate) fn add_directories<'a>(&self, directories: impl IntoIterator<Item = &'a ProjectDirectory>) {
        for found in directories {
            match found.kind {
                DirectoryKind::Static => self.watcher.add_statics(found.directory.clone()),
                DirectoryKind::Media => self.watcher.add_uploads(found.directory.clone()),
            }
        }
    }

    /// The files that a traceback names: one of them is to be mended, and it may be none of those that were imported.
    pub(crate) fn add_traceback(&self, text: &str) {
        let frames = text.lines().filter_map(|line| line.trim_start().strip_prefix("File \"")?.split('"').next());
        let files = frames.take(MOST_FRAMES).map(PathBuf::from).filter(|file| file.is_absolute() && file.is_file());
        let is_foreign = |file: &Path| file.iter().any(|name| name == "site-packages" || name == "dist-packages");
        let modules = files.filter(|file| !is_foreign(file)).map(|file| Module { name: String::new(), file });
        self.watcher.add_modules(modules.collect());
    }
}

impl WhenImported for Reloading {
    fn imported(&self, modules: Vec<ModuleFile>) {
        let modules = modules.into_iter().map(|ModuleFile { name, file }| Module { name, file });
        self.watcher.add_modules(modules.collect());
    }
}

/// Worker processes tell in JSON.
impl WhenTold for Reloading {
    fn told(&self, text: &str) {
        match serde_json::from_str(text) {
            Ok(modules) => self.imported(modules),
            Err(error) => tracing::debug!(%error, "a worker tells what is not understood"),
        }
    }
}

impl Gate {
    fn changed(&mut self, files: Changed) {
        match &mut self.state {
            GateState::Open => self.link.tell(&Notice::Changed(files)),
            GateState::Closed { changed } => *changed = Some(files),
            GateState::Over => {}
        }
    }

    fn open(&mut self) {
        if let GateState::Closed { changed } = std::mem::replace(&mut self.state, GateState::Open)
            && let Some(files) = changed
        {
            self.changed(files);
        }
    }
}

fn lock(gate: &Mutex<Gate>) -> std::sync::MutexGuard<'_, Gate> {
    gate.lock().unwrap_or_else(PoisonError::into_inner)
}
