//! A configuration in a directory of its own, for tests. Nothing of the process's environment reaches it.

use std::{fs, path::Path};

use tempfile::TempDir;

use crate::{Config, Errors, Inputs, Loaded, Located, load, locate};

#[derive(Debug)]
pub(crate) struct Setup {
    directory: TempDir,
    inputs: Inputs,
}

impl Setup {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let current_dir = directory.path().to_path_buf();
        Self { directory, inputs: Inputs { flags: Vec::new(), environment: Vec::new(), current_dir } }
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn with_directory(self, name: &str) -> Self {
        fs::create_dir(self.directory().join(name)).unwrap();
        self
    }

    pub(crate) fn with_file(self, name: &str, text: &str) -> Self {
        fs::write(self.directory().join(name), text).unwrap();
        self
    }

    /// Writes `stack.toml`.
    pub(crate) fn file(self, text: &str) -> Self {
        self.with_file("stack.toml", text)
    }

    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.inputs.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn flag(self, key: &str, value: &str) -> Self {
        self.flag_values(key, &[value])
    }

    pub(crate) fn flag_values(mut self, key: &str, values: &[&str]) -> Self {
        self.inputs.flags.push((key.to_owned(), values.iter().map(ToString::to_string).collect()));
        self
    }

    pub(crate) fn load(&self) -> Result<Loaded, Errors> {
        load(self.inputs.clone())
    }

    pub(crate) fn locate(&self) -> Result<Located, Errors> {
        locate(self.inputs.clone())
    }

    pub(crate) fn config(&self) -> Config {
        self.load().unwrap_or_else(|errors| panic!("{errors}")).config
    }
}

/// The only problem of a configuration.
pub(crate) fn problem(setup: &Setup) -> String {
    let errors = setup.load().expect_err("the configuration has a problem");
    assert_eq!(errors.problems().len(), 1, "{errors}");
    errors.to_string()
}
