//! The three encoders behind one interface: bytes in, and out whatever can be decoded so far.
//!
//! An encoder of a stream lives as long as its response, so the windows are small: each takes well under one MiB.

use std::io::{self, Write};

use brotli::{CompressorWriter, enc::BrotliEncoderParams};
use bytes::Bytes;
use flate2::{Compression as Level, write::GzEncoder};
use zstd::zstd_safe::CParameter;

use super::Coding;

/// How much work a body is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// It is sent once: the levels at which a response is not slower than without.
    Once,
    /// It is kept and sent again and again.
    Kept,
}

/// An encoder with what it has put out.
pub(crate) enum Encoder {
    Brotli(Box<CompressorWriter<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    Gzip(GzEncoder<Vec<u8>>),
}

/// 128 KiB, as a power of two.
const WINDOW: i32 = 17;
/// What all decoders of a browser take (RFC 9659 for zstd), for content that is in memory as a whole.
const KEPT_WINDOW: i32 = 22;

impl Encoder {
    /// An encoder for a body of `length` bytes, where that is known.
    pub(crate) fn new(coding: Coding, effort: Effort, length: Option<u64>) -> io::Result<Self> {
        let is_kept = effort == Effort::Kept;
        let window = if is_kept { KEPT_WINDOW } else { WINDOW };
        Ok(match coding {
            Coding::Brotli => {
                let quality = if is_kept { 9 } else { 4 };
                let size_hint = usize::try_from(length.unwrap_or_default()).unwrap_or_default();
                let parameters = BrotliEncoderParams { quality, lgwin: window, size_hint, ..Default::default() };
                Self::Brotli(Box::new(CompressorWriter::with_params(Vec::new(), 4096, &parameters)))
            }
            Coding::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), if is_kept { 12 } else { 3 })?;
                encoder.window_log(window.unsigned_abs())?;
                if !is_kept {
                    // The level's own tables take three times the window.
                    encoder.set_parameter(CParameter::HashLog(15))?;
                    encoder.set_parameter(CParameter::ChainLog(15))?;
                }
                encoder.set_pledged_src_size(length)?;
                Self::Zstd(encoder)
            }
            Coding::Gzip => Self::Gzip(GzEncoder::new(Vec::new(), Level::new(if is_kept { 9 } else { 5 }))),
        })
    }

    /// Takes a block in.
    pub(crate) fn write(&mut self, block: &[u8]) -> io::Result<()> {
        match self {
            Self::Brotli(encoder) => encoder.write_all(block),
            Self::Zstd(encoder) => encoder.write_all(block),
            Self::Gzip(encoder) => encoder.write_all(block),
        }
    }

    /// Makes everything that was taken in decodable.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Brotli(encoder) => encoder.flush(),
            Self::Zstd(encoder) => encoder.flush(),
            Self::Gzip(encoder) => encoder.flush(),
        }
    }

    /// What has come out since the last time.
    pub(crate) fn take(&mut self) -> Bytes {
        let output = match self {
            Self::Brotli(encoder) => encoder.get_mut(),
            Self::Zstd(encoder) => encoder.get_mut(),
            Self::Gzip(encoder) => encoder.get_mut(),
        };
        std::mem::take(output).into()
    }

    /// Ends the stream; gives what was left to come out.
    pub(crate) fn finish(self) -> io::Result<Bytes> {
        Ok(match self {
            // It writes the end as it goes, into a vector that can not fail.
            Self::Brotli(encoder) => encoder.into_inner(),
            Self::Zstd(encoder) => encoder.finish()?,
            Self::Gzip(encoder) => encoder.finish()?,
        }
        .into())
    }
}

/// Compresses a whole body.
pub(crate) fn compress(coding: Coding, effort: Effort, content: &[u8]) -> io::Result<Bytes> {
    let mut encoder = Encoder::new(coding, effort, Some(content.len() as u64))?;
    encoder.write(content)?;
    encoder.finish()
}

#[cfg(test)]
pub(crate) fn decompress(coding: Coding, content: &[u8]) -> Vec<u8> {
    use std::io::Read;

    let mut decoded = Vec::new();
    // What is decodable of a stream that has not ended yet is what counts.
    let _ = match coding {
        Coding::Brotli => brotli::Decompressor::new(content, 4096).read_to_end(&mut decoded),
        Coding::Zstd => zstd::stream::read::Decoder::new(content).unwrap().read_to_end(&mut decoded),
        Coding::Gzip => flate2::read::GzDecoder::new(content).read_to_end(&mut decoded),
    };
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(length: usize) -> Vec<u8> {
        (0..length).map(|place| b"the quick brown fox"[(place * place / 7) % 19]).collect()
    }

    #[test]
    fn what_was_compressed_reads_back_and_is_smaller() {
        for coding in Coding::BY_SIZE {
            for effort in [Effort::Once, Effort::Kept] {
                for length in [0, 1, 5_000, 400_000] {
                    let content = text(length);
                    let compressed = compress(coding, effort, &content).unwrap();
                    assert_eq!(decompress(coding, &compressed), content, "{coding:?} {effort:?} {length}");
                    assert!(length < 5_000 || compressed.len() < length / 2, "{coding:?} {effort:?} {length}");
                }
            }
        }
    }

    #[test]
    fn each_block_is_decodable_once_it_is_flushed() {
        for coding in Coding::BY_SIZE {
            let mut encoder = Encoder::new(coding, Effort::Once, None).unwrap();
            let (mut sent, mut expected) = (Vec::new(), Vec::new());
            for block in [&b"first "[..], b"second ", &text(10_000)] {
                encoder.write(block).unwrap();
                encoder.flush().unwrap();
                expected.extend_from_slice(block);
                sent.extend_from_slice(&encoder.take());
                assert_eq!(decompress(coding, &sent), expected, "{coding:?}");
            }
            sent.extend_from_slice(&encoder.finish().unwrap());
            assert_eq!(decompress(coding, &sent), expected, "{coding:?}");
        }
    }
}
