//! The security fields that most sites should have, behind one switch.
//!
//! What the application says stands. Left out is what breaks sites that were not made for it: a Content-Security-Policy, a
//! Permissions-Policy, Cross-Origin-Embedder-Policy, and a Cross-Origin-Opener-Policy that cuts the tie to windows which the
//! site itself opens (payments, logins).

use http::{HeaderMap, HeaderName, HeaderValue, header};
use stack_bridge::Scheme;

const ALWAYS: [(HeaderName, HeaderValue); 2] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("strict-origin-when-cross-origin")),
];

const OPENER: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// Adds the fields that the response does not have.
pub(crate) fn secure(headers: &mut HeaderMap, scheme: Scheme) {
    for (name, value) in ALWAYS {
        headers.entry(name).or_insert(value);
    }
    if !says_who_may_frame_it(headers) {
        headers.entry(header::X_FRAME_OPTIONS).or_insert(HeaderValue::from_static("SAMEORIGIN"));
    }
    // Browsers take no notice of it on an origin that is not trustworthy, and say so in their console.
    if scheme == Scheme::Https {
        headers.entry(OPENER).or_insert(HeaderValue::from_static("same-origin-allow-popups"));
    }
}

/// `frame-ancestors` is the successor of X-Frame-Options, and may allow more.
fn says_who_may_frame_it(headers: &HeaderMap) -> bool {
    headers.get_all(header::CONTENT_SECURITY_POLICY).iter().any(|policy| {
        let directives = policy.as_bytes().split(|byte| b";,".contains(byte)).map(<[u8]>::trim_ascii_start);
        let mut names = directives.map(|directive| directive.split(u8::is_ascii_whitespace).next().unwrap_or_default());
        names.any(|name| name.eq_ignore_ascii_case(b"frame-ancestors"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secured(fields: &[(&'static str, &'static str)], scheme: Scheme) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        secure(&mut headers, scheme);
        let mut lines: Vec<_> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort_unstable();
        lines
    }

    #[test]
    fn a_response_without_them_gets_the_fields() {
        let plain = secured(&[], Scheme::Http);
        assert_eq!(
            plain,
            [
                "referrer-policy: strict-origin-when-cross-origin",
                "x-content-type-options: nosniff",
                "x-frame-options: SAMEORIGIN"
            ]
        );
        let over_tls = secured(&[], Scheme::Https);
        assert_eq!(over_tls[0], "cross-origin-opener-policy: same-origin-allow-popups");
        assert_eq!(over_tls[1..], plain);
    }

    #[test]
    fn what_the_application_says_stands() {
        let own = [
            ("cross-origin-opener-policy", "unsafe-none"),
            ("referrer-policy", "no-referrer"),
            ("x-content-type-options", ""),
            ("x-frame-options", "DENY"),
        ];
        let expected: Vec<_> = own.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        assert_eq!(secured(&own, Scheme::Https), expected);
    }

    #[test]
    fn a_policy_about_frames_is_not_narrowed() {
        for policy in
            ["frame-ancestors https://a.example", "default-src 'self';Frame-Ancestors *", "a, frame-ancestors b"]
        {
            let lines = secured(&[("content-security-policy", policy)], Scheme::Http);
            assert!(!lines.iter().any(|line| line.starts_with("x-frame-options")), "{policy}: {lines:?}");
        }
        let lines = secured(&[("content-security-policy", "default-src frame-ancestors")], Scheme::Http);
        assert!(lines.iter().any(|line| line.starts_with("x-frame-options")));
    }
}
