use super::*;

const LIMITS: HeadLimits = HeadLimits { line: 64, head: 256, fields: 4, chunk: 0 };

fn read(head: &str) -> Result<Progress, Refusal> {
    HeadReader::new(LIMITS).advance(head.as_bytes())
}

/// A head of this request line and these lines, with its end.
fn head(lines: &[&str]) -> String {
    format!("{}\r\n\r\n", lines.join("\r\n"))
}

#[test]
fn a_head_ends_at_its_empty_line_and_tells_the_framing() {
    for (lines, framing) in [
        (&["GET / HTTP/1.1", "Host: a"][..], Framing::Length(0)),
        (&["GET / HTTP/1.0"], Framing::Length(0)),
        (&["POST / HTTP/1.1", "host:a", "content-length: 007"], Framing::Length(7)),
        (&["POST / HTTP/1.1", "Host: a", "Transfer-Encoding: Chunked\t"], Framing::Chunked),
        (&["GET http://A:80/ HTTP/1.1", "Host: \t a:80 "], Framing::Length(0)),
        (&["GET https://a HTTP/1.0"], Framing::Length(0)),
        (&["CONNECT a:1 HTTP/1.1", "Host: a:1"], Framing::Length(0)),
        (&["OPTIONS * HTTP/1.1", "Host:"], Framing::Length(0)),
    ] {
        let head = head(lines);
        let expected = Ok(Progress::Complete { length: head.len(), framing });
        assert_eq!(read(&format!("{head}GET")), expected, "{lines:?}");
    }
}

#[test]
fn a_head_reads_the_same_in_whatever_pieces_it_comes() {
    let head = head(&["POST http://abc/x HTTP/1.1", "Host: abc", "Content-Length: 3"]);
    let mut reader = HeadReader::new(LIMITS);
    for end in 0..head.len() {
        assert_eq!(reader.advance(&head.as_bytes()[..end]), Ok(Progress::Partial), "{end}");
    }
    let complete = Progress::Complete { length: head.len(), framing: Framing::Length(3) };
    assert_eq!(reader.advance(head.as_bytes()), Ok(complete));
}

