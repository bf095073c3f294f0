//! `start_response` and `write`: the response of one request while the application makes it.

use std::{
    cmp::Ordering,
    ffi::CStr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use http::{HeaderValue, header::CONTENT_LENGTH};
use stack_bridge::{Failure, FileRegion, Push, Responder, SendError};
use stack_interp::{Arguments, Class, MethodDef, Object, Python, Raise, Raised, Raises, methods};

use crate::{
    headers::{self, Head},
    watch::SharedSlot,
};

/// The response of one request. Python holds it as the object behind `start_response` and `write`.
#[derive(Debug)]
pub(crate) struct Response {
    state: Mutex<State>,
    /// Where its thread is watched.
    slot: SharedSlot,
}

#[derive(Debug)]
struct State {
    stage: Stage,
    /// Whether the request was a HEAD: no block is sent (RFC 9110 §9.3.2).
    is_head: bool,
    /// What is known about the body once the head is out.
    promised: Option<u64>,
    sent: u64,
    bodiless: bool,
}

/// How far the response is.
#[derive(Debug)]
enum Stage {
    /// `start_response` has not been called.
    New(Responder),
    /// The head waits for the first block (PEP 3333: it must not go out before).
    Started(Responder, Box<Head>),
    /// The head is out.
    Open(Responder),
    /// A thread hands a block over, detached.
    Moving,
    /// All of it has been handed over.
    Complete,
    /// The client has gone.
    ClientGone,
    /// The response was cut, because the application failed.
    Cut,
    /// The request is over.
    Over,
}

/// What comes after a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// Perhaps another.
    More,
    /// The end of the response.
    End,
    /// The end of the response and of the request: there is no `close()` to call.
    Nothing,
}

/// What became of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// More may follow.
    Open,
    /// The response is complete: nothing more is to be sent.
    Complete,
    /// Nobody reads it any more.
    ClientGone,
}

impl Class for Response {
    const NAME: &'static CStr = c"stack.Response";
    const METHODS: &'static [MethodDef<Self>] = methods!(Response:
        c"start_response" => Response::start_response,
        c"write" => Response::write,
    );
}

impl Response {
    pub(crate) fn new(responder: Responder, is_head: bool, slot: SharedSlot) -> Self {
        let stage = Stage::New(responder);
        Self { state: Mutex::new(State { stage, is_head, promised: None, sent: 0, bodiless: false }), slot }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `start_response(status, headers, exc_info=None)`, PEP 3333 "The `start_response()` Callable".
    fn start_response<'py>(&self, py: Python<'py>, arguments: &Arguments<'_, 'py>) -> Result<Object<'py>, Raise<'py>> {
        arguments.check("start_response", 2, &["status", "headers", "exc_info"])?;
        let status = arguments.argument(0, "status").expect("checked");
        let fields = arguments.argument(1, "headers").expect("checked");
        let exc_info = arguments.argument(2, "exc_info").filter(|exc_info| !exc_info.is_none());
        let head = Box::new(headers::check(py, &status, &fields)?);
        let mut state = self.lock();
        match std::mem::replace(&mut state.stage, Stage::Moving) {
            Stage::New(responder) => state.stage = Stage::Started(responder, head),
            Stage::Started(responder, _) if exc_info.is_some() => state.stage = Stage::Started(responder, head),
            stage => {
                let started = matches!(stage, Stage::Started(..));
                let over = matches!(stage, Stage::Over);
                state.stage = stage;
                drop(state);
                return Err(match exc_info {
                    _ if over => Raise::New(Raises::RuntimeError, "start_response() of a request that is over".into()),
                    // The head is out: the error can not be shown any more, so it goes on through the application.
                    Some(exc_info) if !started => raise_again(py, &exc_info),
                    _ => Raise::New(
                        Raises::AssertionError,
                        "start_response() was called before; a second call needs exc_info".into(),
                    ),
                });
            }
        }
        drop(state);
        Ok(arguments.method(c"write")?)
    }

