//! A worker's process, as the server holds it.

use rustix::process::{Pid, Signal, kill_process};
use tokio::{process::Child, sync::oneshot};

use super::Exit;
use crate::link::Link;

/// A worker's process. Dropping it ends the process.
pub(super) struct Process {
    /// The worker takes its end for the server's.
    pub(super) link: Link,
    pub(super) pid: u32,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    /// Our child.
    Exec(Child),
    /// Another's child, which tells when it has ended. Without it, its end is that of its connection.
    Forked(Option<oneshot::Receiver<Exit>>),
}

impl Kind {
    /// Waits for its end. It may be dropped and called again. Where nobody tells, it waits forever.
    pub(super) async fn wait(&mut self) -> Exit {
        let forked = match self {
            Self::Exec(child) => return child.wait().await.map_or(Exit::UNKNOWN, Exit::from),
            Self::Forked(forked) => forked,
        };
        if let Some(exit) = forked {
            let exit = exit.await;
            *forked = None;
            if let Ok(exit) = exit {
                return exit;
            }
        }
        std::future::pending().await
    }

    /// Whether its end is told by its connection alone.
    pub(super) fn is_told_by_link(&self) -> bool {
        matches!(self, Self::Forked(None))
    }
}

impl Process {
    /// Waits for its end. It may be dropped and called again.
    pub(super) async fn wait(&mut self) -> Exit {
        loop {
            tokio::select! {
                exit = self.kind.wait() => return exit,
                frame = self.link.receive(), if self.kind.is_told_by_link() => {
                    if frame.is_err() {
                        return Exit::UNKNOWN;
                    }
                }
            }
        }
    }

    /// Sends it a signal, where its number is still its own.
    fn signal(&self, signal: Signal) {
        // Its parent has not waited for it yet: that is this process, or one that tells of it.
        let is_there = match &self.kind {
            Kind::Exec(child) => child.id().is_some(),
            Kind::Forked(exit) => exit.is_some(),
        };
        if let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw).filter(|_| is_there) {
            let _ = kill_process(pid, signal);
        }
    }

    /// Ends it in a way that has it leave its Python stacks behind.
    pub(super) fn abort(&self) {
        self.signal(Signal::ABORT);
    }

    pub(super) fn kill(&mut self) {
        self.signal(Signal::KILL);
        if self.kind.is_told_by_link() {
            // It leaves at the end of its connection.
            self.link.hang_up_handle().hang_up();
        }
    }
}

/// The memory that a process takes: its own, and its share of what it shares. In bytes.
pub(super) async fn memory_of(pid: u32) -> Option<u64> {
    // The kernel walks through all of it, which may take milliseconds.
    let read = tokio::task::spawn_blocking(move || std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")));
    parse_memory(&read.await.ok()?.ok()?)
}

/// The line `Pss:` of a `smaps_rollup` (see `proc_pid_smaps`), in bytes.
fn parse_memory(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_the_proportional_share() {
        let rollup =
            "55d0-7ffd ---p 00000000 00:00 0 [rollup]\nRss:  9000 kB\nPss:                5120 kB\nPss_Dirty: 1 kB\n";
        assert_eq!(parse_memory(rollup), Some(5 << 20));
        assert_eq!(parse_memory("Rss: 9000 kB\n"), None);
    }
}
