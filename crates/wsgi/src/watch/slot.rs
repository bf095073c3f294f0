//! What one thread of a worker is doing, for those who watch it.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::Method;
use stack_bridge::{ClientHandle, Job, RequestId};
use stack_interp::{Interruption, Python, ThreadIdent};

/// One thread's place at a worker.
#[derive(Debug)]
pub(crate) struct Slot {
    state: Mutex<State>,
    /// An exception has been put on its way.
    interrupted: Condvar,
    /// A [`Progress`]; times are nanoseconds since `epoch`, and the numbers in use for the others.
    progress: AtomicU64,
    epoch: Instant,
}

/// How far the response of a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing of it was sent.
    Nothing,
    /// A block is being handed over, which may wait for the client.
    Sending,
    /// All of it was sent.
    Complete,
    /// The last block was handed over then.
    Open(Instant),
}

const NOTHING: u64 = 0;
const SENDING: u64 = 1;
const COMPLETE: u64 = 2;
const FIRST_TIME: u64 = 3;

#[derive(Debug)]
struct State {
    stage: Stage,
    thread: Option<ThreadIdent>,
    /// Requests that began here.
    serial: u64,
}

/// How far a thread is with its request.
#[derive(Debug)]
enum Stage {
    /// It waits for a job, or is not there.
    Idle,
    /// It waits for its interpreter since then, with a job or because of a signal.
    Entering(Option<Job>, Instant),
    /// The application runs.
    Running(Run),
}

/// A request that runs.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) about: About,
    pub(crate) since: Instant,
    /// When its client is answered in its place.
    pub(crate) deadline: Option<Instant>,
    client: Option<ClientHandle>,
    /// What was raised in it, and when that was decided.
    pub(crate) interruption: Option<(Interruption, Instant)>,
    raising: Raising,
    /// The application has come to its end: nothing is raised any more.
    pub(crate) sealed: bool,
    pub(crate) told: Told,
}

/// What has been told of a request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told {
    /// That it is slow.
    pub(crate) slow: bool,
    /// That it is interrupted.
    pub(crate) interrupted: bool,
    /// That nobody counts on its end any more.
    pub(crate) given_up: bool,
}

/// How far the exception is that is raised in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Raising {
    /// There is none, or it waits for the interpreter.
    Nothing,
    /// It is just being set.
    Now,
    /// It has been set.
    Done,
}

/// What the log says of a request.
#[derive(Clone, Debug)]
pub(crate) struct About {
    pub(crate) id: RequestId,
    pub(crate) method: Method,
    /// As the client sent it.
    pub(crate) target: Bytes,
}

/// Names one request of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Serial(u64);

/// What somebody who watches sees.
#[derive(Debug)]
pub(crate) enum Seen {
    Idle,
    /// Since when it waits for its interpreter.
    Entering(Instant),
    Running {
        serial: Serial,
        run: Box<Run>,
        progress: Progress,
    },
}

