//! `wsgi.errors`: lines into the log, with the request's id.

use std::{
    ffi::CStr,
    sync::{Mutex, PoisonError},
};

use stack_bridge::RequestId;
use stack_interp::{Arguments, Class, MethodDef, Object, Python, Raise, methods};

/// The error stream of one request.
#[derive(Debug)]
pub(crate) struct Errors {
    id: RequestId,
    unfinished: Mutex<String>,
}

impl Class for Errors {
    const NAME: &'static CStr = c"stack.Errors";
    const METHODS: &'static [MethodDef<Self>] = methods!(Errors:
        c"write" => Errors::write,
        c"writelines" => Errors::writelines,
        c"flush" => Errors::flush,
    );
}

impl Errors {
    pub(crate) fn new(id: RequestId) -> Self {
        Self { id, unfinished: Mutex::default() }
    }

    fn write<'py>(&self, py: Python<'py>, arguments: &Arguments<'_, 'py>) -> Result<Object<'py>, Raise<'py>> {
        arguments.check("write", 1, &["text"])?;
        let text = arguments.argument(0, "text").expect("checked");
        let written = self.take_text(py, &text)?;
        Ok(Object::int(py, written)?)
    }

    fn writelines<'py>(&self, py: Python<'py>, arguments: &Arguments<'_, 'py>) -> Result<Object<'py>, Raise<'py>> {
        arguments.check("writelines", 1, &["lines"])?;
        for line in arguments.argument(0, "lines").expect("checked").items(py)? {
            self.take_text(py, &line?)?;
        }
        Ok(Object::none(py))
    }

    fn flush<'py>(&self, py: Python<'py>, arguments: &Arguments<'_, 'py>) -> Result<Object<'py>, Raise<'py>> {
        arguments.check("flush", 0, &[])?;
        self.finish(py);
        Ok(Object::none(py))
    }

    fn take_text<'py>(&self, py: Python<'py>, text: &Object<'py>) -> Result<i64, Raise<'py>> {
        let kind = || Raise::type_error(format!("wsgi.errors takes str, not {}", text.type_name(py)));
        let text = text.lossy_text(py).ok_or_else(kind)?;
        let whole = {
            let mut unfinished = self.unfinished.lock().unwrap_or_else(PoisonError::into_inner);
            unfinished.push_str(&text);
            let end = unfinished.rfind('\n').map_or(0, |last| last + 1);
            let rest = unfinished.split_off(end);
            std::mem::replace(&mut *unfinished, rest)
        };
        if !whole.is_empty() {
            py.detach(|| whole.lines().for_each(|line| self.log(line)));
        }
        Ok(i64::try_from(text.chars().count()).unwrap_or(i64::MAX))
    }

    /// Logs a line that has no end yet. The gateway calls it when the request is over.
    pub(crate) fn finish(&self, py: Python<'_>) {
        let line = std::mem::take(&mut *self.unfinished.lock().unwrap_or_else(PoisonError::into_inner));
        if !line.is_empty() {
            py.detach(|| self.log(&line));
        }
    }

    fn log(&self, line: &str) {
        tracing::error!(target: "wsgi.errors", request_id = %self.id, line, "application");
    }
}
