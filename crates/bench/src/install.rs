//! Where the peers come from: Debian's packages, unpacked beside each other without being installed; PyPI, in a virtual
//! environment of the Python that stack is linked with; and stack itself, built here.

mod debian;
mod python;

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

pub(crate) use self::python::Environment;
use crate::{
    Error,
    process::{Cpus, Starter},
};

/// How long an installation may take: uWSGI is compiled.
const PATIENCE: Duration = Duration::from_mins(15);
/// Configures a server behind our back.
const FOREIGN: &[&str] =
    &["STACK_", "GRANIAN_", "GUNICORN_", "UWSGI_", "PYTHON", "VIRTUAL_ENV", "PORT", "WEB_CONCURRENCY"];

/// A program that can be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    path: PathBuf,
    /// Where its libraries are, if it was unpacked.
    libraries: Option<PathBuf>,
}

impl Program {
    /// A command without the variables that configure a server.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        let foreign = |name: &OsString| FOREIGN.iter().any(|start| name.to_string_lossy().starts_with(start));
        for (name, _) in env::vars_os().filter(|(name, _)| foreign(name)) {
            command.env_remove(name);
        }
        if let Some(libraries) = &self.libraries {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl From<PathBuf> for Program {
    fn from(path: PathBuf) -> Self {
        Self { path, libraries: None }
    }
}

/// Installs what a run needs below its folder, once for all runs.
#[derive(Clone, Debug)]
pub(crate) struct Installer {
    /// What was installed stays here.
    pub(crate) home: PathBuf,
    /// The project's folder.
    pub(crate) root: PathBuf,
    /// The applications' folder.
    pub(crate) apps: PathBuf,
    pub(crate) starter: Starter,
}

impl Installer {
    /// The stack to measure: the one that was named, or the release build of this project.
    pub(crate) fn stack(&self, named: Option<&Path>) -> Result<Program, Error> {
        if let Some(path) = named {
            let hint =
                "name the executable of a release build with --stack, or leave that out to have it built".to_owned();
            let missing = |_| Error::Missing { what: path.display().to_string(), hint };
            return path.canonicalize().map(Program::from).map_err(missing);
        }
        self.build("stack", &["--bin", "stack"])
    }

    /// Builds an executable of the project's own package, as it is released.
    pub(crate) fn build(&self, name: &str, target: &[&str]) -> Result<Program, Error> {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(&self.root).args(["build", "--release", "--package", "stack"]).args(target);
        command.arg("--message-format=json-render-diagnostics").stdin(Stdio::null()).stderr(Stdio::inherit());
        let output = command.output().map_err(|source| Error::Missing {
            what: "cargo".to_owned(),
            hint: format!("it can not be started ({source}); run this as README.md says"),
        })?;
        self.starter.interrupt.check()?;
        let messages = String::from_utf8_lossy(&output.stdout);
        built_executable(&messages, name).map(Program::from).ok_or_else(|| Error::Command {
            command: format!("cargo build --release --package stack {}", target.join(" ")),
            status: output.status.to_string(),
            output: String::new(),
        })
    }

    /// Runs a command of an installation.
    fn run(&self, name: &str, command: Command) -> Result<String, Error> {
        self.starter.run(name, command, &Cpus::All, PATIENCE)
    }
}

/// The path in the message of cargo that tells of an executable.
fn built_executable(messages: &str, name: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut executables = messages.filter_map(|message| message["executable"].as_str().map(PathBuf::from));
    executables.find(|path| path.ends_with(name))
}

/// A program of this machine: on PATH, or where servers are, which not everybody's PATH has.
fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|path| fs::metadata(path).is_ok_and(|metadata| metadata.is_file()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_tells_where_the_executable_is() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"stack_front"},"executable":null}"#,
            "\nnot json\n",
            r#"{"reason":"compiler-artifact","target":{"name":"stack"},"executable":"/target/release/stack"}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        assert_eq!(built_executable(messages, "stack"), Some(PathBuf::from("/target/release/stack")));
        assert_eq!(built_executable(r#"{"reason":"build-finished","success":false}"#, "stack"), None);
    }

    #[test]
    fn programs_are_found_on_the_path() {
        assert!(find("sh").is_some());
        assert_eq!(find("no-such-program"), None);
    }
}
