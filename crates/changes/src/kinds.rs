//! What a file is by its name, where nobody has said it.

use std::path::Path;

use crate::Kind;

/// Code, templates, and what is read with the code. Data that applications write themselves is in none of these forms, as a
/// rule.
const CODE: [&str; 24] = [
    "py", "pyw", "html", "htm", "xhtml", "djhtml", "jinja", "jinja2", "j2", "mako", "tmpl", "tpl", "mustache", "hbs",
    "pt", "mjml", "graphql", "toml", "yaml", "yml", "ini", "cfg", "conf", "mo",
];

/// What browsers load as it is, and people write by hand.
const STATIC: [&str; 4] = ["css", "js", "mjs", "svg"];

/// All files below a directory of such a name are templates.
const TEMPLATES: [&str; 2] = ["templates", "jinja2"];

/// Directories that hold what others have written, or what Python has compiled.
const FOREIGN: [&str; 3] = ["__pycache__", "node_modules", "site-packages"];

/// The kind of a file, by its path from a watched directory on.
pub(crate) fn of(path: &Path) -> Option<Kind> {
    if is_left_over(path) {
        return None;
    }
    let suffix = path.extension().and_then(|suffix| suffix.to_str()).unwrap_or_default().to_ascii_lowercase();
    let is_template =
        || path.parent().is_some_and(|parent| parent.iter().any(|name| TEMPLATES.iter().any(|it| name == *it)));
    if CODE.contains(&suffix.as_str()) || is_template() {
        Some(Kind::Code)
    } else if STATIC.contains(&suffix.as_str()) {
        Some(Kind::Static)
    } else {
        None
    }
}

/// What editors put beside a file while it is being written, and files and directories that are hidden.
pub(crate) fn is_left_over(path: &Path) -> bool {
    let hidden = path.iter().any(|name| name.as_encoded_bytes().starts_with(b"."));
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    let suffixes: [&[u8]; 4] = [b"~", b".swp", b".tmp", b".pyc"];
    hidden || suffixes.iter().any(|suffix| name.ends_with(suffix)) || (name.starts_with(b"#") && name.ends_with(b"#"))
}

/// Whether a directory holds nothing of the application's own.
pub(crate) fn is_foreign(directory: &Path) -> bool {
    let name = directory.file_name().unwrap_or_default();
    name.as_encoded_bytes().starts_with(b".")
        || FOREIGN.iter().any(|foreign| name == *foreign)
        // Each virtual environment has one (PEP 405).
        || directory.join("pyvenv.cfg").is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_counts_and_what_applications_write_does_not() {
        for (path, kind) in [
            ("shop/views.py", Some(Kind::Code)),
            ("shop/templates/shop/mail.txt", Some(Kind::Code)),
            ("page.HTML", Some(Kind::Code)),
            ("settings.toml", Some(Kind::Code)),
            ("shop/static/shop/site.css", Some(Kind::Static)),
            ("db.sqlite3", None),
            ("db.sqlite3-journal", None),
            ("media/cat.jpg", None),
            ("debug.log", None),
            ("sessions/abc", None),
            ("visits.json", None),
            ("views.pyc", None),
            ("views.py~", None),
            (".views.py.swp", None),
            ("#views.py#", None),
            (".git/config.py", None),
            ("4913", None),
        ] {
            assert_eq!(of(path.as_ref()), kind, "{path}");
        }
    }
}
