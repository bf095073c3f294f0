//! Conditional requests, evaluated in the order of RFC 9110 §13.2.2.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use super::ranges::{self, Ranges};

/// What is asked about: a representation, and the others of the same version.
#[derive(Debug)]
pub(super) struct Subject<'a> {
    pub(super) etag: &'a HeaderValue,
    /// In whole seconds, as HTTP dates are.
    pub(super) modified: Option<SystemTime>,
    pub(super) length: u64,
    /// Entity tags of further representations that this client would accept.
    pub(super) others: &'a [HeaderValue],
}

/// What a request gets.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Selected {
    Whole,
    Parts(Vec<std::ops::Range<u64>>),
    Unsatisfiable,
    /// What the client has is current; this is its entity tag.
    NotModified(HeaderValue),
    PreconditionFailed,
}

/// What a GET or HEAD with these fields gets.
pub(super) fn select(method: &Method, headers: &HeaderMap, subject: &Subject<'_>) -> Selected {
    let is_there = |name| headers.contains_key(name);
    // Steps 1 and 2.
    if is_there(header::IF_MATCH) {
        let is_known = |tag: &str| tag == "*" || subject.tags().any(|known| tag.as_bytes() == known.as_bytes());
        if !tags(headers, header::IF_MATCH).any(is_known) {
            return Selected::PreconditionFailed;
        }
    } else if let (Some(since), Some(modified)) = (date(headers, &header::IF_UNMODIFIED_SINCE), subject.modified)
        && modified > since
    {
        return Selected::PreconditionFailed;
    }
    // Steps 3 and 4.
    if is_there(header::IF_NONE_MATCH) {
        if let Some(tag) = subject.matching(headers) {
            return Selected::NotModified(tag);
        }
    } else if let (Some(since), Some(modified)) = (date(headers, &header::IF_MODIFIED_SINCE), subject.modified)
        && modified <= since
    {
        return Selected::NotModified(subject.etag.clone());
    }
    // Step 5. A range is defined for GET alone (§14.2).
    match headers.get(header::RANGE).and_then(|range| range.to_str().ok()) {
        Some(range) if method == Method::GET && subject.range_applies(headers) => {
            match ranges::select(range, subject.length) {
                Ranges::Ignored => Selected::Whole,
                Ranges::Unsatisfiable => Selected::Unsatisfiable,
                Ranges::Parts(parts) => Selected::Parts(parts),
            }
        }
        _ => Selected::Whole,
    }
}

impl Subject<'_> {
    fn tags(&self) -> impl Iterator<Item = &HeaderValue> {
        [self.etag].into_iter().chain(self.others)
    }

    /// The entity tag in If-None-Match. Weak comparison: `W/` makes no difference (§13.1.2).
    fn matching(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        if tags(headers, header::IF_NONE_MATCH).any(|tag| tag == "*") {
            return Some(self.etag.clone());
        }
        let is_named = |known: &&HeaderValue| {
            tags(headers, header::IF_NONE_MATCH)
                .any(|tag| tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == known.as_bytes())
        };
        self.tags().find(is_named).cloned()
    }

    /// Whether a range is still of the version that the client has (§13.1.5).
    fn range_applies(&self, headers: &HeaderMap) -> bool {
        let Some(condition) = headers.get(header::IF_RANGE) else { return true };
        // A time that is not over yet may still be that of another version (§8.8.2.2).
        let is_strong = |modified: SystemTime| {
            SystemTime::now().duration_since(modified).is_ok_and(|age| age >= Duration::from_secs(1))
        };
        condition == self.etag
            || self
                .modified
                .is_some_and(|modified| date(headers, &header::IF_RANGE) == Some(modified) && is_strong(modified))
    }
}

