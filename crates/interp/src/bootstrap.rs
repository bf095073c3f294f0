//! The Python code that every interpreter runs before it sees an application, and the way into it from Rust.

use std::{
    cell::Cell,
    ffi::{CStr, CString},
    fs::File,
    io::Write,
    os::fd::AsRawFd,
    sync::atomic::{AtomicU64, Ordering},
};

use pyo3_ffi as ffi;

use crate::{
    class::{Arguments, Class, MethodDef},
    error::{Exception, Raise, Raised},
    object::Object,
    python::Python,
};

const SOURCE: &str = include_str!("bootstrap.py");
/// The magic number of the bytecode that the Python of the build has, and the source as its code; or nothing.
const COMPILED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/bootstrap.code"));
/// Enough for as many signals at once as ever come.
const SIGNAL_STACK_SIZE: usize = 64 * 1024;
/// The file name in code objects, which keeps its frames out of tracebacks; and its namespace's key in the interpreter's
/// dictionary.
const FILE: &str = "<stack>";

/// An extension module that an interpreter of its own GIL refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtensionRefusal {
    /// Dotted name of the module.
    pub module: String,
    /// The extension's file.
    pub file: String,
    /// The pure-Python twin that was loaded instead; without one the module counts as not installed.
    pub twin: Option<String>,
}

/// Gives a new interpreter its streams and, with a GIL of its own, the rule for refused extension modules.
pub(crate) fn install(py: Python<'_>, own_gil: bool) -> Result<(), Raised<'_>> {
    let native = py.class::<Native>()?.instance(py, Native)?;
    let namespace = namespace(py, FILE)?;
    namespace.set_item(py, &Object::str(py, "native")?, &native)?;
    let code = match compiled(py) {
        Some(code) => code?,
        None => compile(py, SOURCE, FILE)?,
    };
    evaluate(py, &code, &namespace)?;
    py.keep(FILE, &namespace)?;
    call(py, "install_streams", &[])?;
    call(py, "install_module", &[])?;
    if own_gil {
        call(py, "install_twin_rule", &[])?;
    }
    Ok(())
}

/// A dictionary for a module's names.
fn namespace<'py>(py: Python<'py>, file: &str) -> Result<Object<'py>, Raised<'py>> {
    let namespace = Object::dict(py)?;
    // SAFETY: attached; gives a borrowed reference.
    let builtins = unsafe { ffi::PyEval_GetBuiltins() };
    // SAFETY: alive as long as the interpreter.
    let builtins = unsafe { Object::from_borrowed(py, builtins) }?;
    for (name, value) in
        [("__file__", Object::str(py, file)?), ("__name__", Object::str(py, file)?), ("__builtins__", builtins)]
    {
        namespace.set_item(py, &Object::str(py, name)?, &value)?;
    }
    Ok(namespace)
}

/// What was compiled with the build, if the running Python has the same bytecode: the library may have been replaced.
fn compiled(py: Python<'_>) -> Option<Result<Object<'_>, Raised<'_>>> {
    let (magic, code) = COMPILED.split_first_chunk::<4>()?;
    // SAFETY: attached.
    let running = unsafe { ffi::PyImport_GetMagicNumber() };
    if i64::from(u32::from_le_bytes(*magic)) != running {
        return None;
    }
    let length = ffi::Py_ssize_t::try_from(code.len()).expect("a few kilobytes");
    // SAFETY: attached; the bytes are as many, and marshal of this very version has made them.
    let code = unsafe { ffi::PyMarshal_ReadObjectFromString(code.as_ptr().cast(), length) };
    // SAFETY: owned, or raised.
    Some(unsafe { Object::from_owned(py, code) })
}

fn compile<'py>(py: Python<'py>, source: &str, file: &str) -> Result<Object<'py>, Raised<'py>> {
    let (source, file) = (CString::new(source), CString::new(file));
    let (source, file) = (source.expect("sources have no NUL"), file.expect("names have no NUL"));
    // SAFETY: attached; both texts end with NUL and live through the call.
    let code = unsafe { ffi::Py_CompileString(source.as_ptr(), file.as_ptr(), ffi::Py_file_input) };
    // SAFETY: owned, or raised.
    unsafe { Object::from_owned(py, code) }
}

fn evaluate<'py>(py: Python<'py>, code: &Object<'py>, namespace: &Object<'py>) -> Result<(), Raised<'py>> {
    // SAFETY: attached; a code object and a dictionary, both alive.
    let result = unsafe { ffi::PyEval_EvalCode(code.as_ptr(), namespace.as_ptr(), namespace.as_ptr()) };
    // SAFETY: owned, or raised.
    unsafe { Object::from_owned(py, result) }.map(drop)
}

pub(crate) fn lookup<'py>(py: Python<'py>, name: &str) -> Result<Object<'py>, Raised<'py>> {
    let namespace = py.kept(FILE)?.expect("installed when the interpreter was made");
    Ok(namespace.item(py, name)?.expect("defined in bootstrap.py"))
}

