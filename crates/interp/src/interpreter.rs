//! Interpreters: the main one, and sub-interpreters that have a GIL of their own.
//!
//! Life of a sub-interpreter: an OS thread creates it and is its owner, further threads join it by its
//! [`InterpreterHandle`], and when the owner's work is over and all have left, it is ended, or abandoned where ending it
//! would not be safe.

use std::{
    fmt,
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use pyo3_ffi as ffi;

use crate::{
    bootstrap,
    error::Exception,
    python::{Python, set_attached},
    thread_state::Attachment,
};

/// How long the end of an interpreter waits for threads that still run in it.
const LEAVE_TIME: Duration = Duration::from_secs(5);

/// Why an interpreter could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The linked Python can not give an interpreter a GIL of its own.
    #[error("Python {0} can not give an interpreter a GIL of its own (3.13 is the first that can)")]
    TooOld(&'static str),
    /// CPython refused.
    #[error("CPython could not make an interpreter: {0}")]
    Refused(String),
    /// The interpreter's own set-up raised.
    #[error("an interpreter's set-up raised an exception")]
    SetUp(#[source] Exception),
    /// The interpreter has ended.
    #[error("the interpreter has ended")]
    Ended,
}

/// What became of an interpreter whose work was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was ended and its memory given back.
    Ended,
    /// Python 3.13 keeps all memory of an interpreter that ends, and may abort; a free-threaded Python can not tell whether
    /// other threads still run in it. Only the end of the process ends it.
    KeptByPython,
    /// Other threads still run in it; ending it under them crashes the process.
    KeptByThreads,
}

struct Shared {
    pointer: *mut ffi::PyInterpreterState,
    gate: Mutex<Gate>,
    left: Condvar,
}

/// Who is inside.
struct Gate {
    threads: usize,
    closed: bool,
}

// SAFETY: the pointer is only used to make thread states, by threads that the gate counts in while the interpreter is
// alive; CPython allows that from any thread.
unsafe impl Send for Shared {}
// SAFETY: as above; the gate is a mutex.
unsafe impl Sync for Shared {}

/// Lets further OS threads into an interpreter. Clones share it.
#[derive(Clone)]
pub struct InterpreterHandle(Arc<Shared>);

impl fmt::Debug for InterpreterHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("InterpreterHandle").field(&self.0.pointer).finish()
    }
}

impl InterpreterHandle {
    /// # Safety
    ///
    /// The caller must keep the interpreter alive until it has called `close_gate` and seen the last thread leave; the
    /// main interpreter lives as long as the process.
    pub(crate) unsafe fn new(pointer: *mut ffi::PyInterpreterState) -> Self {
        let gate = Mutex::new(Gate { threads: 0, closed: false });
        Self(Arc::new(Shared { pointer, gate, left: Condvar::new() }))
    }

