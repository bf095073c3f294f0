//! How the server lives.

use std::{path::PathBuf, time::Duration};

/// How the server is started, replaced and stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lifecycle {
    /// Whether the server is the child of a supervisor.
    pub supervisor: bool,
    /// How long it may give no sign of life until the supervisor replaces it.
    pub watchdog: Option<Duration>,
    /// Where the supervisor is found.
    pub control_socket: ControlSocket,
    /// What a new server is asked for before it takes over.
    pub reload_check: Option<ReloadCheck>,
    /// What follows a change of the application's files.
    pub changes: Changes,
}

/// What follows a change of the files that the application is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// A new server takes the place of the running one. Never without a supervisor.
    pub reload: bool,
    /// Files that count beyond those that always do: valid globs, for file names or, with a slash, for paths from the
    /// application's directory on.
    pub include: Vec<String>,
    /// Files that do not count, whatever else they are.
    pub ignore: Vec<String>,
    /// Pages reload themselves in the browser.
    pub browser: bool,
}

/// Where the supervisor is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlSocket {
    /// At a name of its own.
    Default,
    /// At this path, absolute.
    Path(PathBuf),
    /// Nowhere.
    Off,
}

/// A request whose answer says whether a server works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReloadCheck {
    /// Path and query.
    pub target: String,
    /// The host that is asked for, if one was written.
    pub host: Option<String>,
    /// Whether it is asked for over TLS, if that was written.
    pub is_https: Option<bool>,
}

impl Default for Lifecycle {
    /// As it is where nobody has set anything.
    fn default() -> Self {
        Self {
            supervisor: true,
            watchdog: Some(Duration::from_secs(30)),
            control_socket: ControlSocket::Default,
            reload_check: None,
            changes: Changes::default(),
        }
    }
}
