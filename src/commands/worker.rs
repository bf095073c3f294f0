//! `stack worker`: a worker process. It is started by a server, never by hand, and is not in the help.

use std::{
    env,
    fs::File,
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use anyhow::Context;
use rustix::process::{Signal, set_parent_process_death_signal};
use stack_bridge::{Failure, Job, Jobs, WorkerId, WorkerState};
use stack_config::{AccessLog, Isolation, Log};
use stack_interp::{Python, Runtime, RuntimeSettings, Venv, Version, widen_signal_stack};
use stack_process::worker::{Assignment, Control, Forked, LargeBlocks, Preload, Start};
use stack_wsgi::{ModuleFile, Overseer, Watch, Watching, WhenImported, Worker, WorkerSettings};

use crate::{
    Exit, logging,
    start::{can_be_preloaded, spelled},
    worker_spec::{ProcessReport, WorkerSpec},
};

/// As many are told of in one message.
const MODULES_AT_A_TIME: usize = 100;

/// Runs jobs until the server has no more, or forks those that do.
pub(crate) fn run() -> anyhow::Result<Exit> {
    // Else it is named after /proc/self/exe in all lists of processes. It may be refused, and is no more than a name.
    let _ = rustix::thread::set_name(c"stack worker");
    let mut control = Control::from_stdin()?;
    match control.receive()? {
        Assignment::Serve(start) => {
            leave_with_the_server(&control)?;
            Ok(reported(&control, serve(start, &control)))
        }
        Assignment::Preload(preload) => preloaded(control, &preload),
    }
}

/// Tells the server why it has to do without this process.
fn reported(control: &Control, outcome: anyhow::Result<()>) -> Exit {
    let Err(error) = outcome else { return Exit::Success };
    // Where it can not be told the server sees the exit code.
    let _ = control.failed(&format!("{error:#}"));
    Exit::Failure
}

/// A server that is gone can not be answered: there is nothing to finish. Nothing else may be received from then on.
fn leave_with_the_server(control: &Control) -> anyhow::Result<()> {
    let control = control.try_clone().context("the control connection can not be shared")?;
    let watch = move || {
        widen_signal_stack();
        control.wait_for_end();
        Runtime::leave(Exit::Failure.code())
    };
    thread::Builder::new().name("control".into()).spawn(watch).context("no thread for the control connection")?;
    Ok(())
}

/// Starts the log and Python.
fn start_python(spec: &WorkerSpec) -> anyhow::Result<Runtime> {
    logging::init(&Log { level: spec.log_level, format: spec.log_format, access: AccessLog::Off })?;
    // The server's own is another one where it has several applications.
    env::set_current_dir(&spec.directory).with_context(|| format!("no way into {} (chdir)", spec.directory))?;
    let venv = Venv::find(spec.venv.as_deref(), None, spec.directory.as_ref(), Version::linked())?;
    Ok(Runtime::start(&RuntimeSettings { venv })?)
}

/// A worker that was started by exec.
fn serve(start: Start, control: &Control) -> anyhow::Result<()> {
    let spec = WorkerSpec::parse(&start.spec)?;
    let runtime = start_python(&spec)?;
    let live = |py: Python<'_>| {
        prepare(py, &start.last_words)?;
        let report = load(py, &runtime, start.worker, &spec)?;
        serve_loaded(py, &runtime, start, &spec, control, &report)
    };
    runtime.run_as_main_thread(live).expect("started on this thread")
}

/// A process that workers are forked from. It returns here in them too.
fn preloaded(control: Control, preload: &Preload) -> anyhow::Result<Exit> {
    // It has no thread that could watch for the server's end while it imports. Workers do not inherit this.
    set_parent_process_death_signal(Some(Signal::KILL)).context("no signal for the server's end")?;
    let spec = WorkerSpec::parse(&preload.spec)?;
    let runtime = match start_python(&spec) {
        Ok(runtime) => runtime,
        Err(error) => return Ok(reported(&control, Err(error))),
    };
    let live = |py: Python<'_>| -> anyhow::Result<Exit> {
        let report = match load_for_forks(py, &runtime, preload, &spec) {
            Ok(report) => report,
            Err(error) => return Ok(reported(&control, Err(error))),
        };
        control.ready(&report)?;
        let fork = || py.fork().map_err(|raised| raised.into_exception(py));
        let mut control = match control.serve_forks(fork)? {
            Forked::Over => return Ok(Exit::Success),
            Forked::Worker(control) => control,
        };
        let Assignment::Serve(start) = control.receive()? else { anyhow::bail!("a forked worker is a worker") };
        leave_with_the_server(&control)?;
        let serve = || {
            prepare(py, &start.last_words)?;
            serve_loaded(py, &runtime, start, &spec, &control, &report)
        };
        Ok(reported(&control, serve()))
    };
    runtime.run_as_main_thread(live).expect("started on this thread")
}

