//! What is compressed, and what its head says then.

use std::{convert::Infallible, task::Poll};

use http::{HeaderName, Request};
use http_body::Frame;

use super::{encoder::decompress, *};

const TEXT: &str = "to be, or not to be, that is the question; ";

fn policy(mode: CompressionMode) -> Policy {
    Policy::new(&stack_config::Compression { mode, min_size: 100, types: Vec::new() })
}

fn facts(method: Method, fields: &[(&'static str, &'static str)]) -> Facts {
    let mut request = Request::builder().method(method);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let request = request.body(()).unwrap();
    Facts::of(request.method(), request.headers())
}

fn gzip() -> Facts {
    facts(Method::GET, &[("accept-encoding", "gzip")])
}

fn response(status: u16, fields: &[(&'static str, &'static str)], body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    for (name, value) in fields {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

fn field<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

async fn body(response: Response) -> Bytes {
    axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap()
}

#[tokio::test]
async fn a_whole_body_is_compressed_and_its_head_says_so() {
    for length in [10, 1000] {
        let text = TEXT.repeat(length);
        let fields = [("etag", "\"v1\""), ("vary", "Cookie"), ("accept-ranges", "bytes"), ("content-length", "1000")];
        let compressed =
            apply(&policy(CompressionMode::Safe), &gzip(), response(200, &fields, text.clone().into())).await;
        assert_eq!(field(&compressed, "content-encoding"), Some("gzip"));
        assert_eq!(field(&compressed, "etag"), Some("W/\"v1\""));
        assert_eq!(field(&compressed, "accept-ranges"), None);
        let vary: Vec<_> = compressed.headers().get_all(header::VARY).iter().collect();
        assert_eq!(vary, ["Cookie", "accept-encoding"]);
        let told = field(&compressed, "content-length").unwrap().to_owned();
        let content = body(compressed).await;
        assert_eq!(told, content.len().to_string());
        assert_eq!(decompress(Coding::Gzip, &content), text.as_bytes());
    }
}

#[tokio::test]
async fn what_may_not_or_need_not_be_compressed_stays_as_it_is() {
    let text = TEXT.repeat(100);
    for (status, fields) in [
        (200, &[("content-encoding", "br")][..]),
        (200, &[("cache-control", "public, no-transform")]),
        (200, &[("content-type", "image/png")]),
        (200, &[("content-type", "text/event-stream")]),
        (206, &[("content-range", "bytes 0-1/2")]),
        (200, &[("set-cookie", "a=b")]),
        (200, &[("content-length", "99")]),
    ] {
        let same = apply(&policy(CompressionMode::Safe), &gzip(), response(status, fields, text.clone().into())).await;
        assert_ne!(field(&same, "content-encoding"), Some("gzip"), "{fields:?}");
        assert_eq!(field(&same, "vary"), None, "{fields:?}");
        assert_eq!(body(same).await, text, "{fields:?}");
    }
    for (mode, facts) in [(CompressionMode::Off, gzip()), (CompressionMode::Safe, facts(Method::GET, &[]))] {
        let same = apply(&policy(mode), &facts, response(200, &[], text.clone().into())).await;
        assert_eq!(field(&same, "content-encoding"), None);
        let is_on = mode == CompressionMode::Safe;
        assert_eq!(field(&same, "vary"), is_on.then_some("accept-encoding"), "a cache must know that it depends");
    }
}

#[tokio::test]
async fn a_body_that_would_grow_stays_as_it_is() {
    let noise: Vec<u8> = (0..200_u32).map(|place| place.wrapping_mul(2_654_435_761).to_be_bytes()[1]).collect();
    let same = apply(&policy(CompressionMode::Safe), &gzip(), response(200, &[], noise.clone().into())).await;
    assert_eq!((field(&same, "content-encoding"), field(&same, "vary")), (None, Some("accept-encoding")));
    assert_eq!(body(same).await, noise);
}

#[tokio::test]
async fn a_secret_is_sent_compressed_only_where_that_is_asked_for_and_with_another_length_each_time() {
    let known = facts(Method::GET, &[("accept-encoding", "gzip"), ("cookie", "sessionid=1")]);
    let make = || response(200, &[], TEXT.repeat(100).into());
    let safe = apply(&policy(CompressionMode::Safe), &known, make()).await;
    assert_eq!(field(&safe, "content-encoding"), None);
    let mut lengths = std::collections::HashSet::new();
    for _ in 0..50 {
        let all = apply(&policy(CompressionMode::All), &known, make()).await;
        assert_eq!(field(&all, "content-encoding"), Some("gzip"));
        lengths.insert(field(&all, "x-padding").unwrap().len());
    }
    assert!(lengths.len() > 10 && lengths.iter().all(|length| (1..=64).contains(length)), "{lengths:?}");
    let nobody = apply(&policy(CompressionMode::All), &gzip(), make()).await;
    assert_eq!(field(&nobody, "x-padding"), None);
}

#[tokio::test]
async fn a_head_request_is_told_what_a_get_would_get() {
    let head = facts(Method::HEAD, &[("accept-encoding", "gzip")]);
    for (length, coding) in [("5000", Some("gzip")), ("99", None)] {
        let fields = [("content-length", length), ("etag", "\"v1\"")];
        let announced = apply(&policy(CompressionMode::Safe), &head, response(200, &fields, Body::empty())).await;
        assert_eq!(field(&announced, "content-encoding"), coding);
        assert_eq!(field(&announced, "content-length"), coding.is_none().then_some(length));
        assert_eq!(field(&announced, "etag"), Some(if coding.is_some() { "W/\"v1\"" } else { "\"v1\"" }));
    }
}

#[tokio::test]
async fn a_304_names_the_copy_as_the_client_knows_it() {
    for (named, expected) in [("W/\"v1\"", "W/\"v1\""), ("\"v1\"", "\"v1\""), ("\"x\", W/\"v1\"", "W/\"v1\"")] {
        let facts = facts(Method::GET, &[("accept-encoding", "gzip"), ("if-none-match", named)]);
        let response = response(304, &[("etag", "\"v1\"")], Body::empty());
        let answered = apply(&policy(CompressionMode::Safe), &facts, response).await;
        assert_eq!(field(&answered, "etag"), Some(expected), "{named}");
    }
}

/// Gives one block each time it is polled after it had none.
struct Halting(std::vec::IntoIter<Bytes>, bool);

impl http_body::Body for Halting {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.1 = !self.1;
        if self.1 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.0.next().map(|block| Ok(Frame::data(block))))
    }
}

