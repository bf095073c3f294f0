//! What the checks of all kinds have in common: which key it is, where its value is from, and where its problems go.

use std::path::{Path, PathBuf};

use crate::{
    error::{Problem, Reason},
    keys::{self, Key},
    layers::{Layers, SiteSection},
    origin::Origin,
    raw::{Several, Written},
};

/// What the checks of all kinds have in common: which key it is, and where its problems go.
pub(super) struct Check<'a> {
    pub(super) layers: &'a Layers,
    /// The section of the file that the keys are from; `None` at the top level.
    pub(super) section: Option<&'a SiteSection>,
    pub(super) problems: &'a mut Vec<Problem>,
}

/// The place a value has: what relative paths in it begin at.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    base: &'a Path,
}

impl Place<'_> {
    /// A path as the user wrote it, absolute. Symbolic links stay as they are.
    pub(super) fn absolute(self, written: &str) -> PathBuf {
        let joined = self.base.join(written);
        // Lexical only, so it fails for an empty path alone, and that is refused before.
        std::path::absolute(&joined).unwrap_or(joined)
    }
}

impl<'a> Check<'a> {
    pub(super) fn key(name: &str) -> &'static Key {
        keys::find(name).or_else(|| keys::site::find(name)).expect("a field of Raw is in the table")
    }

    /// Where the value is from that is checked.
    pub(super) fn origin(&self, key: &'static Key, index: usize) -> Origin {
        match self.section {
            Some(section) => section.origin(key.name, index),
            None => self.layers.origin(key, index),
        }
    }

    pub(super) fn base(&self, key: &'static Key) -> &'a Path {
        match self.section {
            Some(_) => self.layers.file_directory(),
            None => self.layers.base(key),
        }
    }

    /// Whether anybody set the key.
    pub(super) fn is_given(&self, name: &str) -> bool {
        !matches!(self.layers.origin(Self::key(name), 0), Origin::Default(_))
    }

    pub(super) fn report(&mut self, key: &'static Key, index: usize, value: &Written, reason: Reason) {
        self.problems.push(Problem::with_value(self.origin(key, index), key, value.0.clone(), reason));
    }

    pub(super) fn has_problem(&self, name: &str) -> bool {
        self.problems.iter().any(|problem| problem.name == name)
    }

    /// Notes what is wrong with a value that can be right by itself.
    pub(super) fn problem_with(&mut self, name: &str, value: &Written, reason: impl Into<Reason>) {
        self.report(Self::key(name), 0, value, reason.into());
    }

    /// The same of a value whose text is gone, unless the key has a problem already: then the index may be wrong.
    pub(super) fn problem(&mut self, name: &str, index: usize, reason: impl Into<Reason>) {
        self.no_repetition(name, Some((index, reason.into())));
    }

    pub(super) fn no_value(&mut self, name: &str) {
        let key = Self::key(name);
        // Values that were refused one by one have been reported already.
        if !self.problems.iter().any(|problem| problem.name == name) {
            self.problems.push(Problem::with_name(self.origin(key, 0), name, Reason::Empty));
        }
    }

    pub(super) fn no_repetition(&mut self, name: &str, repetition: Option<(usize, Reason)>) {
        let key = Self::key(name);
        // With refused values left out, the index would name the wrong line.
        if let Some((index, reason)) = repetition.filter(|_| !self.problems.iter().any(|problem| problem.name == name))
        {
            self.problems.push(Problem::with_name(self.origin(key, index), name, reason));
        }
    }

    pub(super) fn nth<T>(
        &mut self,
        (name, index): (&str, usize),
        value: &Written,
        parse: impl FnOnce(Place<'_>, &str) -> Result<T, Reason>,
    ) -> Option<T> {
        let key = Self::key(name);
        let text = value.0.trim();
        let parsed = if text.is_empty() { Err(Reason::Empty) } else { parse(Place { base: self.base(key) }, text) };
        parsed.map_err(|reason| self.report(key, index, value, reason)).ok()
    }

    pub(super) fn one<T>(
        &mut self,
        name: &str,
        value: &Written,
        parse: impl FnOnce(Place<'_>, &str) -> Result<T, Reason>,
    ) -> Option<T> {
        self.nth((name, 0), value, parse)
    }

    pub(super) fn optional<T>(
        &mut self,
        name: &str,
        value: Option<Written>,
        parse: impl FnOnce(Place<'_>, &str) -> Result<T, Reason>,
    ) -> Option<T> {
        value.and_then(|value| self.one(name, &value, parse))
    }

    pub(super) fn several<T>(
        &mut self,
        name: &str,
        values: Several,
        parse: impl Fn(Place<'_>, &str) -> Result<T, Reason>,
    ) -> Vec<T> {
        let values = values.into_vec();
        values.iter().enumerate().filter_map(|(index, value)| self.nth((name, index), value, &parse)).collect()
    }

    pub(super) fn path<T>(
        &mut self,
        name: &str,
        value: Option<Written>,
        check: impl FnOnce(PathBuf) -> Result<T, Reason>,
    ) -> Option<T> {
        self.optional(name, value, |place, text| check(place.absolute(text)))
    }
}
