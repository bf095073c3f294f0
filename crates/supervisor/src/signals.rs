//! Signals, as events of the one loop.

use std::{
    fs, io,
    os::fd::{AsFd, BorrowedFd},
};

use nix::sys::{
    signal::{SigSet, Signal},
    signalfd::{SfdFlags, SignalFd},
};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// SIGTERM, SIGINT, and SIGHUP from a terminal that is gone.
    Stop(&'static str),
    /// SIGQUIT: at once.
    Quit,
    /// SIGHUP, and SIGUSR2 as gunicorn has it.
    Reload(&'static str),
    /// SIGTTIN and SIGTTOU.
    Workers(&'static str, Change),
    /// SIGUSR1.
    ReopenLogs,
    /// SIGCHLD.
    ChildEnded,
}

/// One worker more, or one less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    More,
    Fewer,
}

/// All that are taken. SIGWINCH is ignored, as gunicorn does at a terminal.
const TAKEN: [Signal; 9] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGHUP,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
    Signal::SIGCHLD,
];

/// `SI_KERNEL`: not sent by a process, but for a key or the end of a terminal.
const FROM_KERNEL: i32 = 0x80;

/// Signals of this process, from the making of this on. A program that is started inherits that they are blocked.
#[derive(Debug)]
pub(crate) struct Signals {
    descriptor: SignalFd,
    /// Started with `nohup`.
    outlives_terminal: bool,
}

impl Signals {
    /// To be made while there is one thread.
    pub(crate) fn take() -> io::Result<Self> {
        let outlives_terminal = fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangup(&status));
        let signals: SigSet = TAKEN.into_iter().collect();
        signals.thread_block()?;
        let descriptor = SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        Ok(Self { descriptor, outlives_terminal })
    }

    /// The next one that has come.
    pub(crate) fn next(&self) -> io::Result<Option<Told>> {
        loop {
            let Some(info) = self.descriptor.read_signal()? else { return Ok(None) };
            let signal = i32::try_from(info.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok());
            if let Some(told) = signal.and_then(|signal| self.told(signal, info.ssi_code == FROM_KERNEL)) {
                return Ok(Some(told));
            }
        }
    }

    fn told(&self, signal: Signal, from_kernel: bool) -> Option<Told> {
        Some(match signal {
            Signal::SIGTERM | Signal::SIGINT => Told::Stop(signal.as_str()),
            Signal::SIGHUP if from_kernel && self.outlives_terminal => return None,
            Signal::SIGHUP if from_kernel => Told::Stop("SIGHUP"),
            Signal::SIGHUP | Signal::SIGUSR2 => Told::Reload(signal.as_str()),
            // Of a background job that reads from the terminal.
            Signal::SIGTTIN | Signal::SIGTTOU if from_kernel => return None,
            Signal::SIGTTIN => Told::Workers("SIGTTIN", Change::More),
            Signal::SIGTTOU => Told::Workers("SIGTTOU", Change::Fewer),
            Signal::SIGQUIT => Told::Quit,
            Signal::SIGUSR1 => Told::ReopenLogs,
            Signal::SIGCHLD => Told::ChildEnded,
            _ => return None,
        })
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Lets this thread have the signals that the parent of this process has blocked.
pub(crate) fn unblock() -> io::Result<()> {
    Ok(SigSet::all().thread_unblock()?)
}

/// Whether SIGHUP was ignored when this process was started.
fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nohup_is_noticed() {
        assert!(ignores_hangup("Name:\tstack\nSigIgn:\t0000000000001001\n"));
        assert!(!ignores_hangup("Name:\tstack\nSigIgn:\t0000000000001000\n"));
    }

    #[test]
    fn a_terminal_is_no_operator() {
        let signals =
            |outlives_terminal| Signals { descriptor: SignalFd::new(&SigSet::empty()).unwrap(), outlives_terminal };
        assert_eq!(signals(false).told(Signal::SIGHUP, false), Some(Told::Reload("SIGHUP")));
        assert_eq!(signals(false).told(Signal::SIGHUP, true), Some(Told::Stop("SIGHUP")));
        assert_eq!(signals(true).told(Signal::SIGHUP, true), None);
        assert_eq!(signals(true).told(Signal::SIGHUP, false), Some(Told::Reload("SIGHUP")));
        assert_eq!(signals(false).told(Signal::SIGTTIN, true), None);
        assert_eq!(signals(false).told(Signal::SIGTTIN, false), Some(Told::Workers("SIGTTIN", Change::More)));
    }
}
