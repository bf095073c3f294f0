//! A timer that is set lazily.
//!
//! It is moved only to an earlier time; when it fires too early it is set again. A busy connection touches it about once
//! in a timeout, not once in a read.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::{
    task::coop::has_budget_remaining,
    time::{Instant, Sleep, sleep_until},
};

/// One timer for any number of deadlines. It costs nothing until its first wait.
#[derive(Debug, Default)]
pub(crate) struct LazyTimer {
    sleep: Option<Pin<Box<Sleep>>>,
    /// Whom it wakes.
    waker: Option<Waker>,
}

impl LazyTimer {
    /// Whether `deadline` has passed. If not, the task of `cx` is woken then, or before.
    pub(crate) fn is_past(&mut self, deadline: Instant, cx: &mut Context<'_>) -> bool {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        loop {
            if sleep.is_elapsed() || sleep.deadline() > deadline {
                sleep.as_mut().reset(deadline);
            } else if self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                // It has been asked since it was set, and wakes the task before anything is due.
                return false;
            }
            // A task that has used up its turn is told to wait without that the timer knows of it.
            let is_asked = has_budget_remaining();
            if sleep.as_mut().poll(cx).is_pending() {
                self.waker = is_asked.then(|| cx.waker().clone());
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

    /// A new pause begins now.
    pub(crate) fn begin(&mut self, limit: Duration, now: Instant) {
        *self = Self { limit, deadline: now.checked_add(limit) };
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::{
        task::coop::consume_budget,
        time::{sleep, timeout},
    };

    use super::*;

    const SOON: Duration = Duration::from_millis(20);
    /// A timeout that ends looks once more whether there is anything.
    const LONG: Duration = Duration::from_secs(20);

    #[derive(Debug, PartialEq, Eq)]
    enum Whose {
        Timer,
        Timeout,
        Nobody,
    }

    /// Who has woken the task.
    fn by(deadline: Instant) -> Whose {
        match Instant::now().checked_duration_since(deadline) {
            None => Whose::Nobody,
            Some(late) if late < LONG / 2 => Whose::Timer,
            Some(_) => Whose::Timeout,
        }
    }

    #[tokio::test]
    async fn a_deadline_is_noticed_whenever_it_is_asked_for_and_whoever_asks() {
        let mut timer = LazyTimer::default();
        for _ in 0..3 {
            let deadline = Instant::now() + SOON;
            // A waker that is not the task's.
            let mut noop = Context::from_waker(Waker::noop());
            assert!(!timer.is_past(deadline, &mut noop) || Instant::now() >= deadline);
            let _ = timeout(SOON / 4, poll_fn(|cx| is_past(&mut timer, deadline, cx))).await;
            let _ = timer.is_past(deadline, &mut noop);
            timeout(LONG, poll_fn(|cx| is_past(&mut timer, deadline, cx))).await.unwrap();
            assert_eq!(by(deadline), Whose::Timer);
        }
        let (late, early) = (Instant::now() + Duration::from_hours(1), Instant::now() + SOON);
        timeout(SOON / 4, poll_fn(|cx| is_past(&mut timer, late, cx))).await.unwrap_err();
        timeout(LONG, poll_fn(|cx| is_past(&mut timer, early, cx))).await.unwrap();
        assert_eq!(by(early), Whose::Timer);
    }

    #[tokio::test]
    async fn a_task_whose_turn_is_over_is_woken_as_well() {
        let mut timer = LazyTimer::default();
        sleep(Duration::from_millis(1)).await;
        let deadline = Instant::now() + SOON;
        let ask = poll_fn(|cx| {
            if timer.sleep.is_none() {
                while has_budget_remaining() {
                    let _ = std::pin::pin!(consume_budget()).poll(cx);
                }
            }
            is_past(&mut timer, deadline, cx)
        });
        timeout(LONG, ask).await.unwrap();
        assert_eq!(by(deadline), Whose::Timer);
    }

    fn is_past(timer: &mut LazyTimer, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        if timer.is_past(deadline, cx) { Poll::Ready(()) } else { Poll::Pending }
    }
}
