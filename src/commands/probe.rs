//! `stack probe`: what a throw-away child does. Nobody but this program calls it, so no help shows it.

use std::{
    env,
    fs::{self, File},
    io::{self, Write},
    os::fd::AsFd,
    path::{Path, PathBuf},
};

use anyhow::Context;
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use stack_interp::{ExtensionRefusal, Interpreter, Python, Runtime, RuntimeSettings, Venv};
use stack_wsgi::inspect;

use crate::{
    Exit,
    isolation::{
        memory::Memory,
        protocol::{Answer, Application, Import, Order, PythonFacts, Task},
    },
};

/// Reads an order from standard input and answers on standard output.
pub(crate) fn run() -> anyhow::Result<Exit> {
    let mut answers = Answers::take_stdout().context("standard output can not be taken over")?;
    let order: Order = serde_json::from_reader(io::stdin().lock()).context("standard input holds no order")?;
    // Whoever asks may be killed, and nobody would end a probe that hangs.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid().map(Pid::as_raw_pid) != i32::try_from(order.parent).ok() {
        return Ok(Exit::Failure);
    }
    if let Err(error) = obey(&order, &mut answers) {
        answers.give(&Answer::NoPython(format!("{error:#}")))?;
    }
    answers.give(&Answer::Done)?;
    Ok(Exit::Success)
}

/// Where the answers go. The application in this process only knows a standard output that nobody reads.
struct Answers(File);

impl Answers {
    fn take_stdout() -> io::Result<Self> {
        let stdout = io::stdout().as_fd().try_clone_to_owned()?;
        rustix::stdio::dup2_stdout(File::options().write(true).open("/dev/null")?)?;
        Ok(Self(stdout.into()))
    }

    fn give(&mut self, answer: &Answer) -> io::Result<()> {
        let mut line = serde_json::to_vec(answer)?;
        line.push(b'\n');
        self.0.write_all(&line)
    }
}

fn obey(order: &Order, answers: &mut Answers) -> anyhow::Result<()> {
    let Order { parent: _, application, task } = order;
    env::set_current_dir(&application.directory)
        .with_context(|| format!("no way into {} (chdir)", application.directory))?;
    let venv = application.venv.clone().map(|path| Venv { path, origin: "the server" });
    let runtime = Runtime::start(&RuntimeSettings { venv })?;
    let (version, executable) = (runtime.full_version(), runtime.main().run(inspect::executable)?);
    answers.give(&Answer::Python(PythonFacts { version, executable, library: library() }))?;
    match task {
        Task::Import => {
            let before = Memory::now().unwrap_or_default();
            // What is asked has been answered when the interpreter ends, which may crash.
            Interpreter::run(runtime.main(), |py, _| {
                answers.give(&Answer::Imported(import(py, application, before)))?;
                answers.give(&Answer::Done)
            })?
            .0?;
        }
        // A worker process is as large as this one: nothing is taken off.
        Task::ImportInMain => runtime
            .run_as_main_thread(|py| answers.give(&Answer::Imported(import(py, application, Memory::default()))))
            .expect("started on this thread")?,
        Task::Survey => {
            runtime.run_as_main_thread(|py| survey(py, application, answers)).expect("started on this thread")?;
        }
        Task::Try(modules) => {
            Interpreter::run(runtime.main(), |py, _| try_each(py, application, modules, answers))?.0?;
        }
    }
    Ok(())
}

fn import(py: Python<'_>, application: &Application, before: Memory) -> Import {
    let Application { app, directory, env, venv: _, find_directories } = application;
    let inspect::Import { outcome, load_time, refusals, directories } =
        inspect::import(py, app, directory, env, *find_directories);
    let memory = Memory::now().map(|memory| memory.since(before));
    let modules = |with_twin: bool| {
        let wanted = |refusal: &&ExtensionRefusal| refusal.twin.is_some() == with_twin;
        let mut modules: Vec<_> = refusals.iter().filter(wanted).map(|refusal| refusal.module.clone()).collect();
        modules.sort();
        modules.dedup();
        modules
    };
    Import {
        failure: outcome.as_ref().err().map(Into::into),
        load_time,
        memory,
        gil: inspect::is_gil_enabled(py),
        replaced: modules(true),
        left_out: modules(false),
        threads: py.other_threads().unwrap_or_default(),
        directories,
    }
}

fn survey(py: Python<'_>, application: &Application, answers: &mut Answers) -> io::Result<()> {
    answers.give(&Answer::Imported(import(py, application, Memory::default())))?;
    let extensions = inspect::extensions(py);
    let modules: Vec<_> =
        extensions.iter().map(|extension| (extension.module.as_str(), extension.file.as_str())).collect();
    let packages = inspect::packages(py, &modules);
    answers.give(&Answer::Extensions(inspect::installed(py), extensions.into_iter().zip(packages).collect()))
}

/// The libpython in this process.
fn library() -> Option<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let mut files = maps.lines().filter_map(|line| line.find('/').map(|start| Path::new(&line[start..])));
    let is_library =
        |file: &&Path| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libpython"));
    files.find(is_library).map(Path::to_path_buf)
}

fn try_each(
    py: Python<'_>,
    application: &Application,
    modules: &[(String, String)],
    answers: &mut Answers,
) -> io::Result<()> {
    if let Err(error) = inspect::prepare(py, &application.directory, &application.env) {
        return answers.give(&Answer::NoPython(error.to_string()));
    }
    for (place, (module, file)) in modules.iter().enumerate() {
        answers.give(&Answer::Trying(place))?;
        let trial = inspect::try_extension(py, module, file);
        answers.give(&Answer::Tried(place, trial))?;
    }
    answers.give(&Answer::Done)
}
