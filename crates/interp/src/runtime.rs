//! The CPython runtime: started once in the life of the process, never finalized.

use std::{
    ffi::{CStr, CString, OsStr},
    fmt,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread::{self, ThreadId},
};

use pyo3_ffi as ffi;

use crate::{
    bootstrap,
    error::Exception,
    interpreter::InterpreterHandle,
    object::Object,
    python::{Python, assert_detached, set_attached},
    venv::Venv,
};

/// The Python that this program was linked with, at build time.
const BUILD_EXECUTABLE: &str = env!("STACK_PYTHON_EXECUTABLE");

/// What the runtime is started with.
#[derive(Clone, Debug, Default)]
pub struct RuntimeSettings {
    /// The virtual environment whose packages the application uses.
    pub venv: Option<Venv>,
}

/// Why the runtime did not start.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// It was started before.
    #[error("the Python runtime is started once in the life of a process")]
    StartedBefore,
    /// The library found at run time is of another version than the one at build time.
    #[error("built for Python {built}, but the libpython that was loaded is {loaded}; build again with that Python")]
    OtherLibrary {
        /// Version at build time.
        built: Version,
        /// Version that is there.
        loaded: String,
    },
    /// CPython refused its configuration.
    #[error("the Python runtime did not start: {0}")]
    Refused(String),
    /// Set-up code raised.
    #[error("the Python runtime's set-up raised an exception")]
    SetUp(#[source] Exception),
}

/// A Python version, and which of its two builds it is: they share neither libraries nor extension modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// 3, for a long time.
    pub major: u8,
    /// The 14 of 3.14.
    pub minor: u8,
    /// The t of 3.14t: built without the GIL (PEP 703).
    pub free_threaded: bool,
}

impl Version {
    /// The version this program is linked with.
    pub fn linked() -> Self {
        let numbers = Self::parse(env!("STACK_PYTHON_VERSION")).expect("the build script writes MAJOR.MINOR");
        Self { free_threaded: cfg!(Py_GIL_DISABLED), ..numbers }
    }

    /// The first two numbers of a version text, and the `t` at its end.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (numbers, free_threaded) = text.strip_suffix('t').map_or((text, false), |numbers| (numbers, true));
        let mut numbers = numbers.split('.');
        let mut number = || numbers.next()?.trim().parse().ok();
        Some(Self { major: number()?, minor: number()?, free_threaded })
    }

    /// Whether this Python runs threads of one interpreter at once (PEP 703). An extension module that was not made for it
    /// still turns the GIL on when it is imported.
    pub fn is_free_threaded(self) -> bool {
        self.free_threaded
    }

    /// Whether several interpreters with a GIL of their own are the way to run this Python in parallel. 3.12 has the
    /// interface, but its standard library refuses to load there, and two imports of `datetime` at once crash it. A
    /// free-threaded build has interpreters too, but its threads run at once in the main one, with every extension module.
    pub fn supports_own_gil(self) -> bool {
        !self.free_threaded && (self.major, self.minor) >= (3, 13)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}{}", self.major, self.minor, if self.free_threaded { "t" } else { "" })
    }
}

/// The running CPython, with its main interpreter.
///
/// It is not finalized: with other interpreters alive that has been seen to crash. A process that started it leaves
/// through [`Runtime::leave`].
#[derive(Debug)]
pub struct Runtime {
    main: InterpreterHandle,
    initial: InitialState,
}

/// The thread state that came with the runtime, and the OS thread it belongs to: Python's main thread, the one that runs
/// its signal handlers.
#[derive(Debug)]
struct InitialState {
    state: *mut ffi::PyThreadState,
    thread: ThreadId,
}

// SAFETY: the pointer is used on `thread` alone, which is checked before each use.
unsafe impl Send for InitialState {}
// SAFETY: as above.
unsafe impl Sync for InitialState {}

static STARTED: AtomicBool = AtomicBool::new(false);

impl Runtime {
    /// Starts CPython on this thread and detaches from it.
    pub fn start(settings: &RuntimeSettings) -> Result<Self, RuntimeError> {
        let built = Version::linked();
        let loaded = loaded_version();
        if Version::parse(&loaded) != Some(built) {
            return Err(RuntimeError::OtherLibrary { built, loaded });
        }
        if STARTED.swap(true, Ordering::SeqCst) {
            return Err(RuntimeError::StartedBefore);
        }
        keep_freed_memory();
        initialize(settings)?;
        set_attached(true);
        let prepared = prepare_main();
        // SAFETY: attached since the initialization; this thread's state stays as long as the process.
        let state = unsafe { ffi::PyEval_SaveThread() };
        set_attached(false);
        prepared?;
        // SAFETY: the runtime is up.
        let main = unsafe { ffi::PyInterpreterState_Main() };
        // SAFETY: the main interpreter lives as long as the process: nothing finalizes it.
        let main = unsafe { InterpreterHandle::new(main) };
        Ok(Self { main, initial: InitialState { state, thread: thread::current().id() } })
    }

