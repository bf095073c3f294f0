//! Large bodies, and a checksum that both sides can compute quickly.

/// `length` bytes that do not repeat with a period of a power of two: a block at the wrong place shows.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..=250u8).cycle().take(length).collect()
}

/// Adler-32 (RFC 1950 §8.2), which Python has as `zlib.adler32`.
pub(crate) fn adler32(bytes: &[u8]) -> u32 {
    const MODULUS: u32 = 65_521;
    let (mut low, mut high) = (1u32, 0u32);
    // 5552 is the longest run that can not overflow.
    for run in bytes.chunks(5552) {
        for &byte in run {
            low += u32::from(byte);
            high += low;
        }
        low %= MODULUS;
        high %= MODULUS;
    }
    (high << 16) | low
}

#[test]
fn the_checksum_is_the_one_that_zlib_computes() {
    assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
}
