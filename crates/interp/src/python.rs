//! The proof that this thread is attached to an interpreter, and the way to detach for a while.

use std::{cell::Cell, marker::PhantomData};

use pyo3_ffi as ffi;

thread_local! {
    /// Whether this OS thread is attached. CPython keeps the same fact, but only for the main interpreter in a form
    /// that may be asked.
    static ATTACHED: Cell<bool> = const { Cell::new(false) };
}

/// Proof that the current OS thread is attached to an interpreter (holds its GIL, where it has one).
///
/// The lifetime is that of the attachment, so no object outlives it; it is invariant, so objects of two attachments do
/// not mix. The token is neither `Send` nor `Sync`.
#[derive(Clone, Copy, Debug)]
pub struct Python<'py> {
    _attachment: PhantomData<(Cell<&'py ()>, *mut ())>,
}

impl Python<'_> {
    /// # Safety
    ///
    /// The caller must be attached to an interpreter for all of `'py`, or detach only by [`Python::detach`].
    pub(crate) unsafe fn assume_attached() -> Self {
        Self { _attachment: PhantomData }
    }

    /// Detaches this thread while `blocking` runs, so that others can run Python code. Objects stay alive but are out
    /// of reach: none of them is `Send`.
    pub fn detach<R: Send>(self, blocking: impl FnOnce() -> R + Send) -> R {
        let _detached = Detached::new(self);
        blocking()
    }
}

/// Undoes itself when dropped: the thread is attached again, also when the closure panicked.
struct Detached(*mut ffi::PyThreadState);

impl Detached {
    fn new(_py: Python<'_>) -> Self {
        set_attached(false);
        // SAFETY: the token proves that this thread is attached.
        Self(unsafe { ffi::PyEval_SaveThread() })
    }
}

impl Drop for Detached {
    fn drop(&mut self) {
        // SAFETY: the state came from PyEval_SaveThread on this thread, and nothing has attached it since.
        unsafe { ffi::PyEval_RestoreThread(self.0) };
        set_attached(true);
    }
}

/// Notes that this thread is attached now, or no longer.
pub(crate) fn set_attached(attached: bool) {
    ATTACHED.set(attached);
}

/// Panics where this thread is attached already: two attachments at once would mix two interpreters' objects.
pub(crate) fn assert_detached() {
    assert!(!ATTACHED.get(), "this thread is attached to an interpreter already; detach first");
}
