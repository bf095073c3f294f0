//! Conditional requests and ranges (RFC 9110 §13 and §14).

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use super::Opened;

/// What identifies a version of a file.
#[derive(Debug)]
pub(super) struct Validators {
    etag: String,
    /// In whole seconds, as HTTP dates are.
    modified: Option<SystemTime>,
}

/// What of a file is sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Selected {
    NotModified,
    Whole,
    Part { offset: u64, length: u64 },
    Unsatisfiable,
}

impl Validators {
    pub(super) fn of(file: &Opened) -> Self {
        Self::new(file.modified, file.length, file.inode)
    }

    /// Strong (RFC 9110 §8.8.3): a file that is written anew has another time, size or inode.
    fn new(modified: Option<SystemTime>, length: u64, inode: u64) -> Self {
        let age = modified.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        Self {
            etag: format!("\"{:x}-{length:x}-{inode:x}\"", age.unwrap_or_default().as_nanos()),
            modified: age.map(|age| SystemTime::UNIX_EPOCH + Duration::from_secs(age.as_secs())),
        }
    }

    pub(super) fn etag(&self) -> HeaderValue {
        HeaderValue::try_from(self.etag.as_str()).expect("hexadecimal digits, dashes and quotes")
    }

    pub(super) fn last_modified(&self) -> Option<HeaderValue> {
        HeaderValue::try_from(httpdate::fmt_http_date(self.modified?)).ok()
    }

    /// RFC 9110 §13.2.2: If-None-Match, and only without it If-Modified-Since.
    fn is_unchanged(&self, headers: &HeaderMap) -> bool {
        let mut tags = headers.get_all(header::IF_NONE_MATCH).iter().peekable();
        if tags.peek().is_some() {
            return tags.filter_map(|tags| tags.to_str().ok()).flat_map(|tags| tags.split(',')).map(str::trim).any(
                // Weak comparison: `W/` makes no difference (§13.1.2).
                |tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == self.etag,
            );
        }
        match (date(headers, &header::IF_MODIFIED_SINCE), self.modified) {
            (Some(since), Some(modified)) => modified <= since,
            _ => false,
        }
    }

    /// Whether a range is still of the version that the client has (§13.1.5).
    fn range_applies(&self, headers: &HeaderMap) -> bool {
        let Some(condition) = headers.get(header::IF_RANGE) else { return true };
        condition == self.etag.as_str()
            || self.modified.is_some_and(|modified| date(headers, &header::IF_RANGE) == Some(modified))
    }
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

/// What a GET or HEAD with these fields gets of a file of `length` bytes.
pub(super) fn select(method: &Method, headers: &HeaderMap, validators: &Validators, length: u64) -> Selected {
    if validators.is_unchanged(headers) {
        return Selected::NotModified;
    }
    match headers.get(header::RANGE) {
        // A range is defined for GET alone (§14.2).
        Some(range) if method == Method::GET && validators.range_applies(headers) => {
            range.to_str().map_or(Selected::Whole, |range| part(range, length))
        }
        _ => Selected::Whole,
    }
}

/// One range of bytes. Several, another unit or nonsense count as no range (§14.2 allows to ignore it).
fn part(range: &str, length: u64) -> Selected {
    let spec = range.split_once('=').filter(|(unit, _)| unit.trim().eq_ignore_ascii_case("bytes"));
    let Some((first, last)) = spec.and_then(|(_, spec)| spec.trim().split_once('-')) else { return Selected::Whole };
    let number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u64>());
    let (offset, end) = match (first, last, number(first), number(last)) {
        ("", "", _, _) | (_, _, None, _) | (_, _, _, None) => return Selected::Whole,
        // The last bytes of the file.
        ("", _, _, Some(suffix)) => (length.saturating_sub(suffix.unwrap_or(u64::MAX)), length),
        (_, "", Some(first), _) => (first.unwrap_or(u64::MAX), length),
        (_, _, Some(first), Some(last)) => {
            let (first, last) = (first.unwrap_or(u64::MAX), last.unwrap_or(u64::MAX));
            if last < first {
                return Selected::Whole;
            }
            (first, last.saturating_add(1).min(length))
        }
    };
    if offset >= end { Selected::Unsatisfiable } else { Selected::Part { offset, length: end - offset } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validators() -> Validators {
        Validators::new(Some(SystemTime::UNIX_EPOCH + Duration::from_millis(784_111_777_500)), 10, 7)
    }

    fn selected(method: &Method, fields: &[(&'static str, &str)]) -> Selected {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::try_from(*value).unwrap());
        }
        select(method, &headers, &validators(), 10)
    }

    #[test]
    fn ranges_select_bytes() {
        let part = |offset, length| Selected::Part { offset, length };
        for (range, expected) in [
            ("bytes=0-0", part(0, 1)),
            ("bytes=2-4", part(2, 3)),
            ("bytes=2-", part(2, 8)),
            ("bytes=-3", part(7, 3)),
            ("bytes=-30", part(0, 10)),
            ("bytes=8-99", part(8, 2)),
            ("BYTES=0-0", part(0, 1)),
            ("bytes=0-18446744073709551616", part(0, 10)),
            ("bytes=10-", Selected::Unsatisfiable),
            ("bytes=-0", Selected::Unsatisfiable),
            ("bytes=18446744073709551616-", Selected::Unsatisfiable),
            ("bytes=4-2", Selected::Whole),
            ("bytes=0-1,3-4", Selected::Whole),
            ("bytes=+1-2", Selected::Whole),
            ("bytes=-", Selected::Whole),
            ("lines=0-1", Selected::Whole),
        ] {
            assert_eq!(selected(&Method::GET, &[("range", range)]), expected, "{range}");
        }
        assert_eq!(selected(&Method::HEAD, &[("range", "bytes=0-0")]), Selected::Whole);
    }

    #[test]
    fn a_range_of_another_version_is_the_whole_file() {
        let range = ("range", "bytes=0-0");
        let etag = validators().etag;
        let weak = format!("W/{etag}");
        for (condition, applies) in [
            (etag.as_str(), true),
            (weak.as_str(), false),
            ("\"other\"", false),
            ("Sun, 06 Nov 1994 08:49:37 GMT", true),
            ("Sun, 06 Nov 1994 08:49:38 GMT", false),
        ] {
            let outcome = selected(&Method::GET, &[range, ("if-range", condition)]);
            assert_eq!(outcome != Selected::Whole, applies, "{condition}");
        }
    }

    #[test]
    fn an_unchanged_file_is_not_sent_again() {
        let etag = validators().etag;
        let list = format!("\"x\", W/{etag}");
        for (field, value, unchanged) in [
            ("if-none-match", etag.as_str(), true),
            ("if-none-match", list.as_str(), true),
            ("if-none-match", "*", true),
            ("if-none-match", "\"x\"", false),
            ("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT", true),
            ("if-modified-since", "Sun, 06 Nov 1994 08:49:36 GMT", false),
            ("if-modified-since", "yesterday", false),
        ] {
            let outcome = selected(&Method::GET, &[(field, value)]);
            assert_eq!(outcome == Selected::NotModified, unchanged, "{field}: {value}");
        }
        let both = [("if-none-match", "\"x\""), ("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT")];
        assert_eq!(selected(&Method::GET, &both), Selected::Whole);
    }
}
