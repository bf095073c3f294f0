//! Where a redirect or a rewrite leads, for one request.
//!
//! A capture is what a client sent, so it goes into a path or a query percent-encoded, and never into an authority: the
//! configuration sees to the second, this module to the first.

use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use stack_config::{Piece, Target};

use super::patterns::Captures;

/// What stays in a path as it is: `pchar` and the slash (RFC 3986 §3.3).
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@')
    .remove(b'/');

/// What stays in a query: without what separates and joins its fields there.
const QUERY: &AsciiSet = &PATH.add(b'&').add(b'=').add(b'+').add(b';');

/// A URL, or a path with a query, for a request with this path and query.
pub(super) fn fill(target: &Target, captures: &Captures, path: &[u8], query: Option<&str>) -> String {
    let Target { origin, path: path_pieces, query: query_pieces, keeps_query } = target;
    let mut filled = String::new();
    append(&mut filled, path_pieces, captures, path, PATH);
    // Browsers read `//host` as another site, and what a group matched may begin with a slash.
    let slashes = filled.bytes().take_while(|&byte| byte == b'/').count();
    let mut url = format!("{}/{}", origin.as_deref().unwrap_or_default(), &filled[slashes..]);
    let mut separator = '?';
    if !query_pieces.is_empty() {
        url.push(separator);
        append(&mut url, query_pieces, captures, path, QUERY);
        separator = '&';
    }
    if let Some(query) = query.filter(|query| *keeps_query && !query.is_empty()) {
        url.push(separator);
        url.push_str(query);
    }
    url
}

fn append(url: &mut String, pieces: &[Piece], captures: &Captures, path: &[u8], set: &'static AsciiSet) {
    for piece in pieces {
        match piece {
            Piece::Text(text) => url.push_str(text),
            Piece::Capture(number) => url.extend(percent_encode(captures.of(*number, path), set)),
        }
    }
}

/// As the value of Location. It is ASCII without controls: its texts were checked, the rest is encoded or was part of a
/// request target.
pub(super) fn location(url: &str) -> HeaderValue {
    HeaderValue::try_from(url).unwrap_or_else(|_| HeaderValue::from_static("/"))
}

#[cfg(test)]
mod tests {
    use stack_config::PathPattern;

    use super::{super::patterns::Patterns, *};

    fn filled(pattern: &PathPattern, target: &Target, path: &[u8], query: Option<&str>) -> String {
        let mut patterns = Patterns::default();
        patterns.insert(pattern, ());
        let ((), captures) = patterns.find(path).unwrap();
        fill(target, &captures, path, query)
    }

    fn text(text: &str) -> Piece {
        Piece::Text(text.into())
    }

    #[test]
    fn no_capture_leads_to_another_site_or_breaks_a_field() {
        let target = Target { path: vec![text("/"), Piece::Capture(1)], keeps_query: true, ..Target::default() };
        for (path, expected) in [
            (&b"/go/x"[..], "/x"),
            (b"/go//evil.example", "/evil.example"),
            (b"/go///evil.example/..", "/evil.example/.."),
            (b"/go/\\evil.example", "/%5Cevil.example"),
            (b"/go/a\r\nSet-Cookie: x", "/a%0D%0ASet-Cookie:%20x"),
            (b"/go/?a#b", "/%3Fa%23b"),
            (b"/go/\xff\x00", "/%FF%00"),
            (b"/go/%41", "/%2541"),
        ] {
            assert_eq!(filled(&PathPattern::Below("/go".into()), &target, path, None), expected);
        }
        let everything = Target { path: vec![Piece::Capture(0)], ..Target::default() };
        assert_eq!(filled(&PathPattern::Regex("evil.*".into()), &everything, b"/evil.example", None), "/evil.example");
    }

    #[test]
    fn the_host_is_the_written_one() {
        let target = Target {
            origin: Some("https://other.example".into()),
            path: vec![text("/a/"), Piece::Capture(1)],
            query: Vec::new(),
            keeps_query: true,
        };
        let path = b"/go/@evil.example/:80";
        let expected = "https://other.example/a/@evil.example/:80?x=1";
        assert_eq!(filled(&PathPattern::Below("/go".into()), &target, path, Some("x=1")), expected);
    }

    #[test]
    fn the_query_is_kept_joined_or_dropped() {
        let pattern = || PathPattern::Below("/go".into());
        let target =
            |query: Vec<Piece>, keeps_query| Target { path: vec![text("/n")], query, keeps_query, origin: None };
        let with = |target: &Target, query| filled(&pattern(), target, b"/go/a&b=c", query);
        assert_eq!(with(&target(vec![], true), Some("x=1")), "/n?x=1");
        assert_eq!(with(&target(vec![], true), None), "/n");
        assert_eq!(with(&target(vec![], true), Some("")), "/n");
        assert_eq!(with(&target(vec![], false), Some("x=1")), "/n");
        let q = || vec![text("q="), Piece::Capture(1)];
        assert_eq!(with(&target(q(), true), Some("x=1")), "/n?q=a%26b%3Dc&x=1");
        assert_eq!(with(&target(q(), false), Some("x=1")), "/n?q=a%26b%3Dc");
    }
}
