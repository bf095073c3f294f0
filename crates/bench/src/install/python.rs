//! The virtual environment: peers from PyPI, and the frameworks of the applications.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{Installer, Program};
use crate::Error;

/// Those that are compiled here: their failure is theirs alone.
const COMPILED: &[(&str, &str)] = &[("uwsgi", "uWSGI==2.0.31"), ("bjoern", "bjoern==3.2.2")];

/// The virtual environment of a run.
#[derive(Clone, Debug)]
pub(crate) struct Environment {
    folder: PathBuf,
}

impl Environment {
    /// A program in it.
    pub(crate) fn program(&self, name: &str) -> Program {
        self.folder.join("bin").join(name).into()
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Installer {
    /// Makes the environment, or takes the one that a run before has made.
    pub(crate) fn environment(&self) -> Result<Environment, Error> {
        let python = self.linked_python()?;
        let requirements = self.apps.join("requirements.txt");
        let listed = fs::read_to_string(&requirements).map_err(Error::file(&requirements))?;
        let environment = Environment { folder: self.home.join("venv") };
        // What it was made from. Written last, so that what is there is complete.
        let (stamp, made_from) = (environment.folder.join("made-from"), format!("{python}\n{listed}"));
        if fs::read_to_string(&stamp).is_ok_and(|text| text == made_from) {
            return Ok(environment);
        }
        let mut make = Command::new(&python);
        make.args(["-m", "venv", "--clear"]).arg(&environment.folder);
        self.run("venv", make)?;
        let mut install = pip(&environment);
        install.arg("--requirement").arg(&requirements);
        self.run("pip", install)?;
        fs::write(&stamp, made_from).map_err(Error::file(&stamp))?;
        Ok(environment)
    }

    /// Installs a package that has to be compiled, unless it is there.
    pub(crate) fn compiled(&self, environment: &Environment, name: &str) -> Result<(), Error> {
        let requirement = COMPILED.iter().find(|(package, _)| *package == name);
        let Some((_, requirement)) = requirement else { return Ok(()) };
        let stamp = environment.folder.join(format!("has-{name}"));
        if fs::read_to_string(&stamp).is_ok_and(|text| text == *requirement) {
            return Ok(());
        }
        let mut install = pip(environment);
        // One that was compiled for another folder looks for its libraries there.
        install.args(["--no-cache-dir", "--no-binary", name, requirement]);
        if name == "bjoern" && !Path::new("/usr/include/ev.h").exists() {
            self.with_libev(&mut install)?;
        }
        self.run("pip", install)?;
        fs::write(&stamp, requirement).map_err(Error::file(&stamp))
    }

    /// bjoern's only dependency is a C library, which it looks for in the system's folders.
    fn with_libev(&self, install: &mut Command) -> Result<(), Error> {
        let header = self.debian().join("usr/include/ev.h");
        if !header.exists() {
            self.unpack("libev-dev")?;
        }
        // `libev.so` may point to a library that this machine has and that was therefore not unpacked.
        self.unpack_if_dangling("libev.so", "libev4")?;
        let libraries = self.libraries().unwrap_or_else(|| self.debian().join("usr/lib"));
        let libraries = libraries.display();
        install.env("CFLAGS", format!("-I{}", self.debian().join("usr/include").display()));
        install.env("LDFLAGS", format!("-L{libraries} -Wl,-rpath,{libraries}"));
        Ok(())
    }

    fn unpack_if_dangling(&self, library: &str, package: &str) -> Result<(), Error> {
        let Some(path) = self.libraries().map(|folder| folder.join(library)) else { return Ok(()) };
        if path.is_symlink() && !path.exists() { self.unpack_one(package) } else { Ok(()) }
    }

    /// The Python that stack is linked with: a peer on another one would be another measurement.
    fn linked_python(&self) -> Result<String, Error> {
        let finder = env::var_os("PYO3_PYTHON").map_or_else(|| self.root.join(".cargo/python"), PathBuf::from);
        let mut command = Program::from(finder).command();
        command.args(["-c", "import sys; print(getattr(sys, '_base_executable', '') or sys.executable)"]);
        let said = self.run("python", command)?;
        Ok(said.lines().last().unwrap_or_default().to_owned())
    }
}

fn pip(environment: &Environment) -> Command {
    let mut command = environment.program("python").command();
    command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    command
}
