//! The file that takes a response's blocks when its reader is slow.
//!
//! One writer (the worker) appends, one reader (the front) follows; when the reader has caught up the writer begins
//! again at the start, so the file never grows past the limit. It has no name: its space is free when it is dropped.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path, sync::Arc};

/// The writer's view: how much is in the file, and how much of it the reader has had.
#[derive(Debug)]
pub(crate) struct Spill {
    file: Arc<File>,
    written: u64,
    consumed: u64,
}

impl Spill {
    pub(crate) fn create(directory: &Path) -> io::Result<Self> {
        Ok(Self { file: Arc::new(tempfile::tempfile_in(directory)?), written: 0, consumed: 0 })
    }

    pub(crate) fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    /// Bytes the reader has not had yet.
    pub(crate) fn unread(&self) -> u64 {
        self.written - self.consumed
    }

    /// Where the next block goes.
    pub(crate) fn write_offset(&mut self) -> u64 {
        if self.consumed == self.written {
            (self.written, self.consumed) = (0, 0);
        }
        self.written
    }

    pub(crate) fn read_offset(&self) -> u64 {
        self.consumed
    }

    pub(crate) fn wrote(&mut self, bytes: u64) {
        self.written += bytes;
    }

    pub(crate) fn consume(&mut self, bytes: u64) {
        self.consumed = self.written.min(self.consumed + bytes);
    }
}

/// Writes as much of `block` as the disk takes. A short count comes with the error that stopped it.
pub(crate) fn write_at(file: &File, block: &[u8], offset: u64) -> (usize, io::Result<()>) {
    let mut done = 0;
    while done < block.len() {
        match file.write_at(&block[done..], offset + done as u64) {
            Ok(0) => return (done, Err(io::ErrorKind::WriteZero.into())),
            Ok(n) => done += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (done, Err(error)),
        }
    }
    (done, Ok(()))
}
