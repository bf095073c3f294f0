//! The directories that a Django project has for its files: what is collected, and what users upload.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use stack_interp::{Object, Python, Raised};

const SOURCE: &str = include_str!("django.py");
const FILE: &str = "<stack.django>";

/// A directory that a project's settings name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectDirectory {
    /// Whose files they are.
    pub kind: DirectoryKind,
    /// The path of its URL, beginning with `/` and without one at its end. `None` where nothing is to be served of it: it has
    /// no such URL, or is not there yet. Uploads are in it, or will be, all the same.
    pub prefix: Option<String>,
    /// The URL is relative: it is below the prefix that the application is mounted at.
    pub is_relative: bool,
    /// Absolute, with symbolic links resolved.
    pub directory: PathBuf,
    /// The project has a view for them: it may let only some users have them.
    pub has_route: bool,
}

/// Which of the two a directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DirectoryKind {
    /// `STATIC_ROOT`: the project's own files.
    Static,
    /// `MEDIA_ROOT`: what users have uploaded.
    Media,
}

/// Reads the settings of the project that this interpreter has loaded. No Django is no directory.
///
/// To know whether there is a route for uploads it imports the project's routes, as the first request would.
pub(crate) fn directories(py: Python<'_>) -> Vec<ProjectDirectory> {
    let ask = || {
        let modules = Object::import(py, "sys")?.attr_named(py, "modules")?;
        let conf = modules.call_method(py, "get", &[&Object::str(py, "django.conf")?])?;
        if conf.is_none() {
            // Most applications are no Django project, and each interpreter would compile the source for nothing.
            return Ok(Vec::new());
        }
        let function = py.run_source(FILE, SOURCE)?.item(py, "directories")?.expect("defined in django.py");
        let found = function.call(py, &[&conf])?;
        Ok(found.sequence(py).unwrap_or_default().iter().filter_map(|found| directory(found.strings(py))).collect())
    };
    ask().unwrap_or_else(|_: Raised<'_>| Vec::new())
}

fn directory(fields: Vec<String>) -> Option<ProjectDirectory> {
    let [kind, prefix, directory, relative, route] = <[String; 5]>::try_from(fields).ok()?;
    let kind = if kind == "media" { DirectoryKind::Media } else { DirectoryKind::Static };
    Some(ProjectDirectory {
        kind,
        prefix: Some(prefix).filter(|prefix| !prefix.is_empty()),
        is_relative: !relative.is_empty(),
        directory: directory.into(),
        has_route: !route.is_empty(),
    })
}
