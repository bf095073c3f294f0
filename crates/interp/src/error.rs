//! Exceptions: raised in Python, as objects of one attachment and as plain data.

use std::fmt;

use pyo3_ffi as ffi;

use crate::{bootstrap, object::Object, python::Python};

/// An exception that Python raised: the object, fetched.
#[derive(Debug)]
pub struct Raised<'py> {
    value: Option<Object<'py>>,
}

impl<'py> Raised<'py> {
    /// Takes the exception that is set; where a C call said "raised" and none is, that is CPython's `SystemError`.
    pub(crate) fn fetch(py: Python<'py>) -> Self {
        Self::take(py).unwrap_or(Self { value: None })
    }

    /// Takes the exception that is set, if any.
    pub(crate) fn take(py: Python<'py>) -> Option<Self> {
        let value = fetch_raised();
        if value.is_null() {
            return None;
        }
        // SAFETY: an owned reference, not null.
        unsafe { Object::from_owned(py, value) }.ok().map(|value| Self { value: Some(value) })
    }

    /// An exception object, to be raised by hand. Anything else is a `TypeError`, as in a `raise` statement: CPython takes
    /// what it is given here for an exception without a look.
    pub fn from_object(py: Python<'py>, value: Object<'py>) -> Self {
        // SAFETY: attached, alive; reads its type only.
        if unsafe { ffi::PyExceptionInstance_Check(value.as_ptr()) } != 0 {
            return Self { value: Some(value) };
        }
        Raise::type_error(format!("exceptions must derive from BaseException, not {}", value.type_name(py)))
            .restore(py);
        Self::fetch(py)
    }

    /// Sets it again: what a function called by Python does before it answers null.
    pub(crate) fn restore(self) {
        match self.value {
            Some(value) => set_raised(value.into_ptr()),
            // SAFETY: attached, as the token of this value's maker proved; sets CPython's error for a broken call.
            None => unsafe { ffi::PyErr_BadInternalCall() },
        }
    }

    /// The exception object; `None` where CPython said that it raised and had set none.
    pub fn object(&self) -> Option<&Object<'py>> {
        self.value.as_ref()
    }

    /// Whether it is an instance of `kind` or of a subclass.
    pub fn is(&self, kind: Raises) -> bool {
        self.value.as_ref().is_some_and(|value| {
            // SAFETY: attached, alive; reads types only.
            unsafe { ffi::PyErr_GivenExceptionMatches(value.as_ptr(), kind.as_ptr()) == 1 }
        })
    }

    /// Turns it into plain data, traceback included.
    pub fn into_exception(self, py: Python<'py>) -> Exception {
        self.describe(py)
    }

    /// The same, while it is kept.
    pub fn describe(&self, py: Python<'py>) -> Exception {
        let Some(value) = &self.value else {
            return Exception {
                kind: "SystemError".into(),
                message: "no exception was set".into(),
                ..Exception::default()
            };
        };
        bootstrap::describe(py, value).unwrap_or_else(|_| {
            let (kind, message) = (value.type_name(py), value.display(py));
            let traceback = format!("{kind}: {message}\n");
            Exception { kind, message, traceback, module: None }
        })
    }
}

#[cfg(Py_3_12)]
fn fetch_raised() -> *mut ffi::PyObject {
    // SAFETY: attached, as every caller proves with a token; gives an owned reference or null.
    unsafe { ffi::PyErr_GetRaisedException() }
}

#[cfg(Py_3_12)]
fn set_raised(value: *mut ffi::PyObject) {
    // SAFETY: attached; takes over the reference.
    unsafe { ffi::PyErr_SetRaisedException(value) };
}

