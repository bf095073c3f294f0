//! Jobs that are sent to a worker's thread before it is done with the one it has.
//!
//! Where jobs are short, most of what a lane costs are the wake-ups on both sides, and they are saved when several jobs are
//! sent at once: twice as many each time, while the worker's thread says that they were short. What is sent could be stuck
//! behind a job that takes long, while other threads become idle; so each is claimed by the worker before it begins, and what
//! is not claimed after [`AHEAD_TIME`] goes back to the queue; at once, where an answer comes in several blocks, with which the
//! server may have to wait for a client.

use std::{collections::VecDeque, future::pending, pin::Pin, time::Duration};

use stack_bridge::{Job, RequestBody, TaskConsumer};
use tokio::time::{Sleep, sleep};

use super::{LaneError, ServerLane, current::Current};
use crate::wire::WireError;

/// No more jobs are sent at once. Twice as many saved a tenth more, and would be stuck for longer.
pub(super) const LARGEST_BATCH: usize = 8;
/// Several jobs have no more bytes together: a socket has room for several times as much while nobody reads.
pub(super) const MOST_BYTES: usize = 32 * 1024;
/// A body of more bytes is sent alone.
const LARGEST_BODY: usize = 4 * 1024;
/// No job is stuck behind another for longer. It may be as long behind one of another thread, which keeps the GIL for that time.
pub(super) const AHEAD_TIME: Duration = Duration::from_millis(5);

/// The jobs behind the one that runs, the next first.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    pub(super) jobs: VecDeque<Job>,
    /// When those are taken back that the worker has not claimed.
    until: Option<Pin<Box<Sleep>>>,
}

impl Ahead {
    /// Waits until they have waited for long enough.
    pub(super) async fn is_late(&mut self) {
        match &mut self.until {
            Some(until) if !self.jobs.is_empty() => until.await,
            _ => pending().await,
        }
    }
}

/// Whether a job may be sent with others.
fn is_small(job: &Job) -> bool {
    match &job.request.body {
        RequestBody::Empty => true,
        RequestBody::Memory(bytes) => bytes.len() <= LARGEST_BODY,
        RequestBody::File { .. } => false,
    }
}

impl ServerLane {
    /// Takes the jobs that are sent behind this one.
    pub(super) fn take_ahead(&self, first: &Job, consumer: &mut TaskConsumer) -> Ahead {
        if self.window == 1 || self.skips > 0 || !is_small(first) {
            return Ahead::default();
        }
        let jobs = consumer.take_ahead(self.window - 1, is_small);
        let until = (!jobs.is_empty()).then(|| Box::pin(sleep(self.ahead_time)));
        Ahead { jobs, until }
    }

    /// Takes back what the worker has not begun with. True where the one that counts as running is among it.
    pub(super) fn withdraw(
        &mut self,
        current: &mut Current,
        ahead: &mut Ahead,
        consumer: &mut TaskConsumer,
    ) -> Result<bool, LaneError> {
        // Once: what is left was claimed, and its answers are on their way.
        ahead.until = None;
        let unclaimed = self.claims.take_back(ahead.jobs.len() + 1).map_err(LaneError::Claims)?;
        self.give_back(unclaimed, current, ahead, consumer)
    }

    /// Takes back what waits behind a response of several blocks: its client may have to be waited for.
    pub(super) fn withdraw_for_blocks(
        &mut self,
        current: &mut Current,
        ahead: &mut Ahead,
        consumer: &mut TaskConsumer,
    ) -> Result<(), LaneError> {
        if ahead.until.is_some() && self.withdraw(current, ahead, consumer)? {
            return Err(WireError::OutOfPlace.into());
        }
        Ok(())
    }

    /// Gives back the last jobs that were sent, which the worker will skip.
    pub(super) fn give_back(
        &mut self,
        unclaimed: usize,
        current: &mut Current,
        ahead: &mut Ahead,
        consumer: &mut TaskConsumer,
    ) -> Result<bool, LaneError> {
        self.skips += unclaimed;
        let behind = unclaimed.min(ahead.jobs.len());
        let begun = match unclaimed - behind {
            0 => None,
            1 => Some(current.take_job().ok_or(WireError::OutOfPlace)?),
            _ => return Err(WireError::OutOfPlace.into()),
        };
        let is_taken_back = begun.is_some();
        consumer.give_back_ahead(begun, ahead.jobs.split_off(ahead.jobs.len() - behind));
        Ok(is_taken_back)
    }
}
