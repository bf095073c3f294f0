//! Exceptions as data, and those that are raised in a running thread.

use std::thread;

use stack_interp::{Exception, Interpreter, InterpreterHandle, Interruption, Object, Python, Raises, ThreadIdent};

use crate::{execute, main_interpreter, own_gil};

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
fn an_exception_whose_text_raises_is_still_described() {
    let code = "class Odd(Exception):\n    def __str__(self): raise RuntimeError\nraise Odd";
    let exception = main_interpreter().run(|py| execute(py, code)).unwrap().unwrap_err();
    assert!(exception.kind.ends_with("Odd"), "{exception:?}");
}

#[test]
fn a_new_exception_is_raised_by_kind() {
    let raise = |py: Python<'_>| {
        let value = Object::import(py, "no_such_module_at_all").unwrap_err();
        (value.is(Raises::ImportError), value.is(Raises::ModuleNotFoundError), value.is(Raises::ValueError))
    };
    assert_eq!(main_interpreter().run(raise).unwrap(), (true, true, false));
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
