//! Packages that an interpreter of its own GIL refused: which of them an exception is about, and what helps.

use std::fmt;

use serde::{Deserialize, Serialize};
use stack_interp::{Exception, ExtensionRefusal, Python};

use crate::inspect::{self, Package};

/// A package, or a module that belongs to none, that can not run in an interpreter of its own GIL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The package; `None` for a module that nobody installed as one.
    pub package: Option<Package>,
    /// Its extension modules that refused.
    pub modules: Vec<String>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.package {
            Some(package) => package.fmt(f),
            None => write!(f, "the extension module {}", self.modules.join(", ")),
        }
    }
}

/// What is known to run in the place of a package: `(package, alternative)`. Only what is a driver for the same server or
/// the same package in another form.
const ALTERNATIVES: &[(&str, &str)] = &[
    ("mysqlclient", "PyMySQL, which is pure Python"),
    ("psycopg-binary", "psycopg without its extra, in pure Python with the system's libpq"),
    ("psycopg-c", "psycopg without its extra, in pure Python with the system's libpq"),
    ("psycopg2", "psycopg (version 3) in pure Python"),
    ("psycopg2-binary", "psycopg (version 3) in pure Python"),
];

impl Refused {
    /// What runs in an interpreter of its own GIL in the place of this package, where that is known.
    pub fn alternative(&self) -> Option<&'static str> {
        let name = self.package.as_ref()?.name.to_lowercase().replace('_', "-");
        ALTERNATIVES.iter().find(|(package, _)| *package == name).map(|(_, alternative)| *alternative)
    }
}

/// `a`, `a and b`, `a, b and c`.
pub fn listed(refused: &[Refused]) -> String {
    let names: Vec<_> = refused.iter().map(ToString::to_string).collect();
    match names.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [all @ .., last] => format!("{} and {last}", all.join(", ")),
    }
}

/// The sentence that goes before the traceback.
pub(crate) fn explained(refused: &[Refused]) -> String {
    let (verb, them) = if refused.len() == 1 { ("does", "it") } else { ("do", "them") };
    let alternatives: String = refused
        .iter()
        .filter_map(|refused| Some(format!("; or {}, in place of {refused}", refused.alternative()?)))
        .collect();
    format!(
        "{} {verb} not support sub-interpreters, and the application needs {them}; run it with isolation=processes (or \
         auto); or use a newer version that supports them, if there is one{alternatives}",
        listed(refused)
    )
}

/// The packages whose refusal made an import fail; none where it failed for another reason.
///
/// A refusal is to blame if the exception or one of its causes is its own. Packages that try several ways and raise an
/// `ImportError` of their own at the end lose that trail: for such a one all refusals are to blame.
pub(crate) fn blamed(py: Python<'_>, exception: &Exception) -> Vec<Refused> {
    let refusals = py.extension_refusals().unwrap_or_default();
    let without_twin: Vec<_> = refusals.into_iter().filter(|refusal| refusal.twin.is_none()).collect();
    let is_named = |refusal: &&ExtensionRefusal| {
        exception.traceback.contains(&format!("extension module '{}' does not support", refusal.module))
    };
    let mut blamed: Vec<_> = without_twin.iter().filter(is_named).collect();
    if blamed.is_empty() && exception.kind == "ImportError" {
        blamed = without_twin.iter().collect();
    }
    by_package(py, blamed.into_iter())
}

/// The packages that this interpreter has refused so far and for which there is no twin.
pub(crate) fn left_out(py: Python<'_>) -> Vec<Refused> {
    let refusals = py.extension_refusals().unwrap_or_default();
    by_package(py, refusals.iter().filter(|refusal| refusal.twin.is_none()))
}

/// The modules' packages, each once, in the order of the refusals.
pub fn by_package<'a>(py: Python<'_>, refusals: impl Iterator<Item = &'a ExtensionRefusal>) -> Vec<Refused> {
    let modules: Vec<_> = refusals.map(|refusal| (refusal.module.as_str(), refusal.file.as_str())).collect();
    if modules.is_empty() {
        return Vec::new();
    }
    let mut found: Vec<Refused> = Vec::new();
    for ((module, _), package) in modules.iter().zip(inspect::packages(py, &modules)) {
        let known = found.iter_mut().find(|refused| refused.package.is_some() && refused.package == package);
        match known {
            Some(refused) if refused.modules.iter().any(|known| known == module) => {}
            Some(refused) => refused.modules.push((*module).to_owned()),
            None => found.push(Refused { package, modules: vec![(*module).to_owned()] }),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str) -> Refused {
        let package = Package { name: name.into(), version: "2.9".into() };
        Refused { package: Some(package), modules: vec!["module".into()] }
    }

    #[test]
    fn all_are_named_with_what_helps() {
        let text = explained(&[package("psycopg2-binary"), package("numpy")]);
        assert!(text.starts_with("psycopg2-binary 2.9 and numpy 2.9 do not support sub-interpreters"), "{text}");
        assert!(text.contains("isolation=processes"), "{text}");
        assert!(text.contains("psycopg (version 3) in pure Python, in place of psycopg2-binary 2.9"), "{text}");
        assert!(!text.contains("in place of numpy"), "{text}");
    }

    #[test]
    fn a_module_of_no_package_is_named_by_itself() {
        let refused = Refused { package: None, modules: vec!["_speedups".into()] };
        assert!(explained(&[refused]).starts_with("the extension module _speedups does not support"));
    }

    #[test]
    fn a_package_is_known_by_any_spelling() {
        assert!(package("Psycopg2_Binary").alternative().is_some());
        assert!(package("numpy").alternative().is_none());
    }
}
