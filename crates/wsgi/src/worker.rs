//! One worker: an interpreter of its own that runs the application with a number of threads.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use stack_bridge::{Consumer, Queue, WorkerId};
use stack_interp::{ExtensionRefusal, Interpreter, InterpreterHandle, LoadGuard, Python, Raised};

use crate::{
    application::{self, LoadError},
    environ::Facts,
    gateway::Gateway,
    pool::{PoolSettings, StartError, States},
};

/// The name under which the interpreter keeps the application.
const APPLICATION: &str = "stack.application";
/// As much as a program's main thread has: CPython's recursion limits were chosen for it.
const STACK_SIZE: usize = 8 * 1024 * 1024;

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
}

/// One worker's share of the pool.
#[derive(Clone)]
pub(crate) struct Worker {
    pub(crate) id: WorkerId,
    pub(crate) settings: Arc<PoolSettings>,
    pub(crate) queue: Queue,
    pub(crate) states: States,
    pub(crate) started: mpsc::Sender<Result<WorkerReport, StartError>>,
}

impl Worker {
    /// Starts the worker's first OS thread: it makes the interpreter, imports the application, and serves.
    pub(crate) fn spawn(self, main: InterpreterHandle) -> Result<(), StartError> {
        let name = thread_name(self.id, 0);
        let builder = thread::Builder::new().name(name).stack_size(STACK_SIZE);
        let run = move || {
            if catch_unwind(AssertUnwindSafe(|| self.run(&main))).is_err() {
                self.fail(StartError::Panicked);
            }
        };
        builder.spawn(run).map(drop).map_err(StartError::Thread)
    }

    /// The pool may have given up by now; then nobody hears it.
    fn fail(&self, error: StartError) {
        self.states.set(self.id, WorkerState::Failed);
        let _ = self.started.send(Err(error));
    }

    fn run(&self, main: &InterpreterHandle) {
        let outcome = Interpreter::run(main, |py, interpreter| self.live(py, interpreter));
        if let Err(error) = outcome {
            self.fail(StartError::Interpreter(error));
        }
    }

    fn live(&self, py: Python<'_>, interpreter: &InterpreterHandle) {
        self.states.set(self.id, WorkerState::Loading);
        let loaded = Instant::now();
        let loading = self.load(py).and_then(|refusals| Ok((refusals, self.gateway(py, 0)?)));
        let (refusals, gateway) = match loading {
            Ok(loaded) => loaded,
            Err(error) => return self.fail(error),
        };
        let report = WorkerReport { load_time: loaded.elapsed(), refusals };
        let threads = self.start_threads(interpreter);
        self.states.set(self.id, WorkerState::Ready);
        let _ = self.started.send(Ok(report));
        take_jobs(py, gateway, self.queue.consumer(self.id));
        py.detach(|| {
            for thread in threads {
                // A panic there has been reported by its thread's own message.
                let _ = thread.join();
            }
        });
        self.states.set(self.id, WorkerState::ShuttingDown);
        if let Err(raised) = py.shut_down() {
            let traceback = raised.into_exception(py).traceback;
            tracing::warn!(code = "STACK0213", worker = self.id.0, traceback, "the application's end raised");
        }
        self.states.set(self.id, WorkerState::Ended);
    }

    fn load(&self, py: Python<'_>) -> Result<Vec<ExtensionRefusal>, StartError> {
        let settings = &self.settings;
        let _loading = LoadGuard::acquire(py);
        application::prepare(py, &settings.directory, &settings.env)?;
        let application = application::load(py, &settings.app)?;
        let keep = || {
            py.keep(APPLICATION, &application)?;
            py.extension_refusals()
        };
        keep().map_err(|raised| prepare_error(py, raised))
    }

    /// Starts the further threads, each with a thread state of its own.
    fn start_threads(&self, interpreter: &InterpreterHandle) -> Vec<thread::JoinHandle<()>> {
        let spawn = |number: usize| {
            let (worker, interpreter) = (self.clone(), interpreter.clone());
            let builder = thread::Builder::new().name(thread_name(self.id, number)).stack_size(STACK_SIZE);
            let spawned = builder.spawn(move || {
                // Ended before this thread came up: there is nothing to serve.
                let _ = interpreter.run(|py| worker.serve(py, number));
            });
            if let Err(error) = &spawned {
                tracing::error!(code = "STACK0322", worker = self.id.0, %error, "a worker's thread could not be started");
            }
            spawned.ok()
        };
        (1..self.settings.threads.get()).filter_map(spawn).collect()
    }

    /// What a further thread does.
    fn serve(&self, py: Python<'_>, number: usize) {
        match self.gateway(py, number) {
            Ok(gateway) => take_jobs(py, gateway, self.queue.consumer(self.id)),
            Err(error) => {
                tracing::error!(code = "STACK0322", worker = self.id.0, %error, "a worker's thread could not be started");
            }
        }
    }

    fn gateway<'py>(&self, py: Python<'py>, number: usize) -> Result<Gateway<'py>, StartError> {
        let facts =
            Facts { multithread: self.settings.threads.get() > 1, multiprocess: self.settings.workers.get() > 1 };
        let make = || {
            py.register_thread(&thread_name(self.id, number))?;
            let application = py.kept(APPLICATION)?.expect("kept when it was loaded");
            Gateway::new(py, application, facts)
        };
        make().map_err(|raised| prepare_error(py, raised))
    }
}

fn prepare_error<'py>(py: Python<'py>, raised: Raised<'py>) -> StartError {
    StartError::Load(LoadError::Prepare(Box::new(raised.into_exception(py))))
}

/// Takes jobs until the queue is closed.
fn take_jobs<'py>(py: Python<'py>, mut gateway: Gateway<'py>, mut consumer: Consumer) {
    while let Ok(job) = py.detach(|| consumer.take()) {
        // A panic is our fault, and costs its request; a thread less would cost all that come after.
        if catch_unwind(AssertUnwindSafe(|| gateway.handle(job))).is_err() {
            tracing::error!(code = "STACK0305", worker = consumer.worker().0, "the gateway panicked");
        }
    }
}

fn thread_name(worker: WorkerId, number: usize) -> String {
    format!("worker-{}.{number}", worker.0)
}