fn load_for_forks(py: Python<'_>, runtime: &Runtime, preload: &Preload, spec: &WorkerSpec) -> anyhow::Result<String> {
    prepare(py, &preload.last_words)?;
    let report = load(py, runtime, WorkerId(0), spec)?;
    let threads = py.other_threads().map_err(|raised| raised.into_exception(py))?;
    can_be_preloaded(&spec.app, &threads)?;
    Ok(report)
}

fn prepare(py: Python<'_>, last_words: &File) -> anyhow::Result<()> {
    py.prepare_process(last_words).map_err(|raised| raised.into_exception(py)).context("no fault handler")
}

fn worker(
    spec: &WorkerSpec,
    id: WorkerId,
    threads: usize,
    when_imported: Option<Arc<dyn WhenImported>>,
) -> anyhow::Result<Worker> {
    Ok(Worker::new(WorkerSettings {
        id,
        app: spec.app.clone(),
        directory: spec.directory.clone(),
        env: spec.env.clone(),
        fresh_env: None,
        threads: NonZeroUsize::new(threads).context("a worker without a lane")?,
        isolation: Isolation::Processes,
        multiprocess: spec.multiprocess,
        when_refused: None,
        all_threads: true,
        find_directories: spec.find_directories,
        when_imported,
    }))
}

/// Imports the application; gives what the server is told about it.
fn load(py: Python<'_>, runtime: &Runtime, id: WorkerId, spec: &WorkerSpec) -> anyhow::Result<String> {
    let imported = Arc::new(InReport::default());
    let when_imported = spec.tell_imports.then(|| Arc::clone(&imported) as Arc<_>);
    let worker = worker(spec, id, 1, when_imported)?;
    let report =
        worker.load(py).with_context(|| format!("the application {} can not be served", spelled(&spec.app)))?;
    let load_ms = u64::try_from(report.load_time.as_millis()).unwrap_or(u64::MAX);
    let modules = std::mem::take(&mut *imported.0.lock().unwrap_or_else(PoisonError::into_inner));
    let report = ProcessReport { load_ms, python: runtime.full_version(), directories: report.directories, modules };
    Ok(serde_json::to_string(&report)?)
}

fn serve_loaded(
    py: Python<'_>,
    runtime: &Runtime,
    mut start: Start,
    spec: &WorkerSpec,
    control: &Control,
    report: &str,
) -> anyhow::Result<()> {
    start.set_large_blocks(&LargeBlocks { threshold: spec.largest_block, directory: spec.temp_dir.clone() });
    let overseer = Arc::new(ForServer(control.try_clone().context("the control connection can not be shared")?));
    let when_imported = spec.tell_imports.then(|| Arc::clone(&overseer) as Arc<_>);
    let worker = worker(spec, start.worker, start.lanes.len(), when_imported)?;
    let lanes = start.lanes.into_iter().map(|lane| Box::new(lane) as Box<dyn Jobs>).collect();
    let entered = |state| {
        tracing::debug!(?state, "worker state");
        if state == WorkerState::Ready {
            // A server that is gone ends this process by itself.
            let _ = control.ready(report);
        }
    };
    let watch = Watch::start(spec.watch).context("no thread that watches requests")?;
    Ok(worker.serve(py, runtime.main(), lanes, &Watching { watch, overseer }, entered)?)
}

/// Passes on what the server is to do something about. One that is gone ends this process by itself.
#[derive(Debug)]
struct ForServer(Control);

/// Keeps modules for the report: before that is sent nothing else may be.
#[derive(Debug, Default)]
struct InReport(Mutex<Vec<ModuleFile>>);

impl WhenImported for InReport {
    fn imported(&self, modules: Vec<ModuleFile>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(modules);
    }
}

impl WhenImported for ForServer {
    fn imported(&self, modules: Vec<ModuleFile>) {
        for some in modules.chunks(MODULES_AT_A_TIME) {
            // Paths that are no UTF-8 can not be told of.
            if let Ok(text) = serde_json::to_string(some) {
                let _ = self.0.tell(&text);
            }
        }
    }
}

impl Overseer for ForServer {
    fn stalled(&self) {
        let _ = self.0.stalled(true);
    }

    fn recovered(&self) {
        let _ = self.0.stalled(false);
    }

    fn given_up(self: Arc<Self>) {
        let _ = self.0.given_up();
    }

    fn came_back(&self) -> bool {
        let _ = self.0.came_back();
        true
    }

    fn give_back(&self, job: Job) {
        job.responder.fail(Failure::NotRun);
    }

    /// The server counts them.
    fn ran(&self) {}
}
