//! The keys of a `[[site]]` section of the file.

use super::{Key, Kind, Preset, keys, nearest_of};

/// Title of the keys that only a site has.
const SITE: &str = "Sites";

/// The keys that only a site has.
pub(crate) const OWN: &[Key] = &[
    Key {
        name: "host",
        value_name: "NAME",
        kind: Kind::Text,
        repeatable: true,
        in_file: true,
        heading: SITE,
        help: "Names that the site serves: a host, or *.NAME for all below it",
        details: "Case, port and final dot do not count. The exact name goes before the longest *.NAME, and that before \
                  the default site. A host that no site serves is answered with 421.",
        presets: [Preset::Described("none"), Preset::Described("none")],
        elsewhere: &["hosts", "server_name", "domain", "domains", "server_names", "name"],
    },
    Key {
        name: "default",
        value_name: "true|false",
        kind: Kind::Switch,
        repeatable: false,
        in_file: true,
        heading: SITE,
        help: "Whether it serves the hosts that no site names",
        details: "Without one, the site of the top-level keys does, if they name an application, static roots, mounts, \
                  redirects or returns.",
        presets: [Preset::Value("false"), Preset::Value("false")],
        elsewhere: &["default_server", "fallback", "catch_all"],
    },
];

/// Top-level keys that a site may have too. The site has the top level's value unless it sets its own.
pub(crate) const INHERITED: &[&str] = &[
    "chdir",
    "venv",
    "env_file",
    "isolation",
    "workers",
    "threads",
    "preload",
    "header",
    "error_page",
    "error_pages_for_application",
];

/// Top-level keys that a site may have too, and of which it has nothing unless it sets them.
pub(crate) const NOT_INHERITED: &[&str] =
    &["app", "static", "mount", "canonical_host", "redirect", "rewrite", "return"];

/// All keys of a site.
pub(crate) fn all() -> impl Iterator<Item = &'static Key> + Clone {
    OWN.iter().chain(keys().iter().filter(|key| is_shared(key.name)))
}

fn is_shared(name: &str) -> bool {
    INHERITED.contains(&name) || NOT_INHERITED.contains(&name)
}

/// The key of a site.
pub(crate) fn find(name: &str) -> Option<&'static Key> {
    all().find(|key| key.name == name)
}

/// The key of a site that may have been meant.
pub(crate) fn nearest(written: &str) -> Option<&'static Key> {
    nearest_of(all(), written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_that_a_site_shares_is_a_key() {
        let shared = INHERITED.iter().chain(NOT_INHERITED);
        assert_eq!(all().count(), OWN.len() + shared.count());
        assert!(OWN.iter().all(|key| super::super::find(key.name).is_none()));
    }

    #[test]
    fn a_misspelled_key_finds_the_one_of_the_site() {
        for (written, meant) in [
            ("hosts", Some("host")),
            ("server_name", Some("host")),
            ("defualt", Some("default")),
            ("apps", Some("app")),
            ("redirects", Some("redirect")),
            ("bind", None),
        ] {
            assert_eq!(nearest(written).map(|key| key.name), meant, "{written}");
        }
    }
}
