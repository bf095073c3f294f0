//! Requests and their fields (RFC 9113 §8): what is malformed, the application does not see.
//!
//! Two cases are missing, in which h2 drops what is wrong before anybody sees it: a fragment in `:path`, and a pseudo-header
//! field in trailers.

use super::{Case, Expected::*, case, code::*, request};
use crate::harness::http2::{flag, frame, headers, kind};

const END: u8 = flag::END_STREAM;

fn data(flags: u8, content: &[u8]) -> Vec<u8> {
    frame(kind::DATA, flags, 1, content)
}

pub(super) fn all() -> Vec<Case> {
    [good(), pseudo_fields(), fields(), lengths_and_trailers()].into_iter().flatten().collect()
}

fn good() -> Vec<Case> {
    let whole = |fields: &[(&str, &str)]| headers(1, END, fields);
    let upload = |more: &[(&'static str, &'static str)], rest: &[Vec<u8>]| {
        [headers(1, 0, &request("POST", "/", more)), rest.concat()].concat()
    };
    vec![
        case("8.1 HEAD", whole(&request("HEAD", "/", &[])), Status(200)),
        case("8.1 POST", upload(&[], &[data(END, b"abc")]), Status(200)),
        case(
            "8.1 POST with a length",
            upload(&[("content-length", "3")], &[data(0, b"a"), data(END, b"bc")]),
            Status(200),
        ),
        case("8.1 trailers", upload(&[], &[data(0, b"abc"), headers(1, END, &[("x-checksum", "1")])]), Status(200)),
        case("8.2.2 te: trailers", whole(&request("GET", "/", &[("te", "trailers")])), Status(200)),
        case("8.2.3 cookies apart", whole(&request("GET", "/", &[("cookie", "a=1"), ("cookie", "b=2")])), Status(200)),
        case("8.3.1 OPTIONS of the server", whole(&request("OPTIONS", "*", &[])), Status(204)),
        case("8.3.1 a method of its own", whole(&request("PROPFIND", "/", &[])), Status(200)),
        case(
            "8.3.1 Host for the authority",
            whole(&[(":method", "GET"), (":scheme", "http"), (":path", "/"), ("host", "a")]),
            Status(200),
        ),
        case("8.3.1 Host beside the same authority", whole(&request("GET", "/", &[("host", "a")])), Status(200)),
        case("8.2.1 an empty value", whole(&request("GET", "/", &[("x", "")])), Status(200)),
        case("8.2.1 a name with an underscore", whole(&request("GET", "/", &[("x_y", "1")])), Status(200)),
    ]
}

fn pseudo_fields() -> Vec<Case> {
    let whole = |fields: &[(&str, &str)]| headers(1, END, fields);
    let (method, scheme, path, authority) =
        ((":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a"));
    let fields = |fields: &[(&str, &str)]| whole(fields);
    vec![
        case("8.3 an unknown pseudo-header field", whole(&request("GET", "/", &[(":test", "x")])), Malformed),
        case("8.3 a response's pseudo-header field", whole(&request("GET", "/", &[(":status", "200")])), Malformed),
        case(
            "8.3 a pseudo-header field behind another",
            fields(&[method, scheme, authority, ("x", "y"), path]),
            Malformed,
        ),
        case("8.3.1 no method", fields(&[scheme, path, authority]), Malformed),
        case("8.3.1 no scheme", fields(&[method, path, authority]), Malformed),
        case("8.3.1 no path", fields(&[method, scheme, authority]), Malformed),
        case("8.3.1 an empty path", whole(&request("GET", "", &[])), Malformed),
        case("8.3.1 an empty method", whole(&request("", "/", &[])), Malformed),
        case("8.3.1 two methods", fields(&[method, method, scheme, path, authority]), Malformed),
        case("8.3.1 two schemes", fields(&[method, scheme, scheme, path, authority]), Malformed),
        case("8.3.1 two paths", fields(&[method, scheme, path, path, authority]), Malformed),
        case("8.3.1 two authorities", fields(&[method, scheme, path, authority, authority]), Malformed),
        case("8.3.1 a path without a slash", whole(&request("GET", "index", &[])), Malformed),
        case("8.3.1 a path that is a URL", whole(&request("GET", "http://a/", &[])), Malformed),
        case("8.3.1 an asterisk with GET", whole(&request("GET", "*", &[])), Malformed),
        case("8.3.1 a path with a space", whole(&request("GET", "/a b", &[])), Malformed),
        case("8.3.1 a path with a request behind it", whole(&request("GET", "/ HTTP/1.1\r\nHost: b", &[])), Malformed),
        case("8.3.1 a path outside ASCII", whole(&request("GET", "/caf\u{e9}", &[])), Malformed),
        case("8.3.1 a method with a space", whole(&request("GET /", "/", &[])), Malformed),
        case("8.3.1 neither authority nor Host", fields(&[method, scheme, path]), Malformed),
        case("8.3.1 an authority that contradicts Host", whole(&request("GET", "/", &[("host", "b")])), Malformed),
        case("8.3.1 two Hosts", whole(&request("GET", "/", &[("host", "a"), ("host", "a")])), Malformed),
        case("8.3.1 an authority with a user", fields(&[method, scheme, path, (":authority", "user@a")]), Malformed),
        case("8.3.1 an authority with a path", fields(&[method, scheme, path, (":authority", "a/b")]), Malformed),
        case("8.3.1 a scheme that is none", fields(&[method, (":scheme", "h t"), path, authority]), Malformed),
    ]
}

