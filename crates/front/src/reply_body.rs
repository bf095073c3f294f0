//! An application's response body as hyper reads it, wherever its bytes lie.

use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{self, Poll, ready},
    time::Instant,
};

use bytes::Bytes;
use http_body::{Body, Frame};
use stack_bridge::{Chunk, Failure, FileRegion, Reply};

use crate::{access_log::Passage, file_stream::FileStream, request::Context};

/// Reads a [`Reply`] to its end. Dropped before, it tells the worker that the client has gone.
pub(crate) struct ReplyBody {
    reply: Reply,
    reading: Option<Reading>,
    context: Context,
    queued_at: Instant,
}

enum Reading {
    /// From the spill file: the worker waits to hear what has been read.
    Spill(FileStream),
    /// From a file of the application's.
    File(FileStream),
}

/// The response can not be completed. hyper then cuts the connection, which is how the client can tell (RFC 9112 §8).
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cut {
    #[error("the application failed after its response had begun")]
    Failed(#[source] Failure),
    #[error("a part of the response could not be read")]
    Unreadable(#[source] io::Error),
}

impl ReplyBody {
    /// Reads the reply to a job that was complete at that instant, and has been queued.
    pub(crate) fn new(reply: Reply, context: Context, queued_at: Instant) -> Self {
        Self { reply, reading: None, context, queued_at }
    }

    /// The request's way so far.
    pub(crate) fn passage(&self) -> Passage {
        Passage { queued_at: self.queued_at, trace: self.reply.trace() }
    }

    pub(crate) fn reply(&mut self) -> &mut Reply {
        &mut self.reply
    }

    fn poll_bytes(&mut self, cx: &mut task::Context<'_>) -> Poll<Option<Result<Bytes, Cut>>> {
        loop {
            if let Some(Reading::Spill(stream) | Reading::File(stream)) = &mut self.reading {
                match ready!(stream.poll_block(cx)) {
                    Some(Ok(block)) => {
                        if let Some(Reading::Spill(_)) = self.reading {
                            self.reply.consumed(block.len() as u64);
                        }
                        return Poll::Ready(Some(Ok(block)));
                    }
                    Some(Err(error)) => return Poll::Ready(Some(Err(Cut::Unreadable(error)))),
                    None => self.reading = None,
                }
            }
            match ready!(self.reply.poll_chunk(cx)) {
                None => return Poll::Ready(None),
                Some(Err(failure)) => return Poll::Ready(Some(Err(Cut::Failed(failure)))),
                Some(Ok(Chunk::Memory(block))) if block.is_empty() => {}
                Some(Ok(Chunk::Memory(block))) => return Poll::Ready(Some(Ok(block))),
                Some(Ok(Chunk::Spill { file, offset, length })) => {
                    self.reading = Some(Reading::Spill(FileStream::new(file, offset, length)));
                }
                Some(Ok(Chunk::File(FileRegion { file, offset, length }))) => {
                    self.reading = Some(Reading::File(FileStream::new(Arc::new(file), offset, length)));
                }
            }
        }
    }

    fn log(&self, cut: &Cut) {
        let request_id = self.context.id;
        match cut {
            Cut::Failed(error) => tracing::warn!(code = "STACK0203", %request_id, %error, "response cut short"),
            Cut::Unreadable(error) => tracing::error!(code = "STACK0305", %request_id, %error, "response cut short"),
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let this = self.get_mut();
        let outcome = ready!(this.poll_bytes(cx));
        if let Some(Err(cut)) = &outcome {
            this.log(cut);
        }
        Poll::Ready(outcome.map(|bytes| bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        let is_read = match &self.reading {
            Some(Reading::Spill(stream) | Reading::File(stream)) => stream.left() == 0,
            None => true,
        };
        is_read && self.reply.is_end()
    }
}

impl Drop for ReplyBody {
    fn drop(&mut self) {
        // Nobody else notes it.
        let _ = self.context.passage.set(self.passage());
    }
}

impl fmt::Debug for ReplyBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyBody").field("id", &self.context.id).finish_non_exhaustive()
    }
}
