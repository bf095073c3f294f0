//! Counts frames that cost the server work and their sender nothing.
//!
//! PING, SETTINGS and resets want to be answered or acted upon; PRIORITY, unknown frames, CONTINUATION and empty
//! DATA want to be read. A client needs a few of them. One that sends thousands is an attack by its means (RFC 9113
//! §10.5), and is closed. Requests themselves are bounded by their number, their size and their rate elsewhere.

use tokio::time::Instant;

/// Frames that may come at once, and those that may come in each second after.
const BURST: f64 = 1000.0;
const PER_SECOND: f64 = 100.0;

/// A client may tell of room in its windows once for this many bytes that it was sent, and this often besides.
const BYTES_PER_UPDATE: u64 = 256;
const UPDATES: u64 = 2000;

/// `Length (24), Type (8), Flags (8), Reserved (1), Stream Identifier (31)` (RFC 9113 §4.1).
const HEADER: usize = 9;

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const SETTINGS: u8 = 0x4;
const WINDOW_UPDATE: u8 = 0x8;
const ACK: u8 = 0x1;
const END_STREAM: u8 = 0x1;

/// Follows what a client sends, from behind its preface.
#[derive(Debug)]
pub(super) struct FrameMeter {
    header: [u8; HEADER],
    /// Bytes of the header that are there.
    filled: usize,
    /// Bytes of the frame, or of the preface, that are still to pass.
    left: usize,
    /// The first frame is a client's settings (RFC 9113 §3.4), which h2 does not insist on.
    awaits_settings: bool,
    budget: f64,
    counted_at: Instant,
    updates: u64,
    /// Bytes that were sent.
    sent: u64,
}

/// Why a connection is not read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Abuse {
    #[error("more HTTP/2 control frames than a client has use for")]
    Flood,
    #[error("an HTTP/2 connection that does not begin with settings")]
    NoSettings,
}

impl FrameMeter {
    /// `preface`: bytes that come before the first frame.
    pub(super) fn new(preface: usize) -> Self {
        Self {
            header: [0; HEADER],
            filled: 0,
            left: preface,
            awaits_settings: preface > 0,
            budget: BURST,
            counted_at: Instant::now(),
            updates: 0,
            sent: 0,
        }
    }

    /// Takes note of bytes that were sent.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }

    /// Follows the frames through what has been received.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) -> Result<(), Abuse> {
        while !bytes.is_empty() {
            let passing = self.left.min(bytes.len());
            self.left -= passing;
            bytes = &bytes[passing..];
            if self.left > 0 || bytes.is_empty() {
                return Ok(());
            }
            let taken = (HEADER - self.filled).min(bytes.len());
            self.header[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
            self.filled += taken;
            bytes = &bytes[taken..];
            if self.filled == HEADER {
                self.filled = 0;
                self.count()?;
            }
        }
        Ok(())
    }

    fn count(&mut self) -> Result<(), Abuse> {
        let [high, middle, low, kind, flags, ..] = self.header;
        self.left = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        if std::mem::take(&mut self.awaits_settings) && (kind, flags & ACK) != (SETTINGS, 0) {
            return Err(Abuse::NoSettings);
        }
        match kind {
            HEADERS => Ok(()),
            DATA if self.left > 0 || flags & END_STREAM != 0 => Ok(()),
            WINDOW_UPDATE => {
                self.updates += 1;
                if self.updates > UPDATES + self.sent / BYTES_PER_UPDATE { Err(Abuse::Flood) } else { Ok(()) }
            }
            _ => self.spend(),
        }
    }

    fn spend(&mut self) -> Result<(), Abuse> {
        let now = Instant::now();
        let earned = now.duration_since(self.counted_at).as_secs_f64() * PER_SECOND;
        self.counted_at = now;
        self.budget = (self.budget + earned).min(BURST) - 1.0;
        if self.budget < 0.0 { Err(Abuse::Flood) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const PING: u8 = 0x6;

    #[tokio::test(start_paused = true)]
    async fn a_connection_begins_with_settings() {
        assert_eq!(FrameMeter::new(1).follow(&[b"x", &frame(SETTINGS, 0, &[])[..]].concat()), Ok(()));
        for frame in [frame(PING, 0, &[0; 8]), frame(SETTINGS, ACK, &[]), frame(HEADERS, 0, b"x")] {
            assert_eq!(FrameMeter::new(1).follow(&[b"x", &frame[..]].concat()), Err(Abuse::NoSettings));
        }
    }

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags, 0, 0, 0, 1];
        frame.extend_from_slice(payload);
        frame
    }

    /// How many of these frames pass.
    fn passed(meter: &mut FrameMeter, frame: &[u8]) -> usize {
        (0..10_000).take_while(|_| meter.follow(frame).is_ok()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_of_control_frames_passes_and_a_flood_does_not() {
        let mut meter = FrameMeter::new(0);
        assert_eq!(passed(&mut meter, &frame(DATA, 0, &[])), 1000);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!((199..=201).contains(&passed(&mut meter, &frame(DATA, 0, &[]))));
    }

    #[tokio::test(start_paused = true)]
    async fn frames_that_carry_something_are_not_counted() {
        let mut meter = FrameMeter::new(0);
        for frame in [frame(HEADERS, 0, b"x"), frame(DATA, 0, b"x"), frame(DATA, END_STREAM, b"")] {
            assert_eq!(passed(&mut meter, &frame), 10_000);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn window_updates_follow_what_was_sent() {
        let mut meter = FrameMeter::new(0);
        meter.sent(256 * 1000);
        assert_eq!(passed(&mut meter, &frame(WINDOW_UPDATE, 0, &[0; 4])), 3000);
    }

    #[tokio::test(start_paused = true)]
    async fn frames_are_found_in_whatever_pieces_they_come() {
        let mut meter = FrameMeter::new(3);
        let mut bytes = b"abc".to_vec();
        bytes.extend(frame(SETTINGS, 0, &[0; 8]));
        for _ in 0..1000 {
            bytes.extend(frame(PING, 0, &[0; 8]));
        }
        let refused = bytes.chunks(7).position(|piece| meter.follow(piece).is_err());
        assert_eq!(refused, Some((3 + 1000 * 17 + 9) / 7));
    }
}
