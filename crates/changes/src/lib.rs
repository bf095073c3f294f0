//! The files that an application is made of, and the news that they have changed.
//!
//! What counts is said by [`Settings`] and by kinds of files: code, templates and configuration on one side, which take a new
//! server, and what browsers load as it is on the other. Files of all other kinds do not count, because applications write
//! such files themselves: a reload for each would be a loop. This crate knows neither Python nor sockets; which modules were
//! imported it is told ([`Watcher::add_modules`]).
//!
//! Invariants:
//! - Nothing is polled: the system tells what happens in a directory, and what happened before that is found by its time.
//! - What belongs together is one change: a save in several steps, a checkout of another branch.
//! - A file that is written again with what was in it has not changed, unless it is only touched.
//! - A file that git ignores does not count, unless it was named or imported.
#![forbid(unsafe_code)]

mod contents;
mod ignored;
mod kinds;
mod patterns;
mod tree;
mod watcher;

use std::{path::PathBuf, time::SystemTime};

pub use watcher::Watcher;

/// What is watched from the beginning.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The directories of the applications, absolute. All that is in them is looked at.
    pub directories: Vec<PathBuf>,
    /// Files that count wherever they are: the configuration's own.
    pub files: Vec<PathBuf>,
    /// Directories whose files are sent as they are. Git's opinion of them does not count: they may well be built.
    pub statics: Vec<PathBuf>,
    /// Further files below `directories` that count as code: valid globs, for file names or, with a slash, for paths from
    /// there on.
    pub include: Vec<String>,
    /// Files that do not count, in the same form. They go before all else.
    pub ignore: Vec<String>,
    /// Who watches has read the files from then on: what changed later counts, even if it did before this crate watched.
    pub since: SystemTime,
}

/// What a change is to be followed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// What browsers load has changed, and nothing that the server has read.
    Static,
    /// The server has read it, or may have: another one would read something else.
    Code,
}

/// Files that changed together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The most that any of them asks for.
    pub kind: Kind,
    /// Those of that kind, sorted. There is at least one.
    pub files: Vec<PathBuf>,
}

/// A module that was imported from a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its dotted name.
    pub name: String,
    /// Its file, absolute.
    pub file: PathBuf,
}
