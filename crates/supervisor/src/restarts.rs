//! When a server process that has ended is followed by another one.

use std::time::Duration;

/// A server that served for less than this counts as one that does not live.
const SHORT_LIFE: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// So many short lives in a row are a loop that nobody but a person ends.
const MOST_SHORT_LIVES: u32 = 10;

/// No pause after a server that lived, then pauses that double, then the end.
#[derive(Debug, Default)]
pub(crate) struct Restarts {
    short_lives: u32,
    total: u64,
}

impl Restarts {
    /// How many there were.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// How many servers in a row did not live.
    pub(crate) fn short_lives(&self) -> u32 {
        self.short_lives
    }

    /// The pause after a server that served for `life`, which is nothing for one that never did. `None`: it is a loop.
    pub(crate) fn after(&mut self, life: Duration) -> Option<Duration> {
        self.short_lives = if life >= SHORT_LIFE { 0 } else { self.short_lives + 1 };
        if self.short_lives >= MOST_SHORT_LIVES {
            return None;
        }
        self.total += 1;
        Some(match self.short_lives {
            0 | 1 => Duration::ZERO,
            lives => FIRST_PAUSE.saturating_mul(1 << (lives - 2)).min(LONGEST_PAUSE),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_replaced_at_once_and_later_ones_after_longer_and_longer_pauses() {
        let mut restarts = Restarts::default();
        let pauses: Vec<_> = (0..10).map(|_| restarts.after(Duration::ZERO).map(|pause| pause.as_millis())).collect();
        let expected = [0, 100, 200, 400, 800, 1600, 3200, 5000, 5000].map(Some);
        assert_eq!(pauses[..9], expected);
        assert_eq!(pauses[9], None, "it is a loop");
        assert_eq!(restarts.total(), 9);
    }

    #[test]
    fn one_that_lived_ends_the_series() {
        let mut restarts = Restarts::default();
        for _ in 0..50 {
            for _ in 0..5 {
                assert!(restarts.after(Duration::ZERO).is_some());
            }
            assert_eq!(restarts.after(SHORT_LIFE), Some(Duration::ZERO));
        }
    }
}
