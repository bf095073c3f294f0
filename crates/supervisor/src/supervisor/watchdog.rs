//! Whether servers give signs of life.
//!
//! What counts is not time but how often a server was asked in vain, at regular intervals of the parent's own. A parent that has
//! not run for a while, because the machine or the container was suspended or has no CPU to give, has not asked either, and
//! knows nothing of those that stood still with it.

use std::{
    fs,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use super::Supervisor;
use crate::{
    generation::{Generation, State as GenerationState},
    message::Order,
};

/// How often a server is asked in the time that it has.
const ASKED: u32 = 5;

/// A parent that comes so much too late is only busy, as the machine is.
const LATE: Duration = Duration::from_secs(1);

/// When servers are asked.
#[derive(Debug)]
pub(super) struct Watchdog {
    interval: Option<Duration>,
    next: Option<Instant>,
}

impl Watchdog {
    pub(super) fn new(timeout: Option<Duration>) -> Self {
        let interval = timeout.map(|timeout| timeout / ASKED);
        Self { interval, next: interval.map(|interval| Instant::now() + interval) }
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Whether it is time to ask; if so, whether the time since the last question counts.
    pub(super) fn look(&mut self, now: Instant) -> Option<bool> {
        let (next, interval) = self.next.zip(self.interval).filter(|(next, _)| *next <= now)?;
        self.next = Some(now + interval);
        Some(now.saturating_duration_since(next) < interval.max(LATE))
    }
}

impl Supervisor {
    /// Asks all servers, and ends those that were asked often enough. `counts`: this process was there all the time.
    pub(super) fn look_for_life(&mut self, counts: bool) {
        // Others have an end set already.
        let watched = |generation: &&mut Generation| generation.is_connected && generation.killed_at.is_none();
        for generation in self.generations.iter_mut().filter(watched) {
            if !counts {
                generation.unanswered = 0;
            }
            if generation.unanswered >= ASKED && can_answer(generation) {
                end(generation);
            } else {
                generation.unanswered = generation.unanswered.saturating_add(1);
                generation.tell(&Order::Ping);
            }
        }
    }
}

/// One that has just been started has nobody yet who listens.
fn can_answer(generation: &Generation) -> bool {
    generation.state() == GenerationState::Serving || generation.answered_at.is_some()
}

fn end(generation: &mut Generation) {
    let pid = generation.pid.as_raw_nonzero();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let process_state = field(&status, "State:");
    let (code, number) = ("STACK0712", generation.number);
    if !matches!(field(&status, "TracerPid:"), "" | "0") {
        tracing::warn!(
            code,
            generation = number,
            pid,
            "a server process gives no sign of life, and is left to its debugger"
        );
        generation.unanswered = 0;
        return;
    }
    let last = generation.answered_at.max(generation.serving_since).map(|at| at.elapsed().as_secs());
    tracing::error!(
        code,
        generation = number,
        pid,
        process_state,
        silent_for_s = last,
        "a server process gives no sign of life and is ended"
    );
    generation.end_unresponsive(signal(process_state));
}

/// What ends it.
fn signal(process_state: &str) -> Signal {
    match process_state.bytes().next() {
        // It does nothing with another signal before it goes on, and then it might do anything.
        Some(b'T') => Signal::KILL,
        // With a core file, where the system keeps those, that says in what it hangs.
        _ => Signal::ABORT,
    }
}

/// Of a file of lines with a name each.
fn field<'a>(status: &'a str, name: &str) -> &'a str {
    status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_in_which_the_parent_stood_still_does_not_count() {
        let second = Duration::from_secs(1);
        let mut watchdog = Watchdog::new(Some(10 * second));
        let first = watchdog.next().unwrap();
        assert_eq!(watchdog.look(Instant::now()), None);
        assert_eq!(watchdog.look(first + second), Some(true));
        assert_eq!(watchdog.look(first + 2 * second), None, "an interval after the last look");
        assert_eq!(watchdog.look(first + 60 * second), Some(false));
        assert_eq!(watchdog.look(first + 62 * second), Some(true));
        let mut quick = Watchdog::new(Some(second));
        let first = quick.next().unwrap();
        assert_eq!(quick.look(first + second / 2), Some(true), "busy");
        assert_eq!(Watchdog::new(None).next(), None);
    }

    #[test]
    fn a_process_tells_its_state() {
        let status = "Name:\tstack\nState:\tT (stopped)\nTracerPid:\t0\n";
        assert_eq!((field(status, "State:"), field(status, "TracerPid:")), ("T (stopped)", "0"));
        assert_eq!(
            (signal("T (stopped)"), signal("S (sleeping)"), signal("")),
            (Signal::KILL, Signal::ABORT, Signal::ABORT)
        );
    }
}