/// The entity tags of all fields of this name. A comma in a tag splits it, and what is split matches nothing: this
/// server's have none.
fn tags(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// A date; a field that is there twice is none.
fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    let mut values = headers.get_all(name).into_iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    httpdate::parse_http_date(value.to_str().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: &str = "\"a-1\"";
    const OTHER: &str = "\"a-1~br\"";
    const AT: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

    fn selected(method: &Method, fields: &[(&'static str, &str)]) -> Selected {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::try_from(*value).unwrap());
        }
        let modified = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777));
        let (etag, others) = (HeaderValue::from_static(TAG), [HeaderValue::from_static(OTHER)]);
        select(method, &headers, &Subject { etag: &etag, modified, length: 10, others: &others })
    }

    fn not_modified(tag: &'static str) -> Selected {
        Selected::NotModified(HeaderValue::from_static(tag))
    }

    #[test]
    fn a_range_of_another_version_is_the_whole_file() {
        let weak = format!("W/{TAG}");
        for (condition, applies) in
            [(TAG, true), (&weak, false), ("\"other\"", false), (OTHER, false), (AT, true), (BEFORE, false)]
        {
            let outcome = selected(&Method::GET, &[("range", "bytes=0-0"), ("if-range", condition)]);
            assert_eq!(outcome != Selected::Whole, applies, "{condition}");
        }
        assert_eq!(selected(&Method::HEAD, &[("range", "bytes=0-0")]), Selected::Whole);
    }

    #[test]
    fn an_unchanged_file_is_not_sent_again() {
        let weak = format!("\"x\", W/{TAG}");
        for (field, value, expected) in [
            ("if-none-match", TAG, not_modified(TAG)),
            ("if-none-match", &weak, not_modified(TAG)),
            ("if-none-match", OTHER, not_modified(OTHER)),
            ("if-none-match", "*", not_modified(TAG)),
            ("if-none-match", "\"x\"", Selected::Whole),
            ("if-modified-since", AT, not_modified(TAG)),
            ("if-modified-since", BEFORE, Selected::Whole),
            ("if-modified-since", "yesterday", Selected::Whole),
        ] {
            assert_eq!(selected(&Method::GET, &[(field, value)]), expected, "{field}: {value}");
            assert_eq!(selected(&Method::HEAD, &[(field, value)]), expected, "{field}: {value}");
        }
    }

    #[test]
    fn a_precondition_that_does_not_hold_fails() {
        let weak = format!("W/{TAG}");
        for (field, value, holds) in [
            ("if-match", TAG, true),
            ("if-match", "*", true),
            ("if-match", OTHER, true),
            ("if-match", "\"x\", \"y\"", false),
            ("if-match", &weak, false),
            ("if-unmodified-since", AT, true),
            ("if-unmodified-since", BEFORE, false),
            ("if-unmodified-since", "yesterday", true),
        ] {
            let expected = if holds { Selected::Whole } else { Selected::PreconditionFailed };
            assert_eq!(selected(&Method::GET, &[(field, value)]), expected, "{field}: {value}");
        }
    }

    #[test]
    fn conditions_are_looked_at_in_the_order_of_the_standard() {
        let get = |fields: &[(&'static str, &str)]| selected(&Method::GET, fields);
        // If-Match goes before If-Unmodified-Since, If-None-Match before If-Modified-Since; the first kind before the second.
        assert_eq!(get(&[("if-match", TAG), ("if-unmodified-since", BEFORE)]), Selected::Whole);
        assert_eq!(get(&[("if-none-match", "\"x\""), ("if-modified-since", AT)]), Selected::Whole);
        assert_eq!(get(&[("if-match", "\"x\""), ("if-none-match", TAG)]), Selected::PreconditionFailed);
        assert_eq!(get(&[("if-match", TAG), ("if-none-match", TAG)]), not_modified(TAG));
        assert_eq!(get(&[("if-none-match", TAG), ("range", "bytes=0-0")]), not_modified(TAG));
        assert_eq!(get(&[("if-match", TAG), ("range", "bytes=1-2")]), Selected::Parts(std::iter::once(1..3).collect()));
        assert_eq!(get(&[("range", "bytes=10-")]), Selected::Unsatisfiable);
    }
}
