//! Between Python's values and Rust's.

use std::{borrow::Cow, ffi::CString, fmt, os::fd::BorrowedFd};

use pyo3_ffi as ffi;

use crate::{error::Raised, object::Object, python::Python};

/// The text of a `str`, by how CPython stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text<'a> {
    /// Code points up to U+00FF, one byte each: what PEP 3333 calls a native string of latin-1.
    Latin1(&'a [u8]),
    /// Wider code points.
    Wide(&'a str),
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latin1(bytes) => bytes.iter().try_for_each(|byte| write!(f, "{}", char::from(*byte))),
            Self::Wide(text) => f.write_str(text),
        }
    }
}

impl<'py> Object<'py> {
    /// A new `str`.
    pub fn str(py: Python<'py>, text: &str) -> Result<Self, Raised<'py>> {
        let length = text.len().cast_signed();
        // SAFETY: attached; pointer and length are those of a live `str`, which is UTF-8.
        let object = unsafe { ffi::PyUnicode_FromStringAndSize(text.as_ptr().cast(), length) };
        // SAFETY: owned, or raised.
        unsafe { Self::from_owned(py, object) }
    }

    /// A new `str` of latin-1 bytes: byte n becomes code point n.
    pub fn latin1(py: Python<'py>, bytes: &[u8]) -> Result<Self, Raised<'py>> {
        let length = bytes.len().cast_signed();
        // SAFETY: attached; pointer and length are those of a live slice.
        let object = unsafe { ffi::PyUnicode_DecodeLatin1(bytes.as_ptr().cast(), length, std::ptr::null()) };
        // SAFETY: owned, or raised.
        unsafe { Self::from_owned(py, object) }
    }

    /// A `str` that is kept once for each interpreter: for dictionary keys and attribute names in frequent use.
    pub fn interned(py: Python<'py>, text: &str) -> Result<Self, Raised<'py>> {
        let text = CString::new(text).expect("names have no NUL");
        // SAFETY: attached; the text ends with NUL.
        let object = unsafe { ffi::PyUnicode_InternFromString(text.as_ptr()) };
        // SAFETY: owned, or raised.
        unsafe { Self::from_owned(py, object) }
    }

    /// New `bytes`.
    pub fn bytes(py: Python<'py>, bytes: &[u8]) -> Result<Self, Raised<'py>> {
        // SAFETY: attached; pointer and length are those of a live slice.
        let object = unsafe { ffi::PyBytes_FromStringAndSize(bytes.as_ptr().cast(), bytes.len().cast_signed()) };
        // SAFETY: owned, or raised.
        unsafe { Self::from_owned(py, object) }
    }

    /// An `int`.
    pub fn int(py: Python<'py>, value: i64) -> Result<Self, Raised<'py>> {
        // SAFETY: attached.
        let object = unsafe { ffi::PyLong_FromLongLong(value) };
        // SAFETY: owned, or raised.
        unsafe { Self::from_owned(py, object) }
    }

    /// `True` or `False`.
    pub fn bool(py: Python<'py>, value: bool) -> Self {
        // SAFETY: attached.
        let object = unsafe { ffi::PyBool_FromLong(value.into()) };
        // SAFETY: owned; a bool always exists.
        unsafe { Self::from_owned(py, object) }.expect("bools exist")
    }

    /// The text of a `str` or a subclass of it; `None` for anything else, and for lone surrogates.
    pub fn text(&self) -> Option<Text<'_>> {
        // SAFETY: alive; reads its type only.
        if unsafe { ffi::PyUnicode_Check(self.as_ptr()) } == 0 {
            return None;
        }
        // SAFETY: a str.
        let kind = unsafe { ffi::PyUnicode_KIND(self.as_ptr()) };
        if kind == ffi::PyUnicode_1BYTE_KIND {
            // SAFETY: a str.
            let length = unsafe { ffi::PyUnicode_GET_LENGTH(self.as_ptr()) };
            // SAFETY: a str.
            let data = unsafe { ffi::PyUnicode_DATA(self.as_ptr()) }.cast::<u8>();
            // SAFETY: of this kind the data are `length` bytes, which never change and live as long as the object.
            return Some(Text::Latin1(unsafe { std::slice::from_raw_parts(data, length.unsigned_abs()) }));
        }
        let mut length = 0;
        // SAFETY: a str; the UTF-8 form is kept in the object and lives as long as it.
        let data = unsafe { ffi::PyUnicode_AsUTF8AndSize(self.as_ptr(), &raw mut length) };
        if data.is_null() {
            // SAFETY: attached; the encoding error is the caller's `None`.
            unsafe { ffi::PyErr_Clear() };
            return None;
        }
        // SAFETY: pointer and length come from the call above.
        let bytes = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), length.unsigned_abs()) };
        std::str::from_utf8(bytes).ok().map(Text::Wide)
    }

    /// The content of `bytes` or a subclass; `None` for anything else.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        // SAFETY: alive; reads its type only.
        if unsafe { ffi::PyBytes_Check(self.as_ptr()) } == 0 {
            return None;
        }
        // SAFETY: bytes.
        let data = unsafe { ffi::PyBytes_AsString(self.as_ptr()) };
        // SAFETY: bytes.
        let length = unsafe { ffi::PyBytes_Size(self.as_ptr()) };
        // SAFETY: bytes never change and live as long as the object, also while this thread is detached.
        Some(unsafe { std::slice::from_raw_parts(data.cast::<u8>(), length.unsigned_abs()) })
    }

