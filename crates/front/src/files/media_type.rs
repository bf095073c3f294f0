//! Content-Type by file name.

use std::path::Path;

use http::HeaderValue;
use mime_guess::mime;

/// Where the guess is silent, outdated, or not what servers send.
const OWN: &[(&str, &str)] = &[
    ("avif", "image/avif"),
    ("br", "application/octet-stream"),
    ("cjs", "text/javascript"),
    ("geojson", "application/geo+json"),
    ("glb", "model/gltf-binary"),
    ("gltf", "model/gltf+json"),
    ("jsonld", "application/ld+json"),
    ("jxl", "image/jxl"),
    ("m3u8", "application/vnd.apple.mpegurl"),
    ("m4s", "video/iso.segment"),
    ("map", "application/json"),
    ("md", "text/markdown"),
    ("mjs", "text/javascript"),
    ("ndjson", "application/x-ndjson"),
    ("otf", "font/otf"),
    ("parquet", "application/vnd.apache.parquet"),
    ("toml", "application/toml"),
    ("ts", "video/mp2t"),
    ("ttf", "font/ttf"),
    ("vtt", "text/vtt"),
    ("wasm", "application/wasm"),
    ("webmanifest", "application/manifest+json"),
    ("webp", "image/webp"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
    ("zst", "application/zstd"),
];

/// The media type of a file; text is UTF-8.
pub(super) fn of(name: &Path) -> HeaderValue {
    let extension = name.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let own = OWN.iter().find(|(known, _)| extension.eq_ignore_ascii_case(known)).map(|(_, media_type)| *media_type);
    let guess = mime_guess::from_path(name).first_or_octet_stream();
    // RFC 9239 §6: text/javascript is the one name, the older ones are aliases.
    let essence = match own.unwrap_or(guess.essence_str()) {
        "application/javascript" | "application/x-javascript" => "text/javascript",
        essence => essence,
    };
    // An XML document names its encoding itself, and a charset here would overrule it (RFC 7303 §3).
    let is_text = essence.starts_with(mime::TEXT.as_str()) && essence != "text/xml";
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
            ("a.txt", "text/plain; charset=utf-8"),
            ("a.csv", "text/csv; charset=utf-8"),
            ("a.xml", "text/xml"),
            ("a.json", "application/json"),
            ("a.js.map", "application/json"),
            ("a.webmanifest", "application/manifest+json"),
            ("a.svg", "image/svg+xml"),
            ("a.avif", "image/avif"),
            ("a.webp", "image/webp"),
            ("A.PNG", "image/png"),
            ("a.ico", "image/x-icon"),
            ("a.wasm", "application/wasm"),
            ("a.woff2", "font/woff2"),
            ("a.mp4", "video/mp4"),
            ("a.pdf", "application/pdf"),
            ("a.tar.gz", "application/gzip"),
            ("a.unheard-of", "application/octet-stream"),
            ("a", "application/octet-stream"),
        ] {
            assert_eq!(of(Path::new(name)), expected, "{name}");
        }
    }
}