fn fields() -> Vec<Case> {
    let with = |name: &'static str, value: &'static str| headers(1, END, &request("GET", "/", &[(name, value)]));
    vec![
        case("8.2.1 a name in capitals", with("X-Test", "1"), Malformed),
        case("8.2.1 an empty name", with("", "1"), Malformed),
        case("8.2.1 a name with a space", with("x y", "1"), Malformed),
        case("8.2.1 a name with a colon", with("x:y", "1"), Malformed),
        case("8.2.1 a name with CRLF", with("x\r\ny", "1"), Malformed),
        case("8.2.1 a name outside ASCII", with("caf\u{e9}", "1"), Malformed),
        case("8.2.1 a value with CR", with("x", "a\rb"), Malformed),
        case("8.2.1 a value with LF", with("x", "a\nb"), Malformed),
        case("8.2.1 a value with NUL", with("x", "a\0b"), Malformed),
        case("8.2.2 connection", with("connection", "close"), Malformed),
        case("8.2.2 keep-alive", with("keep-alive", "timeout=5"), Malformed),
        case("8.2.2 proxy-connection", with("proxy-connection", "keep-alive"), Malformed),
        case("8.2.2 transfer-encoding", with("transfer-encoding", "chunked"), Malformed),
        case("8.2.2 upgrade", with("upgrade", "websocket"), Malformed),
        case("8.2.2 te: gzip", with("te", "gzip"), Malformed),
        case("8.2.2 te: trailers and more", with("te", "trailers, deflate;q=0.5"), Malformed),
        case(
            "RFC 9110 8.3 two content types",
            headers(1, END, &request("GET", "/", &[("content-type", "a/b"), ("content-type", "a/b")])),
            Malformed,
        ),
    ]
}

fn lengths_and_trailers() -> Vec<Case> {
    let upload = |length: &'static str, rest: &[Vec<u8>]| {
        [headers(1, 0, &request("POST", "/", &[("content-length", length)])), rest.concat()].concat()
    };
    let post = |rest: &[Vec<u8>]| [headers(1, 0, &request("POST", "/", &[])), rest.concat()].concat();
    vec![
        case("8.1.1 a length over the DATA", upload("4", &[data(END, b"abc")]), Malformed),
        case("8.1.1 a length under the DATA", upload("2", &[data(END, b"abc")]), Malformed),
        case("8.1.1 a length over several DATA", upload("9", &[data(0, b"abc"), data(END, b"def")]), Malformed),
        case("8.1.1 a length of several DATA passed", upload("5", &[data(0, b"abc"), data(END, b"def")]), Malformed),
        case(
            "8.1.1 a length and no DATA",
            headers(1, END, &request("POST", "/", &[("content-length", "3")])),
            Malformed,
        ),
        case("8.1.1 a length that is no number", upload("+3", &[data(END, b"abc")]), Malformed),
        case("8.1.1 a list of lengths", upload("3, 3", &[data(END, b"abc")]), Malformed),
        case(
            "8.1.1 two lengths",
            [
                headers(1, 0, &request("POST", "/", &[("content-length", "3"), ("content-length", "3")])),
                data(END, b"abc"),
            ]
            .concat(),
            Malformed,
        ),
        case(
            "8.1 trailers that do not end the stream",
            post(&[data(0, b"abc"), headers(1, 0, &[("x", "y")])]),
            Malformed,
        ),
        case(
            "8.1 a name in capitals in trailers",
            post(&[data(0, b"a"), headers(1, END, &[("X-Sum", "1")])]),
            Malformed,
        ),
        case(
            "8.1 DATA behind trailers",
            post(&[headers(1, END, &[("x", "y")]), data(END, b"abc")]),
            Stream(&[STREAM_CLOSED]),
        ),
    ]
}
