//! Programs out of Debian's packages. What the machine has is used; what it has not is downloaded and unpacked, with the packages
//! that it depends on, which needs no rights and changes nothing of the machine.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{Installer, Program, find};
use crate::{Error, process::make_folder};

impl Installer {
    /// A program of this name, which this package has.
    pub(crate) fn program(&self, name: &str, package: &str) -> Result<Program, Error> {
        if let Some(path) = find(name) {
            return Ok(path.into());
        }
        if let Some(program) = self.unpacked(name) {
            return Ok(program);
        }
        self.unpack(package)?;
        self.unpacked(name).ok_or_else(|| Error::Missing {
            what: name.to_owned(),
            hint: format!("the package {package} does not have it; install it and put it on PATH"),
        })
    }

    /// Where valgrind's tools are, if it was unpacked: it looks for them where it was to be installed.
    pub(crate) fn valgrind_tools(&self, valgrind: &Program) -> Option<PathBuf> {
        if !valgrind.path().starts_with(self.debian()) {
            return None;
        }
        let folders = [Some(self.debian().join("usr/libexec")), self.libraries()];
        folders.into_iter().flatten().map(|folder| folder.join("valgrind")).find(|tools| tools.is_dir())
    }

    fn unpacked(&self, name: &str) -> Option<Program> {
        let places = ["usr/sbin", "usr/bin"].map(|folder| self.debian().join(folder).join(name));
        let path = places.into_iter().find(|path| path.is_file())?;
        Some(Program { path, libraries: self.libraries() })
    }

    /// Where unpacked libraries are: `usr/lib/x86_64-linux-gnu`, say.
    pub(super) fn libraries(&self) -> Option<PathBuf> {
        let entries = fs::read_dir(self.debian().join("usr/lib")).ok()?.flatten();
        entries.map(|entry| entry.path()).find(|path| path.to_string_lossy().ends_with("-linux-gnu"))
    }

    pub(super) fn debian(&self) -> PathBuf {
        self.home.join("debian")
    }

    /// Downloads and unpacks a package, with those that it needs and this machine has not.
    pub(super) fn unpack(&self, package: &str) -> Result<(), Error> {
        let archives = self.debian().join("archives");
        make_folder(&archives)?;
        let simulated = self.apt(&["--simulate", "--no-install-recommends", "install", package], &archives);
        let hint = || Error::Missing {
            what: format!("the package {package}"),
            hint: "run `apt-get update` as root, or install it by hand".to_owned(),
        };
        let packages = to_install(&simulated.map_err(|_| hint())?);
        if packages.is_empty() {
            return Err(hint());
        }
        self.download(&packages)
    }

    /// Downloads and unpacks a single package, also where this machine has it.
    pub(super) fn unpack_one(&self, package: &str) -> Result<(), Error> {
        self.download(&[package.to_owned()])
    }

    fn download(&self, packages: &[String]) -> Result<(), Error> {
        let archives = self.debian().join("archives");
        make_folder(&archives)?;
        let mut arguments = vec!["download"];
        arguments.extend(packages.iter().map(String::as_str));
        self.apt(&arguments, &archives)?;
        for archive in fs::read_dir(&archives).map_err(Error::file(&archives))?.flatten() {
            let mut unpack = Command::new("dpkg");
            unpack.arg("-x").arg(archive.path()).arg(self.debian());
            self.run("dpkg", unpack)?;
            fs::remove_file(archive.path()).map_err(Error::file(archive.path()))?;
        }
        Ok(())
    }

    fn apt(&self, arguments: &[&str], folder: &Path) -> Result<String, Error> {
        let mut command = Command::new("apt-get");
        command.args(arguments).current_dir(folder).env("LC_ALL", "C");
        self.run("apt-get", command)
    }
}

/// The packages, as NAME=VERSION, that a simulated installation would bring.
fn to_install(simulated: &str) -> Vec<String> {
    let lines = simulated.lines().filter_map(|line| line.strip_prefix("Inst "));
    lines
        .filter_map(|line| {
            let (name, rest) = line.split_once(' ')?;
            // An upgrade has the version that is there before it, in brackets.
            let version = rest.split_once('(')?.1.split([' ', ')']).next()?;
            Some(format!("{name}={version}"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{interrupt::Interrupt, process::Starter};

    #[test]
    fn the_tools_of_an_unpacked_valgrind_are_beside_it() {
        let home = tempfile::tempdir().unwrap();
        let folder = || home.path().to_owned();
        let starter = Starter { interrupt: Interrupt::default(), logs: folder() };
        let installer = Installer { home: folder(), root: folder(), apps: folder(), starter };
        let unpacked = Program::from(installer.debian().join("usr/bin/valgrind"));
        assert_eq!(installer.valgrind_tools(&unpacked), None);
        let tools = installer.debian().join("usr/libexec/valgrind");
        make_folder(&tools).unwrap();
        assert_eq!(installer.valgrind_tools(&unpacked), Some(tools));
        assert_eq!(installer.valgrind_tools(&Program::from(PathBuf::from("/usr/bin/valgrind"))), None);
    }

    #[test]
    fn a_simulated_installation_names_the_packages() {
        let simulated = "NOTE: This is only a simulation!\n\
            The following NEW packages will be installed:\n  libev-dev\n\
            Inst libev4 [1:4.32-1] (1:4.33-1 Debian:12.5/stable [amd64])\n\
            Inst libev-dev (1:4.33-1 Debian:12.5/stable [amd64]) []\n\
            Conf libev-dev (1:4.33-1 Debian:12.5/stable [amd64])\n";
        assert_eq!(to_install(simulated), ["libev4=1:4.33-1", "libev-dev=1:4.33-1"]);
    }

    #[test]
    fn nothing_to_install_is_nothing() {
        assert!(to_install("nginx is already the newest version (1.22.1-9).\n0 upgraded\n").is_empty());
    }
}