pub(crate) fn call<'py>(
    py: Python<'py>,
    function: &str,
    arguments: &[&Object<'py>],
) -> Result<Object<'py>, Raised<'py>> {
    lookup(py, function)?.call(py, arguments)
}

/// An exception as plain data.
pub(crate) fn describe<'py>(py: Python<'py>, error: &Object<'py>) -> Result<Exception, Raised<'py>> {
    let mut fields = call(py, "describe", &[error])?.strings(py).into_iter();
    let mut next = || fields.next().unwrap_or_default();
    let (kind, message, traceback, module) = (next(), next(), next(), next());
    Ok(Exception { kind, message, traceback, module: Some(module).filter(|module| !module.is_empty()) })
}

impl<'py> Python<'py> {
    /// Runs the embedder's own Python code and gives back its names; once in each interpreter, then they are kept. Of
    /// threads that come at once each may run it, and all get the names that one of them made. `file` names it in
    /// tracebacks.
    pub fn run_source(self, file: &str, source: &str) -> Result<Object<'py>, Raised<'py>> {
        if let Some(namespace) = self.kept(file)? {
            return Ok(namespace);
        }
        let namespace = namespace(self, file)?;
        evaluate(self, &compile(self, source, file)?, &namespace)?;
        self.keep_first(file, &namespace)
    }

    /// The extension modules that this interpreter has refused so far.
    pub fn extension_refusals(self) -> Result<Vec<ExtensionRefusal>, Raised<'py>> {
        let refusals = lookup(self, "refusals")?.sequence(self).unwrap_or_default();
        let refusal = |refusal: &Object<'py>| {
            let mut fields = refusal.strings(self).into_iter();
            let (module, file, twin) = (fields.next()?, fields.next()?, fields.next()?);
            Some(ExtensionRefusal { module, file, twin: Some(twin).filter(|twin| !twin.is_empty()) })
        };
        Ok(refusals.iter().filter_map(refusal).collect())
    }

    /// Name and file of each module that was imported since this was asked last, in this interpreter, but Python's own and those
    /// of installed packages. Where there is nothing new it is a look at a number.
    pub fn imports(self) -> Result<Vec<(String, String)>, Raised<'py>> {
        let mut texts = call(self, "imports", &[])?.strings(self).into_iter();
        Ok(std::iter::from_fn(|| Some((texts.next()?, texts.next()?))).collect())
    }

    /// Takes the refusals so far for known: [`refusals_on_this_thread`] does not count the same modules again.
    pub fn accept_refusals(self) -> Result<(), Raised<'py>> {
        call(self, "accept_refusals", &[]).map(drop)
    }

    /// The names in `module` that an application could be.
    pub fn callables(self, module: &Object<'py>) -> Result<Vec<String>, Raised<'py>> {
        Ok(call(self, "callables", &[module])?.strings(self))
    }

    /// How many positional arguments a plain function takes at the most; `None` where that is not known or not limited.
    pub fn positional_parameters(self, function: &Object<'py>) -> Result<Option<i64>, Raised<'py>> {
        let count = call(self, "positional_parameters", &[function])?;
        if count.is_none() { Ok(None) } else { count.integer(self).map(Some) }
    }

    /// Tells `threading` about this OS thread: its name, and that it is no daemon thread. Without it the threads that an
    /// application starts from here would be daemons, and the end would not wait for them.
    pub fn register_thread(self, name: &str) -> Result<(), Raised<'py>> {
        call(self, "register_thread", &[&Object::str(self, name)?])?;
        widen_signal_stack();
        Ok(())
    }

    /// Prepares a process that only runs an application: the signals that end a group of processes are left to its server,
    /// and on a signal that ends it at once the Python stacks of all threads are written to `last_words`, which must stay
    /// open. On Python's main thread only.
    pub fn prepare_process(self, last_words: &File) -> Result<(), Raised<'py>> {
        call(self, "prepare_process", &[&Object::int(self, last_words.as_raw_fd().into())?]).map(drop)
    }

    /// The names of all threads of this process but the one that calls, for people.
    pub fn other_threads(self) -> Result<Vec<String>, Raised<'py>> {
        Ok(call(self, "other_threads", &[])?.strings(self))
    }

    /// Forks this process, which must have no other thread: 0 in the child, the child's number in this one. What exists is
    /// kept out of garbage collection from then on, so that the two go on sharing its memory. On Python's main thread only.
    pub fn fork(self) -> Result<u32, Raised<'py>> {
        let number = call(self, "fork", &[])?.integer(self)?;
        Ok(u32::try_from(number).unwrap_or_default())
    }

    /// Runs the handlers of the signals that came in, in the main thread of the main interpreter; elsewhere it does nothing.
    pub fn run_signal_handlers(self) -> Result<(), Raised<'py>> {
        // SAFETY: the token proves that this thread is attached.
        crate::object::check(self, unsafe { ffi::PyErr_CheckSignals() })
    }

    /// Does what the end of a Python program does: waits for the threads that are no daemons, runs the atexit handlers,
    /// flushes the streams. It takes as long as they take; the caller sets the limit from outside.
    pub fn shut_down(self) -> Result<(), Raised<'py>> {
        call(self, "shut_down", &[]).map(drop)
    }
}

