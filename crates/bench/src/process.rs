//! Processes that the benchmark starts: each in a group of its own, on its CPUs, with its output in a file, and ended with all
//! that descends from it.

use std::{
    fmt, fs,
    fs::File,
    io::{self, Read},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    process::{Pid, Signal, kill_process, kill_process_group},
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};

use crate::{
    Error, accounting,
    interrupt::{Interrupt, Registered},
};

/// How long a process may take to end after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it takes to see that a process has ended.
const TICK: Duration = Duration::from_millis(2);

/// The CPUs that a process may use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Cpus {
    /// All that the benchmark has.
    #[default]
    All,
    /// These.
    Only(Vec<usize>),
}

impl Cpus {
    /// The CPUs that this process may use, in their order.
    pub(crate) fn available() -> Result<Vec<usize>, Error> {
        let set = sched_getaffinity(None).map_err(|error| Error::system("the CPUs can not be told")(error.into()))?;
        Ok((0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect())
    }
}

/// What all processes of a run have in common.
#[derive(Clone, Debug)]
pub(crate) struct Starter {
    /// Ends them early.
    pub(crate) interrupt: Interrupt,
    /// Where their output goes.
    pub(crate) logs: PathBuf,
}

/// A process and what descends from it. Dropped, they are killed.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    command: String,
    log: PathBuf,
    interrupt: Interrupt,
    is_over: bool,
    _registered: Registered,
}

impl Starter {
    /// Starts a command whose output goes to `NAME.log`.
    pub(crate) fn start(&self, name: &str, mut command: Command, cpus: &Cpus) -> Result<Process, Error> {
        self.interrupt.check()?;
        let log = self.logs.join(format!("{name}.log"));
        let output = File::create(&log).map_err(Error::file(&log))?;
        let copy = output.try_clone().map_err(Error::file(&log))?;
        command.stdin(Stdio::null()).stdout(output).stderr(copy).process_group(0);
        let line = CommandLine(&command).to_string();
        let child = on_cpus(cpus, || command.spawn()).map_err(|source| Error::Missing {
            what: command.get_program().to_string_lossy().into_owned(),
            hint: format!("it can not be started ({source})"),
        })?;
        let registered = self.interrupt.register(Pid::from_child(&child));
        let interrupt = self.interrupt.clone();
        Ok(Process { child, command: line, log, interrupt, is_over: false, _registered: registered })
    }

    /// Runs a command to its end, and gives what it printed on standard output and error.
    pub(crate) fn run(&self, name: &str, command: Command, cpus: &Cpus, limit: Duration) -> Result<String, Error> {
        let mut process = self.start(name, command, cpus)?;
        let Some(status) = process.wait(limit)? else {
            return Err(Error::Hung { command: process.command.clone(), limit });
        };
        let output = process.output();
        // What was killed by the interrupt has not failed.
        self.interrupt.check()?;
        if status.success() {
            return Ok(output);
        }
        Err(Error::Command { command: process.command.clone(), status: status.to_string(), output })
    }
}

impl Process {
    /// The first process of the group.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// The command line, to be read by people.
    pub(crate) fn command(&self) -> &str {
        &self.command
    }

    /// What it has printed.
    pub(crate) fn output(&self) -> String {
        let mut text = Vec::new();
        // A log that can not be read says nothing.
        let _ = File::open(&self.log).and_then(|mut file| file.read_to_end(&mut text));
        String::from_utf8_lossy(&text).into_owned()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>, Error> {
        self.child.try_wait().map_err(Error::system("a process can not be waited for"))
    }

    /// Waits for its end; `None` if the time is over before.
    pub(crate) fn wait(&mut self, limit: Duration) -> Result<Option<ExitStatus>, Error> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.ended()? {
                return Ok(Some(status));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            self.interrupt.pause(TICK)?;
        }
    }

    /// Asks it to end, waits, and kills what is left.
    pub(crate) fn stop(mut self) -> Result<(), Error> {
        if self.ended()?.is_none() {
            // It may end between the two lines.
            let _ = kill_process(self.pid(), Signal::TERM);
            self.wait(PATIENCE)?;
        }
        self.kill();
        Ok(())
    }

    /// Ends the group and all descendants, and waits for the first of them.
    fn kill(&mut self) {
        let group = self.pid();
        // A child that went to a group of its own while its parent lives; the parent's group catches the rest.
        let descendants = accounting::processes(&[group]).unwrap_or_default();
        let _ = kill_process_group(group, Signal::KILL);
        for process in descendants {
            let _ = kill_process(process, Signal::KILL);
        }
        let _ = self.child.wait();
        self.is_over = true;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.is_over {
            self.kill();
        }
    }
}

