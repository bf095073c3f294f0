//! Classes of ours, and strings.

use std::{
    ffi::CStr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use stack_interp::{Arguments, Class, Exception, Interpreter, MethodDef, Object, Python, Raise, Text, methods};

use crate::{execute_with, free_threading::Empty, main_interpreter, own_gil};

#[derive(Debug)]
pub(crate) struct Counter {
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
pub(crate) fn with_counter(py: Python<'_>, code: &str) -> Result<String, Exception> {
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
