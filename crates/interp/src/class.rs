//! Heap types: Python classes whose instances hold a Rust value.
//!
//! Each interpreter has a type object of its own, made on first use and kept in the interpreter's dictionary; static
//! types would be shared by all interpreters, and with them their reference counts and caches.

use std::{
    any::TypeId,
    ffi::{CStr, c_int, c_uint, c_void},
    fmt,
    marker::PhantomData,
    panic::{AssertUnwindSafe, catch_unwind},
};

use pyo3_ffi as ffi;

use crate::{
    error::{Raise, Raised},
    object::Object,
    python::Python,
    trampoline::{Entry, enter},
};

/// A Rust type whose values Python can hold.
///
/// Several Python threads may use one instance at a time, on a free-threaded build without any order, so it is `Sync`. It
/// holds no Python objects: it takes no part in garbage collection. When it is dropped is Python's business, and may be
/// long after its last use: what must end at a certain time needs a method that ends it.
pub trait Class: Send + Sync + Sized + 'static {
    /// Qualified name, such as `stack.Input`.
    const NAME: &'static CStr;
    /// The methods, closed by [`MethodDef::END`]; the macro [`methods!`](crate::methods) writes it.
    const METHODS: &'static [MethodDef<Self>];
    /// Whether instances are iterators, by [`Class::next`].
    const ITERATES: bool = false;

    /// The next item, `None` at the end.
    fn next<'py>(&self, _py: Python<'py>) -> Result<Option<Object<'py>>, Raise<'py>> {
        Ok(None)
    }
}

/// One method of a [`Class`]. A type of its own for each method gives each an entry point of its own for C.
pub trait MethodFn: 'static {
    /// The class it belongs to.
    type Class: Class;
    /// The method's name.
    const NAME: &'static CStr;

    /// The method.
    fn call<'py>(
        this: &Self::Class,
        py: Python<'py>,
        arguments: &Arguments<'_, 'py>,
    ) -> Result<Object<'py>, Raise<'py>>;
}

/// An entry of [`Class::METHODS`].
#[repr(transparent)]
pub struct MethodDef<C>(ffi::PyMethodDef, PhantomData<fn(&C)>);

impl<C> fmt::Debug for MethodDef<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MethodDef")
    }
}

impl<C: Class> MethodDef<C> {
    /// The last entry of every table.
    pub const END: Self = Self(ffi::PyMethodDef::zeroed(), PhantomData);

    /// The entry for `M`.
    pub const fn new<M: MethodFn<Class = C>>() -> Self {
        let definition = ffi::PyMethodDef {
            ml_name: M::NAME.as_ptr(),
            ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: method::<M> },
            ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
            ml_doc: std::ptr::null(),
        };
        Self(definition, PhantomData)
    }
}

/// Writes [`Class::METHODS`]: `methods!(Input: c"read" => read, c"readline" => readline)`, where each function has the
/// signature of [`MethodFn::call`].
#[macro_export]
macro_rules! methods {
    ($class:ty: $($name:literal => $function:path),* $(,)?) => {
        &[
            $({
                struct Entry;
                impl $crate::MethodFn for Entry {
                    type Class = $class;
                    const NAME: &'static ::std::ffi::CStr = $name;
                    fn call<'py>(
                        this: &Self::Class,
                        py: $crate::Python<'py>,
                        arguments: &$crate::Arguments<'_, 'py>,
                    ) -> ::std::result::Result<$crate::Object<'py>, $crate::Raise<'py>> {
                        $function(this, py, arguments)
                    }
                }
                $crate::MethodDef::new::<Entry>()
            },)*
            $crate::MethodDef::END,
        ]
    };
}