/// A command line as one would type it.
struct CommandLine<'a>(&'a Command);

impl fmt::Display for CommandLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.get_program().to_string_lossy())?;
        for argument in self.0.get_args().map(std::ffi::OsStr::to_string_lossy) {
            let is_plain =
                !argument.is_empty() && argument.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\'');
            if is_plain { write!(f, " {argument}")? } else { write!(f, " '{argument}'")? }
        }
        Ok(())
    }
}

/// Runs this with the CPUs of the calling thread set to `cpus`: what it starts inherits them from its first instruction on.
fn on_cpus<T>(cpus: &Cpus, run: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let Cpus::Only(cpus) = cpus else { return run() };
    let before = sched_getaffinity(None)?;
    sched_setaffinity(None, &set(cpus))?;
    let result = run();
    sched_setaffinity(None, &before)?;
    result
}

/// Keeps the calling thread, and those that it starts, on these CPUs: clients of our own are load as well.
pub(crate) fn stay_on(cpus: &Cpus) -> Result<(), Error> {
    let Cpus::Only(cpus) = cpus else { return Ok(()) };
    sched_setaffinity(None, &set(cpus)).map_err(|error| Error::system("the CPUs can not be chosen")(error.into()))
}

fn set(cpus: &[usize]) -> CpuSet {
    let mut set = CpuSet::new();
    for cpu in cpus {
        set.set(*cpu);
    }
    set
}

/// Makes a folder and those above it.
pub(crate) fn make_folder(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).map_err(Error::file(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starter() -> (tempfile::TempDir, Starter) {
        let folder = tempfile::tempdir().unwrap();
        let starter = Starter { interrupt: Interrupt::default(), logs: folder.path().to_owned() };
        (folder, starter)
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_command_gives_what_it_printed() {
        let (_folder, starter) = starter();
        let output = starter.run("echo", shell("echo one; echo two >&2"), &Cpus::All, PATIENCE).unwrap();
        assert_eq!(output, "one\ntwo\n");
    }

    #[test]
    fn a_command_that_fails_is_named_with_its_output() {
        let (_folder, starter) = starter();
        let error = starter.run("fails", shell("echo 'no such package'; exit 3"), &Cpus::All, PATIENCE).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("exit status: 3") && text.contains("no such package"), "{text}");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let (_folder, starter) = starter();
        let error = starter.start("none", Command::new("no-such-program"), &Cpus::All).unwrap_err();
        assert!(error.to_string().starts_with("no-such-program is missing"), "{error}");
    }

    #[test]
    fn a_command_that_hangs_is_given_up() {
        let (_folder, starter) = starter();
        let error = starter.run("hangs", shell("sleep 600"), &Cpus::All, Duration::from_millis(20)).unwrap_err();
        assert!(matches!(error, Error::Hung { .. }), "{error}");
    }

    #[test]
    fn a_stop_ends_descendants_that_do_not_listen() {
        let (_folder, starter) = starter();
        // The child ignores SIGTERM; the parent leaves it behind.
        let script = "sh -c 'trap \"\" TERM; echo ready; while :; do sleep 600; done' & wait";
        let process = starter.start("stubborn", shell(script), &Cpus::All).unwrap();
        while !process.output().contains("ready") {
            starter.interrupt.pause(TICK).unwrap();
        }
        let group = process.pid();
        let before = accounting::processes(&[group]).unwrap();
        process.stop().unwrap();
        assert!(before.len() >= 2, "{before:?}");
        // Killed ones are gone as soon as somebody has waited for them, and that may be init.
        while !accounting::processes(&[group]).unwrap().is_empty() {
            starter.interrupt.pause(TICK).unwrap();
        }
    }

    #[test]
    fn a_process_runs_on_its_cpus() {
        let (_folder, starter) = starter();
        let cpu = Cpus::available().unwrap()[0];
        let only = Cpus::Only(vec![cpu]);
        let output = starter.run("cpus", shell("grep Cpus_allowed_list /proc/self/status"), &only, PATIENCE).unwrap();
        assert_eq!(output.split_whitespace().last(), Some(cpu.to_string().as_str()));
    }

    #[test]
    fn threads_stay_where_the_one_that_started_them_stays() {
        let cpu = Cpus::available().unwrap()[0];
        let seen = std::thread::spawn(move || {
            stay_on(&Cpus::Only(vec![cpu])).unwrap();
            std::thread::spawn(|| Cpus::available().unwrap()).join().unwrap()
        });
        assert_eq!(seen.join().unwrap(), [cpu]);
    }
}
