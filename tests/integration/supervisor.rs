//! The parent of the server: what it does when its child crashes, is replaced, or is alone.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Server, Stack, stack};

mod commands;
mod crashes;
mod http2;
mod reloads;
mod stopping;
mod systemd;
mod watchdog;

/// An application that says which version of its file it is.
fn versioned(version: &str) -> String {
    format!(
        "import os\ndef application(environ, start_response):\n    \
         start_response('200 OK', [('Content-Type', 'text/plain'), ('X-Pid', str(os.getpid()))])\n    \
         return [b'{version}']\n"
    )
}

fn server_of(text: &str) -> Stack {
    stack(["serve", "--app", "changing"]).file("changing.py", text)
}

fn change(server: &Server, text: &str) {
    fs::write(server.process().directory().join("changing.py"), text).unwrap();
}

/// Sends a signal to a process that may be gone.
pub(crate) fn kill(pid: u32, signal: Signal) {
    let _ = kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), signal);
}

/// Whether a process runs: one that is dead and has not been waited for does not.
fn runs(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}
