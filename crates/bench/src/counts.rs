//! Instruction counts: what the code that every request passes through costs, as callgrind counts it, beside a baseline.
//!
//! What is counted is a program of the project's own (`tests/counts`), built as the executable is. Counts are the same from run
//! to run where times are not, so that a little more is seen, on a busy machine too. But they hold for one compiler and, where
//! Python runs, for one build of it: where another is in use nothing is compared, and that is said.

mod arguments;
mod baseline;
mod callgrind;
mod comparison;

use std::{
    collections::BTreeMap,
    env,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

pub use self::arguments::{CountPlan, parse_counts};
use self::{
    baseline::{Baseline, Toolchain},
    callgrind::Callgrind,
    comparison::Comparison,
};
use crate::{
    Error,
    install::{Installer, Program},
    interrupt::Interrupt,
    process::{Cpus, Starter, make_folder},
    run::{home, tell},
};

/// How long one of the short commands may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// One benchmark, as the program that has it tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Benchmark {
    name: String,
    /// Its figure depends on the Python that is linked.
    runs_python: bool,
}

/// Builds, counts, and compares with the baseline or makes a new one; gives the table.
///
/// What happens is told to `progress`, a line at a time. Counts that the baseline does not allow are an error.
pub fn count(plan: &CountPlan, interrupt: &Interrupt, progress: &mut dyn Write) -> Result<String, Error> {
    let logs = tempfile::tempdir().map_err(Error::system("there is no folder for temporary files"))?;
    let starter = Starter { interrupt: interrupt.clone(), logs: logs.path().to_owned() };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new(".")).to_owned();
    let installer = Installer { home: home()?, apps: root.clone(), root, starter: starter.clone() };
    let profiles = installer.home.join("counts");
    make_folder(&profiles)?;
    let valgrind = installer.program("valgrind", "valgrind")?;
    let tools = installer.valgrind_tools(&valgrind);
    let program = installer.build("counts", &["--example", "counts", "--features", "counts"])?;
    let benchmarks = plan.chosen(list(&said(&starter, &program, "list")?)?)?;
    let toolchain =
        Toolchain { rust: rust(&installer)?, python: said(&starter, &program, "python")?.trim().to_owned() };
    let callgrind = Callgrind { valgrind, tools, program, profiles, starter };
    let mut counts = BTreeMap::new();
    for Benchmark { name, .. } in &benchmarks {
        tell(progress, &format!("counting {name}"));
        counts.insert(name.clone(), callgrind.count(name)?);
    }
    let path = baseline_path();
    if plan.accept {
        let baseline = Baseline::accepted(&path, toolchain, counts, !plan.only.is_empty())?;
        baseline.write(&path)?;
        tell(progress, &format!("{} has these counts now", path.display()));
        return Ok(comparison::table(&baseline.instructions));
    }
    let baseline = Baseline::read(&path)?;
    let comparison = Comparison::new(&baseline, &toolchain, &benchmarks, &counts, plan.only.is_empty());
    let text = comparison.table();
    for remark in comparison.remarks() {
        tell(progress, &remark);
    }
    match comparison.failure(&callgrind.profiles) {
        // Whoever reads the sentence wants to see the table as well.
        Some(failure) => Err(Error::Counts(format!("{failure}\n\n{text}"))),
        None => Ok(text),
    }
}

/// The committed one.
fn baseline_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("counts.json")
}

/// What the program that is counted says when it is asked for itself.
fn said(starter: &Starter, program: &Program, about: &str) -> Result<String, Error> {
    let mut command = program.command();
    command.arg(about);
    starter.run(about, command, &Cpus::All, PATIENCE)
}

fn list(said: &str) -> Result<Vec<Benchmark>, Error> {
    let line = |line: &str| match line.split(' ').collect::<Vec<_>>()[..] {
        [name] => Ok(Benchmark { name: name.to_owned(), runs_python: false }),
        [name, "python"] => Ok(Benchmark { name: name.to_owned(), runs_python: true }),
        _ => Err(Error::Unreadable { source_name: "the program of benchmarks", detail: line.to_owned() }),
    };
    said.lines().map(line).collect()
}

/// The compiler, and what it compiles for.
fn rust(installer: &Installer) -> Result<String, Error> {
    let mut command = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    command.arg("-vV").current_dir(&installer.root);
    let said = installer.starter.run("rustc", command, &Cpus::All, PATIENCE)?;
    compiler(&said).ok_or(Error::Unreadable { source_name: "rustc", detail: said })
}

fn compiler(said: &str) -> Option<String> {
    let host = said.lines().find_map(|line| line.strip_prefix("host: "))?;
    Some(format!("{}, {host}", said.lines().next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn benchmarks_are_listed() {
        let benchmark = |name: &str, runs_python| Benchmark { name: name.to_owned(), runs_python };
        let listed = list("head-check\nenviron python\n").unwrap();
        assert_eq!(listed, [benchmark("head-check", false), benchmark("environ", true)]);
        assert!(list("thread 'main' panicked at\n").is_err());
    }

    #[test]
    fn the_compiler_is_named_with_its_target() {
        let said = "rustc 1.95.0 (59807616e 2026-04-14)\nbinary: rustc\nhost: x86_64-unknown-linux-gnu\n";
        let expected = "rustc 1.95.0 (59807616e 2026-04-14), x86_64-unknown-linux-gnu";
        assert_eq!(compiler(said).as_deref(), Some(expected));
        assert_eq!(compiler("rustc 1.95.0\n"), None);
    }

    #[test]
    fn the_committed_baseline_can_be_read() {
        let baseline = Baseline::read(&baseline_path()).unwrap();
        assert!(baseline.tolerance_percent > 0.0 && !baseline.instructions.is_empty());
    }
}
