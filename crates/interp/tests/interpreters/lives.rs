//! How the runtime and its interpreters begin, what they share, and how they end.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use stack_interp::{
    CreateError, Ending, Interpreter, InterpreterHandle, LoadGuard, Python, Runtime, RuntimeError, RuntimeSettings,
    Version, refusals_after_loads, refusals_on_this_thread,
};

use crate::{execute, main_interpreter, own_gil};

#[test]
fn the_runtime_starts_once() {
    main_interpreter();
    assert!(matches!(Runtime::start(&RuntimeSettings::default()), Err(RuntimeError::StartedBefore)));
}

#[test]
fn the_main_interpreter_is_a_place_to_run() {
    let sum = main_interpreter().run(|py| execute(py, "result = 1 + 1")).unwrap();
    assert_eq!(sum.unwrap(), "2");
}

#[test]
fn too_old_a_python_says_so() {
    if Version::linked() < (Version { major: 3, minor: 13, free_threaded: false }) {
        assert!(matches!(Interpreter::run(main_interpreter(), |_, _| ()), Err(CreateError::TooOld(_))));
    }
}

#[test]
fn interpreters_share_no_module_state() {
    if !own_gil() {
        return;
    }
    let threads: Vec<_> = (0..3)
        .map(|number| {
            thread::spawn(move || {
                let body = |py: Python<'_>, _: &InterpreterHandle| {
                    execute(
                        py,
                        &format!("import json\njson.mark = getattr(json, 'mark', 0) + {number}\nresult = json.mark"),
                    )
                };
                Interpreter::run(main_interpreter(), body).unwrap().0.unwrap()
            })
        })
        .collect();
    let marks: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_eq!(marks, ["0", "1", "2"]);
}

#[test]
fn threads_join_an_interpreter_and_the_last_ends_it() {
    if !own_gil() {
        return;
    }
    let body = |py: Python<'_>, handle: &InterpreterHandle| {
        execute(py, "import sys\nsys.shared = []").unwrap();
        let joined: Vec<_> = (0..4)
            .map(|_| {
                let handle = handle.clone();
                thread::spawn(move || {
                    handle.run(|py| execute(py, "import sys\nsys.shared.append(1)").map(drop)).unwrap()
                })
            })
            .collect();
        py.detach(|| joined.into_iter().for_each(|thread| thread.join().unwrap().unwrap()));
        (execute(py, "import sys\nresult = len(sys.shared)").unwrap(), handle.clone())
    };
    let ((count, handle), ending) = Interpreter::run(main_interpreter(), body).unwrap();
    assert_eq!(count, "4");
    let ends_in_place = Version::linked() >= Version { major: 3, minor: 14, free_threaded: false };
    assert_eq!(ending, if ends_in_place { Ending::Ended } else { Ending::KeptByPython });
    assert!(matches!(handle.run(|_| ()), Err(CreateError::Ended)));
}

#[test]
fn a_daemon_thread_keeps_its_interpreter_from_being_ended() {
    if !own_gil() || Version::linked() < (Version { major: 3, minor: 14, free_threaded: false }) {
        return;
    }
    let code = "import threading, time\n\
                threading.Thread(target=lambda: [time.sleep(0.01) for _ in range(10**6)], daemon=True).start()";
    let ((), ending) = Interpreter::run(main_interpreter(), |py, _| drop(execute(py, code).unwrap())).unwrap();
    assert_eq!(ending, Ending::KeptByThreads);
}

