//! What becomes of the jobs of a process that has ended.

use http::Method;
use stack_bridge::{Failure, Queue, WorkerId};

use crate::lane::{Lost, LostJob};

/// Gives a lost job to another worker, or answers it. Its process has ended.
pub(super) fn settle(queue: &Queue, worker: WorkerId, lost: Lost) {
    let was_unread = lost.was_unread();
    tracing::debug!(worker = worker.0, request = describe(&lost), error = %lost.error, was_unread, "a job was lost");
    for job in lost.ahead.into_iter().rev() {
        queue.give_back(job);
    }
    match lost.job {
        LostJob::Unsent(job) => queue.give_back(*job),
        LostJob::Unanswered(job) if was_unread => queue.give_back(*job),
        LostJob::Unanswered(mut job) => {
            let is_safe = [Method::GET, Method::HEAD].contains(&job.request.method);
            if is_safe && !std::mem::replace(&mut job.retried, true) {
                queue.give_back(*job);
            } else {
                job.responder.fail(Failure::WorkerGone);
            }
        }
        LostJob::Begun(_) | LostJob::GivenBack => {}
    }
}

/// Why a lane is of no use any more.
pub(super) fn first_error(lost: &[Lost]) -> String {
    // A task that ended without a word panicked; its thread has said so.
    lost.first().map_or_else(|| "its task ended".into(), |lost| lost.error.to_string())
}

pub(super) fn describe(lost: &Lost) -> Option<String> {
    let request = lost.job.request()?;
    // As it was sent: what is encoded there may be a line's end.
    let path = request.target.split(|byte| *byte == b'?').next().unwrap_or_default();
    Some(format!("{} {} {}", request.id, request.method, String::from_utf8_lossy(path)))
}
