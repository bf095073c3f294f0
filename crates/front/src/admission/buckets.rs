//! A token bucket for each of any number of clients, in a table of fixed size.
//!
//! A bucket is one number: when it will be full again (the generic cell rate algorithm). A client whose bucket is full is
//! as one who was never there, so its place is free for another.
//!
//! Where all places of a set are taken, the newcomer takes the one with the fullest bucket, *and its contents* (as in the
//! Space-Saving algorithm). So nobody's bucket is ever fuller than it should be, whoever pushes whom out: one who comes back
//! finds a bucket no fuller than the one that was lost, since the fullest of a set only ever empties under requests. An
//! attacker with many addresses can cost newcomers some of their burst, but gains nothing; and which clients share a set
//! depends on a hash with a secret key.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Buckets that a client may have its place among.
const SET: usize = 8;
/// Sets under one lock, and locks. Together 65,536 buckets of 16 bytes.
const SETS: usize = 128;
const SHARDS: usize = 64;

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    client: u64,
    /// Nanoseconds after the table's start.
    full_at: u64,
}

type Shard = Mutex<Box<[[Bucket; SET]]>>;

/// The table. It never grows.
#[derive(Debug)]
pub(super) struct Buckets {
    shards: Box<[Shard]>,
    hasher: RandomState,
    start: Instant,
    /// Nanoseconds that a bucket takes to gain one request.
    each: u64,
    /// Nanoseconds that an empty bucket takes to be full.
    whole: u64,
}

impl Buckets {
    /// Buckets of `burst` requests, which gain `requests` in each `period`.
    pub(super) fn new(requests: u32, period: Duration, burst: u32, start: Instant) -> Self {
        let nanoseconds = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX);
        let each = (nanoseconds / u64::from(requests)).max(1);
        let empty = || Mutex::new(vec![[Bucket::default(); SET]; SETS].into_boxed_slice());
        Self {
            shards: (0..SHARDS).map(|_| empty()).collect(),
            hasher: RandomState::new(),
            start,
            each,
            whole: each.saturating_mul(burst.into()),
        }
    }

    /// Takes one request out of the client's bucket, or says how long it takes until there is one.
    pub(super) fn take(&self, client: impl Hash, now: Instant) -> Result<(), Duration> {
        let client = self.hasher.hash_one(client);
        let now = u64::try_from(now.saturating_duration_since(self.start).as_nanos()).unwrap_or(u64::MAX);
        let [shard, set] = place(client);
        let mut sets = self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner);
        let set = &mut sets[set];
        let known = set.iter().position(|bucket| bucket.client == client);
        let bucket = match known {
            Some(place) => &mut set[place],
            None => set.iter_mut().min_by_key(|bucket| bucket.full_at).expect("a set has places"),
        };
        let full_at = bucket.full_at.max(now).saturating_add(self.each);
        let wait = full_at.saturating_sub(now).saturating_sub(self.whole);
        if wait > 0 {
            return Err(Duration::from_nanos(wait));
        }
        *bucket = Bucket { client, full_at };
        Ok(())
    }

    #[cfg(test)]
    fn size(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap().len() * size_of::<[Bucket; SET]>()).sum()
    }
}

/// The client's shard, and its set there.
#[expect(clippy::cast_possible_truncation, reason = "both are small after the division")]
fn place(client: u64) -> [usize; 2] {
    let place = client % (SHARDS * SETS) as u64;
    [(place % SHARDS as u64) as usize, (place / SHARDS as u64) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ten_a_second() -> (Buckets, Instant) {
        let start = Instant::now();
        (Buckets::new(10, Duration::from_secs(1), 5, start), start)
    }

    fn taken(buckets: &Buckets, client: u32, times: u32, now: Instant) -> u32 {
        (0..times).map(|_| u32::from(buckets.take(client, now).is_ok())).sum()
    }

    #[test]
    fn a_burst_is_let_through_and_then_the_rate() {
        let (buckets, start) = ten_a_second();
        assert_eq!(taken(&buckets, 1, 100, start), 5);
        assert_eq!(buckets.take(1, start), Err(Duration::from_millis(100)));
        assert_eq!(taken(&buckets, 1, 100, start + Duration::from_secs(10)), 5, "no more than a burst is saved");
        let mut total = 0;
        for step in 0..1000 {
            total += taken(&buckets, 1, 1, start + Duration::from_secs(20) + Duration::from_millis(10 * step));
        }
        assert_eq!(total, 5 + 99, "ten seconds at ten a second, and a burst before");
        assert_eq!(taken(&buckets, 2, 100, start), 5, "another client has a bucket of its own");
    }

    #[test]
    fn the_wait_that_is_told_is_enough() {
        let (buckets, start) = ten_a_second();
        taken(&buckets, 1, 5, start);
        let wait = buckets.take(1, start).unwrap_err();
        assert!(buckets.take(1, start + wait.saturating_sub(Duration::from_nanos(1))).is_err());
        assert!(buckets.take(1, start + wait).is_ok());
    }

    #[test]
    fn the_table_does_not_grow_with_its_clients() {
        let (buckets, start) = ten_a_second();
        let before = buckets.size();
        assert_eq!(before, 1 << 20);
        for client in 0..500_000 {
            let _ = buckets.take(client, start);
        }
        assert_eq!(buckets.size(), before);
    }

    #[test]
    fn clients_of_ten_thousand_addresses_do_not_get_in_each_others_way() {
        let (buckets, start) = ten_a_second();
        let refused = (0..10_000).filter(|client| taken(&buckets, *client, 5, start) < 5).count();
        // Nine in one set of eight are rare, not impossible.
        assert!(refused <= 10, "{refused}");
        let refused: u32 = (0..10_000).map(|client| 1 - taken(&buckets, client, 1, start)).sum();
        assert_eq!(refused, 10_000, "and each is remembered");
    }

    #[test]
    fn nobody_gets_a_fresh_bucket_by_pushing_its_own_out() {
        let (buckets, start) = ten_a_second();
        assert_eq!(taken(&buckets, u32::MAX, 100, start), 5);
        // Far more addresses than places, each of which empties its bucket as well.
        for client in 0..200_000 {
            taken(&buckets, client, 5, start);
        }
        assert_eq!(taken(&buckets, u32::MAX, 100, start), 0);
        assert_eq!(taken(&buckets, u32::MAX, 100, start + Duration::from_millis(500)), 5, "time alone fills it");
    }
}
