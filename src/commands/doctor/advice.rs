//! How many workers and threads to begin with.

use std::{num::NonZeroUsize, thread};

use serde::Serialize;

use super::{Measured, resources::memory_limit};
use crate::isolation::Mode;

/// Threads of a worker: the default of the key.
const THREADS: usize = 4;
/// For the front, its buffers, and what else runs there.
const RESERVE: u64 = 64 << 20;

/// A suggestion, and what it was made from.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Advice {
    pub(super) workers: usize,
    pub(super) threads: usize,
    /// CPUs that this process may use, quotas included.
    pub(super) cpus: usize,
    /// Memory that this process may use, in bytes: the container's limit or the machine's memory.
    pub(super) memory: Option<u64>,
    /// Whether there is not enough of it for a worker on each CPU.
    pub(super) memory_is_short: bool,
}

impl Advice {
    /// For workers of this mode, and of this size where it is known.
    pub(super) fn new(mode: Option<Mode>, worker: Option<&Measured>) -> Self {
        let cpus = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let advice = Self::from(cpus, memory_limit(), worker.and_then(|worker| worker.uss));
        match mode {
            Some(Mode::Threads) => Self { workers: 1, threads: THREADS.max(cpus), memory_is_short: false, ..advice },
            _ => advice,
        }
    }

    fn from(cpus: usize, memory: Option<u64>, worker: Option<u64>) -> Self {
        let fitting = memory.zip(worker).map(|(memory, worker)| {
            // A fifth stays free, and requests take half as much again as the import.
            let free = (memory / 5 * 4).saturating_sub(RESERVE);
            usize::try_from(free / (worker + worker / 2).max(1)).unwrap_or(usize::MAX)
        });
        let workers = fitting.map_or(cpus, |fitting| fitting.clamp(1, cpus));
        Self { workers, threads: THREADS, cpus, memory, memory_is_short: workers < cpus }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_for_each_cpu_unless_memory_is_short() {
        let advice = |memory: Option<u64>, worker: Option<u64>| {
            let Advice { workers, memory_is_short, .. } =
                Advice::from(8, memory.map(|mib| mib << 20), worker.map(|mib| mib << 20));
            (workers, memory_is_short)
        };
        assert_eq!(advice(Some(16 << 10), Some(100)), (8, false));
        assert_eq!(advice(None, Some(100)), (8, false));
        assert_eq!(advice(Some(512), None), (8, false));
        // 512 MiB: 409 less 64 are 345, for workers of 150.
        assert_eq!(advice(Some(512), Some(100)), (2, true));
        assert_eq!(advice(Some(64), Some(100)), (1, true));
    }
}
