//! The chunked coding, followed byte by byte (RFC 9112 §7.1).
//!
//! What is decoded is hyper's matter. This only knows where a body ends, and that there is one way to read it.

use super::{
    Malformed,
    fields::{self, Field},
    head::HeadLimits,
};

/// A size of 16 digits fills 64 bits.
const MOST_DIGITS: usize = 16;
/// Bytes of a chunk's line: its size and extensions. Nobody has a use for long ones, but for wasting time.
const LONGEST_LINE: usize = 256;

/// Where in a chunked body the next byte belongs.
#[derive(Debug)]
pub(crate) struct Chunks {
    limits: HeadLimits,
    stage: Stage,
    /// The line that is being read: of a chunk, or of a trailer.
    line: Vec<u8>,
    trailers: usize,
    trailer_bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Line,
    Data(u64),
    DataCr,
    DataLf,
    Trailer,
    Done,
}

impl Chunks {
    pub(crate) fn new(limits: HeadLimits) -> Self {
        Self { limits, stage: Stage::Line, line: Vec::new(), trailers: 0, trailer_bytes: 0 }
    }

    /// Whether the whole body has passed.
    pub(crate) fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// Follows the body through `bytes`, and gives how many of them belong to it.
    pub(crate) fn advance(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match self.stage {
                Stage::Done => break,
                Stage::Data(left) => {
                    let here = left.min((bytes.len() - at) as u64);
                    at += usize::try_from(here).unwrap_or(bytes.len() - at);
                    self.stage = if here == left { Stage::DataCr } else { Stage::Data(left - here) };
                    continue;
                }
                Stage::DataCr if byte == b'\r' => self.stage = Stage::DataLf,
                Stage::DataLf if byte == b'\n' => self.stage = Stage::Line,
                Stage::DataCr | Stage::DataLf => return Err(Malformed::ChunkEnd),
                Stage::Line => {
                    if let Some(line) = self.line_with(byte, LONGEST_LINE, Malformed::ChunkExtension)? {
                        let size = chunk_size(&line)?;
                        if size > self.limits.chunk {
                            return Err(Malformed::LargeChunk);
                        }
                        self.stage = if size == 0 { Stage::Trailer } else { Stage::Data(size) };
                    }
                }
                Stage::Trailer => {
                    let room = self.limits.head.saturating_sub(self.trailer_bytes);
                    if let Some(line) = self.line_with(byte, room, Malformed::LargeTrailers)? {
                        self.stage = self.trailer(&line)?;
                    }
                }
            }
            at += 1;
        }
        Ok(at)
    }

    /// The line, if this byte ends it.
    fn line_with(&mut self, byte: u8, most: usize, too_long: Malformed) -> Result<Option<Vec<u8>>, Malformed> {
        if byte == b'\n' {
            return match self.line.pop() {
                Some(b'\r') => Ok(Some(std::mem::take(&mut self.line))),
                _ => Err(Malformed::LineEnd),
            };
        }
        if self.line.last() == Some(&b'\r') {
            return Err(Malformed::LineEnd);
        }
        if self.line.len() > most {
            return Err(too_long);
        }
        self.line.push(byte);
        Ok(None)
    }

    fn trailer(&mut self, line: &[u8]) -> Result<Stage, Malformed> {
        if line.is_empty() {
            return Ok(Stage::Done);
        }
        self.trailers += 1;
        self.trailer_bytes += line.len() + 2;
        if self.trailers > self.limits.fields {
            return Err(Malformed::LargeTrailers);
        }
        let field = Field::parse(line)?;
        if fields::is_never_in_trailers(field.name) { Err(Malformed::Trailer) } else { Ok(Stage::Trailer) }
    }
}

/// `chunk-size [ chunk-ext ]`.
fn chunk_size(line: &[u8]) -> Result<u64, Malformed> {
    let end = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
    let (digits, extensions) = line.split_at(end);
    let ends_well = matches!(extensions.first(), None | Some(b' ' | b'\t' | b';'));
    if digits.is_empty() || digits.len() > MOST_DIGITS || !ends_well {
        return Err(Malformed::ChunkSize);
    }
    check_extensions(extensions)?;
    let digits = std::str::from_utf8(digits).map_err(|_| Malformed::ChunkSize)?;
    u64::from_str_radix(digits, 16).map_err(|_| Malformed::ChunkSize)
}

