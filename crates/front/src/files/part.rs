//! Part of a file that goes out by sendfile(2): its bytes never come here.
//!
//! sendfile waits for the disk wherever the page cache lacks a page, and who sends must not. So it is asked for a piece at a
//! time, and each piece is looked for first (`RWF_NOWAIT`, its first and its last byte: what the kernel reads and drops are runs
//! of pages). What is not there is read on a thread that may wait, for the cache alone, and then sent like the rest. Sending
//! from that thread would save a copy beside a disk's work, but it would need the socket, which a connection that ends closes.
//!
//! A file that is replaced under its name stays what it was. One that is written to in place does not, and its head has been
//! sent: when it has become shorter, or is as long as before and was written to, the response is cut before its end. One that
//! has grown is sent as far as it reached, as a log is. What is already on its way are pages of the file, not copies: who
//! overwrites them without truncating the file first may still change what a slow client gets.

use std::{
    fs::File,
    future::Future,
    io,
    num::NonZero,
    ops::Range,
    os::unix::fs::FileExt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{
    sync::OwnedSemaphorePermit,
    task::{JoinHandle, spawn_blocking},
};

use super::open::Stamp;
use crate::file_stream;

/// What is asked for at a time: so much is read for it from the disk at most, by a thread, and so far apart are the bytes that are
/// looked for.
const PIECE: u64 = 256 * 1024;

/// What the kernel is told to read beside, so that the disk works while the client is sent to.
const AHEAD: NonZero<u64> = NonZero::new(1024 * 1024).expect("more than nothing");

/// An open file, in the state that a head speaks of.
#[derive(Debug)]
pub(super) struct OnDisk {
    pub(super) file: Arc<File>,
    stamp: Stamp,
    /// Its place among those that are kept open.
    _place: Option<OwnedSemaphorePermit>,
}

/// Part of a file: an extension of the response whose body it is.
#[derive(Clone, Debug)]
pub(super) struct Region(Arc<OnDisk>, Range<u64>);

/// Part of a file on its way out.
#[derive(Debug)]
pub(crate) struct FilePart {
    source: Arc<OnDisk>,
    /// What has not been sent.
    range: Range<u64>,
    reading: Option<JoinHandle<io::Result<()>>>,
    /// The next piece was there a moment ago, and the file unchanged.
    is_ready: bool,
}

/// What of a file is to be sent next, without a wait for the disk.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) file: Arc<File>,
    pub(crate) offset: u64,
    pub(crate) length: usize,
}

impl OnDisk {
    pub(super) fn new(file: File, stamp: Stamp, place: Option<OwnedSemaphorePermit>) -> Arc<Self> {
        Arc::new(Self { file: Arc::new(file), stamp, _place: place })
    }

    /// The whole of it, if nothing has happened to it and sending it needs no disk.
    pub(super) fn ready(self: &Arc<Self>) -> Option<FilePart> {
        let range = 0..self.stamp.length;
        let is_same = Stamp::of(&self.file.metadata().ok()?) == self.stamp;
        let is_ready = is_same && is_cached(&self.file, &range);
        is_ready.then(|| FilePart { source: Arc::clone(self), range, reading: None, is_ready })
    }

    /// Whether it is still what it was, as far as that can be told of a file that may grow.
    fn is_intact(&self) -> io::Result<bool> {
        let now = Stamp::of(&self.file.metadata()?);
        let Stamp { length, modified, .. } = self.stamp;
        Ok(now.length > length || now.length == length && now.modified == modified)
    }
}

impl Region {
    pub(super) fn new(source: &Arc<OnDisk>, range: Range<u64>) -> Self {
        Self(Arc::clone(source), range)
    }
}

impl FilePart {
    pub(super) fn new(Region(source, range): Region) -> Self {
        Self { source, range, reading: None, is_ready: false }
    }

