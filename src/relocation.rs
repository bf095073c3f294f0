//! The move of an application to worker processes while it serves: an extension module that does not run in interpreters of
//! their own was first imported by a request, or a worker can not load what another one has loaded and serves.
//!
//! Nothing is dropped on the way. The interpreters go on serving until the processes are ready; a safe request that failed
//! for the module's want, and of which the client has seen nothing, waits for the processes and is run there.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use stack_bridge::{Failure, Job, Queue, RequestId};
use stack_interp::refusals_after_loads;
use stack_wsgi::{Refused, WhenRefused, listed};
use tokio::sync::Notify;

/// What is done about refusals in requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// They are explained; the user insists on interpreters.
    Explain,
    /// The application moves.
    Move,
}

/// How far the move is.
#[derive(Debug)]
enum Stage {
    /// There was no reason to move.
    Settled,
    /// The processes are being started; these wait for them.
    Moving(Vec<Job>),
    /// The processes serve.
    Moved,
    /// There are none: the application stays, and its failures stand.
    Stays,
}

/// Watches for refusals in requests.
#[derive(Debug)]
pub(crate) struct Relocation {
    policy: Policy,
    queue: Queue,
    stage: Mutex<Stage>,
    /// Whether a request that fails is worth keeping.
    open: AtomicBool,
    /// Whether the refusal has been explained.
    told: AtomicBool,
    /// Whether not all workers could load the application.
    is_incomplete: AtomicBool,
    wanted: Notify,
}

impl Relocation {
    pub(crate) fn new(policy: Policy, queue: Queue) -> Arc<Self> {
        let (stage, open) = (Mutex::new(Stage::Settled), AtomicBool::new(policy == Policy::Move));
        let [told, is_incomplete] = [false; 2].map(AtomicBool::new);
        Arc::new(Self { policy, queue, stage, open, told, is_incomplete, wanted: Notify::new() })
    }

    /// A worker can not load what another one has loaded, for which a start would have chosen processes.
    pub(crate) fn can_not_load(&self, app: &str, error: &str) {
        let mut stage = self.stage();
        if matches!(*stage, Stage::Moved) {
            return;
        }
        self.is_incomplete.store(true, Ordering::Relaxed);
        let moves = self.begin(&mut stage);
        drop(stage);
        let remedy = moves.then_some("moving to worker processes; to start there, set isolation=processes");
        tracing::warn!(code = "STACK0348", app, remedy, error, "not all workers could load the application");
    }

    /// Whether not all workers could load the application.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.is_incomplete.load(Ordering::Relaxed)
    }

    /// Waits until the application is to move.
    pub(crate) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// The processes serve, and the interpreters take no more jobs.
    pub(crate) fn moved(&self) {
        let Stage::Moving(waiting) = self.change(Stage::Moved) else { return };
        // The first that waits goes first.
        for job in waiting.into_iter().rev() {
            self.queue.give_back(job);
        }
    }

    /// The processes could not be started.
    pub(crate) fn stays(&self) {
        self.open.store(false, Ordering::Relaxed);
        let Stage::Moving(waiting) = self.change(Stage::Stays) else { return };
        for job in waiting {
            job.responder.fail(Failure::Application);
        }
    }

    /// Asks for the move, once. Says whether it is on its way.
    fn begin(&self, stage: &mut Stage) -> bool {
        if matches!(stage, Stage::Settled) {
            *stage = Stage::Moving(Vec::new());
            self.wanted.notify_one();
        }
        matches!(stage, Stage::Moving(_))
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, stage: Stage) -> Stage {
        std::mem::replace(&mut *self.stage(), stage)
    }
}

impl WhenRefused for Relocation {
    fn can_run_elsewhere(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    fn is_news(&self) -> bool {
        !self.told.swap(true, Ordering::Relaxed)
    }

    fn is_suspect(&self) -> bool {
        refusals_after_loads() > 0
    }

    fn refused(&self, request: RequestId, packages: Vec<Refused>) {
        let remedy = match self.policy {
            Policy::Move => "moving to worker processes; to start there, set isolation=processes",
            Policy::Explain => "use isolation=processes or auto",
        };
        tracing::warn!(
            code = "STACK0318",
            request_id = %request,
            packages = listed(&packages),
            remedy,
            "a request imported what does not support sub-interpreters"
        );
        if self.policy == Policy::Move {
            self.begin(&mut self.stage());
        }
    }

    fn run_elsewhere(&self, job: Job) {
        let mut stage = self.stage();
        self.begin(&mut stage);
        match &mut *stage {
            Stage::Moving(waiting) => waiting.push(job),
            Stage::Moved => {
                drop(stage);
                self.queue.give_back(job);
            }
            Stage::Settled | Stage::Stays => {
                drop(stage);
                job.responder.fail(Failure::Application);
            }
        }
    }
}
