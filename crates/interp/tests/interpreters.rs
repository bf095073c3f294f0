//! The embedded CPython as a whole. There is one runtime in a process, so all tests share it.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    ffi::CStr,
    sync::{
        Arc, Barrier, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use stack_interp::{
    Arguments, Class, CreateError, Ending, Exception, Interpreter, InterpreterHandle, Interruption, LoadGuard,
    MethodDef, Object, Python, Raise, Raises, Runtime, RuntimeError, RuntimeSettings, Text, ThreadIdent, Version,
    methods, refusals_on_this_thread,
};

static RUNTIME: OnceLock<Runtime> = OnceLock::new();

fn main_interpreter() -> &'static InterpreterHandle {
    RUNTIME.get_or_init(|| Runtime::start(&RuntimeSettings::default()).expect("the runtime starts")).main()
}

/// Runs statements and gives back `str()` of what they leave in `result`.
fn execute(py: Python<'_>, code: &str) -> Result<String, Exception> {
    execute_with(py, code, &[])
}

/// The same with some names set.
fn execute_with<'py>(py: Python<'py>, code: &str, names: &[(&str, &Object<'py>)]) -> Result<String, Exception> {
    let run = || {
        let namespace = Object::dict(py)?;
        for (name, value) in names {
            namespace.set_item(py, &Object::str(py, name)?, value)?;
        }
        let builtins = Object::import(py, "builtins")?;
        builtins.call_method(py, "exec", &[&Object::str(py, code)?, &namespace])?;
        Ok(namespace.item(py, "result")?.map(|result| result.display(py)).unwrap_or_default())
    };
    run().map_err(|raised: stack_interp::Raised<'_>| raised.into_exception(py))
}

fn own_gil() -> bool {
    Version::linked().supports_own_gil()
}

/// Runs `body` on four OS threads, each attached to the main interpreter, and gives back what each of them made.
///
/// `body` gets a function that waits, detached, until all four have come to the same place.
fn on_four_threads<R: Send + 'static>(
    body: impl for<'py> Fn(Python<'py>, &dyn Fn()) -> R + Clone + Send + 'static,
) -> Vec<R> {
    let place = Arc::new(Barrier::new(4));
    let start = |_| {
        let (body, place) = (body.clone(), Arc::clone(&place));
        thread::spawn(move || {
            let wait = || _ = place.wait();
            main_interpreter().run(|py| body(py, &|| py.detach(wait))).expect("it never ends")
        })
    };
    let threads: Vec<_> = (0..4).map(start).collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

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
fn an_exception_becomes_plain_data_with_its_traceback() {
    let raised =
        main_interpreter().run(|py| execute(py, "def inner():\n    raise ValueError('no such thing')\ninner()"));
    let exception = raised.unwrap().unwrap_err();
    assert_eq!((exception.kind.as_str(), exception.message.as_str()), ("ValueError", "no such thing"));
    assert!(exception.traceback.starts_with("Traceback (most recent call last):\n"), "{}", exception.traceback);
    assert!(exception.traceback.contains("in inner"), "{}", exception.traceback);
    assert_eq!(exception.module, None);
}

#[test]
fn a_missing_module_is_named_and_import_frames_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("outer_module.py"), "import no_such_module\n").unwrap();
    let code = format!("import sys\nsys.path.insert(0, {:?})\nimport outer_module", folder.path());
    let exception = main_interpreter().run(|py| execute(py, &code)).unwrap().unwrap_err();
    assert_eq!(exception.module.as_deref(), Some("no_such_module"));
    assert!(exception.traceback.contains("outer_module.py"), "{}", exception.traceback);
    assert!(!exception.traceback.contains("importlib"), "{}", exception.traceback);
}

#[test]
fn a_lone_surrogate_does_not_empty_a_message() {
    let exception = main_interpreter().run(|py| execute(py, "raise ValueError('bad \\udc80')")).unwrap().unwrap_err();
    assert_eq!(exception.message, "bad \\udc80");
    assert!(exception.traceback.contains("ValueError: bad \\udc80"), "{}", exception.traceback);
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
fn an_exception_whose_text_raises_is_still_described() {
    let code = "class Odd(Exception):\n    def __str__(self): raise RuntimeError\nraise Odd";
    let exception = main_interpreter().run(|py| execute(py, code)).unwrap().unwrap_err();
    assert!(exception.kind.ends_with("Odd"), "{exception:?}");
}

#[derive(Debug)]
struct Counter {
    total: AtomicUsize,
    /// Tells, by its count, whether this one is alive.
    _alive: Arc<()>,
}

impl Counter {
    fn add<'py>(&self, py: Python<'py>, arguments: &Arguments<'_, 'py>) -> Result<Object<'py>, Raise<'py>> {
        arguments.check("add", 1, &["amount"])?;
        let amount = arguments.argument(0, "amount").expect("checked").integer(py)?;
        let amount = usize::try_from(amount).map_err(|_| Raise::value_error("amount must not be negative"))?;
        assert!(amount < 100, "a panic, to see where it ends");
        let total = self.total.fetch_add(amount, Ordering::SeqCst) + amount;
        Ok(Object::int(py, total.try_into().unwrap())?)
    }
}

