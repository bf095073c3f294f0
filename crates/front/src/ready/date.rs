//! The end of every ready head: the date, which is made once a second.

use std::{
    cell::Cell,
    time::{SystemTime, UNIX_EPOCH},
};

const BEFORE: &[u8; 6] = b"date: ";
const AFTER: &[u8; 4] = b"\r\n\r\n";
/// Bytes of an IMF-fixdate (RFC 9110 §5.6.7).
const DATE: usize = 29;

/// The field and the empty line behind it.
pub(super) type LastLines = [u8; BEFORE.len() + DATE + AFTER.len()];

thread_local! {
    /// The lines, and the second that they are for.
    static LINES: Cell<(u64, LastLines)> = const { Cell::new((u64::MAX, [b' '; _])) };
}

/// `Date` (RFC 9110 §6.6.1) and the end of the head.
pub(super) fn last_lines() -> LastLines {
    let now = SystemTime::now();
    let second = now.duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs());
    LINES.with(|cell| {
        let (made_for, lines) = cell.get();
        if made_for == second {
            return lines;
        }
        let lines = lines_of(now);
        cell.set((second, lines));
        lines
    })
}

fn lines_of(now: SystemTime) -> LastLines {
    let mut lines = [b' '; _];
    let text = [BEFORE, httpdate::fmt_http_date(now).as_bytes(), AFTER].concat();
    lines.copy_from_slice(&text);
    lines
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_lines_are_a_field_and_the_end() {
        let lines = lines_of(UNIX_EPOCH + Duration::from_secs(784_111_777));
        assert_eq!(lines, *b"date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n");
    }

    #[test]
    fn the_date_is_that_of_now() {
        let before = lines_of(SystemTime::now());
        let lines = last_lines();
        let after = lines_of(SystemTime::now());
        assert!(lines == before || lines == after, "{}", String::from_utf8_lossy(&lines));
    }
}
