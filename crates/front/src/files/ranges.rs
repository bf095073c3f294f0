//! The Range field (RFC 9110 §14), and what of a file it selects.

use std::ops::Range;

/// More ranges than this are taken for an attack or a mistake: the whole file costs less (§14.2).
const MOST: usize = 64;

/// What a part of a multipart body costs beside its content. Ranges that are closer to each other are sent as one.
const PART_OVERHEAD: u64 = 80;

/// What a Range field selects.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ranges {
    /// It counts as not there: another unit, nonsense, or more than is sensible (§14.2 allows to ignore it).
    Ignored,
    /// No byte of the file is in it.
    Unsatisfiable,
    /// At least one, none empty, none overlapping, in the order they were asked for.
    Parts(Vec<Range<u64>>),
}

/// Reads the field for a file of `length` bytes.
pub(super) fn select(field: &str, length: u64) -> Ranges {
    let Some((unit, list)) = field.split_once('=') else { return Ranges::Ignored };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Ranges::Ignored;
    }
    let mut parts: Vec<Range<u64>> = Vec::new();
    let elements = list.split(',').map(str::trim).filter(|element| !element.is_empty());
    let mut count = 0;
    for element in elements {
        count += 1;
        let Some(range) = range(element, length) else { return Ranges::Ignored };
        if count > MOST {
            return Ranges::Ignored;
        }
        if range.start < range.end {
            add(&mut parts, range);
        }
    }
    let selected: u64 = parts.iter().map(|part| part.end - part.start + PART_OVERHEAD).sum();
    match parts.len() {
        0 if count == 0 => Ranges::Ignored,
        0 => Ranges::Unsatisfiable,
        1 => Ranges::Parts(parts),
        // It would be longer than the file.
        _ if selected >= length => Ranges::Ignored,
        _ => Ranges::Parts(parts),
    }
}

/// Puts a range to the others, made one with those that it overlaps or comes close to (§15.3.7.2).
fn add(parts: &mut Vec<Range<u64>>, mut range: Range<u64>) {
    let is_near = |one: &Range<u64>, other: &Range<u64>| {
        one.start <= other.end.saturating_add(PART_OVERHEAD) && other.start <= one.end.saturating_add(PART_OVERHEAD)
    };
    // What is made one takes the place of the first, and may then come close to another.
    let mut place = parts.len();
    while let Some(near) = parts.iter().position(|part| is_near(part, &range)) {
        let part = parts.remove(near);
        range = range.start.min(part.start)..range.end.max(part.end);
        place = place.min(near);
    }
    parts.insert(place.min(parts.len()), range);
}

/// `2-4`, `2-` or `-3`; empty where it lies behind the end. `None`: nonsense.
fn range(element: &str, length: u64) -> Option<Range<u64>> {
    let (first, last) = element.split_once('-')?;
    let number = |digits: &str| {
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        // A number that does not fit lies behind the end of any file.
        is_number.then(|| digits.parse().unwrap_or(u64::MAX))
    };
    match (first, last) {
        ("", suffix) => Some(length.saturating_sub(number(suffix)?)..length),
        (first, "") => Some(number(first)?..length),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then(|| first..last.saturating_add(1).min(length))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_selects_bytes() {
        for (field, expected) in [
            ("bytes=0-0", 0..1),
            ("bytes=2-4", 2..5),
            ("bytes=2-", 2..10),
            ("bytes=-3", 7..10),
            ("bytes=-30", 0..10),
            ("bytes=8-99", 8..10),
            ("BYTES = 0-0", 0..1),
            ("bytes=0-0,", 0..1),
            ("bytes=0-18446744073709551616", 0..10),
            ("bytes=20-30, 1-1", 1..2),
        ] {
            assert_eq!(select(field, 10), Ranges::Parts(vec![expected]), "{field}");
        }
        for field in ["bytes=10-", "bytes=-0", "bytes=18446744073709551616-", "bytes=10-12,20-"] {
            assert_eq!(select(field, 10), Ranges::Unsatisfiable, "{field}");
        }
        for field in ["bytes=4-2", "bytes=+1-2", "bytes=-", "bytes=", "bytes", "lines=0-1", "bytes=0-1,x", "bytes=1"] {
            assert_eq!(select(field, 10), Ranges::Ignored, "{field}");
        }
        assert_eq!(select("bytes=0-", 0), Ranges::Unsatisfiable);
    }

    #[test]
    fn several_ranges_stay_in_order_and_near_ones_become_one() {
        let parts = |field: &str| match select(field, 100_000) {
            Ranges::Parts(parts) => parts,
            other => panic!("{field}: {other:?}"),
        };
        assert_eq!(parts("bytes=5000-5009, 0-9"), [5000..5010, 0..10]);
        assert_eq!(parts("bytes=0-9, 5-19, 5000-5001"), [0..20, 5000..5002]);
        assert_eq!(parts("bytes=0-9, 5000-5001, 50-59"), [0..60, 5000..5002]);
        // The third brings the first two together.
        assert_eq!(parts("bytes=0-9, 200-209, 9000-9001, 10-199"), [0..210, 9000..9002]);
        assert_eq!(parts("bytes=-10, 0-9"), [99_990..100_000, 0..10]);
    }

    #[test]
    fn ranges_that_cost_more_than_the_file_are_ignored() {
        assert_eq!(select("bytes=0-39999, 50000-99999", 100_000), Ranges::Parts(vec![0..40_000, 50_000..100_000]));
        assert_eq!(select("bytes=0-49899, 50000-99999", 100_000), Ranges::Ignored);
        let list = |count: u64| (0..count).map(|place| format!("{0}-{0}", place * 1000)).collect::<Vec<_>>().join(",");
        assert!(matches!(select(&format!("bytes={}", list(64)), 1 << 30), Ranges::Parts(parts) if parts.len() == 64));
        assert_eq!(select(&format!("bytes={}", list(65)), 1 << 30), Ranges::Ignored);
        let overlapping = vec!["0-"; 60].join(",");
        assert_eq!(select(&format!("bytes={overlapping}"), 1000), Ranges::Parts(std::iter::once(0..1000).collect()));
    }
}