impl Class for Counter {
    const NAME: &'static CStr = c"stack.Counter";
    const METHODS: &'static [MethodDef<Self>] = methods!(Counter: c"add" => Counter::add);
    const ITERATES: bool = true;

    fn next<'py>(&self, py: Python<'py>) -> Result<Option<Object<'py>>, Raise<'py>> {
        match self.total.fetch_add(1, Ordering::SeqCst) {
            0..3 => Ok(Some(Object::none(py))),
            _ => Ok(None),
        }
    }
}

/// Makes a counter, calls it `counter`, runs statements, and gives back `str(result)`. The counter is gone then.
fn with_counter(py: Python<'_>, code: &str) -> Result<String, Exception> {
    let alive = Arc::new(());
    let result = {
        let class = py.class::<Counter>().unwrap();
        let counter = class.instance(py, Counter { total: AtomicUsize::new(0), _alive: Arc::clone(&alive) }).unwrap();
        assert!(class.value(&counter).is_some() && class.value(&Object::none(py)).is_none());
        execute_with(py, code, &[("counter", &counter)])
    };
    assert_eq!(Arc::strong_count(&alive), 1, "the last reference drops the Rust value");
    result
}

#[test]
fn a_class_lives_and_dies_with_its_instances() {
    let run = |py: Python<'_>| {
        assert_eq!(with_counter(py, "counter.add(1)\nresult = counter.add(amount=4)").unwrap(), "5");
        assert_eq!(with_counter(py, "result = len(list(counter))").unwrap(), "3");
        for (code, kind) in [
            ("counter.add()", "TypeError"),
            ("counter.add(1, 2)", "TypeError"),
            ("counter.add(count=1)", "TypeError"),
            ("counter.add('x')", "TypeError"),
            ("counter.add(-1)", "ValueError"),
            ("type(counter)()", "TypeError"),
        ] {
            assert_eq!(with_counter(py, code).unwrap_err().kind, kind, "{code}");
        }
    };
    main_interpreter().run(run).unwrap();
    if own_gil() {
        Interpreter::run(main_interpreter(), |py, _| run(py)).unwrap();
    }
}

#[test]
fn a_panic_becomes_an_exception() {
    let exception = main_interpreter().run(|py| with_counter(py, "counter.add(100)")).unwrap().unwrap_err();
    assert_eq!(exception.kind, "RuntimeError");
    assert!(exception.message.contains("a panic, to see where it ends"), "{exception}");
}

#[test]
fn strings_are_read_as_they_are_stored() {
    main_interpreter()
        .run(|py| {
            let latin = Object::latin1(py, b"caf\xe9").unwrap();
            assert_eq!(latin.text(), Some(Text::Latin1(b"caf\xe9")));
            assert_eq!(latin.display(py), "caf\u{e9}");
            assert_eq!(Object::str(py, "\u{20ac}").unwrap().text(), Some(Text::Wide("\u{20ac}")));
            assert_eq!(Object::none(py).text(), None);
            let surrogate =
                Object::import(py, "builtins").unwrap().call_method(py, "chr", &[&Object::int(py, 0xd800).unwrap()]);
            assert_eq!(surrogate.unwrap().text(), None);
        })
        .unwrap();
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
    let before = refusals_on_this_thread();
    let ((result, refusals), _) = Interpreter::run(main_interpreter(), body).unwrap();
    assert_eq!(result.unwrap(), "_testsinglephase_basic_copy");
    assert_eq!(refusals_on_this_thread() - before, 1, "the one without a twin is counted, on the thread that imported");
    assert_eq!(thread::spawn(refusals_on_this_thread).join().unwrap(), 0);
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
fn a_new_exception_is_raised_by_kind() {
    let raise = |py: Python<'_>| {
        let value = Object::import(py, "no_such_module_at_all").unwrap_err();
        (value.is(Raises::ImportError), value.is(Raises::ModuleNotFoundError), value.is(Raises::ValueError))
    };
    assert_eq!(main_interpreter().run(raise).unwrap(), (true, true, false));
}

