//! Cache-Control of static files: by rule, or by the file's name.

use std::path::Path;

use globset::{GlobBuilder, GlobMatcher};
use http::HeaderValue;
use stack_config::CacheRule;

/// A copy may be kept, and is asked about before it is used: nobody sees an old file, and an unchanged one costs no body.
const ASK_FIRST: HeaderValue = HeaderValue::from_static("no-cache");

/// For a name that changes with the content.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// What build tools put hashes on. A PDF or a page with such a name is somebody's own.
const BUILT: &[&str] = &[
    "avif",
    "cjs",
    "css",
    "eot",
    "gif",
    "ico",
    "jpeg",
    "jpg",
    "js",
    "json",
    "map",
    "mjs",
    "mp3",
    "mp4",
    "ogg",
    "otf",
    "png",
    "svg",
    "ttf",
    "txt",
    "wasm",
    "wav",
    "webm",
    "webmanifest",
    "webp",
    "woff",
    "woff2",
];

/// The rules, in order.
#[derive(Debug, Default)]
pub(super) struct Rules(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    glob: GlobMatcher,
    /// The glob is for whole paths, not for names.
    is_for_paths: bool,
    value: HeaderValue,
}

impl Rules {
    /// The configuration has checked them.
    pub(super) fn new(rules: &[CacheRule]) -> Self {
        let rule = |rule: &CacheRule| {
            let glob = GlobBuilder::new(&rule.glob).literal_separator(true).build().ok()?.compile_matcher();
            let value = HeaderValue::try_from(rule.value.as_str()).ok()?;
            Some(Rule { glob, is_for_paths: rule.glob.contains('/'), value })
        };
        Self(rules.iter().filter_map(rule).collect())
    }

    /// The value for a file at this path of the site.
    pub(super) fn value(&self, path: &Path) -> HeaderValue {
        let name = Path::new(path.file_name().unwrap_or_default());
        let fits = |rule: &&Rule| rule.glob.is_match(if rule.is_for_paths { path } else { name });
        match self.0.iter().find(fits) {
            Some(rule) => rule.value.clone(),
            None if name.to_str().is_some_and(is_hashed) => FOR_EVER,
            None => ASK_FIRST,
        }
    }

    /// The value for what users have uploaded: their names mean nothing.
    pub(super) fn value_for_uploads(&self, path: &Path) -> HeaderValue {
        let name = Path::new(path.file_name().unwrap_or_default());
        let fits = |rule: &&Rule| rule.glob.is_match(if rule.is_for_paths { path } else { name });
        self.0.iter().find(fits).map_or(ASK_FIRST, |rule| rule.value.clone())
    }
}

/// Whether a hash of the content stands in the name, as Django's manifest (`base.5af66c1b1797.css`), webpack
/// (`main.8f3a9b2c.chunk.js`), Vite and Rollup (`index-BxYz12_3.js`) and esbuild (`chunk-ABC2DEF3.js`) write it.
///
/// A name that is wrongly taken for one is not looked at again for a year, so a word with a number in it (`awesome4`,
/// `facade12`, `20240131`) is none.
fn is_hashed(name: &str) -> bool {
    let mut parts: Vec<_> = name.split('.').collect();
    let Some(extension) = parts.pop() else { return false };
    if parts.is_empty() || !BUILT.iter().any(|built| extension.eq_ignore_ascii_case(built)) {
        return false;
    }
    let is_part = |part: &&str| is_hexadecimal_hash(part);
    parts[1..].iter().any(is_part) || parts.iter().any(|part| ends_with_hash(part))
}

/// `name-BxYz12_3`, `name-8f3a9b2c`, `name-0123456789abcdef`. A hash in base 64 may have a dash in it.
fn ends_with_hash(part: &str) -> bool {
    const LENGTH: usize = 8;
    let in_base_64 = || {
        let (name, hash) = part.split_at_checked(part.len().checked_sub(LENGTH)?)?;
        Some(name.len() > 1 && name.ends_with('-') && is_base_64_hash(hash))
    };
    let in_hexadecimal = || part.rsplit_once('-').is_some_and(|(_, hash)| is_hexadecimal_hash(hash));
    in_base_64().unwrap_or(false) || in_hexadecimal()
}

fn is_hexadecimal_hash(text: &str) -> bool {
    let is_hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    // In so short a one letters and digits must alternate: `facade12` is a word.
    let least = if text.len() < 12 { 2 } else { 1 };
    (8..=64).contains(&text.len()) && text.bytes().all(is_hexadecimal) && changes(text) >= least
}

fn is_base_64_hash(text: &str) -> bool {
    let in_alphabet = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let in_base_32 = |byte: u8| byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte);
    text.bytes().all(in_alphabet) && (changes(text) >= 4 || (text.bytes().all(in_base_32) && changes(text) >= 2))
}

/// How often the kind of character changes: capital, small letter, digit, other.
fn changes(text: &str) -> usize {
    let kind = |byte: &u8| (byte.is_ascii_uppercase(), byte.is_ascii_lowercase(), byte.is_ascii_digit());
    text.as_bytes().windows(2).filter(|pair| kind(&pair[0]) != kind(&pair[1])).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_in_the_name_is_found() {
        for name in [
            "base.5af66c1b1797.css",
            "admin/nav.0123456789ab.svg",
            "main.8f3a9b2c.js",
            "main.8f3a9b2c.chunk.js",
            "app.0a1b2c3d4e5f60718293.css",
            "index-BxYz12_3.js",
            "index-B-x3_9Zq.css",
            "logo-C3dEf9Hi.png",
            "index-D9sV2kQx.js.map",
            "chunk-ABC2DEF3.js",
            "framework-2c79e2a64abdb08b.js",
        ] {
            assert!(is_hashed(name.rsplit('/').next().unwrap()), "{name}");
        }
    }

    #[test]
    fn a_word_a_date_or_a_version_is_no_hash() {
        for name in [
            "style.css",
            "jquery-3.7.1.min.js",
            "app-settings.js",
            "font-awesome4.css",
            "lib-base64js.js",
            "my-DateTime.js",
            "app-Chapter1.js",
            "main.facade12.js",
            "photo.202401011230.jpg",
            "photo-20240101.jpg",
            "bootstrap.bundle.js",
            "index-BxYz12_3.html",
            "report.8f3a9b2c.pdf",
            "8f3a9b2c.js",
            "-BxYz12_3.js",
            "defaced.css",
            "jquery-ui.datepicker.js",
            "",
        ] {
            assert!(!is_hashed(name), "{name}");
        }
    }

    #[test]
    fn the_first_rule_that_fits_counts() {
        let rule = |glob: &str, value: &str| CacheRule { glob: glob.into(), value: value.into() };
        let rules = Rules::new(&[rule("*.html", "a"), rule("/assets/**", "b"), rule("/*/x.txt", "c"), rule("*", "d")]);
        for (path, expected) in [
            ("/index.html", "a"),
            ("/assets/deep/index.html", "a"),
            ("/assets/main.8f3a9b2c.js", "b"),
            ("/assets/deep/a.txt", "b"),
            ("/one/x.txt", "c"),
            ("/one/two/x.txt", "d"),
        ] {
            assert_eq!(rules.value(Path::new(path)), expected, "{path}");
        }
        let none = Rules::default();
        assert_eq!(none.value(Path::new("/main.8f3a9b2c.js")), FOR_EVER);
        assert_eq!(none.value(Path::new("/main.js")), ASK_FIRST);
        assert_eq!(none.value_for_uploads(Path::new("/main.8f3a9b2c.js")), ASK_FIRST);
    }
}
