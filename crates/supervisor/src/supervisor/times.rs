//! What is due, and when.

use std::time::{Duration, Instant};

use rustix::process::Pid;

use super::Supervisor;
use crate::{
    generation::{Purpose, State as GenerationState},
    message::Order,
    notify::Stage,
};

impl Supervisor {
    pub(super) fn next_time(&self) -> Option<Instant> {
        let kills = self.generations.iter().filter_map(|generation| generation.killed_at);
        kills
            .chain(self.restart_at)
            .chain(self.next_ping)
            .chain(self.report_at)
            .chain(self.taking_over.as_ref().map(|taking_over| taking_over.until))
            .chain(self.wish_due_at())
            .chain(self.watchdog.next())
            .min()
    }

    pub(super) fn keep_time(&mut self) {
        let now = Instant::now();
        let due: Vec<Pid> = self.generations.iter_mut().filter_map(|generation| generation.kill_if_due(now)).collect();
        for pid in due {
            self.look_after(pid);
        }
        if self.restart_at.is_some_and(|at| at <= now) {
            self.restart_at = None;
            self.start_or_retry(Purpose::Restart);
        }
        if self.report_at.is_some_and(|at| at <= now) {
            self.answer_status(None);
        }
        self.taken_over_at_last(|taking_over| taking_over.until <= now);
        if self.wish_due_at().is_some_and(|at| at <= now) {
            self.grant_wish();
        }
        if let Some(counts) = self.watchdog.look(now) {
            self.look_for_life(counts);
        }
        if let (Some(at), Some(interval)) = (self.next_ping, self.notify.interval())
            && at <= now
        {
            self.next_ping = Some(now + interval);
            self.tell_manager(now, interval);
        }
    }

    /// Tells the service manager that all is well, if the server has answered since it was asked last.
    fn tell_manager(&self, now: Instant, interval: Duration) {
        let recently = |at: Instant| now.saturating_duration_since(at) < interval * 2;
        let serving = self.generations.iter().find(|generation| generation.state() == GenerationState::Serving);
        let is_well = match (serving, self.state) {
            (Some(serving), _) => {
                serving.tell(&Order::Ping);
                serving.answered_at.or(serving.serving_since).is_some_and(recently)
            }
            // It can not be expected to answer, and what it does has limits of its own.
            (None, _) => true,
        };
        if is_well {
            self.notify.tell(Stage::Alive, "");
        }
    }
}
