//! Reads a request body completely, before anything is queued.
//!
//! Up to `body_buffer_size` it stays in memory; past that it goes to a file without a name, in batches written by threads
//! that may block. While a batch is written nothing more is read, so an upload holds one batch whatever its size.

use std::{
    error::Error as _,
    fs::File,
    future::poll_fn,
    io::{self, Seek, Write},
    path::PathBuf,
    pin::Pin,
    task::{Poll, ready},
    time::Duration,
};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body::Body as _;
use stack_bridge::RequestBody;
use stack_config::{Limits, Rates};
use tokio::task::spawn_blocking;

use crate::{
    connection::{Phase, Stream},
    error::Error,
    rate::MinimumRate,
    strict::Malformed,
    timer::{LazyTimer, Pause},
};

/// Bytes that are written to the file at a time.
const BATCH: usize = 256 * 1024;

/// How slow a client may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// The longest pause.
    pub(crate) pause: Duration,
    pub(crate) rates: Rates,
}

/// Reads `body` to its end.
pub(crate) async fn read(
    body: Body,
    headers: &HeaderMap,
    limits: &Limits,
    patience: Patience,
    stream: &Stream,
) -> Result<RequestBody, Error> {
    if body.is_end_stream() {
        return Ok(RequestBody::Empty);
    }
    // Before the body is polled: hyper sends 100 (Continue) only then (RFC 9110 §10.1.1).
    if declared_length(headers).is_some_and(|length| length > limits.max_body_size) {
        return Err(Error::BodyTooLarge);
    }
    stream.enter(Phase::Body);
    let pause = Pause::new(patience.pause);
    let rate = MinimumRate::new(patience.rates.min_receive, patience.rates.grace);
    let mut incoming = Incoming { body, pause, rate, timer: LazyTimer::default(), read: 0, is_unread: true };
    let stored = store(&mut incoming, limits).await;
    stream.enter(Phase::Answering);
    stream.set_lingering(incoming.is_unread);
    stored
}

