//! A pair of streams that stands in for a socket.

use std::{
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll},
};

use tokio::io::{AsyncBufRead, BufReader, DuplexStream};

/// One end, which can be looked into as a socket can. In a lock, because a socket is looked into without being changed.
#[derive(Debug)]
pub(crate) struct Memory(Mutex<BufReader<DuplexStream>>);

impl Memory {
    pub(crate) fn new(stream: DuplexStream) -> Self {
        Self(Mutex::new(BufReader::new(stream)))
    }

    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Pin::new(&mut *stream).poll_fill_buf(cx).map(|_| ())
    }

    pub(super) fn stream(&mut self) -> &mut BufReader<DuplexStream> {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}
