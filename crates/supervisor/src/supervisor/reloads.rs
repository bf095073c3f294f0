//! Another generation in the place of the one that serves: who asks for it, and how often.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::{State, Supervisor};
use crate::{generation::Purpose, message::Changed, notify::Stage, signals::Change};

/// A change of files before a generation serves, or so soon after it began to, belongs to its start. Both times are a little late, and
/// the clock of files has ticks.
const HASTE: Duration = Duration::from_millis(20);

/// As many such changes in a row are followed. Nobody saves as often.
const MOST_HASTY: u32 = 8;

/// Changes of files that come while a generation starts, or as soon as it serves: of somebody who types, or of an application
/// that writes what it is made of whenever it is loaded.
#[derive(Debug, Default)]
pub(super) struct Haste {
    /// In a row.
    changes: u32,
    is_told: bool,
    /// What came while one had to be waited for.
    put_off: Option<Changed>,
    has_caught_up: bool,
}

impl Supervisor {
    /// Starts a generation that is to take over.
    pub(super) fn reload(&mut self, reason: &str) {
        match self.state {
            State::Stopping | State::Ended => return,
            State::Starting | State::Serving | State::Reloading | State::Restarting => {}
        }
        self.changed = None;
        tracing::info!(reason, "reload: a new generation is started");
        self.begin_reload();
    }

    /// The same because of files, which somebody who has saved them knows.
    pub(super) fn reload_changed(&mut self, files: Changed) {
        tracing::debug!(files = files.names, "reload: files have changed");
        // On a busy machine they are told of late: what counts is when they changed.
        let age = age(&files.files);
        let is_of_the_start = |since: Instant| since.elapsed() < age + HASTE;
        let is_hasty = self.state != State::Serving
            || self.serving().is_some_and(|serving| serving.serving_since.is_some_and(is_of_the_start));
        if !is_hasty {
            self.haste = Haste::default();
        }
        self.haste.changes += 1;
        if self.haste.changes > MOST_HASTY {
            self.put_off(files);
        } else {
            self.changed = Some(files);
            self.begin_reload();
        }
    }

    /// One generation has to come up at last, be it not the newest.
    fn put_off(&mut self, files: Changed) {
        if !self.haste.is_told {
            self.haste.is_told = true;
            tracing::warn!(
                code = "STACK0723",
                changed = files.names,
                "files go on changing while they are loaded: what the application writes by itself can be left out with \
                 reload_ignore"
            );
        }
        if self.state != State::Serving {
            self.haste.put_off = Some(files);
        }
    }

    /// What has changed while a generation was waited for is loaded after it, once.
    pub(super) fn catch_up(&mut self) {
        if let Some(files) = self.haste.put_off.take()
            && !self.haste.has_caught_up
        {
            self.haste.has_caught_up = true;
            self.changed = Some(files);
            self.begin_reload();
        }
    }

    fn begin_reload(&mut self) {
        self.taken_over_at_last(|_| true);
        // What is being started may have read the files already that the reload is about.
        for generation in self.generations.iter_mut().filter(|generation| generation.is_candidate()) {
            generation.supersede();
        }
        if self.serving().is_some() {
            self.start_beside(Purpose::Reload);
        } else if self.restart_at.is_some() {
            self.restart_at = Some(Instant::now());
        }
        // Else the one that was killed is followed by another one as soon as it is gone.
    }

    /// Starts a generation beside the one that serves.
    pub(super) fn start_beside(&mut self, purpose: Purpose) {
        self.notify.tell(Stage::Reloading, "reloading");
        self.enter(State::Reloading);
        self.start_or_retry(purpose);
    }

    pub(super) fn change_workers(&mut self, signal: &str, change: Change) {
        let Some(serving) = self.serving() else { return };
        let before = self.workers.unwrap_or(serving.facts.workers);
        let workers = match change {
            Change::More => before + 1,
            Change::Fewer => before.saturating_sub(1).max(1),
        };
        if before > 0 && workers != before {
            self.workers = Some(workers);
            tracing::info!(workers, "another number of workers");
            self.reload(signal);
        }
    }
}

/// How long ago the last change of these files was. Of one that is gone nobody knows.
fn age(files: &[PathBuf]) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let changed_at = |file: &PathBuf| {
        let metadata = fs::metadata(file).ok()?;
        let seconds = Duration::from_secs(metadata.ctime().try_into().ok()?);
        Some(seconds + Duration::from_nanos(metadata.ctime_nsec().try_into().ok()?))
    };
    files
        .iter()
        .map(|file| changed_at(file).map_or(Duration::ZERO, |at| now.saturating_sub(at)))
        .min()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_of_files_is_that_of_the_last_change() {
        let directory = tempfile::tempdir().unwrap();
        let files = [directory.path().join("one"), directory.path().join("two")];
        fs::write(&files[0], "").unwrap();
        let begun = Instant::now();
        // The clock of files has ticks.
        while age(&files[..1]) < Duration::from_millis(50) {
            assert!(begun.elapsed() < Duration::from_mins(1));
            std::thread::yield_now();
        }
        assert_eq!(age(&files), Duration::ZERO, "one that is gone");
        fs::write(&files[1], "").unwrap();
        assert!(age(&files) < age(&files[..1]));
    }
}
