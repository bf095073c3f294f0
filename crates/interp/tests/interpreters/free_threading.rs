//! What threads do to one interpreter that run at the same time.

use std::ffi::CStr;

use stack_interp::{Class, MethodDef, Object, Text, Version, methods};

use crate::{
    RUNTIME,
    classes::{Counter, with_counter},
    execute, main_interpreter, on_four_threads,
};

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
pub(crate) struct Empty<const NUMBER: usize>;

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