/// Gives this thread a larger stack for signal handlers. Rust's threads have a small one each, and CPython's handlers run on
/// it. Those of signals that come together nest, each with a frame of kilobytes (the vector registers are in it), and where
/// there is no room for one the kernel ends the process. Every thread of a process whose application may handle signals
/// needs this; it lasts as long as the process.
pub fn widen_signal_stack() {
    let stack = Box::leak(Box::<[u8]>::new_uninit_slice(SIGNAL_STACK_SIZE));
    let stack = libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: stack.len() };
    // SAFETY: the memory is leaked, so it outlives the thread, and nothing else uses it. No handler runs now: this is called
    // from code.
    let outcome = unsafe { libc::sigaltstack(&raw const stack, std::ptr::null_mut()) };
    debug_assert_eq!(outcome, 0, "a stack of an allowed size");
}

/// What bootstrap.py needs of Rust.
#[derive(Debug)]
struct Native;

impl Class for Native {
    const NAME: &'static CStr = c"stack.Native";
    const METHODS: &'static [MethodDef<Self>] = crate::methods!(Native: c"emit" => emit, c"refused" => refused);
}

thread_local! {
    static REFUSALS: Cell<u64> = const { Cell::new(0) };
}

static REFUSALS_AFTER_LOADS: AtomicU64 = AtomicU64::new(0);

/// How many extension modules without a twin were refused so far in imports that this OS thread ran, in whichever
/// interpreter. A difference around a call tells that something in it was refused, without a call into Python;
/// [`Python::extension_refusals`] then says what. The same module may be refused, and counted, again and again, unless it
/// was accepted.
pub fn refusals_on_this_thread() -> u64 {
    REFUSALS.get()
}

/// As [`refusals_on_this_thread`], of all threads of interpreters that have accepted the refusals so far, as they do once the
/// application is loaded ([`Python::accept_refusals`]). A thread that waits for another's import gets what is left of the module
/// when that fails, and fails itself: then this number has changed.
pub fn refusals_after_loads() -> u64 {
    REFUSALS_AFTER_LOADS.load(Ordering::Relaxed)
}

/// `refused(is_loaded)`: an import on this thread met an extension module that is refused and has no twin, after the interpreter
/// has loaded its application or before.
fn refused<'py>(_: &Native, py: Python<'py>, arguments: &Arguments<'_, 'py>) -> Result<Object<'py>, Raise<'py>> {
    arguments.check("refused", 1, &["is_loaded"])?;
    REFUSALS.set(REFUSALS.get() + 1);
    if arguments.argument(0, "is_loaded").is_some_and(|is_loaded| is_loaded.integer(py).is_ok_and(|word| word != 0)) {
        REFUSALS_AFTER_LOADS.fetch_add(1, Ordering::Relaxed);
    }
    Ok(Object::none(py))
}

/// `emit(descriptor, lines)`: writes whole lines to standard output (1) or error (2) in one piece.
fn emit<'py>(_: &Native, py: Python<'py>, arguments: &Arguments<'_, 'py>) -> Result<Object<'py>, Raise<'py>> {
    arguments.check("emit", 2, &["descriptor", "lines"])?;
    let (descriptor, lines) = (arguments.argument(0, "descriptor"), arguments.argument(1, "lines"));
    let to_error = descriptor.is_some_and(|descriptor| descriptor.integer(py).is_ok_and(|number| number == 2));
    let lines = lines.as_ref().and_then(Object::as_bytes).ok_or_else(|| Raise::type_error("lines must be bytes"))?;
    // Nobody may be reading the pipe: others run meanwhile. An output that is closed is no reason to fail a request.
    py.detach(|| {
        let _ = if to_error {
            write_whole(std::io::stderr().lock(), lines)
        } else {
            write_whole(std::io::stdout().lock(), lines)
        };
    });
    Ok(Object::none(py))
}

fn write_whole(mut output: impl Write, lines: &[u8]) -> std::io::Result<()> {
    output.write_all(lines)?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{Runtime, RuntimeSettings};

    #[test]
    fn what_was_compiled_with_the_build_is_the_source() {
        let runtime = Runtime::start(&RuntimeSettings::default()).unwrap();
        let compare = |py: Python<'_>| {
            let built = compiled(py).expect("this is the Python of the build").ok().unwrap();
            let made = compile(py, SOURCE, FILE).ok().unwrap();
            let name = built.attr_named(py, "co_filename").ok().unwrap();
            let is_equal = built.call_method(py, "__eq__", &[&made]).ok().unwrap();
            (name.display(py), is_equal.display(py))
        };
        assert_eq!(runtime.main().run(compare).unwrap(), (FILE.to_owned(), "True".to_owned()));
    }
}
