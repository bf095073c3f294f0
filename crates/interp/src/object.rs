//! Owned references to Python objects.

use std::{fmt, marker::PhantomData, mem::ManuallyDrop, ptr::NonNull};

use pyo3_ffi as ffi;

use crate::{
    error::{Raise, Raised},
    python::Python,
};

/// One owned reference to a Python object of the interpreter that `'py` is attached to. Dropping it gives it back.
pub struct Object<'py> {
    pointer: NonNull<ffi::PyObject>,
    py: PhantomData<Python<'py>>,
}

impl fmt::Debug for Object<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Object").field(&self.pointer).finish()
    }
}

impl Drop for Object<'_> {
    fn drop(&mut self) {
        // SAFETY: this value owns one reference, and its lifetime proves that the thread is attached.
        unsafe { ffi::Py_DECREF(self.pointer.as_ptr()) };
    }
}

impl Clone for Object<'_> {
    fn clone(&self) -> Self {
        // SAFETY: alive through `self`, and the thread is attached.
        unsafe { ffi::Py_INCREF(self.as_ptr()) };
        Self { pointer: self.pointer, py: PhantomData }
    }
}

impl<'py> Object<'py> {
    /// Takes over an owned reference; null is the raised exception.
    ///
    /// # Safety
    ///
    /// The caller must own a reference to `pointer`, an object of the attached interpreter, and give it up; or, where
    /// it is null, have an exception set.
    pub(crate) unsafe fn from_owned(py: Python<'py>, pointer: *mut ffi::PyObject) -> Result<Self, Raised<'py>> {
        match NonNull::new(pointer) {
            Some(pointer) => Ok(Self { pointer, py: PhantomData }),
            None => Err(Raised::fetch(py)),
        }
    }

    /// Makes an owned reference from a borrowed one; null is the raised exception.
    ///
    /// # Safety
    ///
    /// The caller must pass an object of the attached interpreter that is alive during this call; or null with an
    /// exception set.
    pub(crate) unsafe fn from_borrowed(py: Python<'py>, pointer: *mut ffi::PyObject) -> Result<Self, Raised<'py>> {
        // SAFETY: alive or null, the caller's promise.
        unsafe { ffi::Py_XINCREF(pointer) };
        // SAFETY: the reference was made in the line above.
        unsafe { Self::from_owned(py, pointer) }
    }

    /// The pointer, borrowed: valid as long as `self`.
    pub(crate) fn as_ptr(&self) -> *mut ffi::PyObject {
        self.pointer.as_ptr()
    }

    /// The pointer with its reference: the caller owns it now.
    pub(crate) fn into_ptr(self) -> *mut ffi::PyObject {
        ManuallyDrop::new(self).as_ptr()
    }

    /// Imports a module by its dotted name.
    pub fn import(py: Python<'py>, name: &str) -> Result<Self, Raised<'py>> {
        let name = Self::str(py, name)?;
        // SAFETY: attached, and the name is alive.
        let module = unsafe { ffi::PyImport_Import(name.as_ptr()) };
        // SAFETY: PyImport_Import returns an owned reference or raises.
        unsafe { Self::from_owned(py, module) }
    }

    /// `None`.
    pub fn none(py: Python<'py>) -> Self {
        // SAFETY: `None` always exists.
        let none = unsafe { ffi::Py_None() };
        // SAFETY: as above; it is immortal or counted, and `from_borrowed` counts.
        unsafe { Self::from_borrowed(py, none) }.expect("None exists")
    }

    /// Whether this is `None`.
    pub fn is_none(&self) -> bool {
        // SAFETY: comparing with the pointer of `None` reads nothing.
        self.as_ptr() == unsafe { ffi::Py_None() }
    }

    /// Whether both are the same object.
    pub fn is(&self, other: &Object<'py>) -> bool {
        self.pointer == other.pointer
    }

    /// `getattr(self, name)`.
    pub fn attr(&self, py: Python<'py>, name: &Object<'py>) -> Result<Object<'py>, Raised<'py>> {
        // SAFETY: attached, both alive.
        let value = unsafe { ffi::PyObject_GetAttr(self.as_ptr(), name.as_ptr()) };
        // SAFETY: an owned reference, or raised.
        unsafe { Object::from_owned(py, value) }
    }

    /// `getattr(self, name)` by text.
    pub fn attr_named(&self, py: Python<'py>, name: &str) -> Result<Object<'py>, Raised<'py>> {
        self.attr(py, &Object::str(py, name)?)
    }

    /// `getattr(self, name, None)`, which raises only what is no `AttributeError`.
    pub fn optional_attr(&self, py: Python<'py>, name: &Object<'py>) -> Result<Option<Object<'py>>, Raised<'py>> {
        let mut value = std::ptr::null_mut();
        // SAFETY: attached, both alive, and `value` takes an owned reference or null.
        let found = unsafe { ffi::compat::PyObject_GetOptionalAttr(self.as_ptr(), name.as_ptr(), &raw mut value) };
        match found {
            0 => Ok(None),
            // SAFETY: 1 comes with an owned reference, -1 with null and an exception.
            _ => unsafe { Object::from_owned(py, value) }.map(Some),
        }
    }

    /// `setattr(self, name, value)`.
    pub fn set_attr(&self, py: Python<'py>, name: &str, value: &Object<'py>) -> Result<(), Raised<'py>> {
        let name = Object::str(py, name)?;
        // SAFETY: attached, all alive.
        let outcome = unsafe { ffi::PyObject_SetAttr(self.as_ptr(), name.as_ptr(), value.as_ptr()) };
        check(py, outcome)
    }

    /// `callable(self)`.
    pub fn is_callable(&self) -> bool {
        // SAFETY: attached, alive.
        unsafe { ffi::PyCallable_Check(self.as_ptr()) == 1 }
    }

    /// Calls it with positional arguments.
    pub fn call(&self, py: Python<'py>, arguments: &[&Object<'py>]) -> Result<Object<'py>, Raised<'py>> {
        // The free place in front of the arguments lets a bound method put its own first one there, without a copy
        // (PEP 590, PY_VECTORCALL_ARGUMENTS_OFFSET).
        let mut places = [std::ptr::null_mut(); 5];
        assert!(arguments.len() < places.len(), "at most four arguments");
        for (place, argument) in places[1..].iter_mut().zip(arguments) {
            *place = argument.as_ptr();
        }
        let flags = arguments.len() | ffi::PY_VECTORCALL_ARGUMENTS_OFFSET;
        // SAFETY: `places[1..]` is within the array.
        let first = unsafe { places.as_mut_ptr().add(1) }.cast_const();
        // SAFETY: attached; callee and arguments are alive through their references.
        let result = unsafe { ffi::PyObject_Vectorcall(self.as_ptr(), first, flags, std::ptr::null_mut()) };
        // SAFETY: an owned reference, or raised.
        unsafe { Object::from_owned(py, result) }
    }

    /// `self.name(*arguments)`.
    pub fn call_method(
        &self,
        py: Python<'py>,
        name: &str,
        arguments: &[&Object<'py>],
    ) -> Result<Object<'py>, Raised<'py>> {
        self.attr_named(py, name)?.call(py, arguments)
    }

    /// `iter(self)`.
    pub fn items(&self, py: Python<'py>) -> Result<Items<'py>, Raised<'py>> {
        // SAFETY: attached, alive.
        let iterator = unsafe { ffi::PyObject_GetIter(self.as_ptr()) };
        // SAFETY: an owned reference, or raised.
        Ok(Items { iterator: unsafe { Object::from_owned(py, iterator) }?, py })
    }

    /// Whether its type is exactly `kind`.
    pub fn is_exactly(&self, kind: &Object<'py>) -> bool {
        // SAFETY: alive; every object has a type, and the comparison reads nothing behind it.
        std::ptr::eq(unsafe { ffi::Py_TYPE(self.as_ptr()) }.cast(), kind.as_ptr())
    }

    /// The name of its type, for messages.
    pub fn type_name(&self, py: Python<'py>) -> String {
        // SAFETY: attached, alive.
        let kind = unsafe { ffi::PyObject_Type(self.as_ptr()) };
        // SAFETY: an owned reference: another thread may give the object another class while this one reads the name.
        let kind = unsafe { Object::from_owned(py, kind) };
        let name = kind.and_then(|kind| kind.attr_named(py, "__name__"));
        name.ok().and_then(|name| name.text().map(|text| text.to_string())).unwrap_or_else(|| "object".into())
    }

    /// The items of an exact `list` or `tuple`; `None` for anything else. Where another thread changes a list meanwhile,
    /// some of what it held before and after.
    pub fn sequence(&self, py: Python<'py>) -> Option<Vec<Object<'py>>> {
        let length = self.sequence_len()?;
        let mut items = Vec::with_capacity(length);
        items.extend((0..length).map_while(|index| self.sequence_item(py, index)));
        Some(items)
    }

    /// The length of an exact `list` or `tuple`; `None` for anything else. A list may have another when it is read.
    pub fn sequence_len(&self) -> Option<usize> {
        let length = match self.sequence_kind()? {
            // SAFETY: an exact list.
            Sequence::List => unsafe { ffi::PyList_GET_SIZE(self.as_ptr()) },
            // SAFETY: an exact tuple.
            Sequence::Tuple => unsafe { ffi::PyTuple_GET_SIZE(self.as_ptr()) },
        };
        usize::try_from(length).ok()
    }

    /// One item of an exact `list` or `tuple`; `None` where there is none.
    pub fn sequence_item(&self, py: Python<'py>, index: usize) -> Option<Object<'py>> {
        let index = ffi::Py_ssize_t::try_from(index).ok()?;
        let item = match self.sequence_kind()? {
            Sequence::List => {
                // SAFETY: an exact list; the call checks the index and gives an owned reference.
                let item = unsafe { ffi::compat::PyList_GetItemRef(self.as_ptr(), index) };
                // SAFETY: owned, or raised.
                unsafe { Object::from_owned(py, item) }
            }
            Sequence::Tuple => {
                // SAFETY: an exact tuple; the call checks the index and gives a borrowed reference.
                let item = unsafe { ffi::PyTuple_GetItem(self.as_ptr(), index) };
                // SAFETY: alive through the tuple, which never changes; or raised.
                unsafe { Object::from_borrowed(py, item) }
            }
        };
        item.ok()
    }

    fn sequence_kind(&self) -> Option<Sequence> {
        // SAFETY: alive; reads its type only.
        if unsafe { ffi::PyList_CheckExact(self.as_ptr()) } != 0 {
            return Some(Sequence::List);
        }
        // SAFETY: as above.
        (unsafe { ffi::PyTuple_CheckExact(self.as_ptr()) } != 0).then_some(Sequence::Tuple)
    }

    /// A new list.
    pub fn list(py: Python<'py>, items: Vec<Object<'py>>) -> Result<Self, Raised<'py>> {
        // SAFETY: attached.
        let list = unsafe { ffi::PyList_New(0) };
        // SAFETY: owned, or raised.
        let list = unsafe { Self::from_owned(py, list) }?;
        for item in items {
            // SAFETY: an exact list; it takes a reference of its own.
            check(py, unsafe { ffi::PyList_Append(list.as_ptr(), item.as_ptr()) })?;
        }
        Ok(list)
    }

    /// A new tuple.
    pub fn tuple(py: Python<'py>, items: Vec<Object<'py>>) -> Result<Self, Raised<'py>> {
        let list = Self::list(py, items)?;
        // SAFETY: attached, an exact list.
        let tuple = unsafe { ffi::PyList_AsTuple(list.as_ptr()) };
        // SAFETY: owned, or raised.
        unsafe { Self::from_owned(py, tuple) }
    }

    /// A new, empty dictionary.
    pub fn dict(py: Python<'py>) -> Result<Self, Raised<'py>> {
        // SAFETY: attached.
        let dict = unsafe { ffi::PyDict_New() };
        // SAFETY: owned, or raised.
        unsafe { Self::from_owned(py, dict) }
    }

    /// A shallow copy of a dictionary.
    pub fn copy_dict(&self, py: Python<'py>) -> Result<Self, Raised<'py>> {
        // SAFETY: attached, alive; raises where it is no dictionary.
        let copy = unsafe { ffi::PyDict_Copy(self.as_ptr()) };
        // SAFETY: owned, or raised.
        unsafe { Self::from_owned(py, copy) }
    }

    /// `self[key] = value`, for a dictionary.
    pub fn set_item(&self, py: Python<'py>, key: &Object<'py>, value: &Object<'py>) -> Result<(), Raised<'py>> {
        // SAFETY: attached, all alive; raises where it is no dictionary.
        check(py, unsafe { ffi::PyDict_SetItem(self.as_ptr(), key.as_ptr(), value.as_ptr()) })
    }

    /// `del self[key]`, for a dictionary.
    pub fn delete_item(&self, py: Python<'py>, key: &Object<'py>) -> Result<(), Raised<'py>> {
        // SAFETY: attached, both alive; raises where it is no dictionary or has no such key.
        check(py, unsafe { ffi::PyDict_DelItem(self.as_ptr(), key.as_ptr()) })
    }

    /// `self.setdefault(key, default)`, for a dictionary: in one step, whatever other threads do.
    pub(crate) fn set_default(
        &self,
        py: Python<'py>,
        key: &Object<'py>,
        default: &Object<'py>,
    ) -> Result<Object<'py>, Raised<'py>> {
        let (dict, key, default) = (self.as_ptr(), key.as_ptr(), default.as_ptr());
        let mut value = std::ptr::null_mut();
        // SAFETY: attached, all alive, and `value` takes an owned reference, or null with an exception.
        unsafe { ffi::compat::PyDict_SetDefaultRef(dict, key, default, &raw mut value) };
        // SAFETY: as above.
        unsafe { Object::from_owned(py, value) }
    }

    /// `self.get(key)`, for a dictionary.
    pub fn item(&self, py: Python<'py>, key: &str) -> Result<Option<Object<'py>>, Raised<'py>> {
        let key = Object::str(py, key)?;
        let mut value = std::ptr::null_mut();
        // SAFETY: attached, both alive, and `value` takes an owned reference or null.
        let found = unsafe { ffi::compat::PyDict_GetItemRef(self.as_ptr(), key.as_ptr(), &raw mut value) };
        match found {
            0 => Ok(None),
            // SAFETY: 1 comes with an owned reference, -1 with null and an exception.
            _ => unsafe { Object::from_owned(py, value) }.map(Some),
        }
    }
}

enum Sequence {
    List,
    Tuple,
}

/// A Python iterator.
#[derive(Debug)]
pub struct Items<'py> {
    iterator: Object<'py>,
    py: Python<'py>,
}

impl<'py> Iterator for Items<'py> {
    type Item = Result<Object<'py>, Raised<'py>>;

    fn next(&mut self) -> Option<Self::Item> {
        // SAFETY: attached, an iterator.
        let item = unsafe { ffi::PyIter_Next(self.iterator.as_ptr()) };
        if item.is_null() {
            return Raised::take(self.py).map(Err);
        }
        // SAFETY: an owned reference.
        Some(unsafe { Object::from_owned(self.py, item) })
    }
}

/// The exception behind a C call's -1.
pub(crate) fn check(py: Python<'_>, outcome: std::ffi::c_int) -> Result<(), Raised<'_>> {
    if outcome < 0 { Err(Raised::fetch(py)) } else { Ok(()) }
}

impl<'py> From<Raised<'py>> for Raise<'py> {
    fn from(raised: Raised<'py>) -> Self {
        Self::Again(raised)
    }
}
