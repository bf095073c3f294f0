//! When a new job is refused although there is room: because those that wait have waited too long.
//!
//! A queue that is sometimes long is a burst, and does its work. One in which for a while *every* job waits longer than
//! the target (the criterion of RFC 8289 §3) is longer than it has to be: it delays all and helps none. From then on
//! no more may wait than are likely to get a thread within the target, which follows from how fast jobs leave the queue,
//! or, where jobs take long, than there are threads. The threads stay busy, and who is let in does not wait long. It
//! ends when for a while nothing had to be refused.

use std::time::{Duration, Instant};

/// The "while", in targets. RFC 8289 §3.2 has about twenty; a server has no round trips to wait for.
const TARGETS: u32 = 5;

/// Watches one queue. The time is a parameter.
#[derive(Debug)]
pub(super) struct Overload {
    target: Duration,
    interval: Duration,
    /// Since when no job waited less than the target.
    above_since: Option<Instant>,
    /// While there is too much work: when a job was last refused for it.
    refused_at: Option<Instant>,
    /// Jobs that left the queue since a time from which no thread was idle.
    leaving: Option<(Instant, u32)>,
    /// The mean time between two of them, in the last whole interval.
    time_for_each: Option<Duration>,
}

impl Overload {
    pub(super) fn new(target: Duration) -> Self {
        Self {
            target,
            interval: target * TARGETS,
            above_since: None,
            refused_at: None,
            leaving: None,
            time_for_each: None,
        }
    }

    /// A job went to a thread that was idle: nothing waits.
    pub(super) fn not_waited(&mut self) {
        self.above_since = None;
        self.leaving = None;
    }

    /// A job got its thread after it had waited.
    pub(super) fn waited(&mut self, now: Instant, time: Duration) {
        self.note(now, time);
        self.measure(now, 1);
    }

    /// Whether a job that finds `queued` others before it is to be refused. The first of them has waited for `longest`;
    /// `threads` are at work.
    pub(super) fn refuses(&mut self, now: Instant, queued: usize, longest: Duration, threads: usize) -> bool {
        self.note(now, longest);
        self.measure(now, 0);
        let lasts = |since: Instant| now.saturating_duration_since(since) >= self.interval;
        let too_much = match self.refused_at {
            Some(at) if !lasts(at) => true,
            _ => self.above_since.is_some_and(lasts),
        };
        if !too_much {
            self.refused_at = None;
            return false;
        }
        self.refused_at.get_or_insert(now);
        let refused = queued >= self.room(threads);
        if refused {
            self.refused_at = Some(now);
        }
        refused
    }

    fn note(&mut self, now: Instant, time: Duration) {
        if time <= self.target {
            self.above_since = None;
        } else {
            self.above_since.get_or_insert(now);
        }
    }

    /// Counts jobs that left, and looks at the clock.
    fn measure(&mut self, now: Instant, left: u32) {
        let (since, count) = self.leaving.get_or_insert((now, 0));
        *count += left;
        let span = now.saturating_duration_since(*since);
        if span >= self.interval {
            // Of a standstill all that is known is that each job takes longer than this.
            self.time_for_each = Some(span / (*count).max(1));
            self.leaving = Some((now, 0));
        }
    }

