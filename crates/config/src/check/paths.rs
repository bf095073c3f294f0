//! Directories and files, looked at without changing anything.

use std::{
    fs::{self, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use super::Place;
use crate::{AccessLog, error::Reason};

/// An existing directory.
pub(super) fn directory(path: PathBuf) -> Result<PathBuf, Reason> {
    match fs::metadata(&path) {
        Ok(metadata) if metadata.is_dir() => Ok(path),
        Ok(_) => Err(Reason::NotDirectory(path)),
        Err(error) => Err(Reason::Path { what: "can not read directory", path, error }),
    }
}

/// A directory whose files can be listed, with symbolic links resolved.
pub(super) fn readable_directory(path: &Path) -> Result<PathBuf, Reason> {
    let path = directory(path.to_path_buf())?;
    let resolved = fs::read_dir(&path).and_then(|_| path.canonicalize());
    resolved.map_err(|error| Reason::Path { what: "can not read directory", path, error })
}

/// A directory in which files can be made; only making one tells.
pub(super) fn writable_directory(path: PathBuf) -> Result<PathBuf, Reason> {
    let path = directory(path)?;
    match tempfile::tempfile_in(&path) {
        Ok(_) => Ok(path),
        Err(error) => Err(Reason::Path { what: "can not write in directory", path, error }),
    }
}

/// A virtual environment. Links stay as they are: its Python finds it by the path it is started with.
pub(super) fn venv(path: PathBuf) -> Result<PathBuf, Reason> {
    let path = directory(path)?;
    if path.join("pyvenv.cfg").is_file() { Ok(path) } else { Err(Reason::NotVenv(path)) }
}

/// `-`, `off` or a file that can be appended to. It is not made here: a check leaves no traces.
pub(super) fn access_log(place: Place<'_>, text: &str) -> Result<AccessLog, Reason> {
    let path = match text {
        "-" => return Ok(AccessLog::Stdout),
        "off" => return Ok(AccessLog::Off),
        _ if text.ends_with('/') => return Err(Reason::IsDirectory(place.absolute(text))),
        _ => place.absolute(text),
    };
    match fs::metadata(&path) {
        Ok(metadata) if metadata.is_dir() => return Err(Reason::IsDirectory(path)),
        // Opening a pipe would wait for its reader.
        Ok(metadata) if !metadata.is_file() => return Ok(AccessLog::File(path)),
        Ok(_) => {}
        Err(_) => return parent_exists(&path).map(|()| AccessLog::File(path)),
    }
    match OpenOptions::new().append(true).open(&path) {
        Ok(_) => Ok(AccessLog::File(path)),
        Err(error) => Err(Reason::Path { what: "can not write", path, error }),
    }
}

/// Whether there is a directory to make the file in.
pub(super) fn parent_exists(path: &Path) -> Result<(), Reason> {
    match path.parent() {
        Some(parent) if !parent.is_dir() => Err(Reason::Path {
            what: "no such directory",
            path: parent.to_path_buf(),
            error: io::ErrorKind::NotFound.into(),
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Setup, problem};

    #[test]
    fn a_relative_path_in_a_flag_begins_at_the_current_directory() {
        let setup = Setup::new().with_directory("web").flag("chdir", "web");
        let expected = setup.directory().join("web");
        assert_eq!(setup.config().chdir, expected);
    }

    #[test]
    fn a_relative_path_in_the_file_begins_at_the_files_directory() {
        let setup = Setup::new()
            .with_directory("etc")
            .with_directory("etc/web")
            .with_file("etc/my.toml", "chdir = \"web\"\n")
            .flag("config", "etc/my.toml");
        let expected = setup.directory().join("etc/web");
        assert_eq!(setup.config().chdir, expected);
    }

    #[test]
    fn the_application_runs_in_the_current_directory_unless_told() {
        let setup = Setup::new();
        let expected = setup.directory().to_path_buf();
        assert_eq!(setup.config().chdir, expected);
    }

    #[test]
    fn a_directory_must_exist_and_be_one() {
        for key in ["chdir", "venv", "temp_dir", "static"] {
            let text = problem(&Setup::new().flag(key, "nowhere"));
            assert!(text.contains(": can not read directory /") && text.contains("No such file"), "{text}");
            let text = problem(&Setup::new().with_file("file", "").flag(key, "file"));
            assert!(text.contains("/file is not a directory"), "{text}");
        }
    }

    #[test]
    fn a_virtual_environment_has_its_mark() {
        let text = problem(&Setup::new().with_directory("env").flag("venv", "env"));
        assert!(text.contains("it has no pyvenv.cfg"), "{text}");
        let setup = Setup::new().with_directory("env").with_file("env/pyvenv.cfg", "").flag("venv", "env");
        let expected = setup.directory().join("env");
        assert_eq!(setup.config().venv, Some(expected));
    }

    #[test]
    fn the_access_log_goes_to_standard_output_a_file_or_nowhere() {
        let access = |written: &str| Setup::new().flag("access_log", written).config().log.access;
        assert_eq!(access("-"), AccessLog::Stdout);
        assert_eq!(access("off"), AccessLog::Off);
        assert_eq!(access("/dev/null"), AccessLog::File("/dev/null".into()));
        let setup = Setup::new().flag("access_log", "access.log");
        let expected = setup.directory().join("access.log");
        assert_eq!(setup.config().log.access, AccessLog::File(expected.clone()));
        assert!(!expected.exists(), "a check leaves no traces");
    }

    #[test]
    fn an_access_log_that_can_not_be_written_is_refused() {
        let text = problem(&Setup::new().flag("access_log", "nowhere/access.log"));
        assert!(text.contains("no such directory") && text.contains("/nowhere"), "{text}");
        let text = problem(&Setup::new().with_directory("log").flag("access_log", "log"));
        assert!(text.contains("/log is a directory"), "{text}");
    }
}
