"""What every interpreter runs before it sees an application.

Whole lines on standard output and error, tracebacks as text, the way out, and in interpreters of their own GIL the rule
for extension modules that refuse to load there.
"""

import io
import sys
import _thread

# What importlib.machinery and importlib.util take from there: they are modules, and more of them, that every start would wait for.
import _frozen_importlib
import _frozen_importlib_external as machinery


class Bytes(io.RawIOBase):
    """The binary side of a stream: what is written leaves at once, in one piece."""

    def __init__(self, stream):
        self._stream = stream
        self.name = stream.name
        self.mode = "wb"

    def fileno(self):
        return self._stream.fileno()

    def isatty(self):
        return self._stream.isatty()

    def writable(self):
        return True

    def write(self, data):
        data = bytes(data)
        self._stream.flush()
        native.emit(self.fileno(), data)
        return len(data)


class Fragment:
    """A thread's unfinished line. It is finished when the thread ends."""

    __slots__ = ("text", "emit")

    def __init__(self, emit):
        self.text = ""
        self.emit = emit

    def __del__(self):
        if self.text:
            self.emit(self.text + "\n")


class Stream(io.TextIOBase):
    """Hands on whole lines, kept apart by thread, so that two threads' or interpreters' lines never mix.

    An unfinished line goes out when it is flushed.
    """

    LONGEST = 65536
    encoding = "utf-8"
    errors = "backslashreplace"
    mode = "w"
    line_buffering = True
    write_through = False

    def __init__(self, original, descriptor):
        self._isatty = original is not None and original.isatty()
        self._descriptor = descriptor
        self._local = _thread._local()
        self.name = getattr(original, "name", descriptor)
        self.buffer = Bytes(self)

    def fileno(self):
        return self._descriptor

    def isatty(self):
        return self._isatty

    def writable(self):
        return True

    def reconfigure(self, **options):
        """Accepted for code that sets up its console; lines are always UTF-8 and leave at once."""

    def detach(self):
        self.flush()
        return self.buffer

    def write(self, text):
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        try:
            fragment = self._local.fragment
        except AttributeError:
            fragment = self._local.fragment = Fragment(self._emit)
        line = fragment.text + text
        end = line.rfind("\n") + 1
        if len(line) - end > self.LONGEST:
            end = len(line)
        fragment.text = line[end:]
        if end:
            self._emit(line[:end])
        return len(text)

    def flush(self):
        fragment = getattr(self._local, "fragment", None)
        if fragment is not None and fragment.text:
            text, fragment.text = fragment.text, ""
            self._emit(text)

    def _emit(self, text):
        native.emit(self._descriptor, text.encode("utf-8", "backslashreplace"))


def install_streams():
    sys.stdout = Stream(sys.__stdout__, 1)
    sys.stderr = Stream(sys.__stderr__, 2)


# How CPython, PyO3 and Cython word that a module can not run in this interpreter.
REFUSALS = (
    "does not support loading in subinterpreters",
    "do not yet support subinterpreters",
    "does not yet support subinterpreters",
    "may only be initialized once per interpreter process",
    "can only be loaded into one interpreter per process",
)
refusals = []
accepted = set()
is_loaded = False


def accept_refusals():
    """The application has been imported without these modules: a later attempt to import one is no news."""
    global is_loaded
    accepted.update(refusals)
    is_loaded = True


def is_refusal(error):
    message = str(error)
    return any(words in message for words in REFUSALS)


def twin_of(spec):
    """The pure-Python module beside an extension module: x.py beside x.cpython-313-x86_64-linux-gnu.so."""
    folder, _, name = spec.origin.rpartition("/")
    twin = f"{folder}/{name.partition('.')[0]}.py"
    try:
        with io.open_code(twin):
            return twin
    except OSError:
        return None


def install_twin_rule():
    """A refused extension module is loaded from its twin. Without one it counts as not installed, which is what
    packages with an optional accelerator are ready for. The check itself stays: overriding it aborts the process."""
    create_module = machinery.ExtensionFileLoader.create_module

    def create(self, spec):
        try:
            return create_module(self, spec)
        except ImportError as error:
            if not is_refusal(error):
                raise
            twin = twin_of(spec)
            refusal = (spec.name, spec.origin, twin or "")
            if refusal not in refusals:
                refusals.append(refusal)
            if twin is None:
                if refusal not in accepted:
                    native.refused(is_loaded)
                message = f"extension module {spec.name!r} does not support interpreters of their own GIL ({spec.origin})"
                raise ModuleNotFoundError(message, name=spec.name, path=spec.origin) from None
            # The import goes on with whatever loader the spec names when this returns.
            spec.loader = machinery.SourceFileLoader(spec.name, twin)
            spec.origin = twin
            spec.cached = machinery.cache_from_source(twin)
            return None

    machinery.ExtensionFileLoader.create_module = create


class RequestTimeout(TimeoutError):
    """Raised in the code of a request that runs past request_timeout. Its client has been answered with 504 by then."""

    def __init__(self, *arguments):
        super().__init__(*(arguments or ("the request ran past request_timeout",)))


class ClientGone(ConnectionAbortedError):
    """Raised, with interrupt_on_disconnect, in the code of a request whose client has left."""

    def __init__(self, *arguments):
        super().__init__(*(arguments or ("the client has gone",)))


