//! Bytes in a second: the least that a client has to keep up, and the most that it gets.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::Instant;

use crate::timer::LazyTimer;

/// A client that has earned less than this with its last bytes is too slow; a shorter time is not worth a look.
const LEAST_TIME: Duration = Duration::from_secs(1);

/// Bytes that a throttled connection may send at once, so that a low limit does not make tiny packets.
const LEAST_BURST: u64 = 4096;

/// Holds a client to a least number of bytes in a second.
///
/// Only time in which it is waited for counts. It has the grace time to begin with; when that is used up, the bytes since
/// the last look earn it more, as much as they would have taken at the least rate, and never more than the grace time. So a
/// client that is fast enough is looked at about once in the grace time, and one that is not ends after about twice that.
#[derive(Debug)]
pub(crate) struct MinimumRate {
    rate: u64,
    grace: Duration,
    left: Duration,
    waiting_since: Option<Instant>,
    /// Bytes at the last look.
    seen: u64,
}

impl MinimumRate {
    /// With a rate of 0 nobody is too slow.
    pub(crate) fn new(rate: u64, grace: Duration) -> Self {
        Self { rate, grace, left: grace, waiting_since: None, seen: 0 }
    }

    /// Passes `outcome` on and takes note of it: `Ready(None)` where the client has been too slow. `progress` is the number
    /// of bytes so far.
    pub(crate) fn watch<T>(
        &mut self,
        outcome: Poll<T>,
        mut progress: impl FnMut() -> u64,
        timer: &mut LazyTimer,
        cx: &mut Context<'_>,
    ) -> Poll<Option<T>> {
        if self.rate == 0 {
            return outcome.map(Some);
        }
        if let Poll::Ready(outcome) = outcome {
            if let Some(since) = self.waiting_since.take() {
                self.left = self.left.saturating_sub(since.elapsed());
            }
            return Poll::Ready(Some(outcome));
        }
        loop {
            let since = *self.waiting_since.get_or_insert_with(Instant::now);
            if !timer.is_past(since + self.left, cx) {
                return Poll::Pending;
            }
            let progress = progress();
            let earned = u128::from(progress.saturating_sub(self.seen)) * 1000 / u128::from(self.rate);
            let earned = Duration::from_millis(u64::try_from(earned).unwrap_or(u64::MAX));
            if earned < LEAST_TIME.min(self.grace) {
                return Poll::Ready(None);
            }
            self.seen = progress;
            self.left = earned.min(self.grace);
            self.waiting_since = None;
        }
    }
}

/// Holds a connection to a greatest number of bytes in a second: a token bucket of a tenth of a second.
#[derive(Debug)]
pub(crate) struct Throttle {
    rate: u64,
    burst: u64,
    /// Bytes that may be sent.
    room: u64,
    /// Up to when [`Self::room`] has been counted.
    counted: Instant,
}

impl Throttle {
    /// `None` for a rate of 0, which is no limit.
    pub(crate) fn new(rate: u64) -> Option<Self> {
        let burst = (rate / 10).max(LEAST_BURST);
        (rate > 0).then(|| Self { rate, burst, room: burst, counted: Instant::now() })
    }

