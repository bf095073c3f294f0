//! `spa_fallback`, `static_cache`, `internal`, `sendfile`, `compression` and what belongs to them.

use std::path::{Component, Path, PathBuf};

use super::{Check, Place, paths, statics::normal_prefix};
use crate::{
    CacheRule, Compression, CompressionMode, Config, Fallback, Files, InternalRoot, StaticRoot,
    error::{Problem, Reason},
    keys,
    layers::Layers,
    raw::{Several, Written},
};

/// The raw values of this topic.
pub(super) struct RawFiles {
    pub(super) spa_fallback: Several,
    pub(super) static_cache: Several,
    pub(super) static_cache_memory: Written,
    pub(super) static_listing: Several,
    pub(super) internal: Several,
    pub(super) sendfile: Several,
    pub(super) django_static: Written,
    pub(super) compression: Written,
    pub(super) compression_min_size: Written,
    pub(super) compression_types: Several,
}

impl Check<'_> {
    pub(super) fn files(&mut self, raw: RawFiles) -> Files {
        let RawFiles {
            spa_fallback,
            static_cache,
            static_cache_memory,
            static_listing,
            internal,
            sendfile,
            django_static,
            compression,
            compression_min_size,
            compression_types,
        } = raw;
        let modes = [CompressionMode::Off, CompressionMode::Safe, CompressionMode::All];
        let mut internal = self.several("internal", internal, internal_root);
        self.no_repetition("internal", repetition(&internal));
        internal.sort_by_key(|root| std::cmp::Reverse(root.prefix.len()));
        Files {
            fallbacks: self.several("spa_fallback", spa_fallback, |_, text| fallback(text)),
            cache_rules: self.several("static_cache", whole_rules(static_cache), |_, text| cache_rule(text)),
            cache_memory: self.size("static_cache_memory", &static_cache_memory, (0, "")),
            listings: self.several("static_listing", static_listing, |_, text| normal_prefix(text, "")),
            internal,
            sendfile: self
                .several("sendfile", sendfile, |place, text| paths::readable_directory(&place.absolute(text))),
            django: self.switch("django_static", &django_static),
            compression: Compression {
                mode: self.word("compression", &compression, &modes),
                min_size: self.size("compression_min_size", &compression_min_size, (0, "")),
                types: self.several("compression_types", compression_types, |_, text| media_type(text)),
            },
        }
    }
}

/// Holds what was written to the static directories of all sites: fallbacks and listings are for one of them, and what the
/// application sends lies in none.
pub(super) fn settle(config: &Config, layers: &Layers, problems: &mut Vec<Problem>) {
    let of_sections = config.sites.sections.iter().flat_map(|section| &section.statics);
    let statics: Vec<&StaticRoot> = config.statics.iter().chain(of_sections).collect();
    let is_served = |prefix: Option<&str>| {
        let served = statics.iter().any(|root| root.prefix.as_deref() == prefix);
        if served { Ok(()) } else { Err(Reason::NoStaticPrefix(prefix.unwrap_or("/").to_owned())) }
    };
    let is_private = |directory: &Path| match statics.iter().find(|root| directory.starts_with(&root.directory)) {
        Some(root) => Err(Reason::InternalIsServed { inner: directory.to_path_buf(), outer: root.directory.clone() }),
        None => Ok(()),
    };
    let Files { fallbacks, listings, internal, sendfile, .. } = &config.files;
    for (name, held) in [
        ("spa_fallback", fallbacks.iter().map(|it| is_served(it.prefix.as_deref())).collect::<Vec<_>>()),
        ("static_listing", listings.iter().map(|it| is_served(it.as_deref())).collect()),
        ("internal", internal.iter().map(|it| is_private(&it.directory)).collect()),
        ("sendfile", sendfile.iter().map(|it| is_private(it)).collect()),
    ] {
        // What else is wrong comes first: a static directory that was refused would be missing here, too.
        if problems.iter().any(|problem| problem.name == name || problem.name == "static") {
            continue;
        }
        for (index, reason) in held.into_iter().enumerate().filter_map(|(index, held)| Some((index, held.err()?))) {
            let origin = layers.origin(keys::find(name).expect("in the table"), index);
            problems.push(Problem::with_name(origin, name, reason));
        }
    }
}

/// In the environment commas separate values, and Cache-Control has commas of its own: what does not begin as a glob does
/// goes on with the rule before it.
fn whole_rules(written: Several) -> Several {
    let mut rules: Vec<Written> = Vec::new();
    for part in written.into_vec() {
        match rules.last_mut() {
            Some(rule) if !part.0.trim_start().starts_with(['*', '/']) => {
                rule.0 = format!("{}, {}", rule.0, part.0.trim());
            }
            _ => rules.push(part),
        }
    }
    Several::Array(rules)
}

fn cache_rule(text: &str) -> Result<CacheRule, Reason> {
    let (glob, value) = text.split_once('=').ok_or(Reason::NotCacheRule)?;
    let (glob, value) = (glob.trim(), value.trim());
    if value.is_empty() || !glob.starts_with(['*', '/']) {
        return Err(Reason::NotCacheRule);
    }
    globset::Glob::new(glob).map_err(|error| Reason::NotGlob(error.kind().to_string()))?;
    if !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Err(Reason::NotFieldValue);
    }
    Ok(CacheRule { glob: glob.to_owned(), value: value.to_owned() })
}

fn fallback(text: &str) -> Result<Fallback, Reason> {
    let (prefix, file) = match text.split_once('=') {
        Some((prefix, file)) => (normal_prefix(prefix.trim(), file)?, file.trim()),
        None => (None, text),
    };
    let is_plain =
        |part: Component<'_>| matches!(part, Component::Normal(name) if !name.as_encoded_bytes().starts_with(b"."));
    let path = PathBuf::from(file);
    if file.is_empty() || file.ends_with('/') || !path.components().all(is_plain) {
        return Err(Reason::FallbackPath(file.to_owned()));
    }
    Ok(Fallback { prefix, file: path })
}

