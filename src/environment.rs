//! The variables that this program was started with.
//!
//! An application that is imported here sets variables of the process, `DJANGO_SETTINGS_MODULE` for one. What is started
//! for another one must not have them: worker processes, probes, other applications' interpreters.

use std::{
    env,
    ffi::OsString,
    sync::{Arc, OnceLock},
};

/// Name and value of each variable.
pub(crate) type Environment = Arc<[(OsString, OsString)]>;

static AT_START: OnceLock<Environment> = OnceLock::new();

/// The variables as they were when this was called first, which is before any Python runs.
pub(crate) fn at_start() -> &'static Environment {
    AT_START.get_or_init(|| env::vars_os().collect())
}