    /// The value of an `int` (or of what has `__index__`) that fits.
    pub fn integer(&self, py: Python<'py>) -> Result<i64, Raised<'py>> {
        // SAFETY: attached, alive.
        let number = unsafe { ffi::PyNumber_Index(self.as_ptr()) };
        // SAFETY: owned, or raised.
        let number = unsafe { Object::from_owned(py, number) }?;
        // SAFETY: attached, an int.
        let value = unsafe { ffi::PyLong_AsLongLong(number.as_ptr()) };
        if value == -1 {
            return Raised::take(py).map_or(Ok(value), Err);
        }
        Ok(value)
    }

    /// `str(self)`, for messages; empty where that raises.
    pub fn display(&self, py: Python<'py>) -> String {
        // SAFETY: attached, alive.
        let text = unsafe { ffi::PyObject_Str(self.as_ptr()) };
        // SAFETY: owned, or raised.
        let text = unsafe { Object::from_owned(py, text) };
        text.ok().and_then(|text| text.lossy_text(py)).unwrap_or_default()
    }

    /// The text of a `str` for messages and logs, with lone surrogates written out as `\\udc80`; `None` for anything else.
    pub fn lossy_text(&self, py: Python<'py>) -> Option<String> {
        // SAFETY: alive; reads its type only.
        if unsafe { ffi::PyUnicode_Check(self.as_ptr()) } == 0 {
            return None;
        }
        if let Some(text) = self.text() {
            return Some(text.to_string());
        }
        let (encoding, errors) = (c"utf-8".as_ptr(), c"backslashreplace".as_ptr());
        // SAFETY: attached, a str; static texts that end with NUL.
        let bytes = unsafe { ffi::PyUnicode_AsEncodedString(self.as_ptr(), encoding, errors) };
        // SAFETY: owned, or raised.
        let bytes = unsafe { Object::from_owned(py, bytes) }.ok()?;
        Some(String::from_utf8_lossy(bytes.as_bytes()?).into_owned())
    }

    /// The strings of a list or tuple, for messages and logs; empty in the place of what is none.
    pub fn strings(&self, py: Python<'py>) -> Vec<String> {
        let items = self.sequence(py).unwrap_or_default();
        items.iter().map(|item| item.lossy_text(py).unwrap_or_default()).collect()
    }

    /// Bytes from a `str` as latin-1, or why it is none.
    pub fn latin1_text(&self) -> Option<Cow<'_, [u8]>> {
        match self.text()? {
            Text::Latin1(bytes) => Some(Cow::Borrowed(bytes)),
            Text::Wide(_) => None,
        }
    }

    /// A duplicate of the file descriptor that this `int` names, owned by the caller.
    pub fn duplicate_descriptor(&self, py: Python<'py>) -> std::io::Result<std::fs::File> {
        let number = self.integer(py).ok().and_then(|number| i32::try_from(number).ok()).filter(|number| *number >= 0);
        let number = number.ok_or(std::io::ErrorKind::InvalidInput)?;
        // SAFETY: it is borrowed for the duration of one call that makes a duplicate; where nothing is open under the
        // number, that call answers EBADF.
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        descriptor.try_clone_to_owned().map(Into::into)
    }
}
