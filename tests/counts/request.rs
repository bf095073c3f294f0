//! The request that all benchmarks are about: one as a browser sends it.

use std::{iter, path::Path, sync::Arc, time::Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use stack_bridge::{BodyLimits, Local, Peer, Request, RequestBody, RequestId, ResponseHead, Scheme};

/// In the order and the length in which browsers send them.
const FIELDS: &[(&str, &str)] = &[
    ("Host", "shop.example:8000"),
    ("Connection", "keep-alive"),
    ("sec-ch-ua", "\"Chromium\";v=\"142\", \"Not_A Brand\";v=\"99\""),
    ("sec-ch-ua-mobile", "?0"),
    ("sec-ch-ua-platform", "\"Linux\""),
    ("Upgrade-Insecure-Requests", "1"),
    (
        "User-Agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    ),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    ("Sec-Fetch-Site", "same-origin"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Dest", "document"),
    ("Referer", "http://shop.example:8000/books/"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Accept-Language", "en-GB,en;q=0.9,de;q=0.8"),
    ("Cookie", "sessionid=p2x8k4w1zq7v5n3m9c6b0a2s4d8f7g1h; csrftoken=Qm7Zt4Lk9Xc2Vb6Nn1Hh8Jj5Gg3Ff0Dd"),
];

/// How many there are.
pub(crate) const FIELD_COUNT: usize = FIELDS.len();

/// The head of a GET.
pub(crate) fn head(target: &str) -> Vec<u8> {
    let line = format!("GET {target} HTTP/1.1");
    let lines = iter::once(line).chain(FIELDS.iter().map(|(name, value)| format!("{name}: {value}")));
    lines.chain([String::new(), String::new()]).collect::<Vec<_>>().join("\r\n").into_bytes()
}

/// The same as the application gets it.
pub(crate) fn request() -> Request {
    let fields = FIELDS.iter().map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a token");
        (name, HeaderValue::from_static(value))
    });
    Request {
        id: RequestId(7),
        method: Method::GET,
        target: Bytes::from_static(b"/books/?page=2&order=title"),
        path: Bytes::from_static(b"/books/"),
        script_name: Bytes::new(),
        query: Bytes::from_static(b"page=2&order=title"),
        version: Version::HTTP_11,
        headers: fields.collect(),
        scheme: Scheme::Http,
        tls: None,
        peer: Peer::Tcp(([127, 0, 0, 1], 40_000).into()),
        local: Arc::new(Local { name: "127.0.0.1".into(), port: "8000".into() }),
        body: RequestBody::Empty,
        connection: None,
        received_at: Instant::now(),
        details: None,
    }
}

/// What an application answers.
pub(crate) const BODY: &[u8] = b"Hello from an application\n";

/// The head of that.
pub(crate) fn response_head() -> ResponseHead {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(BODY.len()));
    ResponseHead { status: StatusCode::OK, reason: None, headers }
}

/// Room for it.
pub(crate) fn limits() -> BodyLimits {
    BodyLimits { memory: 1 << 20, spill: 0, directory: Path::new("/tmp").into() }
}