    /// How many may wait.
    fn room(&self, threads: usize) -> usize {
        let Some(time_for_each) = self.time_for_each else { return threads };
        let within_target = self.target.as_nanos() / time_for_each.as_nanos().max(1);
        usize::try_from(within_target).unwrap_or(usize::MAX).max(threads)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    const TARGET: Duration = Duration::from_millis(100);

    /// A server of one thread, a queue, and a clock that only moves when told.
    struct Simulation {
        overload: Option<Overload>,
        start: Instant,
        now: Duration,
        waiting: VecDeque<Duration>,
        /// When the job that runs is done.
        busy_until: Option<Duration>,
        service: Duration,
        waits: Vec<(Duration, Duration)>,
        refused: Vec<Duration>,
        idle: Duration,
    }

    impl Simulation {
        fn new(service: Duration, overload: Option<Overload>) -> Self {
            Self {
                overload,
                start: Instant::now(),
                now: Duration::ZERO,
                waiting: VecDeque::new(),
                busy_until: None,
                service,
                waits: Vec::new(),
                refused: Vec::new(),
                idle: Duration::ZERO,
            }
        }

        /// Lets time pass, with a job arriving every `gap`.
        fn run(&mut self, time: Duration, gap: Duration) {
            let end = self.now + time;
            let mut next_arrival = self.now;
            while next_arrival < end {
                while let Some(done) = self.busy_until.filter(|done| *done <= next_arrival) {
                    self.finish(done);
                }
                if self.busy_until.is_none() {
                    self.idle += next_arrival.saturating_sub(self.now);
                }
                self.now = next_arrival;
                self.arrive();
                next_arrival += gap;
            }
        }

        fn finish(&mut self, done: Duration) {
            self.now = done;
            self.busy_until = self.waiting.pop_front().map(|since| {
                let waited = done.saturating_sub(since);
                self.waits.push((done, waited));
                if let Some(overload) = &mut self.overload {
                    overload.waited(self.start + done, waited);
                }
                done + self.service
            });
        }

        fn arrive(&mut self) {
            if self.busy_until.is_none() {
                self.busy_until = Some(self.now + self.service);
                self.waits.push((self.now, Duration::ZERO));
                if let Some(overload) = &mut self.overload {
                    overload.not_waited();
                }
                return;
            }
            let longest = self.waiting.front().map_or(Duration::ZERO, |since| self.now.saturating_sub(*since));
            let refused = self
                .overload
                .as_mut()
                .is_some_and(|overload| overload.refuses(self.start + self.now, self.waiting.len(), longest, 1));
            if refused {
                self.refused.push(self.now);
            } else {
                self.waiting.push_back(self.now);
            }
        }

        fn longest_wait(&self, from: Duration) -> Duration {
            self.waits.iter().filter(|(at, _)| *at >= from).map(|(_, wait)| *wait).max().unwrap_or_default()
        }
    }

    fn milliseconds(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    #[test]
    fn under_twice_the_capacity_waits_stay_near_the_target_and_no_thread_is_idle() {
        let mut with = Simulation::new(milliseconds(10), Some(Overload::new(TARGET)));
        with.run(Duration::from_mins(1), milliseconds(5));
        let settled = Duration::from_secs(5);
        assert!(with.longest_wait(settled) <= TARGET * 6 / 5, "{:?}", with.longest_wait(settled));
        assert_eq!(with.idle, Duration::ZERO);
        assert!(with.waits.len() >= 5990, "{} served of 6000 possible", with.waits.len());

        let mut without = Simulation::new(milliseconds(10), None);
        without.run(Duration::from_mins(1), milliseconds(5));
        assert!(without.longest_wait(settled) > Duration::from_secs(20));
    }

    #[test]
    fn ten_times_the_capacity_waits_no_longer_than_twice() {
        let mut simulation = Simulation::new(milliseconds(10), Some(Overload::new(TARGET)));
        simulation.run(Duration::from_mins(1), milliseconds(1));
        // What had gathered before the overload was known has to be served first.
        let settled = Duration::from_secs(20);
        assert!(simulation.longest_wait(settled) <= TARGET * 6 / 5, "{:?}", simulation.longest_wait(settled));
        assert_eq!(simulation.idle, Duration::ZERO);
    }

    #[test]
    fn below_the_capacity_nothing_is_refused() {
        let mut simulation = Simulation::new(milliseconds(10), Some(Overload::new(TARGET)));
        simulation.run(Duration::from_mins(1), milliseconds(11));
        assert_eq!(simulation.refused.len(), 0);
    }

    #[test]
    fn a_burst_that_ends_is_served_whole() {
        let mut simulation = Simulation::new(milliseconds(10), Some(Overload::new(TARGET)));
        for _ in 0..20 {
            // 40 at once take 400 ms; the rest of the second the server catches up.
            simulation.run(milliseconds(4), Duration::from_micros(100));
            simulation.run(milliseconds(996), milliseconds(30));
        }
        assert_eq!(simulation.refused.len(), 0);
        assert!(simulation.longest_wait(Duration::ZERO) > TARGET * 3);
    }

    #[test]
    fn it_ends_when_the_load_falls() {
        let mut simulation = Simulation::new(milliseconds(10), Some(Overload::new(TARGET)));
        simulation.run(Duration::from_secs(10), milliseconds(5));
        assert!(simulation.refused.len() > 500);
        simulation.run(Duration::from_secs(1), milliseconds(20));
        simulation.refused.clear();
        simulation.run(milliseconds(4), Duration::from_micros(100));
        assert_eq!(simulation.refused.len(), 0, "a burst is a burst again");
    }

    #[test]
    fn slow_jobs_leave_room_for_as_many_as_there_are_threads() {
        let start = Instant::now();
        let mut overload = Overload::new(TARGET);
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(!overload.refuses(at(0), 5, Duration::from_secs(3), 4));
        // Nothing leaves the queue: it has been above the target for a while.
        assert!(overload.refuses(at(1), 4, Duration::from_secs(4), 4));
        assert!(!overload.refuses(at(1), 3, Duration::from_secs(4), 4));
        assert!(overload.refused_at.is_some());
    }

    #[test]
    fn a_standstill_counts_though_the_jobs_before_were_fast() {
        let start = Instant::now();
        let mut overload = Overload::new(TARGET);
        for number in 0..2000 {
            overload.waited(start + milliseconds(number), milliseconds(1));
        }
        assert_eq!(overload.time_for_each.map(|time| time.as_millis()), Some(1));
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        assert!(!overload.refuses(at(2150), 9, milliseconds(150), 4));
        assert!(overload.refuses(at(2650), 9, milliseconds(650), 4));
    }
}
