//! Servers that want another one in their place, because what their workers hold comes back with the process only.
//!
//! A wish is no reason to hurry. It must not come to a machine that does nothing but start servers, whatever makes them wear so
//! fast; nor to one where they pile up. So the server that serves has to have served for a while, the one before must be gone
//! unless the wish is urgent, and after one that did not come up there are longer and longer pauses. It serves on until then.

use std::time::{Duration, Instant};

use super::{State, Supervisor};
use crate::generation::{Purpose, State as GenerationState, Wish};

/// A server serves for at least so many times as long as its start took: a tenth of the time at most goes into starts.
const TIMES_OF_START: u32 = 10;

const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// What has become of wishes.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    /// Servers that took over because of one.
    pub(super) granted: u64,
    /// Starts beside the one that serves that failed in a row.
    failed: u32,
    not_before: Option<Instant>,
}

impl Wishes {
    /// A start beside the one that serves has failed, and another one would.
    pub(super) fn refused(&mut self) {
        self.not_before = Some(Instant::now() + self.pause());
        self.failed += 1;
    }

    pub(super) fn fulfilled(&mut self) {
        (self.failed, self.not_before) = (0, None);
    }

    fn pause(&self) -> Duration {
        FIRST_PAUSE.saturating_mul(1 << self.failed.min(16)).min(LONGEST_PAUSE)
    }
}

impl Supervisor {
    /// Keeps a wish until its time has come. It goes with the server whose it is.
    pub(super) fn take_wish(&mut self, number: u64, wish: Wish) {
        let mut generations = self.generations.iter_mut();
        let Some(generation) = generations.find(|generation| generation.number == number) else { return };
        // Several applications may be worn in it.
        let is_news = generation.wish.as_ref().is_none_or(|before| wish.is_urgent && !before.is_urgent);
        if generation.state() != GenerationState::Serving || !is_news {
            return;
        }
        let reason = wish.reason.clone();
        generation.wish = Some(wish);
        let waits = self.wish_due_at().map(|at| at.saturating_duration_since(Instant::now()));
        let waits_ms = waits.map(|waits| u64::try_from(waits.as_millis()).unwrap_or(u64::MAX));
        tracing::info!(generation = number, reason, waits_ms, "a server wants another one in its place");
    }

    /// When the server that serves is to have its wish. `None` as long as that depends on something else.
    pub(super) fn wish_due_at(&self) -> Option<Instant> {
        let serving = self.serving().filter(|_| self.state == State::Serving)?;
        let is_urgent = serving.wish.as_ref()?.is_urgent;
        let drains = self.generations.iter().any(|generation| generation.state() == GenerationState::Draining);
        let due = serving.served_times(TIMES_OF_START).filter(|_| is_urgent || !drains)?;
        Some(self.wishes.not_before.map_or(due, |pause| due.max(pause)))
    }

    /// Starts the server that is to take over. Should it fail, the wish stands.
    pub(super) fn grant_wish(&mut self) {
        let Some(serving) = self.serving() else { return };
        let (generation, reason) = (serving.number, serving.wish.as_ref().map(|wish| wish.reason.clone()));
        tracing::info!(generation, reason, "a new generation is started in the place of one that is worn");
        self.taken_over_at_last(|_| true);
        self.start_beside(Purpose::Renewal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_end_with_a_server_that_comes_up() {
        let mut wishes = Wishes::default();
        let mut pauses = Vec::new();
        for _ in 0..40 {
            pauses.push(wishes.pause().as_secs());
            wishes.refused();
        }
        assert_eq!(pauses[..8], [5, 10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(pauses[39], 300);
        wishes.fulfilled();
        assert_eq!((wishes.pause(), wishes.not_before), (FIRST_PAUSE, None));
    }
}
