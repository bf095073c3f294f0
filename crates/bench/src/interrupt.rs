//! The end from outside. Whatever runs in a process group of its own is registered here and killed by the first signal, so that
//! nothing is left behind; everything that waits hears of it.

use std::{
    collections::HashSet,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

use crate::Error;

/// Whether the benchmark has been told to end, and what runs that must not outlive it.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_interrupted: bool,
    groups: HashSet<Pid>,
}

impl Interrupt {
    /// Listens for SIGINT, SIGTERM and SIGHUP from now on.
    pub fn watch() -> Result<Self, Error> {
        let interrupt = Self::default();
        let mut signals =
            Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(Error::system("signals can not be listened to"))?;
        let heard = interrupt.clone();
        thread::spawn(move || {
            for _ in signals.forever() {
                heard.interrupt();
            }
        });
        Ok(interrupt)
    }

    /// Kills what is registered and wakes what waits.
    pub fn interrupt(&self) {
        let mut state = self.state();
        state.is_interrupted = true;
        for group in &state.groups {
            // It may have ended by itself.
            let _ = kill_process_group(*group, Signal::KILL);
        }
        self.shared.changed.notify_all();
    }

    /// An error once the benchmark has been told to end.
    pub fn check(&self) -> Result<(), Error> {
        if self.state().is_interrupted { Err(Error::Interrupted) } else { Ok(()) }
    }

    /// Lets this time pass.
    pub fn pause(&self, time: Duration) -> Result<(), Error> {
        let deadline = Instant::now() + time;
        let mut state = self.state();
        loop {
            if state.is_interrupted {
                return Err(Error::Interrupted);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Registers a process group until the guard is dropped.
    pub(crate) fn register(&self, group: Pid) -> Registered {
        let mut state = self.state();
        if state.is_interrupted {
            let _ = kill_process_group(group, Signal::KILL);
        }
        state.groups.insert(group);
        Registered { interrupt: self.clone(), group }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A process group that an interrupt kills.
#[derive(Debug)]
pub(crate) struct Registered {
    interrupt: Interrupt,
    group: Pid,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.interrupt.state().groups.remove(&self.group);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::process::{CommandExt, ExitStatusExt},
        process::Command,
    };

    use super::*;

    #[test]
    fn an_interrupt_ends_a_pause() {
        let interrupt = Interrupt::default();
        let other = interrupt.clone();
        let waiting = thread::spawn(move || other.pause(Duration::from_hours(1)));
        interrupt.interrupt();
        assert!(matches!(waiting.join().unwrap(), Err(Error::Interrupted)));
        assert!(matches!(interrupt.check(), Err(Error::Interrupted)));
    }

    #[test]
    fn an_interrupt_kills_what_is_registered() {
        let interrupt = Interrupt::default();
        let mut child = Command::new("sleep").arg("600").process_group(0).spawn().unwrap();
        let registered = interrupt.register(Pid::from_child(&child));
        interrupt.interrupt();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        drop(registered);
    }

    #[test]
    fn what_is_started_after_the_interrupt_ends_too() {
        let interrupt = Interrupt::default();
        interrupt.interrupt();
        let mut child = Command::new("sleep").arg("600").process_group(0).spawn().unwrap();
        let _registered = interrupt.register(Pid::from_child(&child));
        assert_eq!(child.wait().unwrap().signal(), Some(9));
    }
}
