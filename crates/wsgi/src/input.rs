//! `wsgi.input`: the request body, complete before the application starts.

use std::{
    ffi::CStr,
    io::{self, BufRead, Read},
    sync::{Mutex, PoisonError},
};

use stack_bridge::{BodyReader, RequestBody};
use stack_interp::{Arguments, Class, MethodDef, Object, Python, Raise, Raises, methods};

/// The input stream of one request. When that is over it is closed, whoever still holds it.
#[derive(Debug)]
pub(crate) struct Input {
    body: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Open(BodyReader),
    /// A thread of the application's reads it, detached.
    InUse,
    Expired,
}

impl Class for Input {
    const NAME: &'static CStr = c"stack.Input";
    const METHODS: &'static [MethodDef<Self>] = methods!(Input:
        c"read" => Input::read,
        c"readline" => Input::readline,
        c"readlines" => Input::readlines,
    );
    const ITERATES: bool = true;

    fn next<'py>(&self, py: Python<'py>) -> Result<Option<Object<'py>>, Raise<'py>> {
        let line = self.line(py, None)?;
        if line.is_empty() { Ok(None) } else { Ok(Some(Object::bytes(py, &line)?)) }
    }
}

impl Input {
    pub(crate) fn new(body: RequestBody) -> Self {
        Self { body: Mutex::new(State::Open(body.into_reader())) }
    }

    /// Ends it with its request; a body in a file gives its disk space back.
    pub(crate) fn expire(&self) {
        *self.body.lock().unwrap_or_else(PoisonError::into_inner) = State::Expired;
    }

    /// `read(size=-1)`
    fn read<'py>(&self, py: Python<'py>, arguments: &Arguments<'_, 'py>) -> Result<Object<'py>, Raise<'py>> {
        arguments.check("read", 0, &["size"])?;
        let size = size(py, arguments.argument(0, "size"))?;
        let block = self.with_body(py, |body| {
            let length = size.map_or(body.remaining(), |size| size.min(body.remaining()));
            let mut block = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
            body.take(length).read_to_end(&mut block)?;
            Ok(block)
        })?;
        Ok(Object::bytes(py, &block)?)
    }

    /// `readline(size=-1)`
    fn readline<'py>(&self, py: Python<'py>, arguments: &Arguments<'_, 'py>) -> Result<Object<'py>, Raise<'py>> {
        arguments.check("readline", 0, &["size"])?;
        let size = size(py, arguments.argument(0, "size"))?;
        Ok(Object::bytes(py, &self.line(py, size)?)?)
    }

    /// `readlines(hint=-1)`: whole lines, and no more once they hold `hint` bytes.
    fn readlines<'py>(&self, py: Python<'py>, arguments: &Arguments<'_, 'py>) -> Result<Object<'py>, Raise<'py>> {
        arguments.check("readlines", 0, &["hint"])?;
        let hint = size(py, arguments.argument(0, "hint"))?.filter(|hint| *hint > 0).unwrap_or(u64::MAX);
        let (mut lines, mut bytes) = (Vec::new(), 0);
        while bytes < hint {
            let line = self.line(py, None)?;
            if line.is_empty() {
                break;
            }
            bytes += line.len() as u64;
            lines.push(Object::bytes(py, &line)?);
        }
        Ok(Object::list(py, lines)?)
    }

    fn line<'py>(&self, py: Python<'py>, size: Option<u64>) -> Result<Vec<u8>, Raise<'py>> {
        self.with_body(py, |body| {
            let mut line = Vec::new();
            body.take(size.unwrap_or(u64::MAX)).read_until(b'\n', &mut line)?;
            Ok(line)
        })
    }

    /// Reads a body in memory under the mutex, one thread after the other, and one on a disk detached.
    ///
    /// Then the reader is out of the mutex: a thread that held the mutex and waited to attach, while another was attached
    /// and waited for the mutex, would stop the interpreter.
    fn with_body<'py, R: Send>(
        &self,
        py: Python<'py>,
        read: impl FnOnce(&mut BodyReader) -> io::Result<R> + Send,
    ) -> Result<R, Raise<'py>> {
        let lock = || self.body.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = |error| Raise::New(Raises::OSError, format!("the request body could not be read: {error}"));
        let mut state = lock();
        if let State::Open(body) = &mut *state
            && body.is_in_memory()
        {
            return read(body).map_err(failed);
        }
        let mut body = match std::mem::replace(&mut *state, State::InUse) {
            State::Open(body) => body,
            State::InUse => {
                return Err(Raise::New(Raises::RuntimeError, "wsgi.input is read by another thread".into()));
            }
            State::Expired => {
                *state = State::Expired;
                return Err(Raise::value_error("wsgi.input of a request that is over"));
            }
        };
        drop(state);
        let outcome = py.detach(|| read(&mut body));
        let mut state = lock();
        if matches!(*state, State::InUse) {
            *state = State::Open(body);
        }
        outcome.map_err(failed)
    }
}

/// A size argument: `None`, nothing and negative numbers mean all.
fn size<'py>(py: Python<'py>, argument: Option<Object<'py>>) -> Result<Option<u64>, Raise<'py>> {
    match argument.filter(|argument| !argument.is_none()) {
        None => Ok(None),
        Some(argument) => Ok(u64::try_from(argument.integer(py)?).ok()),
    }
}
