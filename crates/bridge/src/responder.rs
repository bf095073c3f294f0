//! The worker's end of a response, wherever the other end is.

use std::{fmt, sync::Arc};

use bytes::Bytes;

use crate::{
    Failure, FileRegion, Flow, RequestId, ResponseHead, SendError, WorkerId,
    exchange::{Reader, Sending},
    queue::Unanswered,
};

/// What a worker sends in one step. Taken over piece by piece: what has been accepted is gone from here.
#[derive(Debug)]
pub struct Push<'a> {
    /// The head, with the first block and only there.
    pub head: Option<(ResponseHead, Flow)>,
    /// Bytes of the body, possibly none.
    pub block: &'a [u8],
    /// Whether the response ends with this block.
    pub last: bool,
    /// Whether sending the last block may wait until the thread takes its next job: it does so at once.
    pub may_wait: bool,
}

/// Sends the response to one job. Dropped before its end, it makes the reply fail: a job is never answered with silence.
#[derive(Debug)]
pub struct Responder(End);

#[derive(Debug)]
enum End {
    /// The front is in this process.
    Local(Sending),
    /// The front is in another.
    Remote(Box<dyn RemoteResponder>),
}

/// The worker's end of a response whose reader is in another process. Dropping it before its end counts as
/// [`Failure::Dropped`].
pub trait RemoteResponder: fmt::Debug + Send {
    /// See [`Responder::is_client_gone`].
    fn is_client_gone(&self) -> bool;
    /// See [`Responder::client`].
    fn client(&self) -> Arc<dyn RemoteClient>;
    /// See [`Responder::try_push`].
    fn try_push(&mut self, push: &mut Push<'_>) -> Result<bool, SendError>;
    /// See [`Responder::push`].
    fn push(&mut self, push: &mut Push<'_>) -> Result<(), SendError>;
    /// See [`Responder::finish_with_file`].
    fn finish_with_file(&mut self, head: Option<(ResponseHead, Flow)>, region: FileRegion) -> Result<(), SendError>;
    /// See [`Responder::fail_with`].
    fn fail_with(self: Box<Self>, failure: Failure, details: Option<Vec<u8>>);
}

/// Who waits for a response, as any thread may ask. It keeps nothing alive but what is needed to answer.
#[derive(Clone, Debug)]
pub struct ClientHandle(Waits);

#[derive(Clone, Debug)]
enum Waits {
    Local(Reader),
    Remote(Arc<dyn RemoteClient>),
}

/// The client of a job whose reader is in another process.
pub trait RemoteClient: fmt::Debug + Send + Sync {
    /// See [`ClientHandle::is_gone`].
    fn is_gone(&self) -> bool;
}

impl ClientHandle {
    /// Whether nobody reads the response any more.
    pub fn is_gone(&self) -> bool {
        match &self.0 {
            Waits::Local(reader) => reader.is_gone(),
            Waits::Remote(client) => client.is_gone(),
        }
    }
}

/// Is told that a client left before its response was complete.
pub trait WhenClientGone: fmt::Debug + Send + Sync {
    /// Called once, on whatever thread noticed; it must not block.
    fn client_gone(&self, request: RequestId);
}

impl Responder {
    pub(crate) fn local(sending: Sending) -> Self {
        Self(End::Local(sending))
    }

    /// A responder whose reader is in another process.
    pub fn remote(responder: Box<dyn RemoteResponder>) -> Self {
        Self(End::Remote(responder))
    }

    /// Whether nobody reads the response any more.
    pub fn is_client_gone(&self) -> bool {
        match &self.0 {
            End::Local(sending) => sending.is_client_gone(),
            End::Remote(remote) => remote.is_client_gone(),
        }
    }

    /// A way to ask whether the client has gone while another thread has the responder.
    pub fn client(&self) -> ClientHandle {
        ClientHandle(match &self.0 {
            End::Local(sending) => Waits::Local(sending.reader()),
            End::Remote(remote) => Waits::Remote(remote.client()),
        })
    }

    /// Sends what there is room for, without waiting. True when all of `push` was taken.
    pub fn try_push(&mut self, push: &mut Push<'_>) -> Result<bool, SendError> {
        match &mut self.0 {
            End::Local(sending) => sending.try_push(push),
            End::Remote(remote) => remote.try_push(push),
        }
    }

    /// Sends all of `push`; waits while the body is over its limits. Call it without the GIL.
    pub fn push(&mut self, push: &mut Push<'_>) -> Result<(), SendError> {
        match &mut self.0 {
            End::Local(sending) => sending.push(push),
            End::Remote(remote) => remote.push(push),
        }
    }

    /// Ends the response with part of a file, after all blocks sent before.
    pub fn finish_with_file(
        &mut self,
        head: Option<(ResponseHead, Flow)>,
        region: FileRegion,
    ) -> Result<(), SendError> {
        match &mut self.0 {
            End::Local(sending) => sending.finish_with_file(head, region),
            End::Remote(remote) => remote.finish_with_file(head, region),
        }
    }

    /// Ends the response as one that is not whole: an error where the head is still here, else a cut connection.
    pub fn fail(self, failure: Failure) {
        self.fail_with(failure, None);
    }

    /// The same, with what the client is to see of it in the form that its request names ([`Request::details`]). It is of
    /// use only where the head is still here.
    ///
    /// [`Request::details`]: crate::Request::details
    pub fn fail_with(self, failure: Failure, details: Option<Vec<u8>>) {
        match self.0 {
            End::Local(sending) => sending.fail_with(failure, details),
            End::Remote(remote) => remote.fail_with(failure, details),
        }
    }

    /// Counts the job in at the worker that gets it, until it is answered.
    pub(crate) fn count_in(&mut self, unanswered: &Unanswered) {
        if let End::Local(sending) = &mut self.0 {
            sending.count_in(unanswered);
        }
    }

    /// Counts it out again: that worker will not answer it.
    pub(crate) fn count_out(&mut self) {
        if let End::Local(sending) = &mut self.0 {
            sending.count_out();
        }
    }

    /// Marks the job as taken by `worker`. False where the client has gone: the job must not run.
    pub(crate) fn start(&self, worker: WorkerId) -> bool {
        match &self.0 {
            End::Local(sending) => sending.start(worker),
            End::Remote(remote) => !remote.is_client_gone(),
        }
    }
}

/// What only a carrier between processes does. It holds a responder of the front's own process.
impl Responder {
    /// Has `watch` told when the client leaves before the response is complete; at once where it has left already.
    pub fn when_client_gone(&self, watch: Arc<dyn WhenClientGone>, request: RequestId) {
        if let End::Local(sending) = &self.0 {
            sending.when_client_gone(watch, request);
        }
    }

    /// As [`Responder::try_push`], with a block that need not be copied. What was not taken comes back.
    pub fn try_push_bytes(
        &mut self,
        head: Option<(ResponseHead, Flow)>,
        block: Bytes,
        last: bool,
    ) -> Result<Option<Bytes>, SendError> {
        match &mut self.0 {
            End::Local(sending) => sending.try_push_bytes(head, block, last),
            End::Remote(remote) => {
                let mut push = Push { head, block: &block, last, may_wait: false };
                let taken = remote.try_push(&mut push)?;
                let left = push.block.len();
                Ok((!taken).then(|| block.slice(block.len() - left..)))
            }
        }
    }

    /// Sends a block that is in a file. Call it where waiting is allowed: it does where the body is over its limits.
    pub fn push_file(
        &mut self,
        head: Option<(ResponseHead, Flow)>,
        region: FileRegion,
        last: bool,
    ) -> Result<(), SendError> {
        match &mut self.0 {
            End::Local(sending) => sending.push_file(head, region, last),
            End::Remote(_) => unreachable!("a carrier's responder is local"),
        }
    }
}