class Module:
    """Finds and makes the module `stack`, which holds what an application may want to catch."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        return _frozen_importlib.ModuleSpec(name, Module) if name == "stack" else None

    @staticmethod
    def create_module(spec):
        return None

    @staticmethod
    def exec_module(module):
        module.RequestTimeout = RequestTimeout
        module.ClientGone = ClientGone


def install_module():
    for kind in (RequestTimeout, ClientGone):
        kind.__module__ = "stack"
    # Behind all others: an application that has a module of that name keeps it.
    sys.meta_path.append(Module)


def stack_of(frame, most):
    """The calls down to a frame, the innermost first, without our own: file, line and name of each."""
    calls = []
    while frame is not None and most:
        code = frame.f_code
        if code.co_filename != __file__:
            calls += [code.co_filename, str(frame.f_lineno), getattr(code, "co_qualname", code.co_name)]
            most -= 1
        frame = frame.f_back
    return calls


def ours(frame):
    return frame.filename.startswith("<frozen importlib") or frame.filename == __file__


def strip(report, seen):
    """Takes the import machinery's frames out of a traceback and of its causes."""
    if report is None or id(report) in seen:
        return
    seen.add(id(report))
    report.stack[:] = [frame for frame in report.stack if not ours(frame)]
    strip(report.__cause__, seen)
    strip(report.__context__, seen)
    for inner in getattr(report, "exceptions", None) or ():
        strip(inner, seen)


def describe(error):
    """An exception as (kind, message, traceback, module that was not found)."""
    import traceback

    kind = type(error)
    name = kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    try:
        message = str(error)
    except Exception:
        message = "<its text raised an exception>"
    report = traceback.TracebackException(kind, error, error.__traceback__)
    strip(report, set())
    module = (error.name or "") if isinstance(error, ModuleNotFoundError) else ""
    return (name, message, "".join(report.format()), module)


def register_thread(name):
    """Gives a thread that Python did not start a name, and makes it one that is no daemon: threads that the application
    starts from it inherit that, and a daemon is not waited for at the end."""
    import threading

    thread = threading.current_thread()
    thread._name = name
    thread._daemonic = False


def callables(module):
    """The names in a module that an application could be."""
    return [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]


def positional_parameters(value):
    """How many positional arguments a plain function takes at the most; None where that is not known or not limited."""
    code = getattr(value, "__code__", None)
    if type(value).__name__ != "function" or code is None or code.co_flags & 0x04 or hasattr(value, "__wrapped__"):
        return None
    return code.co_argcount


def prepare_process(descriptor):
    """Set-up of a process that only runs an application, for another process that decides over its life."""
    import faulthandler
    import os
    import signal
    import threading

    # A terminal and a service manager send these to all processes of a group. A handler, unlike SIG_IGN, is not passed on
    # to programs that the application starts.
    numbers = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)

    def leave_to_server(number, frame):
        pass

    handlers = {number: signal.signal(number, leave_to_server) for number in numbers}

    # A process that the application forks is its own affair: multiprocessing ends those by SIGTERM, maybe at once. Until
    # the usual handlers are back there such a signal waits; Python's own would forget it.
    mask = threading.local()

    def before_fork():
        mask.before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)

    def after_in_parent():
        signal.pthread_sigmask(signal.SIG_SETMASK, mask.before)

    def after_in_child():
        faulthandler.disable()
        for number, handler in handlers.items():
            if signal.getsignal(number) is leave_to_server:
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask.before)

    os.register_at_fork(before=before_fork, after_in_parent=after_in_parent, after_in_child=after_in_child)
    # What stands there would take the first of them for a page fault that is tried again, and go on.
    for number in (signal.SIGSEGV, signal.SIGBUS):
        signal.signal(number, signal.SIG_DFL)
    faulthandler.enable(descriptor)


def other_threads():
    """What runs beside the thread that calls: the names of Python's threads, then of those that Python does not know."""
    import os
    import threading

    known = [thread for thread in threading.enumerate() if thread is not threading.current_thread()]
    names = [thread.name for thread in known]
    python = {thread.native_id for thread in known} | {threading.get_native_id()}
    for task in os.listdir("/proc/self/task"):
        if int(task) not in python:
            try:
                with open(f"/proc/self/task/{task}/comm") as comm:
                    names.append(f"a library's, named {comm.read().strip()!r}")
            except OSError:
                pass  # it has just ended
    return names


told_of = set()
told_when = 0


def imports():
    """Name and file of each module, one after the other, that was imported since this was asked last. Python's own are left
    out, and those of packages that are installed."""
    global told_when
    if len(sys.modules) == told_when:
        return ()
    import os

    library = os.path.dirname(os.__file__) + os.sep
    found = []
    told_when = len(sys.modules)
    for name, module in list(sys.modules.items()):
        if name in told_of:
            continue
        told_of.add(name)
        try:
            # A module may answer for names that it does not have, by an import.
            file = object.__getattribute__(module, "__dict__").get("__file__")
        except Exception:
            continue
        if not isinstance(file, str) or not isinstance(name, str):
            continue
        file = os.path.abspath(file)
        foreign = file.startswith(library) or "/site-packages/" in file or "/dist-packages/" in file
        if not foreign and os.path.exists(file):
            found += (name, file)
    return found


def fork():
    """Forks. What is there now stays shared between the processes: garbage is not collected in it any more, which would
    write to it."""
    import gc
    import os

    gc.collect()
    gc.freeze()
    return os.fork()


def shut_down():
    """What the end of a Python program does: wait for threads, run atexit handlers, flush. One that raises stops none of
    the others."""
    import atexit

    threading = sys.modules.get("threading")
    try:
        if threading is not None:
            threading._shutdown()
    finally:
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (AttributeError, OSError, ValueError):
                pass  # the application put its own in the place
