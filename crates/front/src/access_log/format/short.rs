//! The form for people who wait for the line: time of day, method, target, status, size, duration.

use std::{fmt, io::Write as _, time::Duration};

use jiff::Timestamp;

use super::{Escaped, Form, Record, status};

/// Codes of SGR (ECMA-48 §8.3.117).
const FAINT: &str = "2";
const GREEN: &str = "32";
const CYAN: &str = "36";
const YELLOW: &str = "33";
const RED: &str = "31";

pub(super) fn line(form: &Form, record: &Record, out: &mut Vec<u8>) {
    let time = Timestamp::try_from(record.time).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(form.zone.clone());
    let status = status(record);
    let took = record.finished_at.saturating_duration_since(record.started_at);
    let _ = writeln!(
        out,
        "{} {} {} {} {}{}",
        Coloured(form, FAINT, time.strftime("%H:%M:%S%.3f")),
        Asked(record),
        Coloured(form, of_status(status), status),
        Size(record.bytes),
        Took(took),
        if record.aborted { " aborted" } else { "" },
    );
}

fn of_status(status: u16) -> &'static str {
    match status {
        200..300 => GREEN,
        100..400 => CYAN,
        400..500 => YELLOW,
        _ => RED,
    }
}

/// In this colour, where there are any.
struct Coloured<'a, T>(&'a Form, &'static str, T);

impl<T: fmt::Display> fmt::Display for Coloured<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(form, colour, value) = self;
        if form.is_coloured { write!(f, "\u{1b}[{colour}m{value}\u{1b}[0m") } else { value.fmt(f) }
    }
}

/// Method and target, or the first line of what was no request.
struct Asked<'a>(&'a Record);

impl fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(record) = self;
        if let Some(line) = &record.refused {
            return write!(f, "\"{}\"", Escaped(line));
        }
        // A target of HTTP/2 has the origin in it, which is no news.
        let uri = &record.described.target;
        let target = uri.path_and_query().map_or_else(|| uri.to_string(), ToString::to_string);
        write!(
            f,
            "{:4} {}",
            Escaped(record.described.method.as_str().as_bytes()).to_string(),
            Escaped(target.as_bytes())
        )
    }
}

struct Size(u64);

impl fmt::Display for Size {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const KIB: u64 = 1024;
        const MIB: u64 = 1024 * KIB;
        match self.0 {
            bytes @ 0..KIB => write!(f, "{bytes}B"),
            bytes @ KIB..MIB => write!(f, "{:.1}KiB", bytes as f64 / KIB as f64),
            bytes => write!(f, "{:.1}MiB", bytes as f64 / MIB as f64),
        }
    }
}

struct Took(Duration);

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(took) = self;
        match took.as_millis() {
            0..10 => write!(f, "{:.1}ms", took.as_secs_f64() * 1000.0),
            millis @ 10..1000 => write!(f, "{millis}ms"),
            _ => write!(f, "{:.2}s", took.as_secs_f64()),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use jiff::tz::{Offset, TimeZone};
    use stack_config::LogFormat;

    use super::{super::tests::record, *};

    fn written(is_coloured: bool, record: &Record) -> String {
        let zone = TimeZone::fixed(Offset::constant(2));
        let mut out = Vec::new();
        line(&Form { format: LogFormat::Short, is_coloured, zone }, record, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_is_what_somebody_wants_to_see_at_once() {
        assert_eq!(written(false, &record()), "10:49:37.042 GET  /a?b=%22 200 12B 9.0ms\n");
        let finished_at = record().started_at + Duration::from_millis(1234);
        let cut = Record { bytes: 5000, status: Some(StatusCode::NOT_FOUND), aborted: true, ..record() };
        let cut = Record { finished_at: cut.started_at + (finished_at - record().started_at), ..cut };
        assert!(written(false, &cut).contains(" 404 4.9KiB 1.23s aborted\n"), "{}", written(false, &cut));
    }

    #[test]
    fn colours_are_there_on_demand_only() {
        let coloured = written(true, &record());
        assert!(coloured.starts_with("\u{1b}[2m10:49:37.042\u{1b}[0m GET "), "{coloured:?}");
        assert!(coloured.contains(" \u{1b}[32m200\u{1b}[0m "), "{coloured:?}");
        let failed = Record { status: Some(StatusCode::BAD_GATEWAY), ..record() };
        assert!(written(true, &failed).contains("\u{1b}[31m502"));
    }

    #[test]
    fn what_was_no_request_is_shown_as_it_came() {
        let refused = Record { refused: Some(b"G\x16T /".as_slice().into()), ..record() };
        assert!(written(false, &refused).contains(" \"G\\x16T /\" 200 "), "{}", written(false, &refused));
    }
}