    /// Attaches this OS thread, with a thread state of its own, while `body` runs.
    pub fn run<R>(&self, body: impl for<'py> FnOnce(Python<'py>) -> R) -> Result<R, CreateError> {
        let _inside = Inside::enter(&self.0)?;
        // SAFETY: `_inside` is dropped after the attachment and keeps the interpreter alive until then.
        let attachment = unsafe { Attachment::new(self.0.pointer) };
        Ok(body(attachment.python()))
    }

    fn close_gate(&self) -> bool {
        let mut gate = self.0.gate.lock().unwrap_or_else(PoisonError::into_inner);
        gate.closed = true;
        let deadline = Instant::now() + LEAVE_TIME;
        while gate.threads > 0 {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else { return false };
            gate = self.0.left.wait_timeout(gate, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

/// Counts a thread in, and out again when dropped.
struct Inside<'a>(&'a Shared);

impl<'a> Inside<'a> {
    fn enter(shared: &'a Shared) -> Result<Self, CreateError> {
        let mut gate = shared.gate.lock().unwrap_or_else(PoisonError::into_inner);
        if gate.closed {
            return Err(CreateError::Ended);
        }
        gate.threads += 1;
        Ok(Self(shared))
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.gate.lock().unwrap_or_else(PoisonError::into_inner).threads -= 1;
        self.0.left.notify_all();
    }
}

/// A sub-interpreter with a GIL of its own. Only [`Interpreter::run`] makes one, for as long as its body runs.
///
/// On a free-threaded build it has no GIL either; what it still has of its own are its modules, which is of use to tests.
#[derive(Debug)]
pub struct Interpreter;

impl Interpreter {
    /// Makes an interpreter, runs `body` attached to it on this OS thread, and ends it.
    ///
    /// The body gets the handle by which further threads join; they should have left when it returns.
    pub fn run<R>(
        main: &InterpreterHandle,
        body: impl for<'py> FnOnce(Python<'py>, &InterpreterHandle) -> R,
    ) -> Result<(R, Ending), CreateError> {
        // A new interpreter reads the whole environment, which one that loads may be writing.
        let loading = LoadGuard::wait();
        let owner = Owner::create(main)?;
        let py = owner.python();
        let prepared = bootstrap::install(py, true).and_then(|()| py.register_thread("stack"));
        prepared.map_err(|raised| CreateError::SetUp(raised.into_exception(py)))?;
        drop(loading);
        let result = body(py, &owner.handle);
        Ok((result, owner.end()))
    }
}

/// The creating thread's attachment: to the thread state that CPython made together with the interpreter.
struct Owner {
    state: *mut ffi::PyThreadState,
    handle: InterpreterHandle,
    over: bool,
}

impl Owner {
    #[cfg(not(Py_3_13))]
    fn create(_main: &InterpreterHandle) -> Result<Self, CreateError> {
        Err(CreateError::TooOld(env!("STACK_PYTHON_VERSION")))
    }

    #[cfg(Py_3_13)]
    fn create(main: &InterpreterHandle) -> Result<Self, CreateError> {
        // Agents, schedulers and queue listeners run daemon threads; fork and exec only ever kill or replace the server.
        let config = ffi::PyInterpreterConfig {
            use_main_obmalloc: 0,
            allow_fork: 0,
            allow_exec: 0,
            allow_threads: 1,
            allow_daemon_threads: 1,
            check_multi_interp_extensions: 1,
            gil: ffi::PyInterpreterConfig_OWN_GIL,
        };
        // CPython copies settings from the interpreter that the creating thread is attached to.
        let state = main.run(|_py| {
            // SAFETY: attached to the main interpreter, by a state that is swapped in again below.
            let main_state = unsafe { ffi::PyThreadState_Get() };
            let mut state = std::ptr::null_mut();
            // SAFETY: attached; both pointers are to live locals.
            let status = unsafe { ffi::Py_NewInterpreterFromConfig(&raw mut state, &raw const config) };
            // SAFETY: plain data.
            if unsafe { ffi::PyStatus_Exception(status) } != 0 {
                return Err(CreateError::Refused(crate::runtime::status_message(&status)));
            }
            // SAFETY: releases the new interpreter's GIL and attaches the main interpreter's state of this thread again.
            unsafe { ffi::PyThreadState_Swap(main_state) };
            Ok(state)
        })??;
        // SAFETY: made on this OS thread in the lines above, detached there; the thread is attached to nothing now.
        unsafe { ffi::PyEval_RestoreThread(state) };
        set_attached(true);
        // SAFETY: attached.
        let pointer = unsafe { ffi::PyInterpreterState_Get() };
        // SAFETY: `end` closes the gate before it ends the interpreter.
        let handle = unsafe { InterpreterHandle::new(pointer) };
        Ok(Self { state, handle, over: false })
    }

    #[expect(clippy::unused_self, reason = "the token must not outlive the owner")]
    fn python(&self) -> Python<'_> {
        // SAFETY: attached since `create`, until `end` takes `self`.
        unsafe { Python::assume_attached() }
    }

    /// Ends the interpreter, or leaves it to the end of the process.
    fn end(mut self) -> Ending {
        let handle = &self.handle;
        let left = self.python().detach(|| handle.close_gate());
        self.over = true;
        let ending = match () {
            () if cfg!(any(not(Py_3_14), Py_GIL_DISABLED)) => Ending::KeptByPython,
            () if left && self.is_last_thread() => Ending::Ended,
            () => Ending::KeptByThreads,
        };
        if ending == Ending::Ended {
            // SAFETY: attached to its last thread state, with no frame left.
            unsafe { ffi::Py_EndInterpreter(self.state) };
        } else {
            // SAFETY: attached; the state stays behind with its interpreter.
            unsafe { ffi::PyEval_SaveThread() };
        }
        set_attached(false);
        ending
    }

    /// Whether no thread state is left but the owner's: daemon threads that run Python code while their interpreter ends
    /// crash the process.
    fn is_last_thread(&self) -> bool {
        // SAFETY: attached to this interpreter.
        let first = unsafe { ffi::PyInterpreterState_ThreadHead(self.handle.0.pointer) };
        // SAFETY: the interpreter has at least the owner's state. The list changes by threads that are attached, which is
        // this one now, since `end` asks only where the interpreter has a GIL; the gate keeps further threads of ours out.
        let second = unsafe { ffi::PyThreadState_Next(first) };
        first == self.state && second.is_null()
    }
}

impl Drop for Owner {
    /// Where the body panicked or the set-up raised, the interpreter is left to the end of the process.
    fn drop(&mut self) {
        if self.over {
            return;
        }
        // SAFETY: attached since `create`.
        unsafe { ffi::PyEval_SaveThread() };
        set_attached(false);
    }
}

/// Whether an application is being loaded somewhere in this process.
static LOADING: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

/// Held while an interpreter is made or an application loaded: one at a time in the process. All share the environment, and
/// `os.environ` writes that race `tzset` crash in C libraries older than glibc 2.41; Django does both while it loads.
#[derive(Debug)]
pub struct LoadGuard(());

impl LoadGuard {
    /// Waits, detached, until no other interpreter loads.
    pub fn acquire(py: Python<'_>) -> Self {
        py.detach(Self::wait)
    }

    fn wait() -> Self {
        let mut loading = LOADING.0.lock().unwrap_or_else(PoisonError::into_inner);
        while *loading {
            loading = LOADING.1.wait(loading).unwrap_or_else(PoisonError::into_inner);
        }
        *loading = true;
        Self(())
    }
}

impl Drop for LoadGuard {
    fn drop(&mut self) {
        *LOADING.0.lock().unwrap_or_else(PoisonError::into_inner) = false;
        LOADING.1.notify_one();
    }
}
