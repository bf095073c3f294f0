//! Finding the application's virtual environment, and whether it fits the linked Python.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use crate::runtime::Version;

/// A virtual environment of the linked Python's version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Venv {
    /// Its folder, the one that holds `pyvenv.cfg`.
    pub path: PathBuf,
    /// How it was found, for the start-up log: `--venv`, `VIRTUAL_ENV`, or a folder's name.
    pub origin: &'static str,
}

/// Why a virtual environment can not be used.
#[derive(Debug, thiserror::Error)]
pub enum VenvError {
    /// There is no `pyvenv.cfg`.
    #[error("{} (from {origin}) is not a virtual environment: {} can not be read", path.display(), path.join("pyvenv.cfg").display())]
    NotOne {
        /// The folder.
        path: PathBuf,
        /// Where it was named.
        origin: &'static str,
        /// Why the file can not be read.
        source: io::Error,
    },
    /// It was made by another Python.
    #[error(
        "the virtual environment {} (from {origin}) was made by Python {found}, but this stack is linked with Python {linked}; \
         make it again with python{linked}, or build stack with PYO3_PYTHON=python{found}",
        path.display()
    )]
    OtherVersion {
        /// The folder.
        path: PathBuf,
        /// Where it was named.
        origin: &'static str,
        /// The environment's version.
        found: Version,
        /// The version of this program's Python.
        linked: Version,
    },
    /// `pyvenv.cfg` is there, the interpreter is not.
    #[error("the virtual environment {} (from {origin}) has no bin/python; make it again", path.display())]
    NoPython {
        /// The folder.
        path: PathBuf,
        /// Where it was named.
        origin: &'static str,
    },
}

impl Venv {
    /// The environment that was named, else the active one (`VIRTUAL_ENV`), else `.venv` or `venv` in `directory`.
    ///
    /// None of them is no error. One that was found and does not fit is: to pass over it would only move the error to
    /// the first import.
    pub fn find(
        named: Option<&Path>,
        active: Option<OsString>,
        directory: &Path,
        linked: Version,
    ) -> Result<Option<Self>, VenvError> {
        if let Some(path) = named {
            return Self::open(path, "--venv", linked).map(Some);
        }
        if let Some(path) = active.filter(|path| !path.is_empty()) {
            return Self::open(Path::new(&path), "VIRTUAL_ENV", linked).map(Some);
        }
        for name in [".venv", "venv"] {
            let path = directory.join(name);
            if path.join("pyvenv.cfg").exists() {
                return Self::open(&path, name, linked).map(Some);
            }
        }
        Ok(None)
    }

    /// Its interpreter.
    pub(crate) fn python(&self) -> PathBuf {
        self.path.join("bin/python")
    }

    fn open(path: &Path, origin: &'static str, linked: Version) -> Result<Self, VenvError> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let settings = match fs::read_to_string(path.join("pyvenv.cfg")) {
            Ok(settings) => settings,
            Err(source) => return Err(VenvError::NotOne { path, origin, source }),
        };
        match version(&settings, &path) {
            Some(found) if found != linked => return Err(VenvError::OtherVersion { path, origin, found, linked }),
            _ => {}
        }
        let venv = Self { path, origin };
        if !venv.python().exists() {
            return Err(VenvError::NoPython { path: venv.path, origin });
        }
        Ok(venv)
    }
}

/// The version in `pyvenv.cfg` (`version` by venv, `version_info` by virtualenv and uv), else by the library's folder.
fn version(settings: &str, path: &Path) -> Option<Version> {
    let setting = settings.lines().filter_map(|line| line.split_once('=')).find_map(|(key, value)| {
        matches!(key.trim(), "version" | "version_info").then(|| Version::parse(value)).flatten()
    });
    let folders = fs::read_dir(path.join("lib")).into_iter().flatten().flatten();
    let mut folder = folders.filter_map(|folder| Version::parse(folder.file_name().to_str()?.strip_prefix("python")?));
    let Some(setting) = setting else { return folder.next() };
    // The file does not say which build it was; the folder does, in whose packages the other build does not even look.
    let free_threaded = folder.any(|folder| folder == Version { free_threaded: true, ..setting });
    Some(Version { free_threaded, ..setting })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINKED: Version = Version { major: 3, minor: 14, free_threaded: false };

    fn venv_in(folder: &Path, name: &str, settings: &str) -> PathBuf {
        let path = folder.join(name);
        fs::create_dir_all(path.join("bin")).unwrap();
        fs::write(path.join("bin/python"), "").unwrap();
        fs::write(path.join("pyvenv.cfg"), settings).unwrap();
        path
    }

    #[test]
    fn the_named_one_goes_before_the_active_one_and_that_before_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let [named, active, found] = ["named", "active", ".venv"]
            .map(|name| venv_in(folder.path(), name, "home = /usr/bin\nversion = 3.14.2\n"));
        let find = |named: Option<&Path>, active: Option<&Path>| {
            Venv::find(named, active.map(|path| path.as_os_str().to_owned()), folder.path(), LINKED)
                .unwrap()
                .unwrap()
                .path
        };
        assert_eq!(find(Some(&named), Some(&active)), named);
        assert_eq!(find(None, Some(&active)), active);
        assert_eq!(find(None, None), found);
    }

    #[test]
    fn none_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Venv::find(None, Some(OsString::new()), folder.path(), LINKED).unwrap(), None);
    }

    #[test]
    fn another_version_is_an_error_that_names_both() {
        let folder = tempfile::tempdir().unwrap();
        for settings in ["version = 3.12.1\n", "version_info = 3.12.1.final.0\n"] {
            venv_in(folder.path(), "venv", settings);
            let error = Venv::find(None, None, folder.path(), LINKED).unwrap_err().to_string();
            assert!(error.contains("made by Python 3.12") && error.contains("linked with Python 3.14"), "{error}");
        }
    }

    #[test]
    fn the_other_build_of_a_version_is_another_version() {
        let folder = tempfile::tempdir().unwrap();
        let path = venv_in(folder.path(), "venv", "version = 3.14.2\n");
        fs::create_dir_all(path.join("lib/python3.14t/site-packages")).unwrap();
        let error = Venv::find(None, None, folder.path(), LINKED).unwrap_err().to_string();
        assert!(error.contains("made by Python 3.14t") && error.contains("linked with Python 3.14;"), "{error}");
        let free_threaded = Version { free_threaded: true, ..LINKED };
        assert!(Venv::find(None, None, folder.path(), free_threaded).unwrap().is_some());
        fs::rename(path.join("lib/python3.14t"), path.join("lib/python3.14")).unwrap();
        assert!(Venv::find(None, None, folder.path(), LINKED).unwrap().is_some());
        let error = Venv::find(None, None, folder.path(), free_threaded).unwrap_err().to_string();
        assert!(error.contains("made by Python 3.14, but") && error.contains("linked with Python 3.14t;"), "{error}");
    }

    #[test]
    fn a_folder_that_is_none_is_an_error_when_it_was_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = Venv::find(Some(folder.path()), None, folder.path(), LINKED).unwrap_err();
        assert!(matches!(error, VenvError::NotOne { .. }));
    }

    #[test]
    fn without_a_version_the_library_folder_tells() {
        let folder = tempfile::tempdir().unwrap();
        let path = venv_in(folder.path(), "venv", "home = /usr/bin\n");
        fs::create_dir_all(path.join("lib/python3.11")).unwrap();
        assert!(matches!(Venv::find(None, None, folder.path(), LINKED), Err(VenvError::OtherVersion { .. })));
    }
}
