//! Questions about an application and its extension modules, for those who choose how it is run: does it load here, what
//! does it load, whose packages are they.
//!
//! The answers come from whichever interpreter is asked. Nothing here serves a request.

use std::{
    fmt,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use stack_config::AppSpec;
use stack_interp::{ExtensionRefusal, LoadGuard, Object, Python, Raised};

use crate::{
    application::{self, LoadError},
    django::{self, ProjectDirectory},
};

const SOURCE: &str = include_str!("inspect.py");
const FILE: &str = "<stack.inspect>";

/// An installed distribution, as `pip` names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Package {
    /// Its name: `psycopg2-binary`, where the module is `psycopg2`.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

/// An extension module that an interpreter has loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension {
    /// Dotted name.
    pub module: String,
    /// The shared library.
    pub file: String,
    /// Whether it is Python's own.
    pub is_standard: bool,
}

/// What came of loading one extension module by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trial {
    /// It loads.
    Loads,
    /// It refuses, and the pure-Python twin with this path runs in its place.
    Replaced(String),
    /// It refuses, with these words.
    Refuses(String),
    /// It needs these modules, which refuse.
    Needs(Vec<String>),
    /// It raised something else, which may be for want of what its package would have done before.
    Fails(String),
}

/// What came of importing an application.
#[derive(Debug)]
pub struct Import {
    /// Whether a worker could serve it.
    pub outcome: Result<(), LoadError>,
    /// How long it took.
    pub load_time: Duration,
    /// The extension modules that refused, with and without a twin.
    pub refusals: Vec<ExtensionRefusal>,
    /// The directories of a Django project, where they were asked for.
    pub directories: Vec<ProjectDirectory>,
}

/// Gives an interpreter the paths and variables of the application, without an import.
pub fn prepare(py: Python<'_>, directory: &str, env: &[(String, String)]) -> Result<(), LoadError> {
    application::prepare(py, directory, env)
}

/// Imports the application as a worker does, and throws it away.
pub fn import(
    py: Python<'_>,
    app: &AppSpec,
    directory: &str,
    env: &[(String, String)],
    find_directories: bool,
) -> Import {
    let _loading = LoadGuard::acquire(py);
    let started = Instant::now();
    let outcome = application::prepare(py, directory, env).and_then(|()| application::load(py, app).map(drop));
    let directories = if find_directories && outcome.is_ok() { django::directories(py) } else { Vec::new() };
    let refusals = py.extension_refusals().unwrap_or_default();
    Import { outcome, load_time: started.elapsed(), refusals, directories }
}

/// The extension modules that this interpreter has loaded, sorted by name.
pub fn extensions<'py>(py: Python<'py>) -> Vec<Extension> {
    let list = || {
        let modules = function(py, "extension_modules")?.call(py, &[])?;
        let extension = |module: &Object<'py>| {
            let mut fields = module.strings(py).into_iter();
            let (module, file, standard) = (fields.next()?, fields.next()?, fields.next()?);
            Some(Extension { module, file, is_standard: !standard.is_empty() })
        };
        Ok(modules.sequence(py).unwrap_or_default().iter().filter_map(extension).collect())
    };
    list().unwrap_or_else(|_: Raised<'py>| Vec::new())
}

/// The package that each module, given with its file, belongs to. It reads every package's list of files: not for a hot
/// path.
pub fn packages<'py>(py: Python<'py>, modules: &[(&str, &str)]) -> Vec<Option<Package>> {
    let ask = || {
        let pair =
            |(module, file): &(&str, &str)| Object::tuple(py, vec![Object::str(py, module)?, Object::str(py, file)?]);
        let pairs = modules.iter().map(pair).collect::<Result<_, Raised<'py>>>()?;
        let found = function(py, "packages")?.call(py, &[&Object::list(py, pairs)?])?;
        let package = |pair: &Object<'py>| {
            let mut fields = pair.strings(py).into_iter();
            let (name, version) = (fields.next()?, fields.next()?);
            Some(Package { name, version }).filter(|package| !package.name.is_empty())
        };
        Ok(found.sequence(py).unwrap_or_default().iter().map(package).collect())
    };
    ask().unwrap_or_else(|_: Raised<'py>| vec![None; modules.len()])
}

/// Loads one extension module by itself.
pub fn try_extension(py: Python<'_>, module: &str, file: &str) -> Trial {
    let refused = |from: usize| {
        let refusals = py.extension_refusals().unwrap_or_default();
        let without_twin = refusals.into_iter().skip(from).filter(|refusal| refusal.twin.is_none());
        without_twin.map(|refusal| refusal.module).collect::<Vec<_>>()
    };
    let before = py.extension_refusals().map_or(0, |refusals| refusals.len());
    let ask = || {
        let answer = function(py, "trial")?.call(py, &[&Object::str(py, module)?, &Object::str(py, file)?])?;
        Ok(answer.strings(py))
    };
    let answer = ask().unwrap_or_else(|raised: Raised<'_>| vec!["fails".into(), raised.into_exception(py).to_string()]);
    let text = answer.get(1).cloned().unwrap_or_default();
    match answer.first().map(String::as_str) {
        Some("loads") => Trial::Loads,
        Some("replaced") => Trial::Replaced(text),
        Some("refuses") => Trial::Refuses(text),
        _ => match refused(before) {
            needed if needed.is_empty() => Trial::Fails(text),
            mut needed => {
                needed.sort();
                needed.dedup();
                Trial::Needs(needed)
            }
        },
    }
}

/// `sys.executable`.
pub fn executable(py: Python<'_>) -> String {
    let executable = Object::import(py, "sys").and_then(|sys| sys.attr_named(py, "executable"));
    executable.map(|path| path.display(py)).unwrap_or_default()
}

/// Whether a GIL is in force. On a free-threaded build an extension module may have switched it on.
pub fn is_gil_enabled(py: Python<'_>) -> bool {
    let ask = || Object::import(py, "sys")?.call_method(py, "_is_gil_enabled", &[]);
    // Before 3.13 there is no such function, and no Python without a GIL.
    ask().map_or(true, |enabled: Object<'_>| !enabled.is(&Object::bool(py, false)))
}

/// How many packages are installed where this interpreter looks.
pub fn installed(py: Python<'_>) -> usize {
    let count = function(py, "installed").and_then(|installed| installed.call(py, &[]));
    count.ok().and_then(|packages| packages.sequence_len()).unwrap_or_default()
}

fn function<'py>(py: Python<'py>, name: &str) -> Result<Object<'py>, Raised<'py>> {
    Ok(py.run_source(FILE, SOURCE)?.item(py, name)?.expect("defined in inspect.py"))
}
