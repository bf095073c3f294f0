//! What a worker is doing.

/// The states of a worker, in the order of its life, wherever it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerState {
    /// Its interpreter is being made, or its process started; or the interpreter waits until it is known to be wanted.
    Starting,
    /// The application is being imported.
    Loading,
    /// All its threads take jobs.
    Ready,
    /// A C call holds its GIL: no thread can run Python code, and it gets no jobs until one can.
    Stalled,
    /// Its successor is there. It gets no more jobs; its last ones run.
    Retiring,
    /// A request in it does not end. It gets no more jobs; its other ones run, and it is left to itself.
    Abandoned,
    /// Its last job is done; the application's threads are waited for and its atexit handlers run.
    ShuttingDown,
    /// Its process died, or did not come up; the next one is started after a pause.
    Waiting,
    /// Done. What is left of an interpreter goes with its process.
    Ended,
    /// It never came up.
    Failed,
}

impl WorkerState {
    /// Whether nothing more comes after it.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Ended | Self::Failed)
    }
}