impl Slot {
    pub(crate) fn new() -> Self {
        let state = State { stage: Stage::Idle, thread: None, serial: 0 };
        let (interrupted, progress) = (Condvar::new(), AtomicU64::new(NOTHING));
        Self { state: Mutex::new(state), interrupted, progress, epoch: Instant::now() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread that calls is the one of this slot from now on.
    pub(crate) fn settle(&self, py: Python<'_>) {
        self.lock().thread = Some(ThreadIdent::current(py));
    }

    /// Leaves the job here, if there is one, while the thread waits for its interpreter from now on, which may be in vain. Called
    /// detached.
    pub(crate) fn leave(&self, job: Option<Job>, now: Instant) {
        self.lock().stage = Stage::Entering(job, now);
    }

    /// The thread has its interpreter: the job it left, unless somebody has taken that away meanwhile.
    pub(crate) fn enter(&self, watch_client: bool) -> Option<Job> {
        let mut state = self.lock();
        match std::mem::replace(&mut state.stage, Stage::Idle) {
            Stage::Entering(Some(job), _) => {
                self.progress.store(NOTHING, Ordering::Relaxed);
                state.serial += 1;
                state.stage = Stage::Running(Run::new(&job, watch_client));
                Some(job)
            }
            Stage::Entering(None, _) => None,
            stage => {
                state.stage = stage;
                None
            }
        }
    }

    /// Takes a job away whose thread waits for its interpreter.
    pub(crate) fn take_away(&self) -> Option<Job> {
        let mut state = self.lock();
        match &mut state.stage {
            Stage::Entering(job, _) => job.take(),
            Stage::Idle | Stage::Running(_) => None,
        }
    }

    /// A part of the response is on its way, and may wait for the client.
    pub(crate) fn sending(&self) {
        self.progress.store(SENDING, Ordering::Relaxed);
    }

    /// The application goes on, with its response sent or not.
    pub(crate) fn sent(&self, is_complete: bool) {
        let time = || u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX).max(FIRST_TIME);
        self.progress.store(if is_complete { COMPLETE } else { time() }, Ordering::Relaxed);
    }

    fn progress(&self) -> Progress {
        match self.progress.load(Ordering::Relaxed) {
            NOTHING => Progress::Nothing,
            SENDING => Progress::Sending,
            COMPLETE => Progress::Complete,
            time => Progress::Open(self.epoch + Duration::from_nanos(time)),
        }
    }

    /// The application has come to its end: what was to be raised in it, and was not yet, is taken back. Called by the slot's
    /// own thread. Says what was raised.
    pub(crate) fn seal(&self, py: Python<'_>) -> Option<Interruption> {
        let mut state = self.lock();
        let Stage::Running(run) = &mut state.stage else { return None };
        run.sealed = true;
        let (mut raising, interruption) = (run.raising, run.interruption);
        drop(state);
        if raising == Raising::Now {
            // Only where threads of one interpreter run at once.
            py.detach(|| {
                let mut state = self.lock();
                while let Stage::Running(Run { raising: Raising::Now, .. }) = &state.stage {
                    state = self.interrupted.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            });
            raising = Raising::Done;
        }
        if raising == Raising::Done {
            py.forget_interruption();
            return interruption.map(|(interruption, _)| interruption);
        }
        None
    }

    /// What has been raised in the request that runs.
    pub(crate) fn raised(&self) -> Option<Interruption> {
        match &self.lock().stage {
            Stage::Running(run) if run.raising != Raising::Nothing => run.interruption.map(|(kind, _)| kind),
            _ => None,
        }
    }

    /// The request is over. Says whether nobody counts on its thread any more.
    pub(crate) fn finish(&self, py: Python<'_>) -> bool {
        self.seal(py);
        let stage = std::mem::replace(&mut self.lock().stage, Stage::Idle);
        matches!(stage, Stage::Running(Run { told: Told { given_up: true, .. }, .. }))
    }

    pub(crate) fn look(&self) -> Seen {
        let state = self.lock();
        match &state.stage {
            Stage::Idle => Seen::Idle,
            Stage::Entering(_, since) => Seen::Entering(*since),
            Stage::Running(run) => {
                Seen::Running { serial: Serial(state.serial), run: Box::new(run.clone()), progress: self.progress() }
            }
        }
    }

    /// Notes something about a request, if it still runs.
    pub(crate) fn note(&self, serial: Serial, note: impl FnOnce(&mut Run)) {
        let mut state = self.lock();
        if state.serial == serial.0
            && let Stage::Running(run) = &mut state.stage
        {
            note(run);
        }
    }

    /// The stack of a request's thread, if it still runs. Called by another thread that is attached to the slot's interpreter.
    pub(crate) fn stack(&self, py: Python<'_>, serial: Serial) -> Option<String> {
        let thread = self.thread(serial)?;
        Some(py.stack_of(thread))
    }

    /// The same without the interpreter, as far as it can be told.
    pub(crate) fn thread(&self, serial: Serial) -> Option<ThreadIdent> {
        let state = self.lock();
        let runs = state.serial == serial.0 && matches!(state.stage, Stage::Running(_));
        state.thread.filter(|_| runs)
    }

    /// Raises what was decided, once. Called by another thread that is attached to the slot's interpreter.
    pub(crate) fn raise(&self, py: Python<'_>) {
        let mut state = self.lock();
        let (serial, Some(thread)) = (Serial(state.serial), state.thread) else { return };
        let Stage::Running(run) = &mut state.stage else { return };
        let Some((interruption, _)) = run.interruption else { return };
        if run.raising != Raising::Nothing || run.sealed {
            return;
        }
        run.raising = Raising::Now;
        drop(state);
        py.interrupt(thread, interruption);
        self.note(serial, |run| run.raising = Raising::Done);
        self.interrupted.notify_all();
    }
}

impl Run {
    fn new(job: &Job, watch_client: bool) -> Self {
        let request = &job.request;
        Self {
            about: About { id: request.id, method: request.method.clone(), target: request.target.clone() },
            since: Instant::now(),
            deadline: job.deadline,
            client: watch_client.then(|| job.responder.client()),
            interruption: None,
            raising: Raising::Nothing,
            sealed: false,
            told: Told::default(),
        }
    }

    /// Whether its client has left, where anybody wants to know.
    pub(crate) fn is_client_gone(&self) -> bool {
        self.client.as_ref().is_some_and(ClientHandle::is_gone)
    }
}

/// Shared by a thread and those who watch it.
pub(crate) type SharedSlot = Arc<Slot>;