#[test]
fn one_load_at_a_time() {
    static INSIDE: AtomicUsize = AtomicUsize::new(0);
    let load = || {
        main_interpreter()
            .run(|py| {
                let _loading = LoadGuard::acquire(py);
                assert_eq!(INSIDE.fetch_add(1, Ordering::SeqCst), 0);
                py.detach(thread::yield_now);
                INSIDE.fetch_sub(1, Ordering::SeqCst);
            })
            .unwrap();
    };
    let threads: Vec<_> = (0..4).map(|_| thread::spawn(load)).collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn the_standard_streams_are_what_programs_expect() {
    let code = "import codecs, io, sys, threading\n\
                out = sys.stdout\n\
                assert out.writable() and out.encoding == 'utf-8' and out.fileno() == 1 and not out.line_buffering is None\n\
                assert out.buffer.write(b'') == 0 and out.buffer.fileno() == 1\n\
                io.TextIOWrapper(out.buffer, write_through=True).detach()\n\
                codecs.getwriter('utf-8')(out.detach()).write('')\n\
                thread = threading.Thread(target=lambda: print('', end=''))\n\
                thread.start(); thread.join()\n\
                print('', end='', flush=True)\n\
                result = 'fine'";
    assert_eq!(main_interpreter().run(|py| execute(py, code)).unwrap().unwrap(), "fine");
}

#[test]
fn a_refused_extension_is_loaded_from_its_twin_or_counts_as_missing() {
    if !own_gil() {
        return;
    }
    // The test's own extension: CPython's single-phase one, copied under new names.
    let folder = tempfile::tempdir().unwrap();
    let find = "import importlib.util\nresult = importlib.util.find_spec('_testsinglephase').origin";
    let Ok(extension) = main_interpreter().run(|py| execute(py, find)).unwrap() else {
        return;
    };
    std::fs::copy(&extension, folder.path().join("_testsinglephase.so")).unwrap();
    std::fs::write(folder.path().join("_testsinglephase.py"), "twin = True\n").unwrap();
    std::fs::copy(&extension, folder.path().join("_testsinglephase_basic_copy.so")).unwrap();
    let code = format!(
        "import sys\nsys.path.insert(0, {:?})\nimport _testsinglephase\n\
         try:\n    import _testsinglephase_basic_copy\nexcept ModuleNotFoundError as error:\n    result = error.name",
        folder.path()
    );
    let body = |py: Python<'_>, _: &InterpreterHandle| (execute(py, &code), py.extension_refusals().unwrap());
    let (before, after_loads) = (refusals_on_this_thread(), refusals_after_loads());
    let ((result, refusals), _) = Interpreter::run(main_interpreter(), body).unwrap();
    assert_eq!(result.unwrap(), "_testsinglephase_basic_copy");
    assert_eq!(refusals_on_this_thread() - before, 1, "the one without a twin is counted, on the thread that imported");
    assert_eq!(thread::spawn(refusals_on_this_thread).join().unwrap(), 0);
    assert_eq!(refusals_after_loads(), after_loads, "nothing was loaded there");
    let summary: Vec<_> = refusals.iter().map(|refusal| (refusal.module.as_str(), refusal.twin.is_some())).collect();
    assert_eq!(summary, [("_testsinglephase", true), ("_testsinglephase_basic_copy", false)]);
}

#[test]
fn the_end_waits_for_threads_and_runs_atexit_handlers() {
    if !own_gil() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log");
    let code = format!(
        "import atexit, threading, time\n\
         def note(text):\n    with open({file:?}, 'a') as log: log.write(text)\n\
         atexit.register(note, 'atexit')\n\
         threading.Thread(target=lambda: (time.sleep(0.05), note('thread '))).start()"
    );
    let body = |py: Python<'_>, _: &InterpreterHandle| {
        execute(py, &code).unwrap();
        py.shut_down().map_err(|raised| raised.into_exception(py)).unwrap();
    };
    Interpreter::run(main_interpreter(), body).unwrap();
    assert_eq!(std::fs::read_to_string(file).unwrap(), "thread atexit");
}

#[test]
fn two_interpreters_that_import_datetime_at_once_do_no_harm() {
    if !own_gil() {
        return;
    }
    let import = || {
        let body =
            |py: Python<'_>, _: &InterpreterHandle| execute(py, "import datetime\nresult = datetime.date(2026, 1, 1)");
        assert_eq!(Interpreter::run(main_interpreter(), body).unwrap().0.unwrap(), "2026-01-01");
    };
    let threads: Vec<_> = (0..4).map(|_| thread::spawn(import)).collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
#[cfg(target_env = "gnu")]
fn a_thread_that_makes_large_pages_keeps_their_memory() {
    const PAGES: &str = "
import resource
faults = lambda: resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
make = lambda: bytes(bytearray(200_000))
make()
before = faults()
for _ in range(200):
    make()
result = faults() - before";
    let faults = thread::spawn(|| main_interpreter().run(|py| execute(py, PAGES)).unwrap().unwrap()).join().unwrap();
    // Two objects of 49 pages, 200 times: given back each time, that is nearly 20,000.
    assert!(faults.parse::<u32>().unwrap() < 2000, "{faults} page faults");
}