#[test]
fn a_malformed_head_is_refused() {
    use Malformed::*;
    for (lines, problem) in [
        (&["GET / HTTP/1.1"][..], NoHost),
        (&["GET / HTTP/1.1", "Host: a", "Host: a"], SeveralHosts),
        (&["GET / HTTP/1.1", "Host: a b"], InvalidHost),
        (&["GET  / HTTP/1.1", "Host: a"], RequestLine),
        (&["GET / HTTP/1.1 ", "Host: a"], RequestLine),
        (&[" GET / HTTP/1.1", "Host: a"], RequestLine),
        (&["GET /\tHTTP/1.1", "Host: a"], RequestLine),
        (&["GET /", "Host: a"], RequestLine),
        (&["GET / http/1.1", "Host: a"], RequestLine),
        (&["GET / HTTP/1.10", "Host: a"], RequestLine),
        (&["G(T / HTTP/1.1", "Host: a"], Method),
        (&["GET a:80 HTTP/1.1", "Host: a:80"], Authority),
        (&["GET * HTTP/1.1", "Host: a"], Asterisk),
        (&["GET http://b/ HTTP/1.1", "Host: a"], Contradiction),
        (&["GET http://a:80/ HTTP/1.1", "Host: a"], Contradiction),
        (&["CONNECT a:1 HTTP/1.1", "Host: a:2"], Contradiction),
        (&["GET / HTTP/1.1", "Host: a", " b"], Folding),
        (&["GET / HTTP/1.1", "Host : a"], FieldName),
        (&["GET / HTTP/1.1", "Host: a", "b"], NoColon),
        (&["POST / HTTP/1.1", "Host: a", "Content-Length: 1", "Content-Length: 1"], SeveralLengths),
        (&["POST / HTTP/1.1", "Host: a", "Content-Length: 1, 1"], InvalidLength),
        (&["POST / HTTP/1.1", "Host: a", "Content-Length: +1"], InvalidLength),
        (&["POST / HTTP/1.1", "Host: a", "Content-Length: 0x1"], InvalidLength),
        (&["POST / HTTP/1.1", "Host: a", "Content-Length:"], InvalidLength),
        (&["POST / HTTP/1.1", "Host: a", "Content-Length: 18446744073709551616"], InvalidLength),
        (&["POST / HTTP/1.1", "Host: a", "Content-Length: 1", "Transfer-Encoding: chunked"], LengthAndEncoding),
        (&["POST / HTTP/1.1", "Host: a", "Transfer-Encoding: gzip, chunked"], UnknownEncoding),
        (&["POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked, chunked"], UnknownEncoding),
        (&["POST / HTTP/1.1", "Host: a", "Transfer-Encoding: identity"], UnknownEncoding),
        (&["POST / HTTP/1.1", "Host: a", "Transfer-Encoding: \x0bchunked"], FieldValue),
        (&["POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], UnknownEncoding),
        (&["POST / HTTP/1.0", "Transfer-Encoding: chunked"], EncodingInHttp10),
        (&["POST / HTTP/1.1", "Host: a", "Content-Type: a/b", "content-type: a/b"], SeveralTypes),
    ] {
        assert_eq!(read(&head(lines)), Err(Refusal::Malformed(problem)), "{lines:?}");
    }
}

#[test]
fn a_line_ends_in_both_characters_and_has_neither_in_it() {
    for text in
        ["GET / HTTP/1.1\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\n"]
    {
        assert_eq!(read(text), Err(Refusal::Malformed(Malformed::LineEnd)), "{text:?}");
    }
    assert_eq!(read("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n"), Err(Refusal::Malformed(Malformed::RequestLine)));
    assert_eq!(read("GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n"), Err(Refusal::Malformed(Malformed::FieldValue)));
}

#[test]
fn other_versions_are_not_supported() {
    for version in ["HTTP/2.0", "HTTP/1.2", "HTTP/0.9", "HTTP/3.0"] {
        assert_eq!(read(&format!("GET / {version}\r\n")), Err(Refusal::Version), "{version}");
    }
}

#[test]
fn there_is_one_expectation_and_http_1_0_has_none() {
    assert!(read(&head(&["GET / HTTP/1.1", "Host: a", "Expect: 100-Continue"])).is_ok());
    assert!(read(&head(&["GET / HTTP/1.0", "Expect: magic"])).is_ok());
    for value in ["magic", "100-continue, magic", "\"100-continue\"", ""] {
        let lines = ["GET / HTTP/1.1", "Host: a", &format!("Expect: {value}")];
        assert_eq!(read(&head(&lines)), Err(Refusal::Expectation), "{value}");
    }
}

#[test]
fn each_limit_has_its_own_refusal_and_is_met_before_the_end() {
    let line = |length: usize| format!("GET /{} HTTP/1.1", "a".repeat(length - "GET / HTTP/1.1".len()));
    assert!(read(&head(&[&line(64), "Host: a"])).is_ok());
    assert_eq!(read(&format!("{}\r\n", line(65))), Err(Refusal::LongLine));
    assert_eq!(read(&"A".repeat(66)), Err(Refusal::LongLine));

    let fields = |count: usize| vec!["A: b"; count];
    let lines = |count: usize| [vec!["GET / HTTP/1.0"], fields(count)].concat();
    assert!(read(&head(&lines(4))).is_ok());
    assert_eq!(read(&head(&lines(5))), Err(Refusal::ManyFields));

    let start = "GET / HTTP/1.0\r\nA: ";
    let value = |length: usize| format!("{start}{}\r\n\r\n", "b".repeat(length - start.len() - 4));
    assert!(read(&value(256)).is_ok());
    assert_eq!(read(&value(257)), Err(Refusal::LargeHead));
    assert_eq!(read(&format!("{start}{}", "b".repeat(256))), Err(Refusal::LargeHead));
}

#[test]
fn what_is_no_request_is_refused_before_its_line_ends() {
    // The first bytes of a TLS handshake.
    let hello = HeadReader::new(LIMITS).advance(b"\x16\x03\x01\x02\x00\x01");
    assert_eq!(hello, Err(Refusal::Malformed(Malformed::RequestLine)));
    assert_eq!(read("GET / HTTP/1.1\r"), Ok(Progress::Partial));
}
