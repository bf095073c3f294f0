//! Sites: which host names are served with what.

use std::{fmt, num::NonZeroUsize, path::PathBuf};

use super::{AppSource, AppSpec, Isolation, StaticRoot};
use crate::Rules;

/// What there is beyond the top-level site's application and static roots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sites {
    /// Applications below a path of the top-level site.
    pub mounts: Vec<Mount>,
    /// The rules of the top-level site.
    pub rules: Rules,
    /// The `[[site]]` sections of the file, in order.
    pub sections: Vec<Section>,
}

/// One `[[site]]` section of the file, with what it inherits from the top level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The names it serves; it may have none if it is the default.
    pub hosts: Vec<Host>,
    /// Whether it serves the hosts that no site names.
    pub is_default: bool,
    /// Its own static roots, longest prefix first.
    pub statics: Vec<StaticRoot>,
    /// How its applications run; `app` is the one at its root, if there is one.
    pub application: Application,
    /// Its own `env_file`; what is in it is in `application`.
    pub env_file: Option<PathBuf>,
    /// Applications below a path.
    pub mounts: Vec<Mount>,
    /// What else happens to its requests and responses.
    pub rules: Rules,
}

/// A host name as a site names it: in lower case, without port and final dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// This name, or an address as it stands in a URL.
    Exact(String),
    /// `*.NAME`: every name below this one, at any depth, but not this one itself.
    Below(String),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Below(name) => write!(f, "*.{name}"),
        }
    }
}

/// An application below a path: `PREFIX=APP`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Begins with `/`, and has none at its end.
    pub prefix: String,
    /// The application.
    pub app: AppSpec,
}

/// Everything that decides how one application runs. Two that are equal are one application with one pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// What it is, or how to look for it.
    pub app: AppSource,
    /// The directory it runs in, absolute; it is first on `sys.path`.
    pub chdir: PathBuf,
    /// The virtual environment that was named; `None` looks for one.
    pub venv: Option<PathBuf>,
    /// Variables read from `env_file`, in order.
    pub env: Vec<(String, String)>,
    /// What a worker is.
    pub isolation: Isolation,
    /// Interpreters or processes, as `isolation` has it.
    pub workers: NonZeroUsize,
    /// Whether the user set the number of workers; else it is the default.
    pub workers_given: bool,
    /// Threads of each worker.
    pub threads: NonZeroUsize,
    /// Whether the user set the number of threads; else it is the default.
    pub threads_given: bool,
    /// It is imported once, and worker processes are forked from there.
    pub preload: bool,
}
