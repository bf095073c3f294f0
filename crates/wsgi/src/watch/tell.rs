//! What the log says of requests that do not end.

use std::io;

use stack_bridge::WorkerId;
use stack_interp::Interruption;

use super::post::{Kind, News};

/// Tells of a request, with the stack of its thread.
pub(super) fn news(worker: WorkerId, news: &News, stack: &str) {
    let Some((about, since)) = &news.about else { return };
    let (worker, request_id, method) = (worker.0, about.id, &about.method);
    let (target, elapsed) = (String::from_utf8_lossy(&about.target), since.elapsed());
    let stack = stack.trim_end();
    match news.kind {
        Kind::Presence => {}
        Kind::Slow => {
            tracing::warn!(code = "STACK0335", worker, %request_id, %method, %target, ?elapsed, stack, "a request is slow");
        }
        Kind::Paused => {
            tracing::warn!(code = "STACK0347", worker, %request_id, %method, %target, ?elapsed, stack, "a response that has begun paused for longer than request_timeout; stack.RequestTimeout is raised in its request");
        }
        Kind::Interrupted(Interruption::RequestTimeout) => {
            tracing::warn!(code = "STACK0336", worker, %request_id, %method, %target, ?elapsed, stack, "a request ran past request_timeout; stack.RequestTimeout is raised in it");
        }
        Kind::Interrupted(Interruption::ClientGone) => {
            tracing::info!(worker, %request_id, %method, %target, ?elapsed, stack, "the client of a request has left; stack.ClientGone is raised in it");
        }
        Kind::GivenUp => {
            tracing::error!(code = "STACK0337", worker, %request_id, %method, %target, ?elapsed, stack, "a request did not end when it was interrupted; its thread is given up");
        }
    }
}

pub(super) fn stalled(worker: WorkerId) {
    tracing::warn!(
        code = "STACK0338",
        worker = worker.0,
        "a worker's interpreter can not be entered: a C call holds its GIL"
    );
}

pub(super) fn recovered(worker: WorkerId) {
    tracing::info!(worker = worker.0, "a worker's interpreter can be entered again");
}

pub(super) fn no_attendant(worker: WorkerId, error: &io::Error) {
    tracing::error!(code = "STACK0322", worker = worker.0, %error, "a worker's thread could not be started");
}
