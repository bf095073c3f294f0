//! The one table of keys.
//!
//! The flags, the environment variables, the help, `config/default.toml` and the suggestions for misspelled keys are
//! made from it or tested against it, so a key that is added here can be forgotten nowhere.

#[cfg(test)]
mod default_file;
pub(crate) mod site;
mod table;

use std::fmt;

use crate::Profile;

/// Begins the name of every environment variable that sets a key.
pub(crate) const VARIABLE_PREFIX: &str = "STACK_";

/// One key of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Name in the file, in `snake_case`; the flag and the environment variable follow from it.
    pub name: &'static str,
    /// What the help shows in place of the value.
    pub value_name: &'static str,
    /// What its value is.
    pub kind: Kind,
    /// Whether it takes several values: an array in the file, comma-separated in the environment, a flag given again.
    pub repeatable: bool,
    /// Whether the file may set it. Only `config`, which names the file, may not be.
    pub in_file: bool,
    /// Title of its group in the help.
    pub heading: &'static str,
    /// What it does, in one line.
    pub help: &'static str,
    /// What else there is to know.
    pub details: &'static str,
    /// Its value where nobody sets it: in `dev`, in `prod`.
    pub presets: [Preset; 2],
    /// What other servers call it; only for suggestions.
    pub elsewhere: &'static [&'static str],
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text that the key's own check accepts.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A whole number.
    Count,
    /// `30s`, `1m30s`, `500ms`; a plain number is seconds.
    Duration,
    /// `64KiB`, `64k`, `16M`, `1G`; a plain number is bytes.
    Size,
    /// `true` or `false`; the flag alone is `true`.
    Switch,
    /// Path of a file.
    File,
    /// Path of a directory.
    Directory,
}

/// The value of a key where nobody sets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// A fixed value, as a user would write it.
    Value(&'static str),
    /// What these words say.
    Described(&'static str),
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Value(text) | Self::Described(text)) = self;
        f.write_str(text)
    }
}

impl Key {
    /// The flag without its dashes: `log_level` is `log-level`.
    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    /// The environment variable: `log_level` is `STACK_LOG_LEVEL`.
    pub fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.name.to_uppercase())
    }

    /// The value in this profile where nobody sets it.
    pub fn preset(&self, profile: Profile) -> Preset {
        let [dev, prod] = self.presets;
        match profile {
            Profile::Dev => dev,
            Profile::Prod => prod,
        }
    }

    /// The key a user may have meant: another server's name for it, or the fewest typing errors away.
    pub fn nearest(written: &str) -> Option<&'static Self> {
        nearest_of(keys().iter(), written)
    }

    /// The default for people: `30s`, or `60s; dev: 0` where the profiles differ.
    pub fn default_text(&self) -> String {
        match self.presets {
            [dev, prod] if dev == prod => prod.to_string(),
            [dev, prod] => format!("{prod}; dev: {dev}"),
        }
    }
}

/// All keys, in the order of the help.
pub fn keys() -> &'static [Key] {
    &table::TABLE
}

pub(crate) fn find(name: &str) -> Option<&'static Key> {
    keys().iter().find(|key| key.name == name)
}

fn nearest_of(keys: impl Iterator<Item = &'static Key> + Clone, written: &str) -> Option<&'static Key> {
    let written = written.to_lowercase().replace('-', "_");
    let known = keys.clone().find(|key| key.name == written || key.elsewhere.contains(&written.as_str()));
    known.or_else(|| {
        let distances = keys.map(|key| (strsim::damerau_levenshtein(key.name, &written), key));
        let (distance, key) = distances.min_by_key(|(distance, _)| *distance)?;
        (distance <= written.len() / 3).then_some(key)
    })
}

/// The word of a fixed choice that a user may have meant.
pub(crate) fn nearest_word(choices: &'static [&'static str], written: &str) -> Option<&'static str> {
    let written = written.to_lowercase();
    let (distance, word) =
        choices.iter().map(|word| (strsim::damerau_levenshtein(word, &written), *word)).min_by_key(|(d, _)| *d)?;
    // `warning`, `production`, `development`: the beginning is right and the rest is a habit from elsewhere.
    (written.starts_with(word) || distance <= written.len() / 3).then_some(word)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn flag_and_variable_follow_from_the_name() {
        let key = find("log_level").unwrap();
        assert_eq!((key.flag(), key.variable()), ("log-level".into(), "STACK_LOG_LEVEL".into()));
    }

    #[test]
    fn names_are_unique_and_no_other_servers_name_is_a_key() {
        let mut seen = BTreeSet::new();
        for key in keys() {
            for name in key.elsewhere.iter().chain([&key.name]) {
                assert!(seen.insert(*name), "{name} is there twice");
            }
        }
    }

    #[test]
    fn headings_are_not_interleaved() {
        let mut headings: Vec<_> = keys().iter().map(|key| key.heading).collect();
        headings.dedup();
        let unique: BTreeSet<_> = headings.iter().collect();
        assert_eq!(unique.len(), headings.len(), "{headings:?}");
    }

    #[test]
    fn texts_are_lines_that_fit_the_help() {
        for key in keys() {
            assert!(!key.help.ends_with('.') && key.help.len() <= 72, "{}: {}", key.name, key.help);
            assert!(key.details.is_empty() || key.details.ends_with('.'), "{}: {}", key.name, key.details);
        }
    }

    #[test]
    fn a_misspelled_key_finds_the_one_that_was_meant() {
        for (written, meant) in [
            ("worker", Some("workers")),
            ("log-level", Some("log_level")),
            ("LogLevel", Some("log_level")),
            ("timeout", Some("request_timeout")),
            ("client_max_body_size", Some("max_body_size")),
            ("listen", Some("bind")),
            ("hedaer_timeout", Some("header_timeout")),
            ("colour", None),
        ] {
            assert_eq!(Key::nearest(written).map(|key| key.name), meant, "{written}");
        }
    }

    #[test]
    fn a_misspelled_word_finds_the_one_that_was_meant() {
        let levels = &["error", "warn", "info", "debug", "trace"];
        assert_eq!(nearest_word(levels, "WARNING"), Some("warn"));
        assert_eq!(nearest_word(levels, "inof"), Some("info"));
        assert_eq!(nearest_word(&["dev", "prod"], "production"), Some("prod"));
        assert_eq!(nearest_word(levels, "loud"), None);
    }
}
