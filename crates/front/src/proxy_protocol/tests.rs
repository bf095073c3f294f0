//! Headers as proxies send them, and as they must not be.

use super::*;

/// The header, and what is left behind it.
async fn outcome(bytes: &[u8]) -> (Result<Header, HeaderError>, Vec<u8>) {
    let mut stream = bytes;
    let header = read(&mut stream).await;
    (header, stream.to_vec())
}

fn client(source: &str, destination: &str) -> Header {
    Header::Client { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
}

fn binary(version_and_command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let mut bytes = SIGNATURE.to_vec();
    bytes.extend([version_and_command, family]);
    bytes.extend(u16::try_from(block.len()).unwrap().to_be_bytes());
    bytes.extend(block);
    bytes
}

#[tokio::test]
async fn a_header_is_read_and_nothing_behind_it() {
    let v4 = [192, 0, 2, 1, 198, 51, 100, 2, 0x12, 0x34, 0x01, 0xbb];
    let mut v6 = [0; 36];
    (v6[0], v6[15], v6[31], v6[33], v6[35]) = (0x20, 1, 2, 80, 81);
    let mut with_tlv = v4.to_vec();
    with_tlv.extend([0x03, 0, 4, 1, 2, 3, 4]);
    with_tlv.extend([0; 3000]);
    let cases: Vec<(Vec<u8>, Header)> = vec![
        (b"PROXY TCP4 192.0.2.1 198.51.100.2 4660 443\r\n".to_vec(), client("192.0.2.1:4660", "198.51.100.2:443")),
        (b"PROXY TCP4 1.1.1.1 1.1.1.1 1 1\r\n".to_vec(), client("1.1.1.1:1", "1.1.1.1:1")),
        (b"PROXY TCP6 2001:db8::1 ::1 0 65535\r\n".to_vec(), client("[2001:db8::1]:0", "[::1]:65535")),
        (b"PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n".to_vec(), client("192.0.2.1:1", "[::1]:2")),
        (b"PROXY UNKNOWN\r\n".to_vec(), Header::Unknown),
        (b"PROXY UNKNOWN ffff::f fff::1 65535 65535\r\n".to_vec(), Header::Unknown),
        (binary(0x21, 0x11, &v4), client("192.0.2.1:4660", "198.51.100.2:443")),
        (binary(0x21, 0x11, &with_tlv), client("192.0.2.1:4660", "198.51.100.2:443")),
        (binary(0x21, 0x21, &v6), client("[2000::1]:80", "[::2]:81")),
        (binary(0x21, 0x31, &[b'x'; 216]), Header::Unknown),
        (binary(0x21, 0x00, b""), Header::Unknown),
        (binary(0x21, 0x00, b"anything"), Header::Unknown),
        (binary(0x20, 0x00, b""), Header::Local),
        (binary(0x20, 0x11, &v4), Header::Local),
        (binary(0x20, 0x99, b"x"), Header::Local),
    ];
    for (bytes, expected) in cases {
        let text = bytes.escape_ascii().to_string();
        for rest in [&b""[..], b"G", b"GET / HTTP/1.1\r\n"] {
            let (header, left) = outcome(&[&bytes, rest].concat()).await;
            assert_eq!(header.unwrap(), expected, "{text}");
            assert_eq!(left, rest, "{text}");
        }
        // Whole or not at all.
        for cut in 0..bytes.len() {
            assert!(matches!(outcome(&bytes[..cut]).await.0, Err(HeaderError::Io(_))), "{text} cut at {cut}");
        }
    }
}

#[tokio::test]
async fn a_connection_without_a_header_is_told_from_one_with_a_bad_one() {
    for bytes in [
        &b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00",
        b"proxy TCP4 1.1.1.1",
    ] {
        assert!(matches!(outcome(bytes).await.0, Err(HeaderError::Missing)), "{}", bytes.escape_ascii());
    }
    let long = [&b"PROXY UNKNOWN "[..], &[b'x'; 200], b"\r\n"].concat();
    let v4 = [0; 12];
    let bad: Vec<Vec<u8>> = vec![
        b"PROXY TCP4 192.0.2.1 198.51.100.2 1\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.1 198.51.100.2 1 2 3\r\n".to_vec(),
        b"PROXY TCP4  192.0.2.1 198.51.100.2 1 2\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.01 198.51.100.2 1 2\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.1 198.51.100.2 01 2\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.1 198.51.100.2 +1 2\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.1 198.51.100.2 1 65536\r\n".to_vec(),
        b"PROXY TCP4 ::1 ::1 1 2\r\n".to_vec(),
        b"PROXY TCP6 192.0.2.1 192.0.2.1 1 2\r\n".to_vec(),
        b"PROXY UDP4 192.0.2.1 198.51.100.2 1 2\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.1 198.51.100.2 1 2\n\r\n".to_vec(),
        b"PROXY UNKNOWNX\r\n".to_vec(),
        b"PROXY TCP4 \xff.0.2.1 198.51.100.2 1 2\r\n".to_vec(),
        long,
        binary(0x11, 0x11, &v4),
        binary(0x22, 0x11, &v4),
        binary(0x21, 0x12, &v4),
        binary(0x21, 0x10, &v4),
        binary(0x21, 0x41, &v4),
        binary(0x21, 0x11, &v4[..11]),
        binary(0x21, 0x21, &[0; 35]),
        binary(0x21, 0x31, &[0; 215]),
    ];
    for bytes in bad {
        assert!(matches!(outcome(&bytes).await.0, Err(HeaderError::Malformed)), "{}", bytes.escape_ascii());
    }
}