    /// `write(data)`, for applications that can not return an iterable.
    fn write<'py>(&self, py: Python<'py>, arguments: &Arguments<'_, 'py>) -> Result<Object<'py>, Raise<'py>> {
        arguments.check("write", 1, &["data"])?;
        let data = arguments.argument(0, "data").expect("checked");
        let Some(block) = data.as_bytes() else {
            return Err(Raise::type_error(format!("write() takes bytes, not {}", data.type_name(py))));
        };
        // Unlike a block of the iterable, an empty one sends the head here: it asks for it.
        match self.send(py, block, After::More)? {
            Sent::Open | Sent::Complete => Ok(Object::none(py)),
            // There is no other way to tell an application that writes on and on.
            Sent::ClientGone => Err(Raise::New(Raises::OSError, "the client has gone".into())),
        }
    }

    /// Adds Content-Length where the application gave none and the whole body is known.
    pub(crate) fn set_length(&self, length: usize) {
        let mut state = self.lock();
        // A HEAD without a block says nothing about the length of a GET's body.
        if state.is_head && length == 0 {
            return;
        }
        if let Stage::Started(_, head) = &mut state.stage
            && head.promised.is_none()
            && !head.is_bodiless()
        {
            head.promised = Some(length as u64);
            head.response.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
    }

    /// Hands one block over, with the head in front of the first. Waits, detached, where the body is over its limits.
    pub(crate) fn send<'py>(&self, py: Python<'py>, block: &[u8], after: After) -> Result<Sent, Raise<'py>> {
        let last = after != After::More;
        let mut state = self.lock();
        let (mut responder, head) = match std::mem::replace(&mut state.stage, Stage::Moving) {
            Stage::Started(responder, head) => {
                state.promised = head.promised;
                state.bodiless = state.is_head || head.is_bodiless();
                (responder, Some((head.response, head.flow)))
            }
            Stage::Open(responder) => (responder, None),
            stage => return refuse_block(state, stage, block),
        };
        let length = if state.bodiless { 0 } else { block.len() as u64 };
        let promised = state.promised.filter(|_| !state.bodiless).map(|promised| promised.cmp(&(state.sent + length)));
        let broken = match promised {
            // Not one byte of a block that is too much: the response then is visibly cut, not silently right.
            Some(Ordering::Less) => Some("the body is longer than its Content-Length"),
            Some(Ordering::Greater) if last => Some("the body is shorter than its Content-Length"),
            _ => None,
        };
        if let Some(problem) = broken {
            state.stage = Stage::Cut;
            drop(state);
            responder.fail(Failure::Application);
            return Err(Raise::New(Raises::AssertionError, problem.into()));
        }
        state.sent += length;
        let complete = last || state.bodiless || state.promised == Some(state.sent);
        let block = if state.bodiless { &[] } else { block };
        let mut push = Push { head, block, last: complete, may_wait: after == After::Nothing };
        self.slot.sending();
        // Under the mutex, because it waits for nothing: the blocks of two threads go out one after the other.
        let sent = match responder.try_push(&mut push) {
            Ok(true) => Ok(()),
            Ok(false) => {
                drop(state);
                let pushed = py.detach(|| responder.push(&mut push));
                state = self.lock();
                pushed
            }
            Err(gone) => Err(gone),
        };
        self.slot.sent(complete);
        let over = matches!(state.stage, Stage::Over);
        let (stage, sent) = match sent {
            Err(SendError::ClientGone) => (Stage::ClientGone, Sent::ClientGone),
            Ok(()) if complete => (Stage::Complete, Sent::Complete),
            Ok(()) => (Stage::Open(responder), Sent::Open),
        };
        if !over {
            state.stage = stage;
        }
        Ok(sent)
    }

    /// Ends the response with part of a file.
    pub(crate) fn send_file<'py>(&self, mut region: FileRegion) -> Result<Sent, Raise<'py>> {
        self.set_length(usize::try_from(region.length).unwrap_or(usize::MAX));
        let mut state = self.lock();
        let (mut responder, head) = match std::mem::replace(&mut state.stage, Stage::Moving) {
            Stage::Started(responder, head) => (responder, head),
            stage => return refuse_block(state, stage, b"file"),
        };
        self.slot.sent(true);
        if state.is_head || head.is_bodiless() {
            region.length = 0;
        } else if let Some(promised) = head.promised {
            if region.length < promised {
                state.stage = Stage::Cut;
                drop(state);
                responder.fail(Failure::Application);
                return Err(Raise::New(Raises::AssertionError, "the file is shorter than its Content-Length".into()));
            }
            region.length = promised;
        }
        let head = Some((head.response, head.flow));
        let sent = if region.length == 0 {
            responder.try_push(&mut Push { head, block: &[], last: true, may_wait: false }).map(drop)
        } else {
            responder.finish_with_file(head, region)
        };
        state.stage = if sent.is_ok() { Stage::Complete } else { Stage::ClientGone };
        Ok(if sent.is_ok() { Sent::Complete } else { Sent::ClientGone })
    }

    /// Whether the head waits for the first block.
    pub(crate) fn is_started(&self) -> bool {
        matches!(self.lock().stage, Stage::Started(..))
    }

    /// Whether nothing has been sent yet.
    pub(crate) fn is_unsent(&self) -> bool {
        matches!(self.lock().stage, Stage::New(_) | Stage::Started(..))
    }

    /// Whether nothing has been sent yet, and what would be is an error of the server's.
    pub(crate) fn is_unsent_server_error(&self) -> bool {
        matches!(&self.lock().stage, Stage::Started(_, head) if head.response.status.is_server_error())
    }

    /// Takes the response out of the application's hands, where nothing has been sent yet: it is for another to make.
    pub(crate) fn take_responder(&self) -> Option<Responder> {
        let mut state = self.lock();
        match std::mem::replace(&mut state.stage, Stage::Over) {
            Stage::New(responder) | Stage::Started(responder, _) => Some(responder),
            stage => {
                state.stage = stage;
                None
            }
        }
    }

    /// Whether the client left before it had all.
    pub(crate) fn is_client_gone(&self) -> bool {
        matches!(self.lock().stage, Stage::ClientGone)
    }

    /// Whether all that was promised has been handed over.
    pub(crate) fn is_complete(&self) -> bool {
        matches!(self.lock().stage, Stage::Complete)
    }

    /// Whether the head is out and has no body behind it: further blocks need not even be made.
    pub(crate) fn is_bodiless_and_sent(&self) -> bool {
        self.lock().bodiless
    }

    /// The iterable is exhausted: sends what is left and checks the promise. False where the client has gone.
    pub(crate) fn finish<'py>(&self, py: Python<'py>) -> Result<bool, Raise<'py>> {
        let state = self.lock();
        match state.stage {
            Stage::Complete => return Ok(true),
            Stage::Started(..) => {
                drop(state);
                self.set_length(0);
            }
            _ => drop(state),
        }
        Ok(self.send(py, b"", After::End)? != Sent::ClientGone)
    }

    /// The application failed: an error where the head is still here, with these details for the client, else a cut connection.
    pub(crate) fn fail_with(&self, failure: Failure, details: Option<Vec<u8>>) {
        let mut state = self.lock();
        let stage = std::mem::replace(&mut state.stage, Stage::Cut);
        drop(state);
        if let Stage::New(responder) | Stage::Started(responder, _) | Stage::Open(responder) = stage {
            responder.fail_with(failure, details);
        }
    }

    /// Ends it with its request: whoever still holds `write` can do nothing with it.
    pub(crate) fn expire(&self) {
        let stage = std::mem::replace(&mut self.lock().stage, Stage::Over);
        drop(stage);
    }
}

