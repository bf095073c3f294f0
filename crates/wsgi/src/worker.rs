//! One worker: an interpreter that runs the application with a number of threads.

use std::{
    ffi::OsString,
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use stack_bridge::{Jobs, WorkerId};
use stack_config::AppSpec;
use stack_interp::{ExtensionRefusal, InterpreterHandle, LoadGuard, Python, Raised};

use crate::{
    application::{self, LoadError},
    django::{self, ProjectDirectory},
    environ::Facts,
    gateway::{Gateway, WhenRefused},
    pool::StartError,
};

/// The name under which the interpreter keeps the application.
const APPLICATION: &str = "stack.application";
/// As much as a program's main thread has: CPython's recursion limits were chosen for it.
pub(crate) const STACK_SIZE: usize = 8 * 1024 * 1024;

/// What a worker is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerState {
    /// Its interpreter is being made.
    Starting,
    /// The application is being imported.
    Loading,
    /// All its threads take jobs.
    Ready,
    /// The queue is closed; its last jobs run, then the application's threads are waited for and its atexit handlers run.
    ShuttingDown,
    /// Done. What is left of the interpreter goes with the process.
    Ended,
    /// It never came up.
    Failed,
}

/// What a worker tells when it is ready.
#[derive(Clone, Debug)]
pub struct WorkerReport {
    /// How long the import of the application took.
    pub load_time: Duration,
    /// Extension modules that run as their pure-Python twin, or count as not installed.
    pub refusals: Vec<ExtensionRefusal>,
    /// The directories of a Django project, where they were asked for.
    pub directories: Vec<ProjectDirectory>,
}

/// What a worker is started with.
#[derive(Clone, Debug)]
pub struct WorkerSettings {
    /// Its number.
    pub id: WorkerId,
    /// The application.
    pub app: AppSpec,
    /// The directory that goes first on `sys.path`.
    pub directory: String,
    /// Variables for the application's `os.environ`.
    pub env: Vec<(String, String)>,
    /// The variables that the server was started with, where other applications run in this process.
    pub fresh_env: Option<Arc<[(OsString, OsString)]>>,
    /// Its threads.
    pub threads: NonZeroUsize,
    /// Whether others run the same application (`wsgi.multiprocess`).
    pub multiprocess: bool,
    /// Who is told of extension modules that refuse to load in a request.
    pub when_refused: Option<Arc<dyn WhenRefused>>,
    /// Whether it needs all its threads: each has jobs of its own. Else it can do with fewer.
    pub all_threads: bool,
    /// Whether it tells the directories of a Django project.
    pub find_directories: bool,
}

/// One worker, in the interpreter of the thread that calls.
///
/// A worker's life: [`Worker::load`], then [`Worker::serve`], both attached to the same interpreter and, in the main
/// interpreter, on the thread that started it: there Python delivers signals.
#[derive(Clone, Debug)]
pub struct Worker {
    settings: Arc<WorkerSettings>,
}

impl Worker {
    /// A worker that has not begun.
    pub fn new(settings: WorkerSettings) -> Self {
        Self { settings: Arc::new(settings) }
    }

    fn id(&self) -> WorkerId {
        self.settings.id
    }

    /// Imports the application into this interpreter, where it stays.
    pub fn load(&self, py: Python<'_>) -> Result<WorkerReport, StartError> {
        let begun = Instant::now();
        let settings = &self.settings;
        let _loading = LoadGuard::acquire(py);
        // Threads that the import starts would be daemons otherwise, where this thread is not the interpreter's first.
        py.register_thread(&thread_name(self.id(), 0)).map_err(|raised| prepare_error(py, raised))?;
        if let Some(fresh) = &settings.fresh_env {
            application::refresh_environ(py, fresh)?;
        }
        application::prepare(py, &settings.directory, &settings.env)?;
        let application = application::load(py, &settings.app)?;
        let directories = if settings.find_directories { django::directories(py) } else { Vec::new() };
        let keep = || {
            py.keep(APPLICATION, &application)?;
            py.accept_refusals()?;
            py.extension_refusals()
        };
        let refusals = keep().map_err(|raised| prepare_error(py, raised))?;
        Ok(WorkerReport { load_time: begun.elapsed(), refusals, directories })
    }

