//! When a worker is replaced that could go on.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

/// When a worker is replaced that could go on. `None` means never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recycling {
    /// After as many requests.
    pub requests: Option<u64>,
    /// Up to as many more, by chance.
    pub jitter: u64,
    /// When it takes more bytes.
    pub memory: Option<u64>,
    /// After it has served for so long.
    pub lifetime: Option<Duration>,
}

impl Recycling {
    /// After how many requests one worker is replaced.
    pub(super) fn requests_of_a_life(&self) -> Option<u64> {
        // Every state of this kind is keyed by chance, for use in hash maps; as chance goes, that is enough here.
        let chance = RandomState::new().build_hasher().finish();
        let more = self.jitter.checked_add(1).map_or(chance, |choices| chance % choices);
        self.requests.map(|requests| requests.saturating_add(more))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_adds_up_to_the_jitter_and_not_always_the_same() {
        let recycling = Recycling { requests: Some(100), jitter: 9, ..Recycling::default() };
        let lives: Vec<_> = (0..200).filter_map(|_| recycling.requests_of_a_life()).collect();
        assert_eq!(lives.len(), 200);
        assert!(lives.iter().all(|requests| (100..=109).contains(requests)), "{lives:?}");
        assert!(lives.iter().any(|requests| *requests != lives[0]), "{lives:?}");
        assert_eq!(Recycling { jitter: 9, ..Recycling::default() }.requests_of_a_life(), None);
    }
}