#[test]
fn the_gil_stays_off_on_a_free_threaded_build() {
    // Only a free-threaded build says. The runtime's own code has run by now; loading it must not turn the GIL on.
    let code = "import sys\nresult = getattr(sys, '_is_gil_enabled', lambda: True)()";
    let enabled = main_interpreter().run(|py| {
        py.class::<Counter>().unwrap();
        py.run_source("<the GIL's test>", "import io, os, stat, threading").unwrap();
        execute(py, code).unwrap()
    });
    let free_threaded = Version::linked().is_free_threaded();
    assert_eq!(enabled.unwrap(), if free_threaded { "False" } else { "True" });
    assert_eq!(RUNTIME.get().unwrap().full_version().ends_with('t'), free_threaded);
}

#[test]
fn a_free_threaded_python_is_told_from_an_ordinary_one() {
    let version = |text: &str| Version::parse(text).unwrap();
    let [ordinary, free_threaded] = ["3.14", "3.14t"].map(version);
    assert_eq!((version("3.14.2"), version(" 3.14.2t\n")), (ordinary, free_threaded));
    assert!(ordinary.supports_own_gil() && !ordinary.is_free_threaded());
    assert!(free_threaded.is_free_threaded() && !free_threaded.supports_own_gil());
    assert!(!version("3.12.1").supports_own_gil());
    assert_eq!([ordinary, free_threaded].map(|version| version.to_string()), ["3.14", "3.14t"]);
}

/// Many classes whose instances have the same size.
#[derive(Debug)]
struct Empty<const NUMBER: usize>;

impl<const NUMBER: usize> Class for Empty<NUMBER> {
    const NAME: &'static CStr = c"stack.Empty";
    const METHODS: &'static [MethodDef<Self>] = methods!(Empty<NUMBER>:);
}

#[test]
fn threads_that_make_a_class_at_once_get_the_same() {
    fn make<const NUMBER: usize>() {
        let types = on_four_threads(|py, wait_for_others| {
            wait_for_others();
            let class = py.class::<Empty<NUMBER>>().unwrap();
            // All are alive now: no address stands for two of them.
            wait_for_others();
            format!("{class:?}")
        });
        assert!(types.iter().all(|other| *other == types[0]), "{types:?}");
    }
    // Each is one more chance for two threads to be in the middle of it at once.
    let rounds = [
        make::<0>, make::<1>, make::<2>, make::<3>, make::<4>, make::<5>, make::<6>, make::<7>, make::<8>, make::<9>,
        make::<10>, make::<11>, make::<12>, make::<13>, make::<14>, make::<15>, make::<16>, make::<17>, make::<18>,
    ];
    for make in rounds {
        make();
    }
}

#[test]
fn threads_that_run_a_source_at_once_get_the_same_names() {
    for round in 0..20 {
        let namespaces = on_four_threads(move |py, wait_for_others| {
            wait_for_others();
            let names = py.run_source(&format!("<round {round}>"), "class Made: pass").unwrap();
            let made = names.item(py, "Made").unwrap();
            wait_for_others();
            format!("{names:?} {made:?}")
        });
        assert!(namespaces.iter().all(|other| *other == namespaces[0]), "{namespaces:?}");
    }
}

#[test]
fn a_list_may_change_while_it_is_read() {
    let code = "import builtins, threading\n\
                shared = builtins.shared = [str(number) for number in range(64)]\n\
                stop = builtins.stop = threading.Event()\n\
                def change():\n\
                \x20   while not stop.is_set():\n\
                \x20       shared.clear()\n\
                \x20       shared.extend(map(str, range(64)))\n\
                changing = builtins.changing = threading.Thread(target=change)\n\
                changing.start()";
    main_interpreter()
        .run(|py| {
            execute(py, code).unwrap();
            let shared = Object::import(py, "builtins").unwrap().attr_named(py, "shared").unwrap();
            for _ in 0..20_000 {
                let items = shared.sequence(py).expect("a list, whatever is in it");
                assert!(items.iter().all(|item| item.text().is_some()));
            }
            let code = "import builtins\nbuiltins.stop.set(); builtins.changing.join()\n\
                        del builtins.stop, builtins.changing, builtins.shared";
            execute(py, code).unwrap();
        })
        .unwrap();
}