/// What a method was called with.
#[derive(Debug)]
pub struct Arguments<'a, 'py> {
    receiver: Object<'py>,
    /// Those of the receiver's class.
    methods: Methods,
    positional: &'a [*mut ffi::PyObject],
    keywords: Vec<(String, Object<'py>)>,
    py: Python<'py>,
}

impl<'py> Arguments<'_, 'py> {
    /// The instance.
    pub fn receiver(&self) -> &Object<'py> {
        &self.receiver
    }

    /// Another method of the instance, as `getattr` gives it.
    pub fn method(&self, name: &CStr) -> Result<Object<'py>, Raised<'py>> {
        // SAFETY: the receiver is an instance of the class whose methods these are.
        unsafe { self.methods.bind(self.py, &self.receiver, name) }
    }

    /// How many positional arguments there are.
    pub fn len(&self) -> usize {
        self.positional.len()
    }

    /// Whether there is no positional argument.
    pub fn is_empty(&self) -> bool {
        self.positional.is_empty()
    }

    /// The argument at `index`, or the one called `name`; `None` where it was left out.
    pub fn argument(&self, index: usize, name: &str) -> Option<Object<'py>> {
        match self.positional.get(index) {
            // SAFETY: the caller's frame keeps its arguments alive during the call.
            Some(argument) => unsafe { Object::from_borrowed(self.py, *argument) }.ok(),
            None => self.keywords.iter().find(|(keyword, _)| keyword == name).map(|(_, value)| value.clone()),
        }
    }

    /// Checks the number of positional arguments, and that every keyword is one of `names`.
    pub fn check(&self, method: &str, required: usize, names: &[&str]) -> Result<(), Raise<'py>> {
        if self.positional.len() > names.len() {
            let (most, given) = (names.len(), self.positional.len());
            return Err(Raise::type_error(format!("{method}() takes at most {most} arguments ({given} given)")));
        }
        if let Some((keyword, _)) = self.keywords.iter().find(|(keyword, _)| !names.contains(&keyword.as_str())) {
            return Err(Raise::type_error(format!("{method}() got an unexpected keyword argument '{keyword}'")));
        }
        if let Some((_, missing)) =
            names[..required].iter().enumerate().find(|(index, name)| self.argument(*index, name).is_none())
        {
            return Err(Raise::type_error(format!("{method}() missing required argument '{missing}'")));
        }
        Ok(())
    }
}

/// [`Class::METHODS`] of some class.
#[derive(Clone, Copy)]
struct Methods(&'static [ffi::PyMethodDef]);

impl fmt::Debug for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Methods")
    }
}

impl Methods {
    fn of<C: Class>() -> Self {
        let methods = C::METHODS;
        // SAFETY: a `MethodDef` is laid out as what it holds.
        Self(unsafe { std::slice::from_raw_parts(methods.as_ptr().cast(), methods.len()) })
    }

    /// Binds a method to an instance as the attribute's descriptor does, but without looking for the attribute, and without its
    /// check of the instance.
    ///
    /// # Safety
    ///
    /// The caller must pass an instance of the class that these are the methods of.
    unsafe fn bind<'py>(
        self,
        py: Python<'py>,
        instance: &Object<'py>,
        name: &CStr,
    ) -> Result<Object<'py>, Raised<'py>> {
        // SAFETY: names are static texts that end with NUL; that of the last entry is null.
        let is_meant =
            |method: &&ffi::PyMethodDef| unsafe { !method.ml_name.is_null() && CStr::from_ptr(method.ml_name) == name };
        let method = self.0.iter().find(is_meant).expect("a method of the class");
        let method = std::ptr::from_ref(method).cast_mut();
        // SAFETY: attached; the table is static, and CPython reads it only. The caller answers for the instance.
        let bound = unsafe { ffi::PyCFunction_NewEx(method, instance.as_ptr(), std::ptr::null_mut()) };
        // SAFETY: owned, or raised.
        unsafe { Object::from_owned(py, bound) }
    }
}

/// A heap type of one interpreter, with the Rust type it was made for.
pub struct Type<'py, C> {
    object: Object<'py>,
    class: PhantomData<fn() -> C>,
}

impl<C> fmt::Debug for Type<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Type").field(&self.object).finish()
    }
}

#[repr(C)]
struct Instance<C> {
    base: ffi::PyObject,
    value: C,
}

impl<'py> Python<'py> {
    /// The type object of `C` in this interpreter.
    pub fn class<C: Class>(self) -> Result<Type<'py, C>, Raised<'py>> {
        // By the Rust type, so that nothing else can stand there.
        let name = format!("type {:?}", TypeId::of::<C>());
        let types = self.interpreter_dict()?;
        if let Some(object) = types.item(self, &name)? {
            return Ok(Type { object, class: PhantomData });
        }
        // Another thread may have made one meanwhile. The first stays: with two, instances of one were none of the other.
        let object = types.set_default(self, &Object::str(self, &name)?, &make::<C>(self)?)?;
        Ok(Type { object, class: PhantomData })
    }

