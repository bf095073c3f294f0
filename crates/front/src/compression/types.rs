//! Which media types are worth compressing.

/// Text and data formats; what is compressed by its nature (images, video, archives, WOFF) is not here.
const TYPES: &[&str] = &[
    "text/*",
    "application/atom+xml",
    "application/dash+xml",
    "application/geo+json",
    "application/graphql-response+json",
    "application/javascript",
    "application/json",
    "application/ld+json",
    "application/manifest+json",
    "application/problem+json",
    "application/rss+xml",
    "application/rtf",
    "application/vnd.api+json",
    "application/vnd.apple.mpegurl",
    "application/vnd.ms-fontobject",
    "application/wasm",
    "application/x-javascript",
    "application/x-ndjson",
    "application/x-sh",
    "application/xhtml+xml",
    "application/xml",
    "application/yaml",
    "font/otf",
    "font/ttf",
    "image/bmp",
    "image/svg+xml",
    "image/vnd.microsoft.icon",
    "image/x-icon",
    "model/gltf+json",
];

/// The media types that are compressed.
#[derive(Clone, Debug)]
pub(crate) struct Types {
    exact: Vec<String>,
    /// `text/` for `text/*`.
    kinds: Vec<String>,
}

impl Types {
    /// Those of the configuration; none is the list above.
    pub(crate) fn new(configured: &[String]) -> Self {
        let default = || TYPES.iter().map(|name| (*name).to_owned()).collect();
        let all = if configured.is_empty() { default() } else { configured.to_vec() };
        let (kinds, exact): (Vec<_>, Vec<_>) = all.into_iter().partition(|name| name.ends_with("/*"));
        Self { exact, kinds: kinds.into_iter().map(|kind| kind.trim_end_matches('*').to_owned()).collect() }
    }

    /// Whether a body with this Content-Type is compressed. An event stream lives for hours, and an encoder with it.
    pub(crate) fn include(&self, content_type: &[u8]) -> bool {
        let end = content_type.iter().position(|&byte| byte == b';').unwrap_or(content_type.len());
        let essence = content_type[..end].trim_ascii();
        let starts_with = |kind: &[u8]| essence.get(..kind.len()).is_some_and(|start| start.eq_ignore_ascii_case(kind));
        !essence.eq_ignore_ascii_case(b"text/event-stream")
            && (self.kinds.iter().any(|kind| starts_with(kind.as_bytes()))
                || self.exact.iter().any(|name| essence.eq_ignore_ascii_case(name.as_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_compressed_and_what_is_compressed_is_not() {
        let types = Types::new(&[]);
        for name in ["text/html; charset=utf-8", "Application/JSON", "image/svg+xml", "text/x-anything", "font/ttf"] {
            assert!(types.include(name.as_bytes()), "{name}");
        }
        for name in ["image/png", "application/zip", "font/woff2", "text/event-stream", "", "application/octet-stream"]
        {
            assert!(!types.include(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn configured_types_take_the_place_of_the_list() {
        let types = Types::new(&["application/x-own".into(), "image/*".into()]);
        assert!(types.include(b"application/x-own") && types.include(b"image/png"));
        assert!(!types.include(b"text/html"));
    }
}
