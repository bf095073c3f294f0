//! What a server process is started from.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs, io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{ffi::OsStrExt, fs::MetadataExt},
    },
    path::{Path, PathBuf},
    process::{Child, Command},
};

use rustix::{
    io::{FdFlags, fcntl_setfd},
    process::Pid,
};

/// The running program, whatever has become of its file.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// The program, its arguments and its directory as they were named at the start. Each is looked up again for each server
/// process, so that a link that was moved to another release meanwhile leads there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The file.
    pub path: PathBuf,
    /// The current directory.
    pub directory: PathBuf,
    /// The name of the subcommand that is a server process. The number of its control connection's descriptor follows.
    pub subcommand: &'static str,
    /// What follows that.
    pub arguments: Vec<OsString>,
    /// A variable that is meant for the parent alone.
    pub hidden: Option<&'static str>,
}

impl Program {
    /// This program, with these arguments.
    pub fn this(subcommand: &'static str, arguments: Vec<OsString>) -> io::Result<Self> {
        let real = env::current_exe()?;
        let path = env::args_os().next().and_then(|name| named(&name, &real)).unwrap_or(real);
        let current = env::current_dir()?;
        // As the shell wrote it, links included.
        let written = env::var_os("PWD").map(PathBuf::from).filter(|path| path.is_absolute() && same(path, &current));
        Ok(Self { path, directory: written.unwrap_or(current), subcommand, arguments, hidden: None })
    }

    /// The same, without a variable that only the parent has.
    #[must_use]
    pub fn without(self, variable: &'static str) -> Self {
        Self { hidden: Some(variable), ..self }
    }

    /// Starts a server process that has `control` open.
    pub(crate) fn spawn(&self, control: OwnedFd) -> io::Result<Pid> {
        // With its number it crosses the exec. This process has one thread, which starts one program at a time.
        fcntl_setfd(&control, FdFlags::empty())?;
        let spawned = self.spawn_with(&control);
        drop(control);
        // It is waited for with all other children.
        Ok(Pid::from_child(&spawned?))
    }

    fn spawn_with(&self, control: &OwnedFd) -> io::Result<Child> {
        let command = |path: &Path| {
            let mut command = Command::new(path);
            command.arg(self.subcommand).arg(control.as_raw_fd().to_string()).args(&self.arguments);
            command.current_dir(&self.directory);
            if let Some(hidden) = self.hidden {
                command.env_remove(hidden);
            }
            command.spawn()
        };
        match command(&self.path) {
            // The file was removed, or is being replaced: this very program is as good, in a hurry.
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.directory.is_dir() => {
                tracing::warn!(code = "STACK0706", path = %self.path.display(), "the program's file is gone: the running one is used");
                command(THIS_PROGRAM.as_ref())
            }
            outcome => outcome,
        }
    }
}

/// What the first argument names, if that is this program.
fn named(name: &OsStr, real: &Path) -> Option<PathBuf> {
    let current = env::current_dir().ok()?;
    let candidates: Vec<PathBuf> = if name.as_bytes().contains(&b'/') {
        vec![current.join(name)]
    } else {
        env::split_paths(&env::var_os("PATH")?).map(|directory| current.join(directory).join(name)).collect()
    };
    candidates.into_iter().find(|path| same(path, real))
}

fn same(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()));
    matches!((identity(one), identity(other)), (Ok(one), Ok(other)) if one == other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_to_the_program_is_kept_as_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let real = env::current_exe().unwrap();
        let link = directory.path().join("stack");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        assert_eq!(named(link.as_os_str(), &real), Some(link));
        assert_eq!(named(OsStr::new("/bin/sh"), &real), None);
    }
}
