//! The sending end of an exchange.

use std::{io, os::unix::fs::FileExt, sync::Arc as StdArc, time::Instant};

use bytes::Bytes;

use super::{Phase, Piece, Shared, finish, wake};
use crate::{
    Failure, FileRegion, Flow, Push, RequestId, ResponseHead, SendError, WhenClientGone, WorkerId,
    queue::{Counted, Unanswered},
    spill::{self, Spill},
    sync::{Arc, lock},
};

/// Bytes of a file that are copied at a time.
const COPY_SIZE: usize = 64 * 1024;

/// Sends a response to a reader in this process.
#[derive(Debug)]
pub(crate) struct Sending {
    shared: Arc<Shared>,
    /// The disk refused a block: from then on the worker waits for the reader instead.
    disk_failed: bool,
    done: bool,
    /// While it is here the job counts as unanswered at its worker. It goes before the reader is woken, whose next request
    /// may be here at once.
    counted: Option<Counted>,
}

/// The reader in this process, as seen from the sending end.
#[derive(Clone, Debug)]
pub(crate) struct Reader(Arc<Shared>);

impl Reader {
    pub(crate) fn is_gone(&self) -> bool {
        lock(&self.0.state).reader_gone
    }
}

impl Sending {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, disk_failed: false, done: false, counted: None }
    }

    pub(crate) fn count_in(&mut self, unanswered: &Unanswered) {
        self.counted = Some(Counted::new(unanswered));
    }

    pub(crate) fn count_out(&mut self) {
        self.counted = None;
    }

    pub(crate) fn start(&self, worker: WorkerId) -> bool {
        let mut state = lock(&self.shared.state);
        state.trace.worker = Some(worker);
        state.trace.started_at = Some(Instant::now());
        !state.reader_gone
    }

    pub(crate) fn is_client_gone(&self) -> bool {
        lock(&self.shared.state).reader_gone
    }

    pub(crate) fn reader(&self) -> Reader {
        Reader(Arc::clone(&self.shared))
    }

    pub(crate) fn when_client_gone(&self, watch: StdArc<dyn WhenClientGone>, request: RequestId) {
        let mut state = lock(&self.shared.state);
        if state.reader_gone {
            drop(state);
            watch.client_gone(request);
        } else {
            state.watch = Some((watch, request));
        }
    }

    pub(crate) fn try_push(&mut self, push: &mut Push<'_>) -> Result<bool, SendError> {
        let mut state = self.shared.open(push.head.take())?;
        let room = state.room(&self.shared.limits).min(push.block.len());
        let (now, later) = push.block.split_at(room);
        push.block = later;
        if !now.is_empty() {
            state.add(Bytes::copy_from_slice(now));
        }
        if later.is_empty() && push.last {
            self.done = true;
            self.counted = None;
            finish(&mut state, Phase::Finished);
        }
        wake(state);
        Ok(later.is_empty())
    }

    pub(crate) fn try_push_bytes(
        &mut self,
        head: Option<(ResponseHead, Flow)>,
        mut block: Bytes,
        last: bool,
    ) -> Result<Option<Bytes>, SendError> {
        let mut state = self.shared.open(head)?;
        let room = state.room(&self.shared.limits).min(block.len());
        let now = block.split_to(room);
        if !now.is_empty() {
            state.add(now);
        }
        if block.is_empty() && last {
            self.done = true;
            self.counted = None;
            finish(&mut state, Phase::Finished);
        }
        wake(state);
        Ok(Some(block).filter(|block| !block.is_empty()))
    }

    pub(crate) fn push(&mut self, push: &mut Push<'_>) -> Result<(), SendError> {
        while !self.try_push(push)? {
            if !self.spill(push)? {
                self.wait_for_room()?;
            }
        }
        Ok(())
    }

    pub(crate) fn push_file(
        &mut self,
        head: Option<(ResponseHead, Flow)>,
        region: FileRegion,
        last: bool,
    ) -> Result<(), SendError> {
        let mut state = self.shared.open(head)?;
        loop {
            if state.spill.as_ref().is_some_and(|spill| spill.unread() > 0) {
                // What is in that file comes first, and what follows it can only follow in it.
                drop(state);
                return self.copy(&region, last);
            }
            if state.in_files == 0 || state.in_files + region.length <= self.shared.limits.spill {
                break;
            }
            state = self.shared.wait(state);
            if state.reader_gone {
                return Err(SendError::ClientGone);
            }
        }
        state.in_files += region.length;
        state.pieces.push_back(Piece::File(region));
        if last {
            self.done = true;
            self.counted = None;
            finish(&mut state, Phase::Finished);
        }
        wake(state);
        Ok(())
    }

    fn copy(&mut self, region: &FileRegion, last: bool) -> Result<(), SendError> {
        let mut buffer = vec![0; COPY_SIZE];
        let mut done = 0;
        while done < region.length {
            let wanted = usize::try_from(region.length - done).unwrap_or(COPY_SIZE).min(COPY_SIZE);
            match region.file.read_at(&mut buffer[..wanted], region.offset + done) {
                Ok(0) => break,
                Ok(read) => {
                    done += read as u64;
                    let last = last && done == region.length;
                    self.push(&mut Push { head: None, block: &buffer[..read], last, may_wait: false })?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        if done < region.length {
            self.end_with(Failure::Gateway);
        }
        Ok(())
    }

    pub(crate) fn finish_with_file(
        &mut self,
        head: Option<(ResponseHead, Flow)>,
        region: FileRegion,
    ) -> Result<(), SendError> {
        let mut state = self.shared.open(head)?;
        state.tail = Some(region);
        self.done = true;
        self.counted = None;
        finish(&mut state, Phase::Finished);
        wake(state);
        Ok(())
    }

    pub(crate) fn fail_with(mut self, failure: Failure, details: Option<Vec<u8>>) {
        if details.is_some() {
            lock(&self.shared.state).details = details;
        }
        self.end_with(failure);
    }

    fn end_with(&mut self, failure: Failure) {
        if std::mem::replace(&mut self.done, true) {
            return;
        }
        self.counted = None;
        let mut state = lock(&self.shared.state);
        finish(&mut state, Phase::Failed(failure));
        wake(state);
    }

    /// Writes the next part of the block to the spill file. False where that is not to be had.
    fn spill(&mut self, push: &mut Push<'_>) -> Result<bool, SendError> {
        let limits = &self.shared.limits;
        if self.disk_failed || limits.spill == 0 {
            return Ok(false);
        }
        let mut state = self.shared.open(None)?;
        if state.flow == Flow::Streamed {
            return Ok(false);
        }
        if state.spill.is_none() {
            drop(state);
            match Spill::create(&limits.directory) {
                Ok(spill) => {
                    state = lock(&self.shared.state);
                    state.spill = Some(spill);
                }
                Err(error) => {
                    self.disk_failed(&error);
                    return Ok(false);
                }
            }
        }
        let spill = state.spill.as_mut().expect("made above, and only this end removes it");
        let (file, offset) = (spill.file(), spill.write_offset());
        let room = usize::try_from(limits.spill.saturating_sub(offset)).unwrap_or(usize::MAX);
        drop(state);
        if room == 0 {
            return Ok(false);
        }
        let (written, outcome) = spill::write_at(&file, &push.block[..room.min(push.block.len())], offset);
        push.block = &push.block[written..];
        let mut state = lock(&self.shared.state);
        state.spill.as_mut().expect("as above").wrote(written as u64);
        wake(state);
        if let Err(error) = outcome {
            self.disk_failed(&error);
        }
        Ok(written > 0)
    }

    fn disk_failed(&mut self, error: &io::Error) {
        self.disk_failed = true;
        let directory = &self.shared.limits.directory;
        tracing::warn!(code = "STACK0301", directory = %directory.display(), %error, "response not buffered on disk; the worker waits for its client");
    }

    fn wait_for_room(&self) -> Result<(), SendError> {
        let mut state = lock(&self.shared.state);
        loop {
            if state.reader_gone {
                return Err(SendError::ClientGone);
            }
            if state.room(&self.shared.limits) > 0 {
                return Ok(());
            }
            state = self.shared.wait(state);
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.end_with(Failure::Dropped);
    }
}
