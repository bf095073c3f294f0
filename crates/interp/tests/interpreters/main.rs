//! The embedded CPython as a whole. There is one runtime in a process, so all tests share it.
#![expect(clippy::unwrap_used, reason = "tests")]

mod classes;
mod exceptions;
mod free_threading;
mod lives;

use std::{
    sync::{Arc, Barrier, OnceLock},
    thread,
};

use stack_interp::{Exception, InterpreterHandle, Object, Python, Runtime, RuntimeSettings, Version};

pub(crate) static RUNTIME: OnceLock<Runtime> = OnceLock::new();

pub(crate) fn main_interpreter() -> &'static InterpreterHandle {
    RUNTIME.get_or_init(|| Runtime::start(&RuntimeSettings::default()).expect("the runtime starts")).main()
}

/// Runs statements and gives back `str()` of what they leave in `result`.
pub(crate) fn execute(py: Python<'_>, code: &str) -> Result<String, Exception> {
    execute_with(py, code, &[])
}

/// The same with some names set.
pub(crate) fn execute_with<'py>(
    py: Python<'py>,
    code: &str,
    names: &[(&str, &Object<'py>)],
) -> Result<String, Exception> {
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

pub(crate) fn own_gil() -> bool {
    Version::linked().supports_own_gil()
}

/// Runs `body` on four OS threads, each attached to the main interpreter, and gives back what each of them made.
///
/// `body` gets a function that waits, detached, until all four have come to the same place.
pub(crate) fn on_four_threads<R: Send + 'static>(
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
