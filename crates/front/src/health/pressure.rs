//! Whether an application has had more work than it can do, and for how long.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use stack_bridge::Queue;

/// How long requests have to be refused until the server is not ready.
pub(super) const LONG: Duration = Duration::from_secs(5);

/// A time without a refusal that ends it. In an overload hardly a moment goes by without one.
const QUIET: Duration = Duration::from_secs(1);

/// The queue of one application, and its refusals.
#[derive(Debug)]
pub(crate) struct Pressure {
    queue: Queue,
    refusals: Mutex<Option<Refusals>>,
}

/// Refusals without a pause between them.
#[derive(Clone, Copy, Debug)]
struct Refusals {
    first: Instant,
    last: Instant,
}

impl Pressure {
    pub(super) fn new(queue: Queue) -> Self {
        Self { queue, refusals: Mutex::default() }
    }

    pub(crate) fn queue(&self) -> &Queue {
        &self.queue
    }

    /// A request was refused, since there was too much work.
    pub(crate) fn refused(&self) {
        self.refused_at(Instant::now());
    }

    fn refused_at(&self, now: Instant) {
        let mut refusals = self.lock();
        match &mut *refusals {
            Some(Refusals { first: _, last }) if now.saturating_duration_since(*last) <= QUIET => *last = now,
            refusals => *refusals = Some(Refusals { first: now, last: now }),
        }
    }

    pub(super) fn is_saturated(&self) -> bool {
        self.is_saturated_at(Instant::now())
    }

    fn is_saturated_at(&self, now: Instant) -> bool {
        self.lock().is_some_and(|Refusals { first, last }| {
            now.saturating_duration_since(last) <= QUIET && last.saturating_duration_since(first) >= LONG
        })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Refusals>> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn refused_for(&self, time: Duration) {
        let last = Instant::now();
        *self.lock() = Some(Refusals { first: last.checked_sub(time).unwrap(), last });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_refusals_without_a_pause_saturate() {
        let pressure = Pressure::new(Queue::new(1));
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        assert!(!pressure.is_saturated_at(start));
        for tenth in 0..=50 {
            assert!(!pressure.is_saturated_at(at(tenth * 100)));
            pressure.refused_at(at(tenth * 100));
        }
        assert!(pressure.is_saturated_at(at(5000)));
        assert!(pressure.is_saturated_at(at(6000)));
        assert!(!pressure.is_saturated_at(at(6001)));
        pressure.refused_at(at(7000));
        assert!(!pressure.is_saturated_at(at(7000)), "it begins anew");
    }
}