    /// Waits until some of `bytes` may be sent, and gives how many.
    pub(crate) fn poll_room(&mut self, bytes: usize, timer: &mut LazyTimer, cx: &mut Context<'_>) -> Poll<usize> {
        self.refill();
        // In pieces of half a burst: one byte at a time would be a packet each.
        let wanted = (self.burst / 2).min(bytes as u64);
        while self.room < wanted {
            let nanoseconds = u128::from(wanted - self.room) * 1_000_000_000 / u128::from(self.rate);
            let wait = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX).max(1_000_000));
            if !timer.is_past(self.counted + wait, cx) {
                return Poll::Pending;
            }
            self.refill();
        }
        Poll::Ready(usize::try_from(self.room).unwrap_or(usize::MAX))
    }

    pub(crate) fn sent(&mut self, bytes: usize) {
        self.room = self.room.saturating_sub(bytes as u64);
    }

    fn refill(&mut self) {
        let now = Instant::now();
        let nanoseconds = (now - self.counted).as_nanos();
        let bytes = nanoseconds * u128::from(self.rate) / 1_000_000_000;
        if bytes > 0 {
            // Less than a byte is left for the next time; it adds up only where the clock is read very often.
            let exact = bytes * 1_000_000_000 / u128::from(self.rate);
            self.counted += Duration::from_nanos(u64::try_from(exact.min(nanoseconds)).unwrap_or(u64::MAX));
            self.room = self.room.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX)).min(self.burst);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, future::poll_fn};

    use super::*;

    const GRACE: Duration = Duration::from_secs(20);

    /// How long a client is borne that sends `bytes` every `pause`, and no more than `most` times; `None` if to its end.
    async fn borne(rate: u64, bytes: u64, pause: Duration, most: u32) -> Option<Duration> {
        let start = Instant::now();
        let mut timer = LazyTimer::default();
        let mut minimum = MinimumRate::new(rate, GRACE);
        let received = Cell::new(0);
        for _ in 0..most {
            let mut arrival = std::pin::pin!(tokio::time::sleep(pause));
            let outcome = poll_fn(|cx| {
                use std::future::Future;
                let arrived = arrival.as_mut().poll(cx);
                minimum.watch(arrived, || received.get(), &mut timer, cx)
            });
            if outcome.await.is_none() {
                return Some(start.elapsed());
            }
            received.set(received.get() + bytes);
        }
        None
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_keeps_up_is_never_too_slow() {
        assert_eq!(borne(240, 240, Duration::from_secs(1), 3600).await, None);
        assert_eq!(borne(240, 2400, Duration::from_secs(10), 3600).await, None);
        assert_eq!(borne(240, 1_000_000, Duration::from_secs(19), 100).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_trickles_ends_soon_after_the_grace_time() {
        let borne = borne(240, 1, Duration::from_secs(1), 3600).await.unwrap();
        assert_eq!(borne.as_secs(), 20);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_at_half_the_rate_ends_within_twice_the_grace_time() {
        let borne = borne(240, 120, Duration::from_secs(1), 3600).await.unwrap();
        assert!((30..=40).contains(&borne.as_secs()), "{borne:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_fast_before_buys_no_more_than_the_grace_time() {
        let mut timer = LazyTimer::default();
        let mut minimum = MinimumRate::new(240, GRACE);
        let start = Instant::now();
        // A gigabyte has come, and then nothing: the first look finds it, the second nothing new.
        let outcome = poll_fn(|cx| minimum.watch(Poll::<()>::Pending, || 1 << 30, &mut timer, cx));
        assert_eq!(outcome.await, None);
        assert_eq!(start.elapsed().as_secs(), 40);
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_nobody_waits_for_the_client_does_not_count() {
        let mut timer = LazyTimer::default();
        let mut minimum = MinimumRate::new(240, GRACE);
        for _ in 0..100 {
            let ready = poll_fn(|cx| minimum.watch(Poll::Ready(()), || 0, &mut timer, cx));
            assert_eq!(ready.await, Some(()));
            tokio::time::advance(GRACE * 2).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_of_nothing_waits_for_ever() {
        assert_eq!(borne(0, 0, Duration::from_hours(1), 100).await, None);
    }

    async fn send(rate: u64, mut bytes: u64, at_once: usize) -> Duration {
        let start = Instant::now();
        let mut timer = LazyTimer::default();
        let mut throttle = Throttle::new(rate).unwrap();
        while bytes > 0 {
            let room = poll_fn(|cx| throttle.poll_room(usize::try_from(bytes).unwrap(), &mut timer, cx)).await;
            let sent = room.min(at_once).min(usize::try_from(bytes).unwrap());
            throttle.sent(sent);
            bytes -= sent as u64;
        }
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttled_connection_takes_as_long_as_its_limit_says() {
        for (rate, bytes) in [(100_000, 1_000_000), (1000, 20_000), (50_000_000, 1 << 30)] {
            for at_once in [usize::MAX, 1400] {
                let time_of = |bytes: u64| Duration::from_nanos(bytes * 1_000_000_000 / rate);
                let expected = time_of(bytes - LEAST_BURST.max(rate / 10));
                let late = send(rate, bytes, at_once).await.checked_sub(expected).expect("not faster than that");
                assert!(late <= Duration::from_millis(200), "{late:?} late for {bytes} at {rate}");
            }
        }
        assert!(Throttle::new(0).is_none());
    }
}
