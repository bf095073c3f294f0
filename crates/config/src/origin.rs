//! Where a value came from.

use std::{fmt, path::PathBuf};

use crate::{Profile, keys::Key};

/// Where a value came from. It is shown as a user would look for it: `stack.toml:12`, `flag --workers`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it. The profile is named where the profiles differ in it.
    Default(Option<Profile>),
    /// The file.
    File {
        /// The file, as it was named.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
    /// This environment variable.
    Environment(String),
    /// This flag, with its dashes.
    Flag(String),
}

impl Origin {
    pub(crate) fn variable(key: &Key) -> Self {
        Self::Environment(key.variable())
    }

    pub(crate) fn flag(key: &Key) -> Self {
        Self::Flag(format!("--{}", key.flag()))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default(None) => f.write_str("default"),
            Self::Default(Some(profile)) => write!(f, "default of profile {}", profile.as_str()),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}
