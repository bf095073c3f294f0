//! Makes requests that are nearly right from those of the table.

/// What has made parsers disagree before.
const DICTIONARY: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b"\n\n",
    b" ",
    b"\t",
    b"\0",
    b"\x0b",
    b"\x80",
    b"\xff",
    b":",
    b",",
    b";",
    b"=",
    b"\"",
    b"\\",
    b"%",
    b"?",
    b"#",
    b"//",
    b"..",
    b"_",
    b"0",
    b"1",
    b"+",
    b"-",
    b"0x",
    b"chunked",
    b"identity",
    b"HTTP/1.0",
    b"HTTP/1.1",
    b"Host: b\r\n",
    b"Content-Length: 3\r\n",
    b"Content-Length: 0\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer_Encoding: chunked\r\n",
    b"Content-Type: text/plain\r\n",
    b"Connection: close\r\n",
    b"Connection: keep-alive\r\n",
    b"Expect: 100-continue\r\n",
    b"0\r\n\r\n",
    b"3\r\nabc\r\n",
    b"3;a=\"b\"\r\nabc\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"http://a",
    b"OPTIONS * HTTP/1.1\r\n",
];

/// A source of mutations that repeats itself for the same seed.
#[derive(Debug)]
pub struct Mutator {
    state: u64,
}

impl Mutator {
    /// Any number will do.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        // SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators).
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % bound as u64).unwrap_or(0)
    }

    /// Changes `bytes` in one to four places. `other` gives what is spliced in.
    pub fn mutate(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        for _ in 0..=self.below(4) {
            self.change(bytes, other);
        }
    }

    fn change(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        let (start, end) = self.range(bytes.len());
        let word = DICTIONARY[self.below(DICTIONARY.len())];
        match self.below(8) {
            0 => drop(bytes.drain(start..end)),
            1 => {
                let copy = bytes[start..end].to_vec();
                let at = self.below(bytes.len() + 1);
                bytes.splice(at..at, copy);
            }
            2 => drop(bytes.splice(start..start, word.iter().copied())),
            3 => drop(bytes.splice(start..end, word.iter().copied())),
            4 => {
                let (from, to) = self.range(other.len());
                bytes.splice(start..start, other[from..to].iter().copied());
            }
            5 => {
                let line = self.line_start(bytes);
                bytes.splice(line..line, word.iter().copied());
            }
            6 if !bytes.is_empty() => {
                let at = self.below(bytes.len());
                bytes[at] ^= 1 << self.below(8);
            }
            _ if !bytes.is_empty() => {
                let at = self.below(bytes.len());
                bytes[at] = u8::try_from(self.below(256)).unwrap_or(0);
            }
            _ => bytes.extend(word),
        }
    }

    /// A short piece of something as long as `length`.
    fn range(&mut self, length: usize) -> (usize, usize) {
        let start = self.below(length + 1);
        let longest = (length - start).min(16);
        (start, start + self.below(longest + 1))
    }

    fn line_start(&mut self, bytes: &[u8]) -> usize {
        let ends: Vec<usize> =
            bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1).collect();
        if ends.is_empty() { 0 } else { ends[self.below(ends.len())] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_makes_the_same_requests() {
        let make = |seed| {
            let mut bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
            Mutator::new(seed).mutate(&mut bytes, b"POST");
            bytes
        };
        assert_eq!(make(1), make(1));
        let different: std::collections::HashSet<_> = (0..100).map(make).collect();
        assert!(different.len() > 80, "{} of 100", different.len());
    }
}