    /// Keeps an object for as long as this interpreter, where all its threads find it and no application does.
    pub fn keep(self, name: &str, object: &Object<'py>) -> Result<(), Raised<'py>> {
        self.interpreter_dict()?.set_item(self, &Object::str(self, &format!("kept {name}"))?, object)
    }

    /// Keeps an object unless one is kept under that name already, and gives back the one that is.
    pub(crate) fn keep_first(self, name: &str, object: &Object<'py>) -> Result<Object<'py>, Raised<'py>> {
        self.interpreter_dict()?.set_default(self, &Object::str(self, &format!("kept {name}"))?, object)
    }

    /// What was kept under `name`.
    pub fn kept(self, name: &str) -> Result<Option<Object<'py>>, Raised<'py>> {
        self.interpreter_dict()?.item(self, &format!("kept {name}"))
    }

    /// The dictionary in which the embedder keeps what belongs to this interpreter.
    fn interpreter_dict(self) -> Result<Object<'py>, Raised<'py>> {
        // SAFETY: attached.
        let interpreter = unsafe { ffi::PyInterpreterState_Get() };
        // SAFETY: this interpreter; gives a borrowed reference, or null where memory is short. The first call makes the
        // dictionary, without a lock: it comes from `bootstrap::install`, before other threads join.
        let dict = unsafe { ffi::PyInterpreterState_GetDict(interpreter) };
        // SAFETY: alive as long as the interpreter.
        unsafe { Object::from_borrowed(self, dict) }
    }
}

fn make<C: Class>(py: Python<'_>) -> Result<Object<'_>, Raised<'_>> {
    const { assert!(align_of::<C>() <= 16, "CPython's allocator aligns to 16 bytes") };
    let last = C::METHODS.last().map(|method| method.0.ml_name);
    assert!(last.is_some_and(<*const _>::is_null), "a method table ends with MethodDef::END");
    let mut slots = vec![
        slot(ffi::Py_tp_dealloc, dealloc::<C> as ffi::destructor as *mut c_void),
        slot(ffi::Py_tp_methods, C::METHODS.as_ptr().cast_mut().cast()),
    ];
    if C::ITERATES {
        slots.push(slot(ffi::Py_tp_iter, ffi::PyObject_SelfIter as *mut c_void));
        slots.push(slot(ffi::Py_tp_iternext, next::<C> as ffi::iternextfunc as *mut c_void));
    }
    slots.push(ffi::PyType_Slot::default());
    // Immutable, because CPython lets an instance change over to any mutable class of the same layout, whose methods would
    // then take its value for one of another Rust type.
    let flags = ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION | ffi::Py_TPFLAGS_IMMUTABLETYPE;
    let mut spec = ffi::PyType_Spec {
        name: C::NAME.as_ptr(),
        basicsize: c_int::try_from(size_of::<Instance<C>>()).expect("instances are small"),
        itemsize: 0,
        flags: c_uint::try_from(flags).expect("type flags are 32 bits"),
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: attached; the spec and its slots live through the call, name and methods are static.
    let object = unsafe { ffi::PyType_FromSpec(&raw mut spec) };
    // SAFETY: owned, or raised.
    unsafe { Object::from_owned(py, object) }
}

fn slot(slot: c_int, pfunc: *mut c_void) -> ffi::PyType_Slot {
    ffi::PyType_Slot { slot, pfunc }
}

impl<'py, C: Class> Type<'py, C> {
    /// A new instance that holds `value`.
    pub fn instance(&self, py: Python<'py>, value: C) -> Result<Object<'py>, Raised<'py>> {
        let kind = self.object.as_ptr().cast::<ffi::PyTypeObject>();
        // SAFETY: attached; a heap type with the default allocator, which gives `basicsize` bytes.
        let pointer = unsafe { ffi::PyType_GenericAlloc(kind, 0) };
        if pointer.is_null() {
            return Err(Raised::fetch(py));
        }
        // SAFETY: within the allocation, which is laid out as `Instance<C>`.
        let place = unsafe { &raw mut (*pointer.cast::<Instance<C>>()).value };
        // SAFETY: aligned (checked in `make`) and free; from here on `dealloc` drops the value.
        unsafe { place.write(value) };
        // SAFETY: an owned reference, not null.
        unsafe { Object::from_owned(py, pointer) }
    }

    /// A method of an instance, as `getattr` gives it; `None` where `object` is no instance.
    pub fn method(
        &self,
        py: Python<'py>,
        object: &Object<'py>,
        name: &CStr,
    ) -> Option<Result<Object<'py>, Raised<'py>>> {
        if !object.is_exactly(&self.object) {
            return None;
        }
        // SAFETY: an instance of `C`.
        Some(unsafe { Methods::of::<C>().bind(py, object, name) })
    }

    /// The value inside `object`, where that is an instance.
    pub fn value<'a>(&self, object: &'a Object<'py>) -> Option<&'a C> {
        if !object.is_exactly(&self.object) {
            return None;
        }
        // SAFETY: an instance of the type that `make::<C>` made; the value lives as long as the object.
        Some(unsafe { value::<C>(object.as_ptr()) })
    }
}

/// # Safety
///
/// The caller must pass a live instance of a type that [`make`] made for `C`.
unsafe fn value<'a, C: Class>(instance: *mut ffi::PyObject) -> &'a C {
    // SAFETY: the caller's promise.
    unsafe { &(*instance.cast::<Instance<C>>()).value }
}

/// Entry point of a method, from C.
///
/// # Safety
///
/// The caller must be CPython's call protocol for `METH_FASTCALL | METH_KEYWORDS`, with an instance of the class.
unsafe extern "C" fn method<M: MethodFn>(
    receiver: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    let entry: Entry<'_> = &|py| {
        // SAFETY: passed on as they came.
        unsafe { call::<M>(py, receiver, arguments, count, keywords) }.map(Some)
    };
    // SAFETY: CPython is attached when it calls.
    unsafe { enter(entry) }
}

/// # Safety
///
/// As [`method`].
unsafe fn call<M: MethodFn>(
    py: Python<'_>,
    receiver: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> Result<Object<'_>, Raise<'_>> {
    // SAFETY: alive during the call.
    let receiver = unsafe { Object::from_borrowed(py, receiver) }?;
    let count = count.unsigned_abs();
    let positional = if count == 0 {
        &[][..]
    } else {
        // SAFETY: the protocol passes `count` positional arguments.
        unsafe { std::slice::from_raw_parts(arguments, count) }
    };
    let mut named = Vec::new();
    if !keywords.is_null() {
        // SAFETY: a tuple of names, alive during the call.
        let names = unsafe { Object::from_borrowed(py, keywords) }?;
        for (index, name) in names.strings(py).into_iter().enumerate() {
            // SAFETY: the values of the names follow the positional arguments, one each.
            let place = unsafe { arguments.add(count + index) };
            // SAFETY: as above.
            let argument = unsafe { *place };
            // SAFETY: alive during the call.
            named.push((name, unsafe { Object::from_borrowed(py, argument) }?));
        }
    }
    // SAFETY: an instance: CPython's descriptor has checked that, or whoever called `Methods::bind` has.
    let this = unsafe { value::<M::Class>(receiver.as_ptr()) };
    let methods = Methods::of::<M::Class>();
    M::call(this, py, &Arguments { receiver, methods, positional, keywords: named, py })
}

/// Entry point of `__next__`, from C.
///
/// # Safety
///
/// The caller must be CPython, with an instance of the class.
unsafe extern "C" fn next<C: Class>(instance: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: an instance, alive during the call, as CPython checked.
    let this = unsafe { value::<C>(instance) };
    let entry: Entry<'_> = &|py| this.next(py);
    // SAFETY: CPython is attached when it calls.
    unsafe { enter(entry) }
}

/// Entry point of deallocation, from C.
///
/// # Safety
///
/// The caller must be CPython, when the last reference to an instance is gone.
unsafe extern "C" fn dealloc<C: Class>(instance: *mut ffi::PyObject) {
    // SAFETY: still an instance.
    let kind = unsafe { ffi::Py_TYPE(instance) };
    // SAFETY: within the instance.
    let place = unsafe { &raw mut (*instance.cast::<Instance<C>>()).value };
    // A panic in a value's `Drop` must not unwind into C; the memory is given back all the same.
    // SAFETY: written by `instance`, dropped here once.
    let _ = catch_unwind(AssertUnwindSafe(|| unsafe { place.drop_in_place() }));
    // SAFETY: allocated by PyType_GenericAlloc without garbage collection, which is PyObject_Malloc.
    unsafe { ffi::PyObject_Free(instance.cast()) };
    // SAFETY: each instance of a heap type holds a reference to it.
    unsafe { ffi::Py_DECREF(kind.cast()) };
}