/// What a block means that comes in a stage in which none is sent.
fn refuse_block<'py>(mut state: MutexGuard<'_, State>, stage: Stage, block: &[u8]) -> Result<Sent, Raise<'py>> {
    let too_long = matches!(stage, Stage::Complete) && !block.is_empty() && !state.bodiless;
    let outcome = match &stage {
        Stage::Complete if too_long => Err((Raises::AssertionError, "the body is longer than its Content-Length")),
        Stage::Complete => Ok(Sent::Complete),
        Stage::ClientGone | Stage::Cut => Ok(Sent::ClientGone),
        Stage::New(_) => Err((Raises::AssertionError, "start_response() was not called before the first block")),
        Stage::Moving => Err((Raises::RuntimeError, "two threads write one response at the same time")),
        Stage::Started(..) | Stage::Open(_) | Stage::Over => {
            Err((Raises::RuntimeError, "write() of a request that is over"))
        }
    };
    state.stage = stage;
    outcome.map_err(|(kind, message)| Raise::New(kind, message.into()))
}

/// `raise exc_info[1].with_traceback(exc_info[2])`
fn raise_again<'py>(py: Python<'py>, exc_info: &Object<'py>) -> Raise<'py> {
    let Some(value) = exc_info.sequence_item(py, 1).filter(|value| !value.is_none()) else {
        return Raise::type_error("exc_info must be the tuple of sys.exc_info()");
    };
    if let Some(traceback) = exc_info.sequence_item(py, 2)
        && let Err(raised) = value.call_method(py, "with_traceback", &[&traceback])
    {
        return Raise::Again(raised);
    }
    Raise::Again(Raised::from_object(py, value))
}