fn internal_root(place: Place<'_>, text: &str) -> Result<InternalRoot, Reason> {
    let (prefix, directory) = text.split_once('=').ok_or(Reason::NoInternalPrefix)?;
    let directory = directory.trim();
    let prefix = normal_prefix(prefix.trim(), directory)?.ok_or(Reason::NoInternalPrefix)?;
    if directory.is_empty() {
        return Err(Reason::Empty);
    }
    Ok(InternalRoot { prefix, directory: paths::readable_directory(&place.absolute(directory))? })
}

fn repetition(all: &[InternalRoot]) -> Option<(usize, Reason)> {
    all.iter().enumerate().find_map(|(index, root)| {
        let taken = all[..index].iter().any(|other| other.prefix == root.prefix);
        taken.then(|| (index, Reason::StaticTwice(root.prefix.clone())))
    })
}

fn media_type(text: &str) -> Result<String, Reason> {
    // RFC 9110 §8.3.1, and §5.6.2 for the characters of a token.
    let is_token = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'+-.^_`|~".contains(&byte))
    };
    match text.split_once('/') {
        Some((kind, subtype)) if is_token(kind) && (subtype == "*" || is_token(subtype)) => Ok(text.to_lowercase()),
        _ => Err(Reason::NotMediaType),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Setup, problem};

    fn setup() -> Setup {
        Setup::new().with_directory("public").with_directory("public/in").with_directory("media")
    }

    #[test]
    fn a_fallback_is_a_file_of_a_static_directory() {
        let setup = setup()
            .flag_values("static", &["public", "/app=public"])
            .flag_values("spa_fallback", &["/app/=web/index.html", "index.html"]);
        let expected = [(Some("/app"), "web/index.html"), (None, "index.html")];
        let found = setup.config().files.fallbacks;
        let found: Vec<_> = found.iter().map(|it| (it.prefix.as_deref(), it.file.to_str().unwrap())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_fallback_elsewhere_is_refused() {
        for (written, reason) in [
            ("/none=index.html", "`spa_fallback`: static serves no directory at `/none`"),
            ("/../index.html", "`/../index.html` is not the path of a file"),
            ("../index.html", "`../index.html` is not the path of a file"),
            (".env", "`.env` is not the path of a file"),
            ("web/", "`web/` is not the path of a file"),
        ] {
            let text = problem(&setup().flag("static", "public").flag("spa_fallback", written));
            assert!(text.contains(reason), "{text}");
        }
    }

    #[test]
    fn a_rule_keeps_its_commas_in_every_source() {
        let expected = [("*.html", "no-cache"), ("/assets/**", "public, max-age=31536000, immutable")];
        let rules = |setup: &Setup| {
            let rules = setup.config().files.cache_rules;
            rules.into_iter().map(|rule| (rule.glob, rule.value)).collect::<Vec<_>>()
        };
        let owned = expected.map(|(glob, value)| (glob.to_owned(), value.to_owned()));
        let written = expected.map(|(glob, value)| format!("{glob}={value}"));
        let flags = Setup::new().flag_values("static_cache", &[&written[0], &written[1]]);
        assert_eq!(rules(&flags), owned);
        let variable = Setup::new().variable("STACK_STATIC_CACHE", &written.join(","));
        assert_eq!(rules(&variable), owned);
        let file = Setup::new().file(&format!("static_cache = ['{}', '{}']", written[0], written[1]));
        assert_eq!(rules(&file), owned);
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for (written, reason) in [
            ("*.html", "not a glob, `=` and a Cache-Control value"),
            ("*.html=", "not a glob, `=` and a Cache-Control value"),
            ("html=no-cache", "not a glob, `=` and a Cache-Control value"),
            ("*.{html=no-cache", "not a glob: "),
            ("*.html=n\u{f6}", "not the value of a field"),
        ] {
            let text = problem(&Setup::new().flag("static_cache", written));
            assert!(text.contains(reason), "{text}");
        }
    }

    #[test]
    fn what_the_application_sends_is_not_what_everybody_may_have() {
        let open = setup().flag("static", "public");
        let config = open.flag("internal", "/p/=media").flag_values("sendfile", &["media"]).config();
        assert_eq!(config.files.internal[0].prefix, "/p");
        assert_eq!(config.files.sendfile, [config.files.internal[0].directory.clone()]);
        for (key, written) in [("internal", "/p=public/in"), ("internal", "/p=public"), ("sendfile", "public/in")] {
            let text = problem(&setup().flag("static", "public").flag(key, written));
            assert!(text.contains("which static serves to everybody"), "{text}");
        }
        assert!(problem(&setup().flag("internal", "media")).contains("no prefix"));
        assert!(problem(&setup().flag("internal", "/=media")).contains("no prefix"));
        let twice = setup().flag_values("internal", &["/p=media", "/p/=public"]);
        assert!(problem(&twice).contains("prefix `/p` is there twice"));
    }

    #[test]
    fn a_media_type_may_end_in_a_star() {
        let types = |written: &[&str]| Setup::new().flag_values("compression_types", written).config().files;
        assert_eq!(types(&["TEXT/*", "application/ld+json"]).compression.types, ["text/*", "application/ld+json"]);
        for written in ["json", "text/", "*/*", "text/html; charset=utf-8"] {
            assert!(
                problem(&Setup::new().flag("compression_types", written)).contains("not a media type"),
                "{written}"
            );
        }
    }
}