    /// Runs jobs on this thread and on as many others as `jobs` has sources, until none has any more; then the application's
    /// threads are waited for and its atexit handlers run. `entered` is told of each state that begins.
    pub fn serve(
        &self,
        py: Python<'_>,
        interpreter: &InterpreterHandle,
        jobs: Vec<Box<dyn Jobs>>,
        entered: impl Fn(WorkerState),
    ) -> Result<(), StartError> {
        let wanted = jobs.len();
        let mut jobs = jobs.into_iter();
        let own = jobs.next();
        let gateway = self.gateway(py, 0)?;
        let threads = self.start_threads(interpreter, jobs);
        if self.settings.all_threads && threads.len() + 1 < wanted {
            return Err(StartError::TooFewThreads { started: threads.len() + 1, wanted });
        }
        entered(WorkerState::Ready);
        if let Some(own) = own {
            self.take_jobs(py, gateway, own);
        }
        py.detach(|| {
            for thread in threads {
                // A panic there has been reported by its thread's own message.
                let _ = thread.join();
            }
        });
        entered(WorkerState::ShuttingDown);
        if let Err(raised) = py.shut_down() {
            let traceback = raised.into_exception(py).traceback;
            tracing::warn!(code = "STACK0213", worker = self.id().0, traceback, "the application's end raised");
        }
        entered(WorkerState::Ended);
        Ok(())
    }

    /// Starts the further threads, each with a thread state of its own.
    fn start_threads(
        &self,
        interpreter: &InterpreterHandle,
        jobs: impl Iterator<Item = Box<dyn Jobs>>,
    ) -> Vec<thread::JoinHandle<()>> {
        let spawn = |(number, jobs): (usize, Box<dyn Jobs>)| {
            let (worker, interpreter) = (self.clone(), interpreter.clone());
            let builder = thread::Builder::new().name(thread_name(self.id(), number)).stack_size(STACK_SIZE);
            let spawned = builder.spawn(move || {
                // Ended before this thread came up: there is nothing to serve.
                let _ = interpreter.run(|py| worker.serve_further(py, number, jobs));
            });
            if let Err(error) = &spawned {
                tracing::error!(code = "STACK0322", worker = self.id().0, %error, "a worker's thread could not be started");
            }
            spawned.ok()
        };
        (1..).zip(jobs).filter_map(spawn).collect()
    }

    /// What a further thread does.
    fn serve_further(&self, py: Python<'_>, number: usize, jobs: Box<dyn Jobs>) {
        match self.gateway(py, number) {
            Ok(gateway) => self.take_jobs(py, gateway, jobs),
            Err(error) => {
                tracing::error!(code = "STACK0322", worker = self.id().0, %error, "a worker's thread could not be started");
            }
        }
    }

    fn gateway<'py>(&self, py: Python<'py>, number: usize) -> Result<Gateway<'py>, StartError> {
        let settings = &self.settings;
        let facts = Facts { multithread: settings.threads.get() > 1, multiprocess: settings.multiprocess };
        let make = || {
            py.register_thread(&thread_name(self.id(), number))?;
            let application = py.kept(APPLICATION)?.expect("kept when it was loaded");
            Gateway::new(py, application, facts, settings.when_refused.clone())
        };
        make().map_err(|raised| prepare_error(py, raised))
    }

    /// Python runs them in a process's main thread when that runs Python code, which one that waits for a job does not.
    fn run_signal_handlers(&self, py: Python<'_>) {
        if let Err(raised) = py.run_signal_handlers() {
            let traceback = raised.into_exception(py).traceback;
            tracing::error!(worker = self.id().0, traceback, "a signal handler raised outside of any request");
        }
    }

    /// Takes jobs until there are no more.
    fn take_jobs<'py>(&self, py: Python<'py>, mut gateway: Gateway<'py>, mut jobs: Box<dyn Jobs>) {
        while let Ok(job) = py.detach(|| jobs.take_or_signal()) {
            let Some(job) = job else {
                self.run_signal_handlers(py);
                continue;
            };
            // A panic is our fault, and costs its request; a thread less would cost all that come after.
            if catch_unwind(AssertUnwindSafe(|| gateway.handle(job))).is_err() {
                tracing::error!(code = "STACK0305", worker = self.id().0, "the gateway panicked");
            }
        }
    }
}

fn prepare_error<'py>(py: Python<'py>, raised: Raised<'py>) -> StartError {
    StartError::Load(LoadError::Prepare(Box::new(raised.into_exception(py))))
}

/// The name of a worker's thread: `worker-0.1`.
pub(crate) fn thread_name(worker: WorkerId, number: usize) -> String {
    format!("worker-{}.{number}", worker.0)
}