#[cfg(not(Py_3_12))]
fn fetch_raised() -> *mut ffi::PyObject {
    let (mut kind, mut value, mut traceback) = (std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: attached; fills the three places with owned references or null.
    unsafe { ffi::PyErr_Fetch(&raw mut kind, &raw mut value, &raw mut traceback) };
    if kind.is_null() {
        return std::ptr::null_mut();
    }
    // SAFETY: as fetched; makes `value` an instance of `kind`.
    unsafe { ffi::PyErr_NormalizeException(&raw mut kind, &raw mut value, &raw mut traceback) };
    if !traceback.is_null() {
        // SAFETY: both alive; the instance takes a reference of its own.
        unsafe { ffi::PyException_SetTraceback(value, traceback) };
    }
    // SAFETY: owned since the fetch.
    unsafe { ffi::Py_XDECREF(traceback) };
    // SAFETY: owned since the fetch.
    unsafe { ffi::Py_XDECREF(kind) };
    value
}

#[cfg(not(Py_3_12))]
fn set_raised(value: *mut ffi::PyObject) {
    // SAFETY: alive; an exception always has a type.
    let kind = unsafe { ffi::Py_TYPE(value) }.cast::<ffi::PyObject>();
    // SAFETY: alive through its instance.
    unsafe { ffi::Py_INCREF(kind) };
    // SAFETY: alive; gives an owned reference or null.
    let traceback = unsafe { ffi::PyException_GetTraceback(value) };
    // SAFETY: takes over all three references.
    unsafe { ffi::PyErr_Restore(kind, value, traceback) };
}

/// Python's exception classes that Rust code raises or looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Raises {
    /// `AssertionError`, which PEP 3333 names for a second `start_response` without `exc_info`.
    AssertionError,
    /// `ImportError`.
    ImportError,
    /// `ModuleNotFoundError`.
    ModuleNotFoundError,
    /// `OSError`.
    OSError,
    /// `RuntimeError`.
    RuntimeError,
    /// `TypeError`.
    TypeError,
    /// `ValueError`.
    ValueError,
}

impl Raises {
    fn as_ptr(self) -> *mut ffi::PyObject {
        let class = match self {
            Self::AssertionError => &raw const ffi::PyExc_AssertionError,
            Self::ImportError => &raw const ffi::PyExc_ImportError,
            Self::ModuleNotFoundError => &raw const ffi::PyExc_ModuleNotFoundError,
            Self::OSError => &raw const ffi::PyExc_OSError,
            Self::RuntimeError => &raw const ffi::PyExc_RuntimeError,
            Self::TypeError => &raw const ffi::PyExc_TypeError,
            Self::ValueError => &raw const ffi::PyExc_ValueError,
        };
        // SAFETY: these statics of CPython's are set before any code of ours runs and never change; the classes are
        // static types, shared by all interpreters.
        unsafe { *class }
    }
}

/// What a Rust function that Python called answers instead of a result.
#[derive(Debug)]
pub enum Raise<'py> {
    /// A new exception.
    New(Raises, String),
    /// One that was raised before, on its way through.
    Again(Raised<'py>),
}

impl<'py> Raise<'py> {
    /// The exception itself; a new one is made, and has no traceback.
    pub fn into_raised(self, py: Python<'py>) -> Raised<'py> {
        match self {
            Self::Again(raised) => raised,
            new @ Self::New(..) => {
                new.restore(py);
                Raised::fetch(py)
            }
        }
    }
}

impl Raise<'_> {
    /// A `TypeError`.
    pub fn type_error(message: impl Into<String>) -> Self {
        Self::New(Raises::TypeError, message.into())
    }

    /// A `ValueError`.
    pub fn value_error(message: impl Into<String>) -> Self {
        Self::New(Raises::ValueError, message.into())
    }

    /// Sets it as the raised exception.
    pub(crate) fn restore(self, py: Python<'_>) {
        match self {
            Self::Again(raised) => raised.restore(),
            Self::New(kind, message) => match Object::str(py, &message) {
                // SAFETY: attached, both alive.
                Ok(message) => unsafe { ffi::PyErr_SetObject(kind.as_ptr(), message.as_ptr()) },
                Err(raised) => raised.restore(),
            },
        }
    }
}

/// An exception as plain data: it may leave the interpreter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exception {
    /// The class's qualified name, with its module unless that is `builtins`.
    pub kind: String,
    /// `str()` of the exception.
    pub message: String,
    /// The traceback as Python prints it, causes included, without the import machinery's own frames.
    pub traceback: String,
    /// For a failed import: the module that was not found.
    pub module: Option<String>,
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

impl std::error::Error for Exception {}
