//! What a client makes of a text: a page for people, JSON for a program, or anything.

use http::HeaderValue;

/// What an Accept field asks for (RFC 9110 §12.5.1), as far as errors differ by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// HTML is named: a browser that opens a page.
    Page,
    /// JSON is named, and HTML is not.
    Json,
    /// Neither is.
    Anything,
}

/// Reads the field. One that takes anything names nothing.
pub(crate) fn wanted(accept: &HeaderValue) -> Wanted {
    let Ok(accept) = accept.to_str() else { return Wanted::Anything };
    let mut wanted = Wanted::Anything;
    for range in accept.split(',') {
        let mut parameters = range.split(';').map(str::trim);
        let media_type = parameters.next().unwrap_or_default().to_ascii_lowercase();
        // RFC 9110 §12.4.2: a weight of 0 is a refusal.
        let refused = parameters.any(|parameter| {
            let weight = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="));
            weight.and_then(|weight| weight.trim().parse::<f32>().ok()).is_some_and(|weight| weight <= 0.0)
        });
        match media_type.as_str() {
            _ if refused => {}
            "text/html" | "application/xhtml+xml" => return Wanted::Page,
            "application/json" | "application/problem+json" => wanted = Wanted::Json,
            _ => {}
        }
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_goes_before_json_and_what_is_refused_is_not_named() {
        for (accept, expected) in [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Wanted::Page),
            ("application/json, text/html;q=0.1", Wanted::Page),
            ("application/json, text/html;q=0", Wanted::Json),
            ("application/problem+json, */*;q=0.1", Wanted::Json),
            ("Application/JSON; charset=utf-8", Wanted::Json),
            ("application/json;q=0", Wanted::Anything),
            ("text/html; q=0.0", Wanted::Anything),
            ("*/*", Wanted::Anything),
            ("", Wanted::Anything),
        ] {
            assert_eq!(wanted(&HeaderValue::from_static(accept)), expected, "{accept}");
        }
    }
}
