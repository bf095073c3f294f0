//! The job that a worker's thread runs, and where its answer goes.

use std::time::Instant;

use bytes::Bytes;
use stack_bridge::{Failure, FileRegion, Flow, Job, Push, Request, Responder, ResponseHead, SendError};

use super::{LaneError, LostJob};
use crate::wire::WireError;

/// The job that the worker runs now.
pub(super) struct Current {
    /// None where the job was given back.
    pub(super) request: Option<Box<Request>>,
    pub(super) answer: Answer,
    pub(super) deadline: Option<Instant>,
    pub(super) retried: bool,
}

impl Current {
    /// The job as it was, if nothing of it is answered.
    pub(super) fn take_job(&mut self) -> Option<Job> {
        if !matches!(self.answer, Answer::Waiting(_)) {
            return None;
        }
        let (responder, request) = (self.answer.take()?, self.request.take()?);
        Some(Job { request, responder, deadline: self.deadline, retried: self.retried })
    }

    pub(super) fn lost(self) -> LostJob {
        match (self.request, self.answer) {
            (None, _) => LostJob::GivenBack,
            (Some(request), Answer::Waiting(responder)) => LostJob::Unanswered(Box::new(Job {
                request,
                responder,
                deadline: self.deadline,
                retried: self.retried,
            })),
            (Some(request), Answer::Begun(responder)) => {
                responder.fail(Failure::WorkerGone);
                LostJob::Begun(request)
            }
            (Some(request), Answer::Over) => LostJob::Begun(request),
        }
    }

    /// A part of the response is in a file that this process could not open: the response is cut, the worker goes on.
    pub(super) fn lacks_file(&mut self, error: &WireError) {
        if let Some(responder) = self.answer.take() {
            let request = self.request.as_ref().map(|request| request.id.to_string());
            tracing::error!(code = "STACK0305", request_id = request, %error, "a part of a response could not be taken over");
            responder.fail(Failure::Gateway);
        }
    }
}

/// Where the response to the current job goes.
pub(super) enum Answer {
    /// Nothing has been sent.
    Waiting(Responder),
    Begun(Responder),
    /// It is complete, has failed, or nobody reads it.
    Over,
}

impl Answer {
    pub(super) fn take(&mut self) -> Option<Responder> {
        match std::mem::replace(self, Self::Over) {
            Self::Waiting(responder) | Self::Begun(responder) => Some(responder),
            Self::Over => None,
        }
    }

    fn put_back(&mut self, responder: Responder, sent: Result<(), SendError>, last: bool) {
        if sent.is_ok() && !last {
            *self = Self::Begun(responder);
        }
    }

    pub(super) async fn block(
        &mut self,
        head: Option<(ResponseHead, Flow)>,
        block: Bytes,
        last: bool,
    ) -> Result<(), LaneError> {
        let Some(mut responder) = self.take() else { return Ok(()) };
        match responder.try_push_bytes(head, block, last) {
            Ok(None) => self.put_back(responder, Ok(()), last),
            Ok(Some(left)) => {
                // Disk, or a reader that must be waited for.
                let (responder, sent) = tokio::task::spawn_blocking(move || {
                    let sent = responder.push(&mut Push { head: None, block: &left, last, may_wait: false });
                    (responder, sent)
                })
                .await?;
                self.put_back(responder, sent, last);
            }
            Err(gone) => self.put_back(responder, Err(gone), last),
        }
        Ok(())
    }

    pub(super) async fn file_block(
        &mut self,
        head: Option<(ResponseHead, Flow)>,
        region: FileRegion,
        last: bool,
    ) -> Result<(), LaneError> {
        let Some(mut responder) = self.take() else { return Ok(()) };
        let (responder, sent) = tokio::task::spawn_blocking(move || {
            let sent = responder.push_file(head, region, last);
            (responder, sent)
        })
        .await?;
        self.put_back(responder, sent, last);
        Ok(())
    }
}
