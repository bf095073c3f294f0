//! `static`: `[PREFIX=]DIR`.

use super::{Check, Place, paths};
use crate::{StaticRoot, error::Reason, raw::Several};

impl Check<'_> {
    pub(super) fn statics(&mut self, statics: Several) -> Vec<StaticRoot> {
        let mut statics = self.several("static", statics, parse);
        self.no_repetition("static", repetition(&statics));
        // Routing takes the first prefix that fits.
        statics.sort_by_key(|root| std::cmp::Reverse(root.prefix.as_ref().map_or(0, String::len)));
        statics
    }
}

pub(super) fn parse(place: Place<'_>, text: &str) -> Result<StaticRoot, Reason> {
    let (prefix, directory) = match text.split_once('=') {
        Some((prefix, directory)) => (normal_prefix(prefix.trim(), directory)?, directory.trim()),
        None => (None, text),
    };
    if directory.is_empty() {
        return Err(Reason::Empty);
    }
    Ok(StaticRoot { prefix, directory: paths::readable_directory(&place.absolute(directory))? })
}

/// The first prefix that is there twice, by its place. Several document roots are tried one after the other.
pub(super) fn repetition(all: &[StaticRoot]) -> Option<(usize, Reason)> {
    all.iter().enumerate().find_map(|(index, root)| {
        let prefix = root.prefix.as_ref()?;
        let taken = all[..index].iter().any(|other| other.prefix.as_ref() == Some(prefix));
        taken.then(|| (index, Reason::StaticTwice(prefix.clone())))
    })
}

/// The prefix without slashes at its end. `/` alone is the document root: so a directory with `=` in its name can be
/// written.
pub(super) fn normal_prefix(written: &str, directory: &str) -> Result<Option<String>, Reason> {
    let refused = |suggestion| Reason::StaticPrefix { prefix: written.to_owned(), suggestion };
    let Some(path) = written.strip_prefix('/') else {
        return Err(refused(Some(format!("/{written}={directory}")).filter(|_| !written.is_empty())));
    };
    let path = path.trim_end_matches('/');
    if path.is_empty() {
        return Ok(None);
    }
    let impossible = |segment: &str| matches!(segment, "" | "." | "..");
    if path.split('/').any(impossible) || path.contains(['?', '#', '\\']) || path.contains(char::is_control) {
        return Err(refused(None));
    }
    Ok(Some(format!("/{path}")))
}

#[cfg(test)]
mod tests {
    use crate::testing::{Setup, problem};

    fn prefixes(values: &[&str]) -> Vec<Option<String>> {
        let setup = Setup::new().with_directory("public").with_directory("a=b").flag_values("static", values);
        setup.config().statics.into_iter().map(|root| root.prefix).collect()
    }

    #[test]
    fn a_root_has_a_prefix_or_none() {
        assert_eq!(prefixes(&["./public"]), [None]);
        assert_eq!(prefixes(&["/static=./public"]), [Some("/static".into())]);
        assert_eq!(prefixes(&["/static/=public"]), [Some("/static".into())]);
        assert_eq!(prefixes(&["/=public"]), [None]);
        assert_eq!(prefixes(&["/=a=b", "public"]), [None, None]);
    }

    #[test]
    fn the_longest_prefix_is_first() {
        assert_eq!(prefixes(&["public", "/a=public", "/a/b=public"]), [Some("/a/b".into()), Some("/a".into()), None]);
    }

    #[test]
    fn a_directory_is_absolute_with_links_resolved() {
        let setup = Setup::new().with_directory("public");
        std::os::unix::fs::symlink(setup.directory().join("public"), setup.directory().join("link")).unwrap();
        let expected = setup.directory().join("public").canonicalize().unwrap();
        assert_eq!(setup.flag("static", "link").config().statics[0].directory, expected);
    }

    #[test]
    fn what_can_not_be_served_is_refused_with_the_reason() {
        for (written, reason) in [
            ("nowhere", "can not read directory /"),
            ("/static=nowhere", "can not read directory /"),
            ("file", "/"),
            ("/static=", "empty"),
            ("static=public", "`static` is not a path prefix"),
            ("=public", "`` is not a path prefix"),
            ("/a/../b=public", "`/a/../b` is not a path prefix"),
            ("/a//b=public", "`/a//b` is not a path prefix"),
            ("/a?b=public", "`/a?b` is not a path prefix"),
        ] {
            let setup = Setup::new().with_directory("public").with_file("file", "");
            let text = problem(&setup.flag("static", written));
            assert!(text.starts_with(&format!("flag --static: static = `{written}`: {reason}")), "{text}");
        }
    }

    #[test]
    fn a_prefix_without_slash_is_suggested_with_one() {
        let text = problem(&Setup::new().with_directory("public").flag("static", "static=public"));
        assert!(text.ends_with("hint: write /static=public"), "{text}");
    }

    #[test]
    fn the_same_prefix_twice_is_refused_with_its_line() {
        let setup = Setup::new().with_directory("public");
        let text = problem(&setup.file("static = [\n \"/a=public\",\n \"public\",\n \"/a/=public\"]\n"));
        assert!(text.starts_with("stack.toml:4: `static`: prefix `/a` is there twice"), "{text}");
    }
}
