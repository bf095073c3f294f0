//! Part of a file as a sequence of blocks: static files, spilled responses and `file_wrapper` all go through here.
//!
//! What the page cache holds is read at once (`RWF_NOWAIT`); only a read that has to wait for the disk goes to a thread
//! that may block. Nothing is read ahead, so a client that stops reading holds one block.

use std::{
    fs::File,
    future::Future,
    io,
    os::unix::fs::FileExt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use tokio::task::{JoinHandle, spawn_blocking};

/// The size of a block: small enough for 10,000 slow readers, and, for one that keeps up, large enough that system calls do
/// not matter.
const SMALLEST: usize = 64 * 1024;
const LARGEST: usize = 256 * 1024;

/// A reader that comes back for the next block within this time keeps up.
const SOON: Duration = Duration::from_millis(20);

/// A range of a file that is still to be read.
#[derive(Debug)]
pub(crate) struct FileStream {
    file: Arc<File>,
    offset: u64,
    left: u64,
    block: usize,
    /// When the last block was handed out.
    handed_out: Option<Instant>,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

impl FileStream {
    pub(crate) fn new(file: Arc<File>, offset: u64, length: u64) -> Self {
        Self { file, offset, left: length, block: SMALLEST, handed_out: None, reading: None }
    }

    /// Bytes that [`Self::poll_block`] has not handed out.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// The next block; `None` after the last byte. A file that has become shorter is an error.
    pub(crate) fn poll_block(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        if self.reading.is_none() {
            self.adapt();
            let size = usize::try_from(self.left).unwrap_or(self.block).min(self.block);
            if let Some(block) = read_cached(&self.file, self.offset, size) {
                return Poll::Ready(Some(Ok(self.took(block))));
            }
            let (file, offset) = (Arc::clone(&self.file), self.offset);
            self.reading = Some(spawn_blocking(move || read(&file, offset, size)));
        }
        let reading = self.reading.as_mut().expect("set above");
        let outcome = ready!(Pin::new(reading).poll(cx)).map_err(io::Error::other).flatten();
        self.reading = None;
        Poll::Ready(Some(outcome.map(|block| self.took(block))))
    }

    fn adapt(&mut self) {
        self.block = match self.handed_out {
            Some(at) if at.elapsed() < SOON => (2 * self.block).min(LARGEST),
            _ => SMALLEST,
        };
    }

    fn took(&mut self, block: Bytes) -> Bytes {
        self.handed_out = Some(Instant::now());
        self.offset += block.len() as u64;
        self.left -= block.len() as u64;
        block
    }
}

/// At least one byte, without waiting for the disk. `None`: ask a thread.
#[cfg(target_os = "linux")]
pub(crate) fn read_cached(file: &File, offset: u64, size: usize) -> Option<Bytes> {
    use rustix::io::{ReadWriteFlags, preadv2};

    let mut block = BytesMut::zeroed(size);
    let read = preadv2(file, &mut [io::IoSliceMut::new(&mut block)], offset, ReadWriteFlags::NOWAIT).ok()?;
    block.truncate(read);
    (read > 0).then(|| block.freeze())
}

/// At least one byte, without waiting for the disk. `None`: ask a thread.
#[cfg(not(target_os = "linux"))]
pub(crate) fn read_cached(_file: &File, _offset: u64, _size: usize) -> Option<Bytes> {
    None
}

/// Whether a byte could be read so.
#[cfg(target_os = "linux")]
pub(crate) fn is_cached(file: &File, offset: u64) -> bool {
    use rustix::io::{ReadWriteFlags, preadv2};

    let looked = preadv2(file, &mut [io::IoSliceMut::new(&mut [0])], offset, ReadWriteFlags::NOWAIT);
    matches!(looked, Ok(1))
}

/// Whether a byte could be read so.
#[cfg(not(target_os = "linux"))]
pub(crate) fn is_cached(_file: &File, _offset: u64) -> bool {
    false
}

/// At least one byte, however long it takes.
fn read(file: &File, offset: u64, size: usize) -> io::Result<Bytes> {
    let mut block = BytesMut::zeroed(size);
    loop {
        match file.read_at(&mut block, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                block.truncate(read);
                return Ok(block.freeze());
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, io::Write};

    use super::*;

    async fn read_all(mut stream: FileStream) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        while let Some(block) = poll_fn(|cx| stream.poll_block(cx)).await {
            content.extend_from_slice(&block?);
        }
        Ok(content)
    }

    fn file(content: &[u8]) -> Arc<File> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        Arc::new(file)
    }

    #[tokio::test]
    async fn a_range_is_read_in_blocks() {
        let content: Vec<u8> = (0..=u8::MAX).cycle().take(3 * LARGEST + 7).collect();
        let stream = FileStream::new(file(&content), 5, (3 * LARGEST) as u64);
        assert_eq!(read_all(stream).await.unwrap(), content[5..5 + 3 * LARGEST]);
    }

    #[tokio::test]
    async fn a_file_that_became_shorter_is_an_error() {
        let error = read_all(FileStream::new(file(b"short"), 0, 6)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
