//! The making of an environ, for those who count its instructions.

use stack_bridge::{Request, RequestBody};
use stack_interp::{Object, Python, Raised};

use crate::{
    environ::{Environs, Facts},
    errors::Errors,
    file_wrapper::FileWrapper,
    input::Input,
};

/// Makes the environ of one request, as often as it is asked to.
#[derive(Debug)]
pub struct Environ<'py> {
    py: Python<'py>,
    environs: Environs<'py>,
    request: Request,
    body_length: u64,
    input: Object<'py>,
    errors: Object<'py>,
}

impl<'py> Environ<'py> {
    /// With all that is made once for a thread, or before the environ.
    pub fn new(py: Python<'py>, mut request: Request) -> Result<Self, Raised<'py>> {
        let body = std::mem::replace(&mut request.body, RequestBody::Empty);
        Ok(Self {
            py,
            environs: Environs::new(py, Facts { multithread: true, multiprocess: true }, &FileWrapper::new(py)?.class)?,
            body_length: body.len(),
            input: py.class()?.instance(py, Input::new(body))?,
            errors: py.class()?.instance(py, Errors::new(request.id))?,
            request,
        })
    }

    /// Makes it.
    pub fn make(&mut self) -> Result<Object<'py>, Raised<'py>> {
        let Self { py, environs, request, body_length, input, errors } = self;
        environs.make(*py, request, *body_length, input, errors)
    }
}
