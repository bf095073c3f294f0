//! Content-Type by file name.

use std::path::Path;

use http::HeaderValue;
use mime_guess::mime;

/// The media type of a file; text is UTF-8.
pub(super) fn of(name: &Path) -> HeaderValue {
    let guess = mime_guess::from_path(name).first_or_octet_stream();
    // RFC 9239 §6: text/javascript is the one name, the older ones are aliases.
    let essence = match guess.essence_str() {
        "application/javascript" | "application/x-javascript" => "text/javascript",
        essence => essence,
    };
    let is_text = guess.type_() == mime::TEXT || essence == "text/javascript";
    let value = if is_text { format!("{essence}; charset=utf-8") } else { essence.to_owned() };
    HeaderValue::try_from(value).unwrap_or(const { HeaderValue::from_static("application/octet-stream") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_follows_the_name() {
        for (name, expected) in [
            ("a.html", "text/html; charset=utf-8"),
            ("a.js", "text/javascript; charset=utf-8"),
            ("a.mjs", "text/javascript; charset=utf-8"),
            ("a.css", "text/css; charset=utf-8"),
            ("a.json", "application/json"),
            ("a.svg", "image/svg+xml"),
            ("a.wasm", "application/wasm"),
            ("a.woff2", "font/woff2"),
            ("a", "application/octet-stream"),
        ] {
            assert_eq!(of(Path::new(name)), expected, "{name}");
        }
    }
}
