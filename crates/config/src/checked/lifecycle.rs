//! How the server lives.

/// How the server is started, replaced and stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lifecycle {
    /// Whether the server is the child of a supervisor.
    pub supervisor: bool,
}

impl Default for Lifecycle {
    /// As it is where nobody has set anything.
    fn default() -> Self {
        Self { supervisor: true }
    }
}
