//! A file that was read at the start, and is read again when it has changed.
//!
//! As with static files, it is looked at when it is used, at most once a second, in the kernel's caches first. Where these do
//! not tell, a thread looks, and who asks goes on with what there is.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use bytes::Bytes;
use tokio::task::spawn_blocking;

use super::{
    cache::is_fresh,
    open::{self, Lookup, Opened, Stamp},
    version::{self, Unread},
};
use crate::file_stream::read_cached;

/// Names are looked for below it: a page may be anywhere.
const ROOT: &str = "/";

/// A file by its name. What it holds is its owner's.
#[derive(Debug)]
pub(crate) struct KeptFile {
    /// Below [`ROOT`].
    name: PathBuf,
    begun: Instant,
    /// Milliseconds after `begun`.
    checked_at: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Of what was read last, unless it had just been written.
    stamp: Option<Stamp>,
    /// It could not be read, and that has been said.
    is_lost: bool,
}

impl KeptFile {
    /// A file that has been read a moment ago.
    pub(crate) fn new(path: &Path) -> Arc<Self> {
        Arc::new(Self {
            name: path.strip_prefix(ROOT).unwrap_or(path).to_owned(),
            begun: Instant::now(),
            checked_at: AtomicU64::new(0),
            state: Mutex::default(),
        })
    }

    /// Looks at the file if it is time to, and has `put` take its content if it is another one: at once, or soon.
    pub(crate) fn look(self: &Arc<Self>, put: impl FnOnce(Bytes) + Send + 'static) {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let checked_at = self.checked_at.load(Relaxed);
        let is_due = !is_fresh(now, checked_at);
        if !is_due || self.checked_at.compare_exchange(checked_at, now, Relaxed, Relaxed).is_err() {
            return;
        }
        match self.changed(Lookup::Cached) {
            Ok(content) => content.map_or((), put),
            Err(Unread::NotCached | Unread::Failed(_)) => {
                let this = Arc::clone(self);
                spawn_blocking(move || match this.changed(Lookup::Complete) {
                    Ok(content) => content.map_or((), put),
                    Err(Unread::Failed(error)) => this.lost(&error),
                    Err(Unread::NotCached) => {}
                });
            }
        }
    }

    /// The content, if it is not what was read last.
    fn changed(&self, lookup: Lookup) -> Result<Option<Bytes>, Unread> {
        let opened = open::file(Path::new(ROOT), &self.name, lookup)?;
        let Opened { file, stamp, .. } = opened.ok_or_else(|| Unread::Failed(io::ErrorKind::NotFound.into()))?;
        if self.state().stamp == Some(stamp) {
            return Ok(None);
        }
        let length = usize::try_from(stamp.length).ok().filter(|_| stamp.length <= stack_config::LARGEST_ERROR_PAGE);
        let length = length.ok_or_else(|| Unread::Failed(io::ErrorKind::FileTooLarge.into()))?;
        let content = match lookup {
            _ if length == 0 => Some(Bytes::new()),
            Lookup::Cached => {
                let content = read_cached(&file, 0, length).filter(|content| content.len() == length);
                Some(content.ok_or(Unread::NotCached)?)
            }
            Lookup::Complete => version::read(&file, length).map_err(Unread::Failed)?,
        };
        let is_same = file.metadata().is_ok_and(|now| Stamp::of(&now) == stamp);
        *self.state() = State { stamp: (is_same && !version::is_young(&stamp)).then_some(stamp), is_lost: false };
        // Of one that is being written the next look will tell more.
        Ok(content.filter(|_| is_same))
    }

    fn lost(&self, error: &io::Error) {
        let was_lost = std::mem::replace(&mut *self.state(), State { stamp: None, is_lost: true }).is_lost;
        if !was_lost {
            let path = Path::new(ROOT).join(&self.name);
            tracing::warn!(code = "STACK0307", path = %path.display(), %error, "error page not read again");
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