/// `*( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )` (RFC 9112 §7.1.1).
fn check_extensions(mut rest: &[u8]) -> Result<(), Malformed> {
    while !rest.is_empty() {
        let behind = skip_space(rest).strip_prefix(b";").ok_or(Malformed::ChunkExtension)?;
        rest = token(skip_space(behind))?;
        if let Some(value) = skip_space(rest).strip_prefix(b"=") {
            let value = skip_space(value);
            rest = match value.strip_prefix(b"\"") {
                Some(quoted) => quoted_string(quoted)?,
                None => token(value)?,
            };
        }
    }
    Ok(())
}

fn skip_space(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !matches!(byte, b' ' | b'\t')).unwrap_or(text.len());
    &text[start..]
}

/// What follows a token.
fn token(text: &[u8]) -> Result<&[u8], Malformed> {
    let end = text.iter().position(|&byte| !fields::is_tchar(byte)).unwrap_or(text.len());
    if end == 0 { Err(Malformed::ChunkExtension) } else { Ok(&text[end..]) }
}

/// What follows the closing quote (RFC 9110 §5.6.4).
fn quoted_string(text: &[u8]) -> Result<&[u8], Malformed> {
    let mut bytes = text.iter().enumerate();
    let is_text = |byte: u8| byte == b'\t' || (byte >= b' ' && byte != 0x7f);
    while let Some((at, &byte)) = bytes.next() {
        match byte {
            b'"' => return Ok(&text[at + 1..]),
            b'\\' if bytes.next().is_some_and(|(_, &escaped)| is_text(escaped)) => {}
            b'\\' => break,
            byte if is_text(byte) => {}
            _ => break,
        }
    }
    Err(Malformed::ChunkExtension)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits { line: 64, head: 64, fields: 2, chunk: u64::MAX };

    /// How much of it is the body; `None` where the body is not complete.
    fn follow(body: &[u8]) -> Result<Option<usize>, Malformed> {
        let mut chunks = Chunks::new(LIMITS);
        let consumed = chunks.advance(body)?;
        Ok(chunks.is_done().then_some(consumed))
    }

    #[test]
    fn a_body_ends_behind_its_trailers() {
        for body in [
            "0\r\n\r\n",
            "3\r\nabc\r\n0\r\n\r\n",
            "A;x\r\n0123456789\r\n000;y=\"\\\" ;\"\r\n\r\n",
            "1 ;a=b; c\r\nx\r\n0\r\nServer-Timing: a\r\nB:\r\n\r\n",
        ] {
            assert_eq!(follow(format!("{body}GET").as_bytes()), Ok(Some(body.len())), "{body:?}");
            for end in 0..body.len() {
                assert_eq!(follow(&body.as_bytes()[..end]), Ok(None), "{body:?} to {end}");
            }
            let mut chunks = Chunks::new(LIMITS);
            assert!(body.bytes().all(|byte| chunks.advance(&[byte]) == Ok(1)) && chunks.is_done(), "{body:?}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        use Malformed::*;
        for (body, problem) in [
            ("\r\n", ChunkSize),
            ("x\r\n", ChunkSize),
            ("0x3\r\nabc\r\n", ChunkSize),
            ("-3\r\n", ChunkSize),
            (" 3\r\n", ChunkSize),
            ("3 \r\nabc\r\n", ChunkExtension),
            ("3\t\r\nabc\r\n", ChunkExtension),
            ("3_0\r\n", ChunkSize),
            ("10000000000000000\r\n", ChunkSize),
            ("3;\r\n", ChunkExtension),
            ("3;a=\r\n", ChunkExtension),
            ("3;a=\"b\r\n", ChunkExtension),
            ("3;a\0\r\n", ChunkExtension),
            ("3;a b\r\n", ChunkExtension),
            ("3\n", LineEnd),
            ("3\r\r\n", LineEnd),
            ("3\rabc", LineEnd),
            ("3\r\nabcd", ChunkEnd),
            ("3\r\nabc\n", ChunkEnd),
            ("3\r\nabc\r\r", ChunkEnd),
            ("0\r\nContent-Length: 3\r\n\r\n", Trailer),
            ("0\r\n A: b\r\n\r\n", Folding),
            ("0\r\nA : b\r\n\r\n", FieldName),
            ("0\r\nA: b\nB: c\r\n\r\n", LineEnd),
            ("0\r\nA: b\r\nA: b\r\nA: b\r\n\r\n", LargeTrailers),
        ] {
            assert_eq!(follow(body.as_bytes()), Err(problem), "{body:?}");
        }
        assert_eq!(follow(format!("3;{}", "a".repeat(300)).as_bytes()), Err(ChunkExtension));
        assert_eq!(follow(format!("0\r\nA: {}", "a".repeat(300)).as_bytes()), Err(LargeTrailers));
    }
}
