//! A stream on its way through an encoder.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};
use tokio::{
    sync::OwnedSemaphorePermit,
    task::{JoinHandle, spawn_blocking},
};

use super::encoder::Encoder;

/// A block up to this size is compressed where it is.
const AT_ONCE: usize = 8 * 1024;

/// Blocks that come without a pause are sent together up to this much input: each flush costs some bytes.
const TOGETHER: usize = 64 * 1024;

/// Compresses what another body gives. Whenever that has nothing at hand, all there was is sent in decodable form.
pub(super) struct CompressedBody {
    body: Body,
    stage: Stage,
    /// Bytes that went in since the last flush.
    unflushed: usize,
    /// Why there is no more; what there is of the response is sent before it is said.
    cut: Option<axum::Error>,
    _permit: OwnedSemaphorePermit,
}

enum Stage {
    Idle(Box<Encoder>),
    /// On a thread that may take its time: a block goes in.
    Working(JoinHandle<io::Result<(Box<Encoder>, Bytes)>>),
    Ended,
}

impl CompressedBody {
    pub(super) fn new(body: Body, encoder: Encoder, permit: OwnedSemaphorePermit) -> Self {
        Self { body, stage: Stage::Idle(Box::new(encoder)), unflushed: 0, cut: None, _permit: permit }
    }

    /// The encoder, when it is not at work. What comes out of it then is for the client.
    fn poll_encoder(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Box<Encoder>, Bytes)>> {
        if let Stage::Working(work) = &mut self.stage {
            let outcome = ready!(Pin::new(work).poll(cx)).map_err(io::Error::other).flatten();
            self.stage = Stage::Ended;
            return Poll::Ready(outcome);
        }
        match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Idle(mut encoder) => {
                let output = encoder.take();
                Poll::Ready(Ok((encoder, output)))
            }
            // After its end or an error nobody asks again.
            Stage::Working(_) | Stage::Ended => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn encode(&mut self, mut encoder: Box<Encoder>, block: Bytes) -> io::Result<()> {
        self.unflushed += block.len();
        if block.len() <= AT_ONCE {
            encoder.write(&block)?;
            self.stage = Stage::Idle(encoder);
        } else {
            let work = move || {
                encoder.write(&block)?;
                let output = encoder.take();
                Ok((encoder, output))
            };
            self.stage = Stage::Working(spawn_blocking(work));
        }
        Ok(())
    }

    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, axum::Error>>> {
        loop {
            let (mut encoder, output) = ready!(self.poll_encoder(cx)).map_err(axum::Error::new)?;
            if !output.is_empty() {
                self.stage = Stage::Idle(encoder);
                return Poll::Ready(Some(Ok(output)));
            }
            if let Some(cut) = self.cut.take_if(|_| self.unflushed == 0) {
                return Poll::Ready(Some(Err(cut)));
            }
            let next = if self.unflushed >= TOGETHER || self.cut.is_some() {
                Poll::Pending
            } else {
                Pin::new(&mut self.body).poll_frame(cx)
            };
            match next {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(block) => self.encode(encoder, block).map_err(axum::Error::new)?,
                    // HTTP/1.1 trailers are the front's to send, and it sends none.
                    Err(_trailers) => self.stage = Stage::Idle(encoder),
                },
                Poll::Ready(Some(Err(error))) => {
                    self.cut = Some(error);
                    self.stage = Stage::Idle(encoder);
                }
                Poll::Ready(None) => {
                    let last = encoder.finish().map_err(axum::Error::new)?;
                    return Poll::Ready(Some(Ok(last)));
                }
                Poll::Pending if self.unflushed > 0 => {
                    encoder.flush().map_err(axum::Error::new)?;
                    self.unflushed = 0;
                    self.stage = Stage::Idle(encoder);
                }
                Poll::Pending => {
                    self.stage = Stage::Idle(encoder);
                    return Poll::Pending;
                }
            }
        }
    }
}

impl HttpBody for CompressedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        if let Stage::Ended = this.stage {
            return Poll::Ready(None);
        }
        this.poll_bytes(cx).map(|bytes| bytes.map(|bytes| bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.stage, Stage::Ended)
    }
}

impl fmt::Debug for CompressedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompressedBody").field("unflushed", &self.unflushed).finish_non_exhaustive()
    }
}
