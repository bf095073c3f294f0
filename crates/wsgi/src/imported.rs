//! The modules that an application imports, for somebody who follows their files.

use std::{fmt, path::PathBuf};

use serde::{Deserialize, Serialize};
use stack_interp::Python;

/// A module that was imported from a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleFile {
    /// Its dotted name.
    pub name: String,
    /// Its file, absolute.
    pub file: PathBuf,
}

/// Is told of modules that were imported while the application was loaded, or by a request.
pub trait WhenImported: fmt::Debug + Send + Sync {
    /// These are there now. Called without the GIL.
    fn imported(&self, modules: Vec<ModuleFile>);
}

/// Tells of what was imported since the last call, in this interpreter.
pub(crate) fn tell(py: Python<'_>, when_imported: &dyn WhenImported) {
    // It is no request's business where this fails.
    let modules: Vec<ModuleFile> = match py.imports() {
        Ok(imports) => imports.into_iter().map(|(name, file)| ModuleFile { name, file: file.into() }).collect(),
        Err(_) => return,
    };
    if !modules.is_empty() {
        py.detach(|| when_imported.imported(modules));
    }
}
