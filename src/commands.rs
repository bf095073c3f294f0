//! What each subcommand does.

pub(crate) mod ask;
pub(crate) mod ca;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod doctor;
pub(crate) mod man;
pub(crate) mod probe;
pub(crate) mod serve;
pub(crate) mod server;
pub(crate) mod supervise;
pub(crate) mod worker;

use std::io::{self, Write};

/// Writes to standard output. A reader that has seen enough (`| head`) is no error.
fn print(text: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}
