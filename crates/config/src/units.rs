//! Durations and sizes, as a user writes them and back.

use std::time::Duration;

use crate::error::Reason;

/// Longer times are a typing error, and would overflow the clock's arithmetic.
const LONGEST: Duration = Duration::from_hours(365 * 24);

/// Largest first. All are 1024-based, as nginx and gunicorn have it.
const SIZE_UNITS: [(&str, u32); 4] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];

/// Reads `30s`, `1m30s`, `500ms`, or a plain number of seconds.
pub(crate) fn duration(written: &str) -> Result<Duration, Reason> {
    let duration = long_duration(written)?;
    if duration > LONGEST { Err(Reason::TooLong) } else { Ok(duration) }
}

/// The same without an upper limit: a time that is only told.
pub(crate) fn long_duration(written: &str) -> Result<Duration, Reason> {
    let seconds = written.parse::<f64>().ok().filter(|_| written.starts_with(|c: char| c.is_ascii_digit()));
    match seconds {
        Some(seconds) => Duration::try_from_secs_f64(seconds).map_err(|_| Reason::TooLong),
        None => humantime::parse_duration(written).map_err(Reason::NotDuration),
    }
}

/// Writes `75s`, `5m`, `1h`: in seconds as far as one reads them at a glance. No time at all is `0`.
pub(crate) fn format_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        _ if duration.subsec_nanos() > 0 => humantime::format_duration(duration).to_string().replace(' ', ""),
        0 => "0".into(),
        _ if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        _ if seconds > 60 && seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

/// Reads `16MiB`, `16M`, `64k`, or a plain number of bytes.
pub(crate) fn size(written: &str) -> Result<u64, Reason> {
    let digits = written.find(|c: char| !c.is_ascii_digit()).unwrap_or(written.len());
    let (number, unit) = written.split_at(digits);
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(Reason::NotSize),
    };
    if number.is_empty() {
        return Err(Reason::NotSize);
    }
    let number = number.parse::<u64>().map_err(|_| Reason::TooLarge)?;
    number.checked_mul(1 << shift).ok_or(Reason::TooLarge)
}

/// Writes a size with the largest unit that gives a whole number, or `None` where only bytes do.
pub(crate) fn format_size(bytes: u64) -> Option<String> {
    let (unit, shift) = SIZE_UNITS.into_iter().find(|(_, shift)| bytes > 0 && bytes.is_multiple_of(1 << shift))?;
    Some(format!("{}{unit}", bytes >> shift))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_units_or_is_in_seconds() {
        for (written, milliseconds) in [
            ("30s", 30_000),
            ("1m30s", 90_000),
            ("1m 30s", 90_000),
            ("500ms", 500),
            ("30", 30_000),
            ("0.5", 500),
            ("0", 0),
            ("2h", 7_200_000),
        ] {
            assert_eq!(duration(written).unwrap(), Duration::from_millis(milliseconds), "{written}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for written in ["", "soon", "-1", "30 parsecs", "s", "inf", "NaN", "1e"] {
            assert!(matches!(duration(written), Err(Reason::NotDuration(_))), "{written}");
        }
        for written in ["2years", "1e300", "99999999999"] {
            assert!(matches!(duration(written), Err(Reason::TooLong)), "{written}");
        }
    }

    #[test]
    fn a_size_is_1024_based_or_in_bytes() {
        for (written, bytes) in [
            ("0", 0),
            ("1000", 1000),
            ("1000b", 1000),
            ("64k", 65_536),
            ("64KiB", 65_536),
            ("64 KB", 65_536),
            ("16M", 16 << 20),
            ("16mib", 16 << 20),
            ("1G", 1 << 30),
            ("2t", 2 << 40),
        ] {
            assert_eq!(size(written).unwrap(), bytes, "{written}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for written in ["", "big", "-1", "1.5M", "M", "16 apples", "k16"] {
            assert!(matches!(size(written), Err(Reason::NotSize)), "{written}");
        }
        for written in ["99999999999999999999", "99999999999T"] {
            assert!(matches!(size(written), Err(Reason::TooLarge)), "{written}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        for bytes in [1024, 65_536, 16 << 20, 3 << 30, 5 << 40] {
            assert_eq!(size(&format_size(bytes).unwrap()).unwrap(), bytes);
        }
        assert_eq!((format_size(0), format_size(1000)), (None, None));
        for (seconds, written) in [(75, "75s"), (60, "60s"), (300, "5m"), (7200, "2h"), (3601, "3601s")] {
            assert_eq!(format_duration(Duration::from_secs(seconds)), written);
        }
        for seconds in [0.0, 0.5, 30.0, 90.25, 3600.0] {
            let written = Duration::from_secs_f64(seconds);
            assert_eq!(duration(&format_duration(written)).unwrap(), written);
        }
    }
}
