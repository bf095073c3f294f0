//! One request through the application: PEP 3333 from the environ to `close()`.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::Method;
use stack_bridge::{ClientConnection, Failure, Job, Request, RequestBody, RequestId};
use stack_config::Isolation;
use stack_interp::{Interruption, Object, Python, Raise, Raised, Type, refusals_on_this_thread};

use crate::{
    details::{Failed, How},
    environ::{Environs, Facts},
    errors::Errors,
    file_wrapper::FileWrapper,
    input::Input,
    refused::{Refused, left_out},
    response::{After, Response, Sent},
    watch::{SharedSlot, Slot},
};

/// Runs requests on one thread of one interpreter.
#[derive(Debug)]
pub(crate) struct Gateway<'py> {
    py: Python<'py>,
    application: Object<'py>,
    environs: Environs<'py>,
    file_wrapper: FileWrapper<'py>,
    inputs: Type<'py, Input>,
    errors: Type<'py, Errors>,
    responses: Type<'py, Response>,
    close: Object<'py>,
    isolation: Isolation,
    when_refused: Option<Arc<dyn WhenRefused>>,
}

/// Is told of extension modules that refuse to load while a request runs: imports that a start does not see.
pub trait WhenRefused: fmt::Debug + Send + Sync {
    /// Whether it wants to be told of a refusal. Asked after each.
    fn is_news(&self) -> bool;
    /// These packages are refused by now, the last of them in that request. Called without the GIL.
    fn refused(&self, request: RequestId, packages: Vec<Refused>);
    /// Whether a request that fails after a refusal can be run elsewhere. Asked before each request, and not to be slow.
    fn can_run_elsewhere(&self) -> bool;
    /// Whether anything was refused in this process to a worker that serves, in whichever thread.
    fn is_suspect(&self) -> bool;
    /// That request came to nothing, and nothing of its response was sent: it can be run elsewhere.
    fn run_elsewhere(&self, job: Job);
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// It has its response, or nobody waits for one.
    Answered,
    /// Nothing of its response was sent: the application failed where it might not in another interpreter.
    Withheld,
}

/// What the log says about a request.
struct Subject {
    id: RequestId,
    method: Method,
    path: Path,
    connection: Option<Arc<dyn ClientConnection>>,
}

/// A path as the log shows it.
struct Path(Bytes);

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

/// The objects of one request that Python holds too.
struct Parts<'py> {
    environ: Object<'py>,
    start_response: Object<'py>,
    input: Object<'py>,
    errors: Object<'py>,
}

