//! Values of the kinds that many keys have: words, switches, numbers, sizes and durations.

use std::{num::NonZeroUsize, time::Duration};

use super::noting::Check;
use crate::{
    error::Reason,
    keys::{self, Kind},
    raw::Written,
    units,
};

impl Check<'_> {
    /// The value at the place in `values` that the word has in the table.
    pub(super) fn word<T: Copy>(&mut self, name: &str, value: &Written, values: &[T]) -> T {
        let Kind::Word(choices) = Self::key(name).kind else { unreachable!("{name} is a word in the table") };
        let chosen = self.one(name, value, |_, text| {
            let place = choices.iter().position(|choice| *choice == text);
            place.ok_or_else(|| Reason::NotOneOf { choices, nearest: keys::nearest_word(choices, text) })
        });
        values[chosen.unwrap_or(0)]
    }

    pub(super) fn switch(&mut self, name: &str, value: &Written) -> bool {
        let switch = self.one(name, value, |_, text| match text.to_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            _ => Err(Reason::NotSwitch),
        });
        switch.unwrap_or(false)
    }

    pub(super) fn count(&mut self, name: &str, value: &Written, least: u64, most: u64) -> u64 {
        let count = self.one(name, value, |_, text| match text.parse::<i128>() {
            Ok(count) => match u64::try_from(count) {
                Ok(count) if (least..=most).contains(&count) => Ok(count),
                _ => Err(Reason::OutOfRange { least, most }),
            },
            Err(_) => Err(Reason::NotCount { least, most }),
        });
        count.unwrap_or(least)
    }

    pub(super) fn non_zero_count(&mut self, name: &str, value: &Written, most: u64) -> NonZeroUsize {
        NonZeroUsize::new(in_memory(self.count(name, value, 1, most))).unwrap_or(NonZeroUsize::MIN)
    }

    pub(super) fn size(&mut self, name: &str, value: &Written, (least, least_text): (u64, &'static str)) -> u64 {
        let size = self.one(name, value, |_, text| match units::size(text)? {
            size if size < least => Err(Reason::TooSmall(least_text)),
            size => Ok(size),
        });
        size.unwrap_or(least)
    }

    pub(super) fn duration(&mut self, name: &str, value: &Written) -> Duration {
        let duration = self.one(name, value, |_, text| match units::duration(text)? {
            Duration::ZERO => Err(Reason::ZeroDuration),
            duration => Ok(duration),
        });
        duration.unwrap_or(Duration::ZERO)
    }

    pub(super) fn duration_or_zero(&mut self, name: &str, value: &Written) -> Duration {
        self.one(name, value, |_, text| units::duration(text)).unwrap_or(Duration::ZERO)
    }

    /// A duration, of which none at all means that there is no limit.
    pub(super) fn limit(&mut self, name: &str, value: &Written) -> Option<Duration> {
        Some(self.duration_or_zero(name, value)).filter(|duration| !duration.is_zero())
    }
}

/// A number that is to be held in memory. More than the machine can address is as good as no limit.
pub(super) fn in_memory(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
