//! The bytes of a representation on their way out: all of them, a range, or several in a multipart body.

use std::{
    collections::VecDeque,
    hash::BuildHasher,
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::body::Body;
use bytes::Bytes;
use http::HeaderValue;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::version::Source;
use crate::file_stream::FileStream;

/// Content in memory goes out in pieces of this size, so that what has been handed over is what has nearly been sent.
pub(super) const PIECE: usize = 256 * 1024;

/// The body of one range.
pub(super) fn range(source: &Source, range: Range<u64>) -> Body {
    match piece(source, range) {
        Piece::Memory(content) if content.len() <= PIECE => Body::from(content),
        piece => Body::new(PieceBody::new([piece].into())),
    }
}

/// A multipart/byteranges body (RFC 9110 §14.6), its length and its media type.
pub(super) fn multipart(
    source: &Source,
    ranges: &[Range<u64>],
    length: u64,
    content_type: Option<&HeaderValue>,
) -> (Body, u64, HeaderValue) {
    // The one source of randomness in the standard library: no content can have the boundary on purpose.
    let random = std::hash::RandomState::new();
    let boundary = format!("{:016x}{:016x}", random.hash_one(0_u8), random.hash_one(1_u8));
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let content_type = content_type.map(|value| format!("Content-Type: {value}\r\n")).unwrap_or_default();
    let mut pieces = VecDeque::with_capacity(2 * ranges.len() + 1);
    for range in ranges {
        let head = format!(
            "\r\n--{boundary}\r\n{content_type}Content-Range: bytes {}-{}/{length}\r\n\r\n",
            range.start,
            range.end - 1
        );
        pieces.push_back(Piece::Memory(head.into()));
        pieces.push_back(piece(source, range.clone()));
    }
    pieces.push_back(Piece::Memory(format!("\r\n--{boundary}--\r\n").into()));
    let body = PieceBody::new(pieces);
    let media_type = format!("multipart/byteranges; boundary={boundary}");
    let left = body.left;
    (Body::new(body), left, HeaderValue::try_from(media_type).expect("hexadecimal digits"))
}

fn piece(source: &Source, range: Range<u64>) -> Piece {
    match source {
        // The range has been cut to the content, which is in memory.
        Source::Memory(content, _) => {
            let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(content.len());
            Piece::Memory(content.slice(place(range.start)..place(range.end)))
        }
        Source::File(source) => {
            Piece::File(FileStream::new(Arc::clone(&source.file), range.start, range.end - range.start))
        }
    }
}

enum Piece {
    Memory(Bytes),
    File(FileStream),
}

impl Piece {
    fn length(&self) -> u64 {
        match self {
            Self::Memory(content) => content.len() as u64,
            Self::File(stream) => stream.left(),
        }
    }
}

/// Pieces, one after the other.
struct PieceBody {
    pieces: VecDeque<Piece>,
    left: u64,
}

impl PieceBody {
    fn new(pieces: VecDeque<Piece>) -> Self {
        let left = pieces.iter().map(Piece::length).sum();
        Self { pieces, left }
    }
}

impl HttpBody for PieceBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let this = self.get_mut();
        let block = loop {
            match this.pieces.front_mut() {
                None => return Poll::Ready(None),
                Some(Piece::Memory(content)) if !content.is_empty() => {
                    break content.split_to(content.len().min(PIECE));
                }
                Some(Piece::File(stream)) => match ready!(stream.poll_block(cx)) {
                    Some(Ok(block)) => break block,
                    Some(Err(error)) => {
                        tracing::warn!(code = "STACK0307", %error, "static file cut short");
                        return Poll::Ready(Some(Err(error)));
                    }
                    None => {}
                },
                Some(Piece::Memory(_)) => {}
            }
            this.pieces.pop_front();
        };
        this.left -= block.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(block))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