#[test]
fn objects_are_shared_by_threads_that_run_at_once() {
    // Interned and wide strings, exceptions, instances: what every request makes and drops.
    on_four_threads(|py, wait_for_others| {
        wait_for_others();
        for _ in 0..200 {
            let wide = Object::interned(py, "shared \u{20ac}").unwrap();
            assert_eq!(wide.text(), Some(Text::Wide("shared \u{20ac}")));
            assert_eq!(with_counter(py, "counter.add(1)\nresult = len(list(counter))").unwrap(), "2");
            assert_eq!(execute(py, "raise ValueError('x')").unwrap_err().kind, "ValueError");
        }
    });
}

#[test]
fn instances_keep_their_class() {
    // Else the methods of the one would take its value for one of the other's.
    main_interpreter()
        .run(|py| {
            let first = py.class::<Empty<100>>().unwrap().instance(py, Empty).unwrap();
            let second = py.class::<Empty<101>>().unwrap().instance(py, Empty).unwrap();
            let names = [("first", &first), ("second", &second)];
            for code in ["first.__class__ = type(second)", "type(first).method = None"] {
                assert_eq!(execute_with(py, code, &names).unwrap_err().kind, "TypeError", "{code}");
            }
        })
        .unwrap();
}

/// Runs statements on a thread of `handle`'s interpreter that says where it is when it is there, and gives back what they came
/// to.
fn begin(
    handle: &InterpreterHandle,
    code: &'static str,
) -> (thread::JoinHandle<Result<String, Exception>>, ThreadIdent) {
    let (tell, told) = std::sync::mpsc::channel();
    let handle = handle.clone();
    let run = move || {
        let body = |py: Python<'_>| {
            tell.send(ThreadIdent::current(py)).unwrap();
            execute(py, code)
        };
        handle.run(body).unwrap()
    };
    let running = thread::spawn(run);
    (running, told.recv().unwrap())
}

#[test]
fn an_exception_is_raised_in_another_threads_code() {
    const SPIN: &str = "def spin():\n  while True: pass\nspin()";
    for (interruption, kind) in
        [(Interruption::RequestTimeout, "stack.RequestTimeout"), (Interruption::ClientGone, "stack.ClientGone")]
    {
        let (running, thread) = begin(main_interpreter(), SPIN);
        // It may still be on its way into the code.
        while !main_interpreter().run(|py| py.stack_of(thread)).unwrap().contains("in spin") {}
        assert!(main_interpreter().run(|py| py.interrupt(thread, interruption)).unwrap());
        let raised = running.join().unwrap().unwrap_err();
        assert_eq!(raised.kind, kind);
        assert!(!raised.message.is_empty());
    }
}

#[test]
fn an_exception_that_was_taken_back_is_not_raised() {
    let body = |py: Python<'_>| {
        assert!(py.interrupt(ThreadIdent::current(py), Interruption::RequestTimeout));
        py.forget_interruption();
        execute(py, "result = sum(range(1000))")
    };
    assert_eq!(main_interpreter().run(body).unwrap().unwrap(), "499500");
}

#[test]
fn the_exceptions_are_in_a_module_that_gives_way_to_the_applications_own() {
    let body = |py: Python<'_>| {
        execute(
            py,
            "import stack, sys\nresult = (issubclass(stack.RequestTimeout, TimeoutError), \
             issubclass(stack.ClientGone, ConnectionError), sys.meta_path[-1].__name__)",
        )
    };
    assert_eq!(main_interpreter().run(body).unwrap().unwrap(), "(True, True, 'Module')");
}

#[test]
fn a_stack_is_read_from_outside_while_a_c_call_holds_the_gil() {
    const HOLD: &str = "import ctypes\ndef hold_the_gil():\n  ctypes.PyDLL(None).sleep(2)\nhold_the_gil()\nresult = 1";
    if !own_gil() {
        return;
    }
    let body = |py: Python<'_>, handle: &InterpreterHandle| {
        let handle = handle.clone();
        py.detach(move || {
            let (running, thread) = begin(&handle, HOLD);
            let mut stack = String::new();
            while !stack.contains("in hold_the_gil") {
                assert!(!running.is_finished(), "never seen: {stack}");
                stack = thread.outside_stack();
            }
            assert!(stack.contains("line 3, in hold_the_gil"), "{stack}");
            running.join().unwrap().unwrap()
        })
    };
    assert_eq!(Interpreter::run(main_interpreter(), body).unwrap().0, "1");
}
