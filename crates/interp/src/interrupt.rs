//! What one thread can do to another that runs Python code in the same interpreter: raise an exception in it, and look at
//! its stack.

use std::{ffi::c_ulong, fs};

use pyo3_ffi as ffi;

use crate::{
    bootstrap,
    calls::{self, Call},
    error::Raised,
    object::Object,
    python::Python,
};

/// Names an OS thread, to Python and to the system. Threads that have ended may share it with new ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ThreadIdent {
    python: c_ulong,
    system: libc::pid_t,
    /// The address of the thread state that it was attached with; compared, and read only as memory is by the system.
    state: usize,
}

impl ThreadIdent {
    /// The thread that calls, in the interpreter that it is attached to.
    pub fn current(_py: Python<'_>) -> Self {
        // SAFETY: attached.
        let state = unsafe { ffi::PyThreadState_Get() }.addr();
        // SAFETY: asks the system for this thread's handle; needs no attachment.
        let python = unsafe { ffi::PyThread_get_thread_ident() };
        // SAFETY: asks the system for this thread's number, which is always there.
        let system = unsafe { libc::gettid() };
        Self { python, system, state }
    }
}

/// The exceptions that are raised in code that runs already. Python finds the classes in the module `stack`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// `stack.RequestTimeout`, a `TimeoutError`.
    RequestTimeout,
    /// `stack.ClientGone`, a `ConnectionAbortedError`.
    ClientGone,
}

impl Interruption {
    /// The class's name.
    pub fn class(self) -> &'static str {
        match self {
            Self::RequestTimeout => "RequestTimeout",
            Self::ClientGone => "ClientGone",
        }
    }
}

impl<'py> Python<'py> {
    /// Has the exception raised in a thread of this interpreter, as soon as it runs Python code: one that waits in C runs
    /// none until that returns. False where no such thread is there. A second one before it is raised takes its place.
    pub fn interrupt(self, thread: ThreadIdent, interruption: Interruption) -> bool {
        // It was defined when the interpreter was made. Without memory for its name nothing can be raised.
        let Ok(class) = bootstrap::lookup(self, interruption.class()) else { return false };
        // SAFETY: attached, and the class is alive; the thread gets a reference of its own.
        let found = unsafe { ffi::PyThreadState_SetAsyncExc(thread.python.cast_signed(), class.as_ptr()) };
        found > 0
    }

    /// Takes back what was to be raised in the thread that calls, and was not yet.
    pub fn forget_interruption(self) {
        let own = ThreadIdent::current(self).python.cast_signed();
        // SAFETY: attached; null takes back.
        unsafe { ffi::PyThreadState_SetAsyncExc(own, std::ptr::null_mut()) };
    }

    /// The Python stack of a thread of this interpreter as a traceback prints it, the innermost call last. Empty where it runs
    /// none.
    pub fn stack_of(self, thread: ThreadIdent) -> String {
        let stack = || {
            let Some(frame) = self.frame_of(thread)? else { return Ok(Vec::new()) };
            let most = Object::int(self, i64::try_from(calls::SHOWN).unwrap_or(i64::MAX))?;
            let fields = bootstrap::call(self, "stack_of", &[&frame, &most])?.strings(self);
            let call = |call: &[String]| match call {
                [file, line, name] => Some(Call { file: file.clone(), line: line.parse().ok(), name: name.clone() }),
                _ => None,
            };
            Ok(fields.chunks(3).filter_map(call).collect())
        };
        stack().map_or_else(
            |raised: Raised<'_>| raised.into_exception(self).to_string(),
            |calls| self.detach(|| calls::describe(calls)),
        )
    }

    /// The innermost frame of a thread, which does not run meanwhile.
    ///
    /// Never by way of `sys._current_frames`: that makes frame objects for the threads of all interpreters, under the GIL of
    /// one, and what these do with them corrupts their memory.
    #[cfg(not(Py_GIL_DISABLED))]
    fn frame_of(self, thread: ThreadIdent) -> Result<Option<Object<'py>>, Raised<'py>> {
        // SAFETY: attached.
        let interpreter = unsafe { ffi::PyInterpreterState_Get() };
        // SAFETY: attached to this interpreter. A state leaves the list under its GIL only, which this thread has; one that
        // joins goes to the front.
        let mut state = unsafe { ffi::PyInterpreterState_ThreadHead(interpreter) };
        while !state.is_null() && state.addr() != thread.state {
            // SAFETY: as above.
            state = unsafe { ffi::PyThreadState_Next(state) };
        }
        if state.is_null() {
            return Ok(None);
        }
        // SAFETY: a state of this interpreter, alive as it is in the list; its thread runs nothing while this one has the GIL.
        let frame = unsafe { ffi::PyThreadState_GetFrame(state) };
        if frame.is_null() {
            return Ok(None);
        }
        // SAFETY: an owned reference.
        unsafe { Object::from_owned(self, frame.cast()) }.map(Some)
    }

    /// The same where threads run at once: CPython stops them all while it looks.
    #[cfg(Py_GIL_DISABLED)]
    fn frame_of(self, thread: ThreadIdent) -> Result<Option<Object<'py>>, Raised<'py>> {
        let frames = Object::import(self, "sys")?.call_method(self, "_current_frames", &[])?;
        let ident = Object::int(self, i64::try_from(thread.python).unwrap_or(i64::MAX))?;
        let frame = frames.call_method(self, "get", &[&ident])?;
        Ok(Some(frame).filter(|frame| !frame.is_none()))
    }
}

impl ThreadIdent {
    /// What can be said of the thread while its interpreter can not be entered, because a C call holds the GIL: its Python stack
    /// where that can be read, and where the system has it wait. It waits for nothing. The thread must not have ended.
    pub fn outside_stack(self) -> String {
        let of_system = |file: &str| {
            let text = fs::read_to_string(format!("/proc/self/task/{}/{file}", self.system)).unwrap_or_default();
            Some(text.trim().to_owned()).filter(|text| !text.is_empty() && text != "0")
        };
        let (state, wait) = (of_system("stat").and_then(|stat| state(&stat)), of_system("wchan"));
        let wait = wait.map(|wait| format!(", in the kernel's {wait}")).unwrap_or_default();
        let stack = self.python_stack().unwrap_or_default();
        format!("{stack}  the GIL is held in a C call; this thread is {}{wait}\n", state.unwrap_or("not there"))
    }

    #[cfg(all(Py_3_13, not(Py_GIL_DISABLED)))]
    fn python_stack(self) -> Option<String> {
        crate::outside::stack(self.state)
    }

    /// Older versions do not tell where they keep it, and threads without a GIL never wait for one.
    #[cfg(not(all(Py_3_13, not(Py_GIL_DISABLED))))]
    #[expect(clippy::unused_self, reason = "as in other versions")]
    fn python_stack(self) -> Option<String> {
        None
    }
}

/// A thread's state in words, out of its `stat` (see `proc_pid_stat`): behind its name, which may hold anything.
fn state(stat: &str) -> Option<&'static str> {
    let (_, fields) = stat.rsplit_once(") ")?;
    Some(match fields.chars().next()? {
        'R' => "running",
        'S' => "waiting",
        'D' => "waiting for a device",
        'T' | 't' => "stopped",
        _ => "ending",
    })
}
