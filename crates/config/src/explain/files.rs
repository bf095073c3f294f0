//! Static files and compression.

use std::path::Path;

use toml::Value;

use super::{path, size, static_text, text};
use crate::{Compression, CompressionMode, Files, StaticRoot};

pub(super) fn values(files: &Files) -> Vec<(&'static str, Option<Value>)> {
    let Files { fallbacks, cache_rules, cache_memory, listings, internal, sendfile, django, compression } = files;
    let Compression { mode, min_size, types } = compression;
    let array = |values: Vec<Value>| Some(Value::Array(values));
    let fallback = |(prefix, file): (&Option<String>, &Path)| match prefix {
        Some(prefix) => text(&format!("{prefix}={}", file.display())),
        None => text(&format!("/={}", file.display())),
    };
    let root = |prefix: &str, directory: &Path| {
        static_text(&StaticRoot { prefix: Some(prefix.to_owned()), directory: directory.to_owned() })
    };
    vec![
        ("spa_fallback", array(fallbacks.iter().map(|it| fallback((&it.prefix, &it.file))).collect())),
        ("static_cache", array(cache_rules.iter().map(|it| text(&format!("{}={}", it.glob, it.value))).collect())),
        ("static_cache_memory", Some(size(*cache_memory))),
        ("static_listing", array(listings.iter().map(|it| text(it.as_deref().unwrap_or("/"))).collect())),
        ("internal", array(internal.iter().map(|it| root(&it.prefix, &it.directory)).collect())),
        ("sendfile", array(sendfile.iter().map(|it| path(it)).collect())),
        ("django_static", Some(Value::Boolean(*django))),
        ("compression", Some(text(mode.as_str()))),
        ("compression_min_size", Some(size(*min_size))),
        ("compression_types", array(types.iter().map(|it| text(it)).collect()).filter(|_| !types.is_empty())),
    ]
}

impl CompressionMode {
    /// The word a user writes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Safe => "safe",
            Self::All => "all",
        }
    }
}