    /// Bytes that have not been sent.
    pub(crate) fn left(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// The next piece, once it is in the page cache. A file that is not what it was is an error.
    pub(crate) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Piece>> {
        let range = self.range.start..self.range.end.min(self.range.start + PIECE);
        if !std::mem::take(&mut self.is_ready) {
            ready!(self.poll_cached(&range, cx))?;
            if !self.source.is_intact()? {
                return Poll::Ready(Err(io::Error::other("it was written to meanwhile")));
            }
        }
        let length = usize::try_from(range.end - range.start).expect("no longer than a piece");
        Poll::Ready(Ok(Piece { file: Arc::clone(&self.source.file), offset: range.start, length }))
    }

    /// So many bytes of the piece have been sent.
    pub(crate) fn advance(&mut self, sent: usize) {
        self.range.start += sent as u64;
    }

    fn poll_cached(&mut self, range: &Range<u64>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let reading = match &mut self.reading {
            Some(reading) => reading,
            None if is_cached(&self.source.file, range) => return Poll::Ready(Ok(())),
            None => {
                let (file, range) = (Arc::clone(&self.source.file), range.clone());
                self.reading.insert(spawn_blocking(move || read(&file, range)))
            }
        };
        let outcome = ready!(Pin::new(reading).poll(cx)).map_err(io::Error::other).flatten();
        self.reading = None;
        // The piece is not looked for again: where memory is short that would go on for ever.
        Poll::Ready(outcome)
    }
}

/// Whether the page cache has the first and the last byte.
fn is_cached(file: &File, range: &Range<u64>) -> bool {
    file_stream::is_cached(file, range.start) && file_stream::is_cached(file, range.end - 1)
}

/// Gets a range into the page cache, and has the disk go on.
fn read(file: &File, mut range: Range<u64>) -> io::Result<()> {
    let mut block = vec![0; usize::try_from(range.end - range.start).expect("no longer than a piece")];
    while range.start < range.end {
        let left = usize::try_from(range.end - range.start).expect("no longer than a piece");
        match file.read_at(&mut block[..left], range.start) {
            // Sending it will tell that it has become shorter.
            Ok(0) => break,
            Ok(read) => range.start += read as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    read_ahead(file, range.end);
    Ok(())
}

#[cfg(target_os = "linux")]
fn read_ahead(file: &File, offset: u64) {
    // It is a hint: where it is not taken, the next piece is read like this one.
    let _ = rustix::fs::fadvise(file, offset, Some(AHEAD), rustix::fs::Advice::WillNeed);
}

#[cfg(not(target_os = "linux"))]
fn read_ahead(_file: &File, _offset: u64) {}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        io::{Seek, Write},
        task::Waker,
    };

    use super::*;

    const LENGTH: u64 = 3 * PIECE + 7;

    fn on_disk(length: u64) -> Arc<OnDisk> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![b'x'; usize::try_from(length).unwrap()]).unwrap();
        let stamp = Stamp::of(&file.metadata().unwrap());
        OnDisk::new(file, stamp, None)
    }

    /// Places and lengths of the pieces, up to the first error.
    async fn pieces(part: &mut FilePart) -> io::Result<Vec<(u64, usize)>> {
        let mut pieces = Vec::new();
        while part.left() > 0 {
            let piece = poll_fn(|cx| part.poll_piece(cx)).await?;
            pieces.push((piece.offset, piece.length));
            part.advance(piece.length);
        }
        Ok(pieces)
    }

    #[tokio::test]
    async fn a_part_goes_out_in_pieces() {
        let mut part = FilePart::new(Region::new(&on_disk(LENGTH), 5..LENGTH));
        let whole = usize::try_from(PIECE).unwrap();
        assert_eq!(
            pieces(&mut part).await.unwrap(),
            [(5, whole), (PIECE + 5, whole), (2 * PIECE + 5, whole), (3 * PIECE + 5, 2)]
        );
    }

    #[tokio::test]
    async fn what_the_page_cache_lacks_is_read_by_another_thread_and_is_there_then() {
        let source = on_disk(LENGTH);
        source.file.sync_all().unwrap();
        rustix::fs::fadvise(&source.file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        if is_cached(&source.file, &(0..PIECE)) {
            // A file system in memory has nowhere to read from.
            return;
        }
        assert!(source.ready().is_none());
        let mut part = FilePart::new(Region::new(&source, 0..LENGTH));
        assert!(part.poll_piece(&mut Context::from_waker(Waker::noop())).is_pending());
        let piece = poll_fn(|cx| part.poll_piece(cx)).await.unwrap();
        assert_eq!((piece.offset, piece.length as u64), (0, PIECE));
        assert!(is_cached(&source.file, &(0..PIECE)));
    }

    #[tokio::test]
    async fn a_file_that_is_not_what_it_was_is_an_error() {
        let shorter = |file: &File| file.set_len(LENGTH - 1).unwrap();
        let emptied_and_written = |mut file: &File| {
            file.set_len(0).unwrap();
            file.rewind().unwrap();
            file.write_all(&vec![b'y'; usize::try_from(LENGTH).unwrap()]).unwrap();
        };
        let longer = |file: &File| file.write_all_at(b"more", LENGTH).unwrap();
        for (change, is_error) in [(&shorter as &dyn Fn(&File), true), (&emptied_and_written, true), (&longer, false)] {
            let source = on_disk(LENGTH);
            let mut part = FilePart::new(Region::new(&source, 0..LENGTH));
            let piece = poll_fn(|cx| part.poll_piece(cx)).await.unwrap();
            part.advance(piece.length);
            // The kernel's clock for files has ticks.
            let modified = source.stamp.modified.unwrap();
            change(&source.file);
            while source.file.metadata().unwrap().modified().unwrap() == modified {
                change(&source.file);
            }
            assert_eq!(pieces(&mut part).await.is_err(), is_error);
            assert!(source.ready().is_none(), "it is another version");
        }
    }
}
