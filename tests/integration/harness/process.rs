//! One run of the executable, with its output.

use std::{
    ffi::OsStr,
    fmt, fs,
    io::{BufRead, BufReader, Read},
    os::{fd::OwnedFd, unix::process::CommandExt},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Instant,
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;

use super::{LIMIT, eventually};

/// A run that is still to be started: in an empty directory, without the variables that change what the server does.
pub(crate) struct Stack {
    command: Command,
    directory: TempDir,
}

/// The executable with these arguments.
pub(crate) fn stack<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Stack {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut command = Command::new(env!("CARGO_BIN_EXE_stack"));
    command.args(arguments).current_dir(directory.path()).stdin(Stdio::null());
    // Control sockets that nobody names are made there, and two servers never share one.
    command.env("XDG_RUNTIME_DIR", directory.path());
    for (name, _) in std::env::vars_os() {
        let ours = name.to_str().is_some_and(|name| {
            name.starts_with("STACK_")
                || name.starts_with("PYTHON")
                || name.starts_with("LISTEN_")
                || ["PORT", "VIRTUAL_ENV", "RUST_LOG", "NOTIFY_SOCKET", "WATCHDOG_USEC"].contains(&name)
        });
        if ours {
            command.env_remove(name);
        }
    }
    Stack { command, directory }
}

impl Stack {
    pub(crate) fn arguments<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Adds a flag with a value, unless it is there.
    pub(crate) fn default(mut self, flag: &str, value: impl AsRef<OsStr>) -> Self {
        if !self.command.get_args().any(|argument| argument == flag) {
            self.command.arg(flag).arg(value);
        }
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn current_dir(mut self, directory: impl AsRef<Path>) -> Self {
        self.command.current_dir(directory);
        self
    }

    pub(crate) fn stdin(mut self, descriptor: impl Into<OwnedFd>) -> Self {
        self.command.stdin(Stdio::from(descriptor.into()));
        self
    }

    /// Makes it the leader of a process group, as a service manager or a terminal does: what it starts belongs to that.
    pub(crate) fn in_own_group(mut self) -> Self {
        self.command.process_group(0);
        self
    }

    /// Writes a file into the directory that the executable is started in.
    pub(crate) fn file(self, name: &str, content: &str) -> Self {
        let path = self.directory.path().join(name);
        fs::create_dir_all(path.parent().expect("below the directory")).expect("a writable directory");
        fs::write(path, content).expect("a writable directory");
        self
    }

    /// Starts it by a line of shell that ends in `exec "$0" "$@"`: for what only a parent process can set. Standard input is what is
    /// named after this.
    pub(crate) fn through_shell(mut self, script: &str) -> Self {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(script).arg(self.command.get_program()).args(self.command.get_args());
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell.current_dir(self.command.get_current_dir().expect("always set"));
        self.command = shell;
        self
    }

    /// How often an argument stands in the command line.
    pub(crate) fn count(&self, argument: &str) -> usize {
        self.command.get_args().filter(|known| *known == argument).count()
    }

    pub(crate) fn start(self) -> Process {
        let is_one_of = |commands: &[&str]| self.command.get_args().any(|it| commands.iter().any(|name| it == *name));
        let (serves, runs_application) = (is_one_of(&["serve", "dev"]), is_one_of(&["serve", "dev", "check"]));
        // Where the machine stands still for a second, a queue is not overloaded.
        let stack = if serves { self.default("--queue-target", "0") } else { self };
        let stack = match isolation() {
            Some(isolation) if runs_application => stack.default("--isolation", isolation),
            _ => stack,
        };
        let Self { mut command, directory } = stack;
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the executable is there");
        let state = State { lines: Vec::new(), open_streams: 2 };
        let output = Arc::new(Output { state: Mutex::new(state), grown: Condvar::new() });
        let stdout = collect(child.stdout.take().expect("piped"), Source::Stdout, &output);
        let stderr = collect(child.stderr.take().expect("piped"), Source::Stderr, &output);
        Process { child, output, readers: vec![stdout, stderr], directory }
    }

    /// Runs it to its end.
    pub(crate) fn run(self) -> Finished {
        self.start().finished()
    }
}

/// The isolation under which all tests run that name none: `TEST_ISOLATION`.
pub(crate) fn isolation() -> Option<String> {
    std::env::var("TEST_ISOLATION").ok().filter(|isolation| !isolation.is_empty())
}

/// How many workers there are where `asked` is the number that was asked for: under `threads` one interpreter serves alone.
pub(crate) fn workers(asked: usize) -> usize {
    if isolation().as_deref() == Some("threads") { 1 } else { asked }
}

/// A run that goes on. Dropping it kills the child and what that has started, and nothing else.
pub(crate) struct Process {
    child: Child,
    output: Arc<Output>,
    readers: Vec<thread::JoinHandle<()>>,
    directory: TempDir,
}

impl Process {
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the child has not been waited for");
    }

    /// Sends a signal to all processes of its group: see [`Stack::in_own_group`].
    pub(crate) fn signal_group(&self, signal: Signal) {
        kill_process_group(Pid::from_child(&self.child), signal).expect("the child leads a group");
    }

    /// Waits until `found` makes something of the output so far.
    pub(crate) fn wait_for<T>(&self, what: &str, found: impl FnMut(&[Line]) -> Option<T>) -> T {
        self.output.wait_for(what, found)
    }

    /// Waits for a line that contains `part`.
    pub(crate) fn wait_for_line(&self, part: &str) -> String {
        self.wait_for(&format!("a line with {part:?}"), |lines| {
            lines.iter().find(|line| line.text.contains(part)).map(|line| line.text.clone())
        })
    }

    /// What came out so far.
    pub(crate) fn lines(&self) -> Vec<Line> {
        self.output.state().lines.clone()
    }

    /// The server and all that descend from it, without the supervisor above.
    pub(crate) fn pids(&self) -> Vec<u32> {
        let mut pids = self.all_pids();
        let is_server = |pid: u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).nth(1) == Some(b"server")
        };
        if pids.get(1).is_some_and(|pid| is_server(*pid)) {
            pids.remove(0);
        }
        pids
    }

    /// The process that was started and all that descend from it.
    pub(crate) fn all_pids(&self) -> Vec<u32> {
        let mut pids = vec![self.child.id()];
        let mut next = 0;
        while let Some(pid) = pids.get(next) {
            let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
            let children = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
            let found: Vec<u32> = children
                .flat_map(|list| list.split_whitespace().map(str::parse).collect::<Vec<_>>())
                .flatten()
                .collect();
            pids.extend(found);
            next += 1;
        }
        pids
    }

    /// The server itself, which may be a child of the process that was started.
    pub(crate) fn server_pid(&self) -> u32 {
        self.pids()[0]
    }

    /// Waits for the end of the process and of its output.
    pub(crate) fn finished(mut self) -> Finished {
        let status = eventually("the end of the process", || self.child.try_wait().expect("our child"));
        for reader in self.readers.drain(..) {
            reader.join().expect("the reader only collects lines");
        }
        Finished { status, lines: self.lines() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The child is not waited for yet, so none of these numbers can be another process's.
        for pid in self.all_pids().into_iter().filter_map(|pid| Pid::from_raw(pid.try_into().ok()?)) {
            let _ = kill_process(pid, Signal::KILL);
        }
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("output of the server:\n{}", self.output);
        }
    }
}

