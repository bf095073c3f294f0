//! One worker: an interpreter that runs the application with a number of threads.

use std::{
    ffi::OsString,
    iter,
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use stack_bridge::{Closed, Jobs, WorkerId, WorkerState};
use stack_config::{AppSpec, Isolation};
use stack_interp::{ExtensionRefusal, InterpreterHandle, LoadGuard, Python, Raised};

use crate::{
    application::{self, LoadError},
    django::{self, ProjectDirectory},
    environ::Facts,
    gateway::{Gateway, WhenRefused},
    imported::{self, WhenImported},
    pool::StartError,
    watch::{Overseer, SharedSlot, Slot, Watch},
};

/// The name under which the interpreter keeps the application.
const APPLICATION: &str = "stack.application";
/// As much as a program's main thread has: CPython's recursion limits were chosen for it.
pub(crate) const STACK_SIZE: usize = 8 * 1024 * 1024;

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
    /// What it is one of; not `auto`.
    pub isolation: Isolation,
    /// Whether others run the same application (`wsgi.multiprocess`).
    pub multiprocess: bool,
    /// Who is told of extension modules that refuse to load in a request.
    pub when_refused: Option<Arc<dyn WhenRefused>>,
    /// Whether it needs all its threads: each has jobs of its own. Else it can do with fewer.
    pub all_threads: bool,
    /// Whether it tells the directories of a Django project.
    pub find_directories: bool,
    /// Who is told of modules that the application imports.
    pub when_imported: Option<Arc<dyn WhenImported>>,
}

/// One worker, in the interpreter of the thread that calls.
///
/// A worker's life: [`Worker::load`], then [`Worker::serve`], both attached to the same interpreter and, in the main
/// interpreter, on the thread that started it: there Python delivers signals.
#[derive(Clone, Debug)]
pub struct Worker {
    settings: Arc<WorkerSettings>,
    /// Threads that were started in the place of others.
    others: Arc<Mutex<Vec<thread::JoinHandle<()>>>>,
}

impl Worker {
    /// A worker that has not begun.
    pub fn new(settings: WorkerSettings) -> Self {
        Self { settings: Arc::new(settings), others: Arc::default() }
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
        let loaded = application::load(py, &settings.app);
        // One that fails has modules too, and they may be why.
        self.tell_of_imports(py);
        let application = loaded?;
        let directories = if settings.find_directories { django::directories(py) } else { Vec::new() };
        let keep = || {
            py.keep(APPLICATION, &application)?;
            py.accept_refusals()?;
            py.extension_refusals()
        };
        let refusals = keep().map_err(|raised| prepare_error(py, raised))?;
        Ok(WorkerReport { load_time: begun.elapsed(), refusals, directories })
    }

    fn tell_of_imports(&self, py: Python<'_>) {
        if let Some(when_imported) = &self.settings.when_imported {
            imported::tell(py, &**when_imported);
        }
    }

