//! A timer that is set lazily.
//!
//! It is moved only to an earlier time; when it fires too early it is set again. A busy connection touches it about once
//! in a timeout, not once in a read.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// One timer for any number of deadlines. It costs nothing until its first wait.
#[derive(Debug, Default)]
pub(crate) struct LazyTimer {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl LazyTimer {
    /// Whether `deadline` has passed. If not, the task of `cx` is woken then, or before.
    pub(crate) fn is_past(&mut self, deadline: Instant, cx: &mut Context<'_>) -> bool {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        loop {
            if sleep.is_elapsed() || sleep.deadline() > deadline {
                sleep.as_mut().reset(deadline);
            }
            if sleep.as_mut().poll(cx).is_pending() {
                return false;
            }
            if Instant::now() >= deadline {
                return true;
            }
        }
    }
}

/// Bounds a pause: it begins with the first wait, and ends with progress.
#[derive(Debug)]
pub(crate) struct Pause {
    limit: Duration,
    deadline: Option<Instant>,
}

impl Pause {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, deadline: None }
    }

    /// Passes `outcome` on and takes note of it: `Ready(None)` where it has been waited for too long.
    pub(crate) fn watch<T>(
        &mut self,
        outcome: Poll<T>,
        timer: &mut LazyTimer,
        cx: &mut Context<'_>,
    ) -> Poll<Option<T>> {
        if let Poll::Ready(outcome) = outcome {
            self.deadline = None;
            return Poll::Ready(Some(outcome));
        }
        let limit = self.limit;
        // A limit past the end of time is none.
        let deadline = *self.deadline.get_or_insert_with(|| {
            Instant::now().checked_add(limit).unwrap_or_else(|| Instant::now() + Duration::from_hours(24 * 365))
        });
        if timer.is_past(deadline, cx) { Poll::Ready(None) } else { Poll::Pending }
    }

    /// What is waited for goes on: the pause is over.
    pub(crate) fn progress(&mut self) {
        self.deadline = None;
    }

    /// The next wait begins a new pause.
    pub(crate) fn reset(&mut self, limit: Duration) {
        *self = Self::new(limit);
    }
}