    /// Runs `body` in the main interpreter as Python's main thread, which is the OS thread that started the runtime: the one
    /// that may set signal handlers, that runs them, and that may fork. `None` on any other thread.
    pub fn run_as_main_thread<R>(&self, body: impl for<'py> FnOnce(Python<'py>) -> R) -> Option<R> {
        (self.initial.thread == thread::current().id()).then(|| {
            let attached = MainThread::attach(&self.initial);
            body(attached.python())
        })
    }

    /// The main interpreter, as a place to run.
    pub fn main(&self) -> &InterpreterHandle {
        &self.main
    }

    /// The full version of the running Python, such as `3.14.2`, with `t` behind it for a free-threaded build.
    pub fn full_version(&self) -> String {
        loaded_version()
    }

    /// Leaves the process at once. Neither CPython's finalization nor destructors of loaded libraries run: both may crash
    /// while other interpreters or their threads are alive. Nor are the standard streams flushed: whoever writes to them
    /// does that, and one of them may be stuck in a pipe that nobody reads, with the stream's lock.
    pub fn leave(code: u8) -> ! {
        #[cfg(stack_counting)]
        write_counts();
        // SAFETY: ends the process; nothing runs after it.
        unsafe { libc::_exit(code.into()) }
    }
}

/// Writes what an executable has counted that was built to be optimised by it (docker/optimised-build): the end of a program
/// would do that, which never comes.
#[cfg(stack_counting)]
fn write_counts() {
    unsafe extern "C" {
        fn __llvm_profile_write_file() -> libc::c_int;
    }
    // SAFETY: part of the instrumentation. It may be called at any time, and says by its result whether it could write.
    if unsafe { __llvm_profile_write_file() } != 0 {
        tracing::error!("the counts could not be written");
    }
}

/// The main thread while it is attached. Undoes itself when dropped.
struct MainThread<'a>(&'a InitialState);

impl<'a> MainThread<'a> {
    fn attach(initial: &'a InitialState) -> Self {
        assert_detached();
        // SAFETY: this OS thread's own state, checked by the caller, which nothing has attached.
        unsafe { ffi::PyEval_RestoreThread(initial.state) };
        set_attached(true);
        Self(initial)
    }

    #[expect(clippy::unused_self, reason = "the token must not outlive the attachment")]
    fn python(&self) -> Python<'_> {
        // SAFETY: attached from `attach` to `drop`, and the token can not outlive `self`.
        unsafe { Python::assume_attached() }
    }
}

impl Drop for MainThread<'_> {
    fn drop(&mut self) {
        // SAFETY: attached since `attach`.
        let state = unsafe { ffi::PyEval_SaveThread() };
        debug_assert_eq!(state, self.0.state, "what was attached in between has been detached");
        set_attached(false);
    }
}

/// The version of the libpython in this process, such as `3.14.2` or `3.14.2t`.
fn loaded_version() -> String {
    // SAFETY: may be called at any time, also before initialization.
    let text = unsafe { ffi::Py_GetVersion() };
    // SAFETY: a static text that ends with NUL.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    let number = text.split(' ').next().unwrap_or_default();
    // "3.14.2 free-threading build (main, …)"; on 3.13 "experimental" stands in front.
    let free_threaded = if text.contains(" free-threading build ") { "t" } else { "" };
    format!("{number}{free_threaded}")
}

/// Has glibc keep more of what is freed. CPython gets all that is larger than 512 bytes from it, and by default a thread that
/// frees a page of 100 KB gives the memory back to the kernel, to have the next one zeroed and mapped again, page by page:
/// that can cost more than making the page. A user who has set this knows better.
#[cfg(target_env = "gnu")]
fn keep_freed_memory() {
    /// Bytes from which an object has a mapping of its own, which goes with it.
    const MAPPED: libc::c_int = 1 << 20;
    /// Bytes that each arena may keep at its end. There are at most eight arenas for each core.
    const KEPT: libc::c_int = 2 << 20;
    let is_set = |name: &str| std::env::var_os(name).is_some();
    if ["MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"].into_iter().any(is_set) {
        return;
    }
    for (number, value) in [(libc::M_MMAP_THRESHOLD, MAPPED), (libc::M_TRIM_THRESHOLD, KEPT)] {
        // SAFETY: it sets a number of the allocator, under its lock.
        unsafe { libc::mallopt(number, value) };
    }
}

