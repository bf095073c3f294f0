//! Thread states: made and deleted on the OS thread that uses them.
//!
//! One taken along to another OS thread is never found again by CPython's per-thread look-up and leaks; one left over
//! makes `Py_EndInterpreter` abort the process.

use pyo3_ffi as ffi;

use crate::python::{Python, assert_detached, set_attached};

/// A new thread state of this OS thread, attached. Dropping it clears and deletes the state.
pub(crate) struct Attachment {
    state: *mut ffi::PyThreadState,
}

impl Attachment {
    /// Makes a thread state for this OS thread and attaches it.
    ///
    /// # Safety
    ///
    /// The caller must keep `interpreter` alive until the attachment is dropped.
    pub(crate) unsafe fn new(interpreter: *mut ffi::PyInterpreterState) -> Self {
        assert_detached();
        // SAFETY: the interpreter is alive, the caller's promise; this call needs no attachment.
        let state = unsafe { ffi::PyThreadState_New(interpreter) };
        assert!(!state.is_null(), "out of memory for a thread state");
        // SAFETY: the state is new, belongs to this OS thread, and no other state of this thread is attached.
        unsafe { ffi::PyEval_AcquireThread(state) };
        set_attached(true);
        Self { state }
    }

    /// The token of this attachment.
    #[expect(clippy::unused_self, reason = "the token must not outlive the attachment")]
    pub(crate) fn python(&self) -> Python<'_> {
        // SAFETY: attached from `new` to `drop`, and the token can not outlive `self`.
        unsafe { Python::assume_attached() }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        // SAFETY: the state is this thread's, attached, and holds no frame any more.
        unsafe { ffi::PyThreadState_Clear(self.state) };
        // SAFETY: cleared in the line above; this also detaches the thread.
        unsafe { ffi::PyThreadState_DeleteCurrent() };
        set_attached(false);
    }
}
