//! The body of a request on its way through the gate.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, ReadBuf};

use crate::{
    strict::{
        Malformed,
        chunks::Chunks,
        head::{Framing, HeadLimits},
    },
    transport::Socket,
};

/// What is left of the body of a request.
#[derive(Debug)]
pub(super) enum Body {
    Length(u64),
    Chunked(Chunks),
}

impl Body {
    pub(super) fn new(framing: Framing, limits: HeadLimits) -> Self {
        match framing {
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(Chunks::new(limits)),
        }
    }

    pub(super) fn is_done(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(chunks) => chunks.is_done(),
        }
    }

    /// How many of these bytes are part of the body.
    fn follow(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        match self {
            Self::Length(left) => {
                let here = (*left).min(bytes.len() as u64);
                *left -= here;
                Ok(usize::try_from(here).unwrap_or(bytes.len()))
            }
            Self::Chunked(chunks) => chunks.advance(bytes),
        }
    }

    pub(super) fn take(&mut self, inbound: &mut BytesMut, buf: &mut ReadBuf<'_>) -> Result<(), Malformed> {
        let here = inbound.len().min(buf.remaining());
        let length = self.follow(&inbound[..here])?;
        hand_on(inbound, length, buf);
        Ok(())
    }

    /// Reads without a detour. What is not of the body any more goes to `inbound`.
    pub(super) fn read(
        &mut self,
        socket: &mut Socket,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
        inbound: &mut BytesMut,
    ) -> Poll<io::Result<Result<(), Malformed>>> {
        let before = buf.filled().len();
        ready!(Pin::new(socket).poll_read(cx, buf))?;
        let read = &buf.filled()[before..];
        let length = match self.follow(read) {
            Ok(length) => length,
            Err(malformed) => {
                buf.set_filled(before);
                return Poll::Ready(Ok(Err(malformed)));
            }
        };
        inbound.extend_from_slice(&read[length..]);
        buf.set_filled(before + length);
        Poll::Ready(Ok(Ok(())))
    }
}

/// Moves up to `most` bytes, and gives how many.
pub(super) fn hand_on(inbound: &mut BytesMut, most: usize, buf: &mut ReadBuf<'_>) -> usize {
    let length = most.min(inbound.len()).min(buf.remaining());
    buf.put_slice(&inbound[..length]);
    inbound.advance(length);
    length
}