#[tokio::test]
async fn each_block_of_a_stream_can_be_decoded_before_the_next_is_there() {
    for coding in Coding::BY_SPEED {
        let facts = facts(Method::GET, &[("accept-encoding", coding.name())]);
        let blocks = ["first ".to_owned(), TEXT.repeat(2000), "last".to_owned()];
        let source = Halting(blocks.clone().map(Bytes::from).to_vec().into_iter(), false);
        let response = response(200, &[("content-length", "100000")], Body::new(source));
        let streamed = apply(&policy(CompressionMode::Safe), &facts, response).await;
        assert_eq!(field(&streamed, "content-encoding"), Some(coding.name()));
        assert_eq!(field(&streamed, "content-length"), None);
        let mut stream = streamed.into_body();
        let (mut sent, mut expected) = (Vec::new(), String::new());
        for block in &blocks {
            expected.push_str(block);
            while decompress(coding, &sent).len() < expected.len() {
                let frame = next(&mut stream).await.expect("the block comes before the end");
                sent.extend_from_slice(&frame);
            }
            assert_eq!(decompress(coding, &sent), expected.as_bytes(), "{coding:?}");
        }
        while let Some(frame) = next(&mut stream).await {
            sent.extend_from_slice(&frame);
        }
        assert_eq!(decompress(coding, &sent), expected.as_bytes());
    }
}

async fn next(body: &mut Body) -> Option<Bytes> {
    let frame = std::future::poll_fn(|cx| std::pin::Pin::new(&mut *body).poll_frame(cx)).await?;
    frame.unwrap().into_data().ok()
}