#[cfg(not(target_env = "gnu"))]
fn keep_freed_memory() {}

/// What must run in the main interpreter before any other exists.
fn prepare_main() -> Result<(), RuntimeError> {
    // SAFETY: attached since the initialization, until the caller detaches.
    let py = unsafe { Python::assume_attached() };
    // On 3.13 two interpreters that import `datetime` at the same time corrupt its static types' memory, unless the main
    // interpreter has set them up before.
    let prepared = Object::import(py, "datetime").and_then(|_| bootstrap::install(py, false));
    prepared.map_err(|raised| RuntimeError::SetUp(raised.into_exception(py)))
}

fn initialize(settings: &RuntimeSettings) -> Result<(), RuntimeError> {
    let mut config = Config::new();
    // The server handles signals.
    config.0.install_signal_handlers = 0;
    config.0.parse_argv = 0;
    if let Some(executable) = executable(settings.venv.as_ref()) {
        // From the executable CPython finds its standard library and, through `pyvenv.cfg`, the environment's packages.
        config.set_string(|config| &raw mut config.executable, executable.as_os_str())?;
    }
    config.set_argv(c"stack")?;
    // SAFETY: a configuration made by CPython; this is the first start in this process.
    check_status(&unsafe { ffi::Py_InitializeFromConfig(&raw const *config.0) })
}

/// The `python` whose surroundings are used: the environment's, else the one linked with, else one of that version on
/// `PATH` (the library may have been moved to another machine without the folder it was built in).
fn executable(venv: Option<&Venv>) -> Option<PathBuf> {
    if let Some(venv) = venv {
        return Some(venv.python());
    }
    let built = Path::new(BUILD_EXECUTABLE);
    if built.exists() {
        return Some(built.to_owned());
    }
    let name = format!("python{}", Version::linked());
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(&name)).find(|candidate| candidate.exists())
}

/// A `PyConfig`, cleared when dropped.
struct Config(Box<ffi::PyConfig>);

impl Config {
    fn new() -> Self {
        let mut config = Box::<ffi::PyConfig>::new_uninit();
        // SAFETY: the call initializes all of it.
        unsafe { ffi::PyConfig_InitPythonConfig(config.as_mut_ptr()) };
        // SAFETY: as above.
        Self(unsafe { config.assume_init() })
    }

    fn set_string(
        &mut self,
        place: impl FnOnce(&mut ffi::PyConfig) -> *mut *mut libc::wchar_t,
        value: &OsStr,
    ) -> Result<(), RuntimeError> {
        let value =
            CString::new(value.as_bytes()).map_err(|_| RuntimeError::Refused("a path holds a NUL byte".into()))?;
        let place = place(&mut self.0);
        // SAFETY: a place in this configuration; the value ends with NUL and is copied.
        check_status(&unsafe { ffi::PyConfig_SetBytesString(&raw mut *self.0, place, value.as_ptr()) })
    }

    fn set_argv(&mut self, name: &CStr) -> Result<(), RuntimeError> {
        let mut argv = [name.as_ptr()];
        // SAFETY: one text that ends with NUL; it is copied.
        check_status(&unsafe { ffi::PyConfig_SetBytesArgv(&raw mut *self.0, 1, argv.as_mut_ptr().cast()) })
    }
}

impl Drop for Config {
    fn drop(&mut self) {
        // SAFETY: initialized in `new`, cleared once.
        unsafe { ffi::PyConfig_Clear(&raw mut *self.0) };
    }
}

fn check_status(status: &ffi::PyStatus) -> Result<(), RuntimeError> {
    // SAFETY: plain data.
    match unsafe { ffi::PyStatus_Exception(*status) } {
        0 => Ok(()),
        _ => Err(RuntimeError::Refused(status_message(status))),
    }
}

pub(crate) fn status_message(status: &ffi::PyStatus) -> String {
    if status.err_msg.is_null() {
        return "no reason given".into();
    }
    // SAFETY: a static text of CPython's that ends with NUL.
    unsafe { CStr::from_ptr(status.err_msg) }.to_string_lossy().into_owned()
}
