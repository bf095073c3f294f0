//! `stack server`: the server process of a parent. It is started by that, never by hand, and is not in the help.

use std::{os::fd::RawFd, time::SystemTime};

use anyhow::Context;
use rustix::thread::disable_transparent_huge_pages;
use stack_supervisor::server::{Link, connect};

use crate::{
    Exit, Failure,
    cli::Flags,
    load,
    orders::{Parent, ignore_signals},
};

/// Serves until the parent says stop.
pub(crate) fn run(control: RawFd, flags: Flags) -> Result<Exit, Failure> {
    let since = SystemTime::now();
    let _ = rustix::thread::set_name(c"stack server");
    // The parent can do without large pages; the application is not to inherit that.
    let _ = disable_transparent_huge_pages(false);
    let (link, orders, begin) = connect(control).map_err(anyhow::Error::new)?;
    ignore_signals().context("signals can not be taken")?;
    let served = serve(Parent { link: link.clone(), orders, begin, since }, flags);
    served.or_else(|failure| told(&link, failure))
}

fn serve(parent: Parent, mut flags: Flags) -> Result<Exit, Failure> {
    if let Some(workers) = parent.begin.workers {
        flags.retain(|(name, _)| name != "workers");
        flags.push(("workers".to_owned(), vec![workers.to_string()]));
    }
    Ok(super::serve::run(load(flags)?, Some(parent))?)
}

/// Has the parent say why there is no server; if it does not listen, that is said here.
fn told(link: &Link, failure: Failure) -> Result<Exit, Failure> {
    let exit = failure.exit();
    if link.failed(&failure.text(), exit.code()) { Ok(exit) } else { Err(failure) }
}