/// Passes over a body that is here.
pub(crate) async fn skip(mut body: Body, stream: &Stream) {
    if !body.is_end_stream() {
        while let Some(Ok(_)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {}
        stream.set_lingering(false);
    }
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn store(incoming: &mut Incoming, limits: &Limits) -> Result<RequestBody, Error> {
    // The common small body arrives in one piece, and is not copied.
    let Some(first) = incoming.next(limits.max_body_size).await? else { return Ok(RequestBody::Empty) };
    let Some(second) = incoming.next(limits.max_body_size).await? else {
        if first.len() <= limits.body_buffer_size {
            return Ok(RequestBody::Memory(first));
        }
        let mut spool = Spool::new(limits);
        spool.add(first).await?;
        return spool.finish().await;
    };
    let mut memory = BytesMut::from(first);
    let mut next = Some(second);
    while let Some(block) = next {
        if memory.len() + block.len() > limits.body_buffer_size {
            let mut spool = Spool::new(limits);
            spool.add(memory.freeze()).await?;
            spool.add(block).await?;
            while let Some(block) = incoming.next(limits.max_body_size).await? {
                spool.add(block).await?;
            }
            return spool.finish().await;
        }
        memory.extend_from_slice(&block);
        next = incoming.next(limits.max_body_size).await?;
    }
    Ok(RequestBody::Memory(memory.freeze()))
}

/// The body as it comes from the client, with the limits on its size and on its pauses.
struct Incoming {
    body: Body,
    pause: Pause,
    rate: MinimumRate,
    timer: LazyTimer,
    read: u64,
    is_unread: bool,
}

impl Incoming {
    /// The next bytes; `None` at the end of the body. Trailers are dropped: WSGI has no place for them.
    async fn next(&mut self, max_body_size: u64) -> Result<Option<Bytes>, Error> {
        poll_fn(|cx| {
            loop {
                let polled = Pin::new(&mut self.body).poll_frame(cx);
                let read = self.read;
                let polled = match self.rate.watch(polled, || read, &mut self.timer, cx) {
                    Poll::Ready(None) => return Poll::Ready(Err(Error::BodyTooSlow)),
                    Poll::Ready(Some(frame)) => Poll::Ready(frame),
                    Poll::Pending => Poll::Pending,
                };
                let Some(outcome) = ready!(self.pause.watch(polled, &mut self.timer, cx)) else {
                    return Poll::Ready(Err(Error::BodyTimeout));
                };
                let frame = match outcome {
                    None => {
                        self.is_unread = false;
                        return Poll::Ready(Ok(None));
                    }
                    Some(Err(error)) => return Poll::Ready(Err(broken(error))),
                    Some(Ok(frame)) => frame,
                };
                let Ok(block) = frame.into_data() else { continue };
                self.read += block.len() as u64;
                if self.read > max_body_size {
                    return Poll::Ready(Err(Error::BodyTooLarge));
                }
                if !block.is_empty() {
                    return Poll::Ready(Ok(Some(block)));
                }
            }
        })
        .await
    }
}

/// A body that ends too early is a client that left; one that breaks the rules is a client at fault.
fn broken(error: axum::Error) -> Error {
    let mut cause = error.source();
    while let Some(inner) = cause {
        // The gate's own errors are inside of those of the socket that it stands for.
        let malformed =
            inner.downcast_ref::<io::Error>().and_then(io::Error::get_ref).and_then(|gate| gate.downcast_ref());
        if malformed == Some(&Malformed::LargeChunk) {
            return Error::BodyTooLarge;
        }
        if let Some(io) = inner.downcast_ref::<io::Error>()
            && io.kind() != io::ErrorKind::InvalidInput
            && io.kind() != io::ErrorKind::InvalidData
        {
            return Error::ClientGone;
        }
        if inner.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_incomplete_message) {
            return Error::ClientGone;
        }
        cause = inner.source();
    }
    Error::BodyMalformed(error)
}

/// A body on its way to a file.
struct Spool {
    directory: PathBuf,
    file: Option<File>,
    batch: BytesMut,
    length: u64,
}

impl Spool {
    fn new(limits: &Limits) -> Self {
        Self { directory: limits.temp_dir.clone(), file: None, batch: BytesMut::with_capacity(BATCH), length: 0 }
    }

    async fn add(&mut self, mut block: Bytes) -> Result<(), Error> {
        while !block.is_empty() {
            let piece = block.split_to(block.len().min(BATCH - self.batch.len()));
            self.batch.extend_from_slice(&piece);
            if self.batch.len() == BATCH {
                self.write().await?;
            }
        }
        Ok(())
    }

    async fn write(&mut self) -> Result<(), Error> {
        let (file, mut batch) = (self.file.take(), std::mem::take(&mut self.batch));
        let directory = self.directory.clone();
        let written = spawn_blocking(move || {
            let mut file = match file {
                Some(file) => file,
                None => tempfile::tempfile_in(directory)?,
            };
            file.write_all(&batch)?;
            let length = batch.len() as u64;
            batch.clear();
            Ok((file, batch, length))
        });
        let (file, batch, length) = written.await.map_err(|_| Error::Gateway)?.map_err(Error::Storage)?;
        (self.file, self.batch) = (Some(file), batch);
        self.length += length;
        Ok(())
    }

    async fn finish(mut self) -> Result<RequestBody, Error> {
        if !self.batch.is_empty() {
            self.write().await?;
        }
        let Self { directory: _, file, batch: _, length } = self;
        let mut file = file.ok_or(Error::Gateway)?;
        // Moves the position only: nothing waits for the disk.
        file.rewind().map_err(Error::Storage)?;
        Ok(RequestBody::File { file, length })
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read, num::NonZero};

    use stack_bridge::{Local, Peer, Scheme};

    use super::*;
    use crate::connection::{Connection, Origin};

    fn limits(temp_dir: &str) -> Limits {
        Limits {
            backlog: 1,
            queue_size: 1,
            max_body_size: 1 << 20,
            max_head_size: NonZero::new(8192).unwrap(),
            max_request_line_size: NonZero::new(8192).unwrap(),
            max_header_fields: NonZero::new(100).unwrap(),
            http2: true,
            http2_max_streams: NonZero::new(1).unwrap(),
            body_buffer_size: 8,
            response_buffer_size: 1,
            max_response_spill: 0,
            temp_dir: temp_dir.into(),
            max_connections: NonZero::new(1).unwrap(),
        }
    }

    async fn read_body(body: &[u8], limits: &Limits) -> Result<RequestBody, Error> {
        let local = Local { name: "localhost".into(), port: "80".into() };
        let origin = Origin {
            scheme: Scheme::Http,
            peer: Peer::Unix,
            local: local.into(),
            redirect_to: None,
            is_proxy: false,
            is_direct: true,
        };
        let stream = Stream::http1(Connection::new(origin).into());
        let body = Body::from(body.to_vec());
        let patience = Patience { pause: Duration::from_secs(9), rates: Rates::default() };
        read(body, &HeaderMap::new(), limits, patience, &stream).await
    }

    #[tokio::test]
    async fn a_body_over_the_threshold_is_in_a_file() {
        let limits = limits("/tmp");
        assert!(matches!(read_body(b"", &limits).await, Ok(RequestBody::Empty)));
        assert!(matches!(read_body(b"12345678", &limits).await, Ok(RequestBody::Memory(_))));
        let content = vec![b'x'; 2 * BATCH + 1];
        let body = read_body(&content, &limits).await.unwrap();
        assert!(matches!(body, RequestBody::File { .. }));
        let mut read = Vec::new();
        body.into_reader().read_to_end(&mut read).unwrap();
        assert!(read == content);
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused() {
        let limits = Limits { max_body_size: 4, ..limits("/tmp") };
        assert!(matches!(read_body(b"12345", &limits).await, Err(Error::BodyTooLarge)));
    }

    #[tokio::test]
    async fn an_unusable_directory_fails_that_request() {
        let limits = limits("/nonexistent");
        assert!(matches!(read_body(b"123456789", &limits).await, Err(Error::Storage(_))));
        assert!(matches!(read_body(b"12345678", &limits).await, Ok(RequestBody::Memory(_))));
    }
}
