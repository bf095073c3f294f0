//! What serving has for somebody who writes the application.

use std::{ffi::OsStr, fs, path::Path, time::SystemTime};

use stack_config::Loaded;
use stack_supervisor::message::Begin;
use stack_wsgi::ProjectDirectory;

use crate::{
    isolation::Mode,
    orders::Parent,
    reloading::{Reloading, Watched},
    start::Plan,
};

/// Both parts are there in development only. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Development {
    /// The front's: pages that reload themselves.
    pub(crate) front: Option<stack_front::Development>,
    /// Follows the application's files.
    pub(crate) reloading: Option<Reloading>,
}

impl Development {
    /// Begins to watch, if that is wanted and there is a parent to be told.
    pub(crate) fn new(loaded: &Loaded, parent: Option<&Parent>) -> Self {
        let changes = &loaded.config.lifecycle.changes;
        if !changes.reload && !changes.browser {
            return Self::default();
        }
        let front = stack_front::Development::new(changes.browser);
        let since = parent.map_or_else(SystemTime::now, |parent| parent.since);
        let watched = Watched::new(loaded, since).zip(parent);
        let started = watched.map(|(watched, parent)| {
            // What an import waits for may be the very change.
            watched.start(parent.link.clone(), !parent.begin.takes_over, front.clone())
        });
        let reloading = started.and_then(|started| match started {
            Ok(reloading) => Some(reloading),
            Err(error) => {
                tracing::warn!(code = "STACK0720", %error, "files can not be watched: no change is noticed");
                None
            }
        });
        Self { front: Some(front), reloading }
    }

    /// Whether a server whose application does not import waits for one that does. One that is to take over from another does
    /// not: that one goes on.
    pub(crate) fn goes_on_without_application(&self, begin: &Begin) -> bool {
        self.reloading.is_some() && !begin.takes_over
    }

    /// Has every request answered with why there is no application.
    pub(crate) fn is_broken(&self, error: &anyhow::Error) {
        let reason = format!("{error:#}");
        tracing::error!(
            code = "STACK0722",
            reason,
            "the application can not be served: it is tried again when a file is saved"
        );
        if let Some(reloading) = &self.reloading {
            reloading.add_traceback(&reason);
        }
        if let Some(front) = &self.front {
            front.is_broken(&reason);
        }
    }

    /// Another server that was to take over did not come up.
    pub(crate) fn reload_failed(&self, reason: &str) {
        let reason = reason.strip_prefix("stack: ").unwrap_or(reason);
        if let Some(reloading) = &self.reloading {
            reloading.add_traceback(reason);
        }
        if let Some(front) = &self.front {
            front.reload_failed(reason);
        }
    }

    /// Follows the directories that the application has named.
    pub(crate) fn follow<'a>(&self, directories: impl IntoIterator<Item = &'a ProjectDirectory>) {
        if let Some(reloading) = &self.reloading {
            reloading.add_directories(directories);
        }
    }

    /// Waits until all files are watched: who is told that there is a server may save one at once.
    pub(crate) async fn begun(&self) {
        if let Some(reloading) = &self.reloading {
            reloading.begun().await;
        }
    }

    /// This server serves.
    pub(crate) fn serving(&self) {
        if let Some(reloading) = &self.reloading {
            reloading.serving();
        }
    }

    /// It does no more: what changes is not its business.
    pub(crate) fn ends(&self) {
        if let Some(reloading) = &self.reloading {
            reloading.ends();
        }
    }

    /// Whether reloads come and go so often that their parts are no news.
    pub(crate) fn is_quiet(&self) -> bool {
        self.reloading.is_some()
    }
}

/// What the next server can be spared to find out: the modes of the applications.
pub(super) fn learned(modes: impl Iterator<Item = Mode>) -> Option<serde_json::Value> {
    serde_json::to_value(modes.collect::<Vec<_>>()).ok()
}

/// Takes up what a server before has learned of the same applications, where only their files have changed since.
pub(super) fn recall(begin: &Begin, plans: &mut [Plan]) {
    let Some(changed) = &begin.changed else { return };
    changed.files.iter().for_each(|file| forget_bytecode(file));
    let learned = begin.learned.clone();
    let modes: Vec<Mode> = learned.and_then(|modes| serde_json::from_value(modes).ok()).unwrap_or_default();
    if modes.len() == plans.len() {
        for (plan, mode) in plans.iter_mut().zip(modes) {
            plan.known = Some(mode);
        }
    }
}

/// Removes what Python has compiled of a file. It takes that for valid as long as the file's size is the same and its time in
/// whole seconds: two saves in a second may well look like one.
fn forget_bytecode(file: &Path) {
    let (Some(directory), Some(stem)) = (file.parent(), file.file_stem().and_then(OsStr::to_str)) else { return };
    if file.extension().is_none_or(|suffix| suffix != "py") {
        return;
    }
    for entry in fs::read_dir(directory.join("__pycache__")).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_bytecode = path.extension().is_some_and(|suffix| suffix == "pyc");
        // `views.cpython-313.pyc`, `views.cpython-313.opt-1.pyc` (PEP 3147, PEP 488).
        let name = path.file_name().and_then(OsStr::to_str);
        if is_bytecode && name.and_then(|name| name.strip_prefix(stem)).is_some_and(|rest| rest.starts_with('.')) {
            // Python compiles it again, unless it may not write there: then it is not there either.
            let _ = fs::remove_file(path);
        }
    }
}