/// Where a line came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Stdout,
    Stderr,
}

/// One line of output, without its end.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) source: Source,
    pub(crate) text: String,
}

struct Output {
    state: Mutex<State>,
    grown: Condvar,
}

struct State {
    lines: Vec<Line>,
    open_streams: u8,
}

impl Output {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_for<T>(&self, what: &str, mut found: impl FnMut(&[Line]) -> Option<T>) -> T {
        let deadline = Instant::now() + LIMIT;
        let mut state = self.state();
        loop {
            if let Some(found) = found(&state.lines) {
                return found;
            }
            assert!(state.open_streams > 0, "the process ended without {what}");
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "never came: {what}");
            state = self.grown.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state().lines.iter().try_for_each(|line| writeln!(f, "    {}", line.text))
    }
}

fn collect(from: impl Read + Send + 'static, source: Source, into: &Arc<Output>) -> thread::JoinHandle<()> {
    let into = Arc::clone(into);
    thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
            let text = String::from_utf8_lossy(&line).into_owned();
            into.state().lines.push(Line { source, text });
            into.grown.notify_all();
        }
        into.state().open_streams -= 1;
        into.grown.notify_all();
    })
}

/// A run that is over.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) lines: Vec<Line>,
}

impl Finished {
    fn text(&self, source: Source) -> String {
        self.lines.iter().filter(|line| line.source == source).map(|line| line.text.clone() + "\n").collect()
    }

    pub(crate) fn stdout(&self) -> String {
        self.text(Source::Stdout)
    }

    pub(crate) fn stderr(&self) -> String {
        self.text(Source::Stderr)
    }

    /// This run, which must have ended with the exit code.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{}\n{}{}", self.status, self.stdout(), self.stderr());
        self
    }

    /// This run, whose standard error must contain each of the parts.
    #[track_caller]
    pub(crate) fn says(self, parts: &[&str]) -> Self {
        let stderr = self.stderr();
        for part in parts {
            assert!(stderr.contains(part), "no {part:?} in:\n{stderr}");
        }
        self
    }

    /// This run, whose standard error must contain none of the parts.
    #[track_caller]
    pub(crate) fn never_says(self, parts: &[&str]) -> Self {
        let stderr = self.stderr();
        for part in parts {
            assert!(!stderr.contains(part), "{part:?} in:\n{stderr}");
        }
        self
    }
}
