//! The one way from C into Rust.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3_ffi as ffi;

use crate::{
    error::{Raise, Raises},
    object::Object,
    python::Python,
};

/// What runs behind the trampoline.
pub(crate) type Entry<'a> = &'a dyn for<'py> Fn(Python<'py>) -> Result<Option<Object<'py>>, Raise<'py>>;

/// Runs `entry` for a caller in C: its result as an owned reference; an error, or a panic, as null with an exception
/// set. `Ok(None)` is null without an exception (the end of an iteration).
///
/// # Safety
///
/// The caller must be attached to an interpreter, as CPython is whenever it calls a function.
pub(crate) unsafe fn enter(entry: Entry<'_>) -> *mut ffi::PyObject {
    // SAFETY: the caller's promise; the token does not outlive this call.
    let py = unsafe { Python::assume_attached() };
    // A panic must not unwind into C. What it may have left half done is behind mutexes that know of poison, or is
    // dropped with the request.
    match catch_unwind(AssertUnwindSafe(|| entry(py))) {
        Ok(Ok(object)) => object.map_or(std::ptr::null_mut(), Object::into_ptr),
        Ok(Err(raise)) => {
            raise.restore(py);
            std::ptr::null_mut()
        }
        Err(panic) => {
            let message = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let message = message.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            Raise::New(Raises::RuntimeError, format!("internal error in stack: {message}")).restore(py);
            std::ptr::null_mut()
        }
    }
}
