//! One benchmark under callgrind, between the two marks of the program.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    Error,
    install::Program,
    process::{Cpus, Starter},
};

/// How long one may take: Python's start is 50 times as slow as it is without.
const PATIENCE: Duration = Duration::from_mins(10);

/// How benchmarks are counted.
#[derive(Debug)]
pub(super) struct Callgrind {
    pub(super) valgrind: Program,
    /// Where valgrind's tools are, if not where it looks for them.
    pub(super) tools: Option<PathBuf>,
    /// The program with the benchmarks.
    pub(super) program: Program,
    /// Where the profiles go, one for each benchmark.
    pub(super) profiles: PathBuf,
    pub(super) starter: Starter,
}

impl Callgrind {
    /// Instructions of one time.
    pub(super) fn count(&self, name: &str) -> Result<u64, Error> {
        let (whole, log) = (self.profiles.join(format!("{name}.whole")), self.profiles.join(format!("{name}.log")));
        // The first dump, which is made at the second mark.
        let between = self.profiles.join(format!("{name}.whole.1"));
        remove(&between)?;
        let mut command = self.valgrind.command();
        if let Some(tools) = &self.tools {
            command.env("VALGRIND_LIB", tools);
        }
        // The order of Python's sets and dictionaries of strings depends on it, and with that how long a search takes.
        command.env("PYTHONHASHSEED", "0");
        command.args(["--tool=callgrind", "--zero-before=*counting_begins*", "--dump-before=*counting_ends*"]);
        command.arg(format!("--callgrind-out-file={}", whole.display()));
        command.arg(format!("--log-file={}", log.display()));
        command.arg(self.program.path()).arg(name);
        let said = self.starter.run(name, command, &Cpus::All, PATIENCE)?;
        let times: u64 = said.trim().parse().map_err(|_| unreadable("the program of benchmarks", &said))?;
        let profile = fs::read_to_string(&between).map_err(|_| unreadable("callgrind", "it has not met the marks"))?;
        let total = total(&profile).ok_or_else(|| unreadable("callgrind", "a profile without totals"))?;
        let kept = self.profiles.join(format!("{name}.out"));
        fs::rename(&between, &kept).map_err(Error::file(&kept))?;
        remove(&whole)?;
        // Rounded: the marks and the loop are in it.
        Ok((total + times / 2) / times.max(1))
    }
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::file(path)(error)),
        _ => Ok(()),
    }
}

fn unreadable(source_name: &'static str, detail: &str) -> Error {
    Error::Unreadable { source_name, detail: detail.trim().to_owned() }
}

/// The instructions that a profile is of (callgrind's format: `totals:`).
fn total(profile: &str) -> Option<u64> {
    let line = profile.lines().rev().find_map(|line| line.strip_prefix("totals: "))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_ends_with_its_total() {
        assert_eq!(total("events: Ir\nfn=(1) main\n12 34\n\ntotals: 1234567\n"), Some(1_234_567));
        assert_eq!(total("events: Ir\n"), None);
    }
}
