//! Starts the executable, talks to it in raw bytes, and waits for its states: never for a time.

mod body;
mod browser;
mod client;
mod gate;
pub(crate) mod http2;
mod pki;
mod process;
mod server;
mod venv;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

pub(crate) use body::{adler32, pattern};
pub(crate) use browser::{Browser, hidden_field};
pub(crate) use client::{Connection, Response};
pub(crate) use gate::{Gate, Held};
pub(crate) use pki::{Authority, Pair, trusting};
pub(crate) use process::{Finished, Process, Stack, isolation, stack, workers};
pub(crate) use server::{Server, serve};
pub(crate) use venv::{run, virtual_environment};

/// How long a state may take to come about before the test fails. Nothing waits as long as this when it works.
pub(crate) const LIMIT: Duration = Duration::from_mins(1);

/// Waits for a state that lives in another process and can only be looked at. `None` means not yet.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(state) = look() {
            return state;
        }
        assert!(Instant::now() < deadline, "never seen: {what}");
        #[expect(
            clippy::disallowed_methods,
            reason = "another process's state can not wake us; this only spares the CPU"
        )]
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A file or folder below `tests/`, absolute.
pub(crate) fn tests_path(relative: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join(relative)
}

/// The same as text, for an argument.
pub(crate) fn tests_argument(relative: &str) -> String {
    tests_path(relative).into_os_string().into_string().expect("the project's path is UTF-8")
}