impl<'py> Gateway<'py> {
    pub(crate) fn new(
        py: Python<'py>,
        application: Object<'py>,
        facts: Facts,
        isolation: Isolation,
        when_refused: Option<Arc<dyn WhenRefused>>,
    ) -> Result<Self, Raised<'py>> {
        let file_wrapper = FileWrapper::new(py)?;
        Ok(Self {
            environs: Environs::new(py, facts, &file_wrapper.class)?,
            application,
            file_wrapper,
            inputs: py.class()?,
            errors: py.class()?,
            responses: py.class()?,
            close: Object::interned(py, "close")?,
            isolation,
            when_refused,
            py,
        })
    }

    /// Answers one job. It returns when the application is done with it, whatever the application did.
    pub(crate) fn handle(&mut self, mut job: Job, slot: &SharedSlot) {
        let py = self.py;
        let request = &mut job.request;
        let body = std::mem::replace(&mut request.body, RequestBody::Empty);
        let spare = self.spare(&request.method, &body);
        let subject = Subject {
            id: request.id,
            method: request.method.clone(),
            path: Path(request.path.clone()),
            connection: request.connection.take(),
        };
        let body_length = body.len();
        let response = Response::new(job.responder, request.method == Method::HEAD, Arc::clone(slot));
        let response = match self.responses.instance(py, response) {
            Ok(response) => response,
            Err(raised) => return subject.gateway_failed(py, raised),
        };
        let value = self.responses.value(&response).expect("made above");
        let refusals = refusals_on_this_thread();
        let mut outcome = Outcome::Answered;
        match self.parts(&job.request, body_length, Input::new(body), &response) {
            Ok(parts) => {
                let failed = Failed { environ: Some(&parts.environ), ..self.if_failed(&job.request) };
                outcome = self.run(&failed, &parts, value, &subject, slot, spare.is_some());
                self.inputs.value(&parts.input).expect("made above").expire();
                self.errors.value(&parts.errors).expect("made above").finish(py);
            }
            Err(raised) => {
                let details = self.if_failed(&job.request).details(py, How::NoEnviron, &raised);
                value.fail_with(Failure::Gateway, details);
                subject.gateway_failed(py, raised);
            }
        }
        let withheld =
            spare.filter(|_| outcome == Outcome::Withheld).and_then(|body| Some((body, value.take_responder()?)));
        value.expire();
        let Some(when_refused) = &self.when_refused else { return };
        if refusals_on_this_thread() != refusals && when_refused.is_news() {
            let packages = left_out(py);
            py.detach(|| when_refused.refused(subject.id, packages));
        }
        if let Some((body, responder)) = withheld {
            job.request.body = body;
            job.request.connection = subject.connection;
            when_refused.run_elsewhere(Job { responder, ..job });
        }
    }

    /// The body for a second run of a request, where one would do no harm and somebody would have it run.
    fn spare(&self, method: &Method, body: &RequestBody) -> Option<RequestBody> {
        let is_wanted = self.when_refused.as_ref().is_some_and(|when_refused| when_refused.can_run_elsewhere());
        if !is_wanted || !method.is_safe() {
            return None;
        }
        match body {
            RequestBody::Empty => Some(RequestBody::Empty),
            RequestBody::Memory(bytes) => Some(RequestBody::Memory(bytes.clone())),
            // Its position is shared with the run that reads it. A safe request with such a body is not worth the care.
            RequestBody::File { .. } => None,
        }
    }

    /// What there is to say of the request, should it fail.
    fn if_failed<'a>(&self, request: &'a Request) -> Failed<'a, 'py> {
        Failed { request, isolation: self.isolation, environ: None }
    }

    fn parts(
        &mut self,
        request: &Request,
        body_length: u64,
        input: Input,
        response: &Object<'py>,
    ) -> Result<Parts<'py>, Raised<'py>> {
        let py = self.py;
        let input = self.inputs.instance(py, input)?;
        let errors = self.errors.instance(py, Errors::new(request.id))?;
        let environ = self.environs.make(py, request, body_length, &input, &errors)?;
        let start_response = self.responses.method(py, response, c"start_response").expect("made from this class")?;
        Ok(Parts { environ, start_response, input, errors })
    }

    /// Runs the application. Where the request can be run `elsewhere`, a failure is withheld as long as nothing was sent, if
    /// anything was refused to a worker that serves: by now, or in an import that another thread began and this one waited for.
    fn run(
        &self,
        if_failed: &Failed<'_, 'py>,
        parts: &Parts<'py>,
        response: &Response,
        subject: &Subject,
        slot: &Slot,
        elsewhere: bool,
    ) -> Outcome {
        let py = self.py;
        let is_suspect =
            || elsewhere && self.when_refused.as_ref().is_some_and(|when_refused| when_refused.is_suspect());
        let failed = |raise| {
            if let Some(interruption) = slot.raised() {
                let details = match interruption {
                    Interruption::RequestTimeout => if_failed.details_of(py, response, How::TimedOut, &raise),
                    Interruption::ClientGone => None,
                };
                response.fail_with(Failure::Application, details);
                subject.interrupted(py, raise, interruption);
                return Outcome::Answered;
            }
            if response.is_unsent() && is_suspect() {
                subject.withheld(py, raise);
                return Outcome::Withheld;
            }
            self.fail(raise, response, subject, if_failed);
            Outcome::Answered
        };
        let result = match self.application.call(py, &[&parts.environ, &parts.start_response]) {
            Ok(result) => result,
            Err(raised) => return failed(Raise::Again(raised)),
        };
        // A list or a tuple, which most answers are, has no close().
        let close = if result.sequence_len().is_some() { Ok(None) } else { result.optional_attr(py, &self.close) };
        let last = if matches!(close, Ok(None)) { After::Nothing } else { After::End };
        // Frameworks make a response of what was raised.
        let outcome = if response.is_unsent_server_error() && is_suspect() {
            Outcome::Withheld
        } else {
            match self.send(&result, response, last).and_then(|()| response.finish(py)) {
                Ok(true) => Outcome::Answered,
                Ok(false) => {
                    subject.client_gone(py);
                    Outcome::Answered
                }
                Err(raise) => failed(raise),
            }
        };
        // PEP 3333: close() is called upon completion of the request, also when it ended in an error.
        let closed = close.and_then(|close| match close {
            Some(close) => close.call(py, &[]).map(drop),
            None => Ok(()),
        });
        slot.seal(py);
        if let Err(raised) = closed {
            subject.close_raised(py, raised);
        }
        outcome
    }

    /// The application raised or broke the contract: the client sees an error, a cut, or a close.
    fn fail(&self, raise: Raise<'py>, response: &Response, subject: &Subject, failed: &Failed<'_, 'py>) {
        if response.is_client_gone() {
            return subject.client_gone(self.py);
        }
        if response.is_complete() {
            // The client has all it was promised; that something was wrong it can only see by the close.
            subject.close_connection();
        }
        let how = if matches!(raise, Raise::Again(_)) { How::Raised } else { How::BrokeContract };
        response.fail_with(Failure::Application, failed.details_of(self.py, response, how, &raise));
        match raise {
            Raise::Again(raised) => subject.application_raised(self.py, raised),
            Raise::New(_, message) => subject.application_broke_contract(self.py, &message),
        }
    }

    /// Sends all blocks of the iterable. `last` is what comes after the last.
    fn send(&self, result: &Object<'py>, response: &Response, last: After) -> Result<(), Raise<'py>> {
        let py = self.py;
        if response.is_started()
            && let Some(region) = self.file_wrapper.region(py, result)?
        {
            return response.send_file(region).map(drop);
        }
        // A list of one block is the whole body: its length is known, and it goes in one step (PEP 3333 "Handling the
        // Content-Length Header").
        if result.sequence_len() == Some(1) {
            let Some(block) = result.sequence_item(py, 0) else { return Ok(()) };
            let bytes = self.block(&block)?;
            response.set_length(bytes.len());
            return response.send(py, bytes, last).map(drop);
        }
        for block in result.items(py)? {
            let block = block?;
            let bytes = self.block(&block)?;
            if !bytes.is_empty() && response.send(py, bytes, After::More)? == Sent::ClientGone {
                return Ok(());
            }
            if response.is_bodiless_and_sent() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn block<'a>(&self, block: &'a Object<'py>) -> Result<&'a [u8], Raise<'py>> {
        let kind = || {
            Raise::type_error(format!("a WSGI application's blocks must be bytes, not {}", block.type_name(self.py)))
        };
        block.as_bytes().ok_or_else(kind)
    }
}

impl Subject {
    fn close_connection(&self) {
        if let Some(connection) = &self.connection {
            connection.close();
        }
    }

    // All of it is logged detached: whoever reads the log may be slow.

    fn application_raised<'py>(&self, py: Python<'py>, raised: Raised<'py>) {
        let Self { id, method, path, connection: _ } = self;
        let exception = raised.into_exception(py);
        let traceback = exception.traceback.trim_end();
        py.detach(|| {
            tracing::error!(code = "STACK0201", request_id = %id, %method, %path, exception = exception.kind, traceback, "the application raised");
        });
    }

    fn interrupted<'py>(&self, py: Python<'py>, raise: Raise<'py>, interruption: Interruption) {
        let Self { id, method, path, connection: _ } = self;
        let (exception, traceback) = match raise {
            Raise::Again(raised) => {
                let exception = raised.into_exception(py);
                (exception.kind, exception.traceback)
            }
            Raise::New(_, message) => (String::new(), message),
        };
        let (traceback, raised) = (traceback.trim_end(), interruption.class());
        py.detach(|| {
            tracing::info!(request_id = %id, %method, %path, raised, exception, traceback, "a request that was interrupted has ended");
        });
    }

    fn withheld<'py>(&self, py: Python<'py>, raise: Raise<'py>) {
        let Self { id, method, path, connection: _ } = self;
        let traceback = match raise {
            Raise::Again(raised) => raised.into_exception(py).traceback,
            Raise::New(_, message) => message,
        };
        py.detach(|| {
            tracing::info!(request_id = %id, %method, %path, traceback, "the application raised beside a refused module; the request waits to be run again");
        });
    }

    fn application_broke_contract(&self, py: Python<'_>, problem: &str) {
        let Self { id, method, path, connection: _ } = self;
        py.detach(|| {
            tracing::error!(code = "STACK0211", request_id = %id, %method, %path, problem, "the application broke the WSGI contract");
        });
    }

    fn close_raised<'py>(&self, py: Python<'py>, raised: Raised<'py>) {
        let Self { id, method, path, connection: _ } = self;
        let exception = raised.into_exception(py);
        let traceback = exception.traceback.trim_end();
        py.detach(|| {
            tracing::error!(code = "STACK0212", request_id = %id, %method, %path, exception = exception.kind, traceback, "close() of the response raised");
        });
    }

    fn gateway_failed<'py>(&self, py: Python<'py>, raised: Raised<'py>) {
        let Self { id, method, path, connection: _ } = self;
        let exception = raised.into_exception(py);
        py.detach(|| {
            tracing::error!(code = "STACK0321", request_id = %id, %method, %path, problem = %exception, "the environ could not be made");
        });
    }

    fn client_gone(&self, py: Python<'_>) {
        let Self { id, method, path, connection: _ } = self;
        py.detach(|| {
            tracing::debug!(request_id = %id, %method, %path, "the client left before the response was whole");
        });
    }
}
