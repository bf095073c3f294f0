//! What follows the end of a server process.

use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitOptions, WaitStatus, waitpid};

use super::{Outcome, State, Supervisor};
use crate::{
    command::Answer,
    ending::Ending,
    generation::{Generation, Purpose, State as GenerationState},
    message::{Order, shortened},
    notify::Stage,
};

impl Supervisor {
    /// Waits for all children that have ended: as process 1 also for those of others.
    pub(super) fn reap(&mut self) {
        loop {
            match waitpid(None, WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => self.ended(pid, Some(status)),
                Err(rustix::io::Errno::INTR) => {}
                Ok(None) | Err(_) => break,
            }
        }
    }

    /// Looks for the end of one child. Where SIGCHLD was ignored at the start the system has waited for it, and nobody learns
    /// how it ended.
    pub(super) fn look_after(&mut self, pid: Pid) {
        match waitpid(Some(pid), WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => self.ended(pid, Some(status)),
            Err(rustix::io::Errno::CHILD) => self.ended(pid, None),
            Ok(None) | Err(_) => {}
        }
    }

    fn ended(&mut self, pid: Pid, status: Option<WaitStatus>) {
        let Some(place) = self.generations.iter().position(|generation| generation.pid == pid) else {
            tracing::debug!(pid = pid.as_raw_nonzero(), "an orphan has ended");
            return;
        };
        // What it said last came before its end.
        let number = self.generations[place].number;
        if self.generations[place].is_connected {
            self.hear(number);
        }
        let ending = status.map_or(Ending::Unknown, |status| Ending::new(status, || self.out_of_memory.rose()));
        let mut generation = self.generations.remove(place);
        let last = generation.state();
        generation.enter(GenerationState::Ended);
        self.taken_over_at_last(|taking_over| taking_over.from == number);
        if self.state == State::Stopping {
            self.ended_in_stop(&generation, ending);
            return self.end_if_empty();
        }
        match last {
            GenerationState::Starting | GenerationState::Ready => self.never_served(&generation, ending),
            GenerationState::Serving => self.crashed(&generation, ending),
            GenerationState::Draining | GenerationState::Ended => report_drained(&generation, ending),
        }
        self.let_go_of_sockets();
    }

    fn never_served(&mut self, generation: &Generation, ending: Ending) {
        if generation.is_superseded() {
            if !self.generations.iter().any(Generation::is_candidate) {
                self.start_or_retry(generation.purpose);
            }
            return;
        }
        let text = generation.failure.as_ref().map_or_else(
            || format!("the server process ended while it started: {}", cause(generation, ending)),
            |failure| failure.text.clone(),
        );
        match generation.purpose {
            Purpose::First => {
                let exit_code = generation.failure.as_ref().map_or(ending.exit_code(), |failure| failure.exit_code);
                // A server that never served has failed, whatever it says.
                self.outcome = Some(Outcome::Failed { text, exit_code: exit_code.max(1) });
            }
            Purpose::Reload | Purpose::Renewal if self.serving().is_some() => self.reload_failed(&text),
            // The one that it was to replace has ended meanwhile.
            Purpose::Reload | Purpose::Renewal | Purpose::Restart => {
                tracing::error!(
                    code = "STACK0703",
                    generation = generation.number,
                    reason = text,
                    "a server process could not be started again"
                );
                self.answer_reloads(&Answer::failed(&text));
                self.unresponsive += u64::from(generation.is_unresponsive());
                self.restart(Duration::ZERO, &text);
            }
        }
    }

    /// The generation that was to take over did not come up.
    pub(super) fn reload_failed(&mut self, text: &str) {
        let changed = self.changed.take().map(|changed| changed.names);
        tracing::error!(
            code = "STACK0702",
            changed,
            reason = text,
            "reload failed: the generation before goes on serving"
        );
        // What was learned may not hold any more.
        self.learned = None;
        if let Some(serving) = self.serving() {
            serving.tell(&Order::ReloadFailed { reason: shortened(text) });
        }
        self.failed_reloads += 1;
        self.wishes.refused();
        self.reload_error = Some(text.trim_end().to_owned());
        self.answer_reloads(&Answer::failed(text));
        self.enter(State::Serving);
        self.notify.tell(Stage::Ready, "reload failed, the generation before goes on serving");
        self.catch_up();
    }

    fn crashed(&mut self, generation: &Generation, ending: Ending) {
        let life = generation.serving_since.map_or(Duration::ZERO, |since| since.elapsed());
        tracing::error!(
            code = "STACK0701",
            generation = generation.number,
            pid = generation.pid.as_raw_nonzero(),
            cause = cause(generation, ending),
            served_for_ms = u64::try_from(life.as_millis()).unwrap_or(u64::MAX),
            "the server process has ended"
        );
        if self.generations.iter().any(Generation::is_candidate) {
            // Its successor is on its way already.
            return self.enter(State::Restarting);
        }
        self.unresponsive += u64::from(generation.is_unresponsive());
        self.restart(life, &format!("the server process has ended: {}", cause(generation, ending)));
    }

    /// Starts a server process in place of one that served for `life`, now or after a pause.
    pub(super) fn restart(&mut self, life: Duration, text: &str) {
        let Some(pause) = self.restarts.after(life) else {
            let lives = self.restarts.short_lives();
            tracing::error!(code = "STACK0704", tries = lives, "the server does not live: no more is tried");
            let text = format!("the server ended {lives} times in a row, each time at once; the last time: {text}");
            self.outcome = Some(Outcome::Failed { text, exit_code: 1 });
            return;
        };
        self.enter(State::Restarting);
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(pause_ms, "the server is started again");
        if pause.is_zero() {
            self.start_or_retry(Purpose::Restart);
        } else {
            self.restart_at = Some(Instant::now() + pause);
        }
    }

    fn ended_in_stop(&mut self, generation: &Generation, ending: Ending) {
        // It was killed for another one, which the stop came before.
        if generation.is_superseded() {
            return;
        }
        self.cut_off += generation.cut_off.unwrap_or(0);
        if ending != Ending::Exit(0) {
            tracing::warn!(code = "STACK0705", generation = generation.number, cause = %ending, "a server process did not stop cleanly");
        }
        self.exit_code = self.exit_code.max(ending.exit_code());
    }

    pub(super) fn end_if_empty(&mut self) {
        if self.state == State::Stopping && self.generations.is_empty() {
            self.outcome = Some(Outcome::Stopped(self.exit_code));
        }
    }
}

fn cause(generation: &Generation, ending: Ending) -> String {
    let why = if generation.is_unresponsive() { ", because it gave no sign of life" } else { "" };
    format!("{ending}{why}")
}

fn report_drained(generation: &Generation, ending: Ending) {
    let (number, cut_off) = (generation.number, generation.cut_off);
    if ending == Ending::Exit(0) && generation.ends_quietly && cut_off.unwrap_or(0) == 0 {
        tracing::debug!(generation = number, "a generation has ended");
    } else if ending == Ending::Exit(0) {
        tracing::info!(generation = number, cut_off, "a generation has ended");
    } else {
        tracing::warn!(code = "STACK0705", generation = number, cut_off, cause = %ending, "a generation did not end cleanly");
    }
}
