//! Where a value came from.

use std::{fmt, path::PathBuf};

use crate::{Profile, keys::Key};

/// Where a value came from. It is shown as a user would look for it: `stack.toml:12`, `flag --workers`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default(Profile),
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
            Self::Default(Profile::Dev) => f.write_str("default of profile dev"),
            Self::Default(Profile::Prod) => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}
