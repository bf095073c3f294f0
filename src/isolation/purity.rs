//! Whether what is installed is Python alone, by what the wheels say of themselves.
//!
//! Then the probe is nearly sure to say that the application runs in interpreters, and those can be begun while it looks, up to
//! the import. This decides nothing: an answer that is wrong costs interpreters that nobody uses, their time and their memory.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use stack_interp::{Venv, Version};

/// Whether every package where Python looks for them is pure. What can not be told is not.
pub(crate) fn is_pure(venv: Option<&Venv>) -> bool {
    packages(venv).is_some_and(|packages| all_pure(&packages).unwrap_or(false))
}

/// The directory of packages: the environment's, else that of the Python this program is linked with.
fn packages(venv: Option<&Venv>) -> Option<PathBuf> {
    let prefix = match venv {
        Some(venv) => venv.path.as_path(),
        None => Path::new(env!("LINKED_PYTHON_EXECUTABLE")).parent()?.parent()?,
    };
    Some(prefix.join(format!("lib/python{}/site-packages", Version::linked())))
}

fn all_pure(packages: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(packages)? {
        let path = entry?.path();
        let is_pure = match path.extension().and_then(|extension| extension.to_str()) {
            Some("dist-info") => is_pure_wheel(&fs::read_to_string(path.join("WHEEL"))?),
            // Formats that do not say, and a module at the top.
            Some("egg-info" | "egg" | "egg-link" | "so") => false,
            _ => true,
        };
        if !is_pure {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The `WHEEL` file of the binary distribution format (PEP 427).
fn is_pure_wheel(text: &str) -> bool {
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    fields.filter(|(name, _)| *name == "Root-Is-Purelib").any(|(_, value)| value.trim() == "true")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn venv(wheels: &[(&str, &str)]) -> (tempfile::TempDir, Venv) {
        let directory = tempfile::tempdir().unwrap();
        let venv = Venv { path: directory.path().to_owned(), origin: "a test" };
        let packages = packages(Some(&venv)).unwrap();
        fs::create_dir_all(&packages).unwrap();
        for (name, wheel) in wheels {
            fs::create_dir(packages.join(name)).unwrap();
            fs::write(packages.join(name).join("WHEEL"), wheel).unwrap();
        }
        (directory, venv)
    }

    const PURE: &str = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
    const PLATFORM: &str = "Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: cp313-cp313-linux_x86_64\n";

    #[test]
    fn an_environment_of_pure_wheels_is_pure() {
        let (_directory, empty) = venv(&[]);
        assert!(is_pure(Some(&empty)));
        let (_directory, pure) = venv(&[("django-6.1.dist-info", PURE), ("sqlparse-0.5.dist-info", PURE)]);
        assert!(is_pure(Some(&pure)));
    }

    #[test]
    fn one_wheel_for_a_platform_is_enough_to_be_none() {
        let (_directory, mixed) = venv(&[("django-6.1.dist-info", PURE), ("numpy-2.4.dist-info", PLATFORM)]);
        assert!(!is_pure(Some(&mixed)));
    }

    #[test]
    fn what_can_not_be_told_is_not_pure() {
        let (_directory, silent) = venv(&[("old-1.0.dist-info", "Wheel-Version: 1.0\n")]);
        assert!(!is_pure(Some(&silent)));
        let (_directory, egg) = venv(&[("older-1.0.egg-info", "")]);
        assert!(!is_pure(Some(&egg)));
        let nowhere = Venv { path: "/nowhere".into(), origin: "a test" };
        assert!(!is_pure(Some(&nowhere)));
    }
}
