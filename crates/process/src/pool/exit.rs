//! How a process ended, for people.

use std::fmt;

/// How a worker process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code, where it left by itself.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Whether the system wrote its memory to a file.
    pub core_dumped: bool,
}

impl Exit {
    /// A process of which nobody learned how it ended.
    pub(crate) const UNKNOWN: Self = Self { code: None, signal: None, core_dumped: false };
}

/// Numbers and names that POSIX gives on every Linux that CPython runs on; the rest is told by number.
const NAMES: [(i32, &str); 12] = [
    (libc_numbers::HUP, "SIGHUP"),
    (libc_numbers::INT, "SIGINT"),
    (libc_numbers::QUIT, "SIGQUIT"),
    (libc_numbers::ILL, "SIGILL"),
    (libc_numbers::TRAP, "SIGTRAP"),
    (libc_numbers::ABRT, "SIGABRT"),
    (libc_numbers::BUS, "SIGBUS"),
    (libc_numbers::FPE, "SIGFPE"),
    (libc_numbers::KILL, "SIGKILL"),
    (libc_numbers::SEGV, "SIGSEGV"),
    (libc_numbers::PIPE, "SIGPIPE"),
    (libc_numbers::TERM, "SIGTERM"),
];

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.signal, self.code) {
            (Some(signal), _) => {
                match NAMES.iter().find(|(number, _)| *number == signal) {
                    Some((_, name)) => write!(f, "{name}")?,
                    None => write!(f, "signal {signal}")?,
                }
                if signal == libc_numbers::KILL {
                    f.write_str(" (by hand, or by the kernel for want of memory)")?;
                }
                if self.core_dumped { f.write_str(", core dumped") } else { Ok(()) }
            }
            (None, Some(code)) => write!(f, "exit code {code}"),
            (None, None) => f.write_str("unknown cause"),
        }
    }
}

/// The numbers as this system has them.
mod libc_numbers {
    use rustix::process::Signal;

    pub(super) const HUP: i32 = Signal::HUP.as_raw();
    pub(super) const INT: i32 = Signal::INT.as_raw();
    pub(super) const QUIT: i32 = Signal::QUIT.as_raw();
    pub(super) const ILL: i32 = Signal::ILL.as_raw();
    pub(super) const TRAP: i32 = Signal::TRAP.as_raw();
    pub(super) const ABRT: i32 = Signal::ABORT.as_raw();
    pub(super) const BUS: i32 = Signal::BUS.as_raw();
    pub(super) const FPE: i32 = Signal::FPE.as_raw();
    pub(super) const KILL: i32 = Signal::KILL.as_raw();
    pub(super) const SEGV: i32 = Signal::SEGV.as_raw();
    pub(super) const PIPE: i32 = Signal::PIPE.as_raw();
    pub(super) const TERM: i32 = Signal::TERM.as_raw();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_in_words() {
        let signal = |signal, core_dumped| Exit { code: None, signal: Some(signal), core_dumped }.to_string();
        assert_eq!(signal(11, true), "SIGSEGV, core dumped");
        assert_eq!(signal(9, false), "SIGKILL (by hand, or by the kernel for want of memory)");
        assert_eq!(signal(34, false), "signal 34");
        assert_eq!(Exit { code: Some(3), signal: None, core_dumped: false }.to_string(), "exit code 3");
    }
}
