//! How a server process ended, for people.

use std::fmt;

use nix::sys::signal::Signal;
use rustix::process::WaitStatus;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// By itself, with this exit code.
    Exit(u8),
    /// By a signal.
    Signal {
        number: i32,
        core_dumped: bool,
        /// The kernel has killed for want of memory meanwhile.
        for_memory: bool,
    },
    /// Nobody learned.
    Unknown,
}

/// The bit of a wait status that says that there is a core file.
const CORE_DUMPED: i32 = 0x80;

impl Ending {
    pub(crate) fn new(status: WaitStatus, out_of_memory: impl FnOnce() -> bool) -> Self {
        if let Some(code) = status.exit_status() {
            return Self::Exit(u8::try_from(code).unwrap_or(u8::MAX));
        }
        let Some(number) = status.terminating_signal() else { return Self::Unknown };
        let for_memory = number == Signal::SIGKILL as i32 && out_of_memory();
        Self::Signal { number, core_dumped: status.as_raw() & CORE_DUMPED != 0, for_memory }
    }

    /// As a shell has it.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Exit(code) => code,
            Self::Signal { number, .. } => u8::try_from(128 + number).unwrap_or(u8::MAX),
            Self::Unknown => 1,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Exit(code) => write!(f, "exit code {code}"),
            Self::Signal { number, core_dumped, for_memory } => {
                match Signal::try_from(number) {
                    Ok(signal) => f.write_str(signal.as_str())?,
                    Err(_) => write!(f, "signal {number}")?,
                }
                if for_memory {
                    f.write_str(" (by the kernel, for want of memory)")?;
                }
                if core_dumped { f.write_str(", core dumped") } else { Ok(()) }
            }
            Self::Unknown => f.write_str("unknown cause"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_in_words_and_as_an_exit_code() {
        let signal = |number, core_dumped, for_memory| Ending::Signal { number, core_dumped, for_memory };
        for (ending, text, code) in [
            (signal(11, true, false), "SIGSEGV, core dumped", 139),
            (signal(9, false, true), "SIGKILL (by the kernel, for want of memory)", 137),
            (signal(9, false, false), "SIGKILL", 137),
            (signal(34, false, false), "signal 34", 162),
            (Ending::Exit(3), "exit code 3", 3),
        ] {
            assert_eq!((ending.to_string().as_str(), ending.exit_code()), (text, code));
        }
    }
}
