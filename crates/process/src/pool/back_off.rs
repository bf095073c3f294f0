//! How long to wait before a worker is started again.

use std::time::Duration;

/// A worker that lived for less than this counts as one that does not live.
const SHORT_LIFE: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// No pause after a worker that lived, then pauses that double.
#[derive(Debug, Default)]
pub(super) struct BackOff {
    short_lives: u32,
}

impl BackOff {
    /// The pause after a worker that was ready for `life`, which is nothing for one that never was.
    pub(super) fn after(&mut self, life: Duration) -> Duration {
        if life >= SHORT_LIFE {
            self.short_lives = 0;
            return Duration::ZERO;
        }
        self.short_lives += 1;
        match self.short_lives {
            1 => Duration::ZERO,
            lives => FIRST_PAUSE.saturating_mul(1 << (lives - 2).min(16)).min(LONGEST_PAUSE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_replaced_at_once_and_later_ones_after_longer_and_longer_pauses() {
        let mut back_off = BackOff::default();
        let pauses: Vec<_> = (0..9).map(|_| back_off.after(Duration::ZERO).as_millis()).collect();
        assert_eq!(pauses, [0, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    }

    #[test]
    fn one_that_lived_ends_the_series() {
        let mut back_off = BackOff::default();
        for _ in 0..5 {
            back_off.after(Duration::ZERO);
        }
        assert_eq!(back_off.after(SHORT_LIFE), Duration::ZERO);
        assert_eq!(back_off.after(Duration::ZERO), Duration::ZERO);
    }
}