    /// Runs jobs on this thread and on as many others as `jobs` has sources, until none has any more; then the application's
    /// threads are waited for and its atexit handlers run. `entered` is told of each state that begins.
    pub fn serve(
        &self,
        py: Python<'_>,
        interpreter: &InterpreterHandle,
        jobs: Vec<Box<dyn Jobs>>,
        watching: &Watching,
        entered: impl Fn(WorkerState),
    ) -> Result<(), StartError> {
        let wanted = jobs.len();
        let slots: Vec<SharedSlot> = jobs.iter().map(|_| SharedSlot::new(Slot::new())).collect();
        let Watching { watch, overseer } = watching;
        let _watched = py.detach(|| watch.watch(self.id(), interpreter, slots.clone(), Arc::clone(overseer)));
        let sources = jobs.into_iter().zip(slots);
        let mut jobs = sources.map(|(jobs, slot)| Source { jobs, slot, watching: watching.clone() });
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
            let others = iter::from_fn(|| lock(&self.others).pop());
            for thread in threads.into_iter().chain(others) {
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
        jobs: impl Iterator<Item = Source>,
    ) -> Vec<thread::JoinHandle<()>> {
        let spawn = |(number, jobs): (usize, Source)| {
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

    /// Starts a thread in the place of one that is not to be counted on any more.
    pub(crate) fn start_another_thread(
        &self,
        interpreter: &InterpreterHandle,
        jobs: Box<dyn Jobs>,
        watching: &Watching,
    ) {
        let (worker, interpreter, watching) = (self.clone(), interpreter.clone(), watching.clone());
        let mut others = lock(&self.others);
        let number = self.settings.threads.get() + others.len();
        let run = move || {
            let slot = SharedSlot::new(Slot::new());
            let Watching { watch, overseer } = &watching;
            let _watched = watch.watch(worker.id(), &interpreter, vec![Arc::clone(&slot)], Arc::clone(overseer));
            let source = Source { jobs, slot, watching: watching.clone() };
            // The main interpreter does not end.
            let _ = interpreter.run(|py| worker.serve_further(py, number, source));
        };
        let builder = thread::Builder::new().name(thread_name(self.id(), number)).stack_size(STACK_SIZE);
        match builder.spawn(run) {
            Ok(thread) => others.push(thread),
            Err(error) => {
                tracing::error!(code = "STACK0322", worker = self.id().0, %error, "a worker's thread could not be started");
            }
        }
    }

    /// What a further thread does.
    fn serve_further(&self, py: Python<'_>, number: usize, jobs: Source) {
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
            Gateway::new(py, application, facts, settings.isolation, settings.when_refused.clone())
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
    fn take_jobs<'py>(&self, py: Python<'py>, mut gateway: Gateway<'py>, mut source: Source) {
        source.slot.settle(py);
        let watch_clients = source.watching.watch.watches_clients();
        while let Ok(next) = py.detach(|| source.take()) {
            let job = source.slot.enter(watch_clients);
            if next == Next::Signal {
                self.run_signal_handlers(py);
            }
            // There is none as well where somebody has taken it back meanwhile.
            let Some(job) = job else { continue };
            // A panic is our fault, and costs its request; a thread less would cost all that come after.
            if catch_unwind(AssertUnwindSafe(|| gateway.handle(job, &source.slot))).is_err() {
                tracing::error!(code = "STACK0305", worker = self.id().0, "the gateway panicked");
            }
            let is_given_up = source.slot.finish(py);
            source.watching.overseer.ran();
            self.tell_of_imports(py);
            if is_given_up && !source.watching.overseer.came_back() {
                return;
            }
        }
    }
}

/// Who watches a worker's threads, and who is told of one that is stuck.
#[derive(Clone, Debug)]
pub struct Watching {
    /// Who watches.
    pub watch: Watch,
    /// Who is told.
    pub overseer: Arc<dyn Overseer>,
}

/// Where one thread gets its jobs, and where it is seen.
struct Source {
    jobs: Box<dyn Jobs>,
    slot: SharedSlot,
    watching: Watching,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// A job is in the slot.
    Job,
    /// A signal may have come in.
    Signal,
}

impl Source {
    /// Waits for a job, and leaves it in the slot while the thread waits for its interpreter.
    fn take(&mut self) -> Result<Next, Closed> {
        let job = self.jobs.take_or_signal()?;
        let next = if job.is_some() { Next::Job } else { Next::Signal };
        let deadline = job.as_ref().and_then(|job| job.deadline);
        let now = Instant::now();
        self.slot.leave(job, now);
        self.watching.watch.expect(now, deadline);
        Ok(next)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn prepare_error<'py>(py: Python<'py>, raised: Raised<'py>) -> StartError {
    StartError::Load(LoadError::Prepare(Box::new(raised.into_exception(py))))
}

/// The name of a worker's thread: `worker-0.1`.
pub(crate) fn thread_name(worker: WorkerId, number: usize) -> String {
    format!("worker-{}.{number}", worker.0)
}
