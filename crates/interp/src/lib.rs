//! Embedded CPython: the runtime, its interpreters and their threads, objects and their ownership, exceptions as plain
//! data.
//!
//! Nearly all `unsafe` code is here, because this alone talks to CPython's C interface; the front has two system calls. What it
//! gives out is safe: an [`Object`] can neither leave the thread and the attachment it belongs to, nor reach another
//! interpreter. It knows neither HTTP nor WSGI.
//!
//! Invariants:
//! - A [`Python`] token exists only while its OS thread is attached to its interpreter; a thread is attached to at most
//!   one interpreter at a time.
//! - A thread state is made, used and deleted on one OS thread. Each pair of C calls lives in one guard.
//! - No Python object stands in a `static`, none is `Send`, none crosses an interpreter. Only plain data leaves.
//! - Every entry from C into Rust goes through one trampoline that turns a panic into a Python exception.

mod bootstrap;
mod calls;
mod class;
mod convert;
mod error;
mod faults;
mod interpreter;
mod interrupt;
mod object;
#[cfg(all(Py_3_13, not(Py_GIL_DISABLED)))]
mod outside;
mod python;
mod runtime;
mod thread_state;
mod trampoline;
mod venv;

pub use bootstrap::{ExtensionRefusal, refusals_after_loads, refusals_on_this_thread, widen_signal_stack};
pub use class::{Arguments, Class, MethodDef, MethodFn, Type};
pub use convert::Text;
pub use error::{Exception, Raise, Raised, Raises};
pub use faults::end_by_sent_faults;
pub use interpreter::{CreateError, Ending, Interpreter, InterpreterHandle, LoadGuard};
pub use interrupt::{Interruption, ThreadIdent};
pub use object::{Items, Object};
pub use python::Python;
pub use runtime::{Runtime, RuntimeError, RuntimeSettings, Version};
pub use venv::{Venv, VenvError};
