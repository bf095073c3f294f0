//! Compression of the application's responses.
//!
//! A body that is in memory as a whole becomes another that is; a stream is compressed block by block, each decodable as
//! soon as it is sent. An entity tag becomes weak, since what it names now has other bytes (RFC 9110 §8.8.1).
//!
//! The length of a compressed body tells how much of it repeats. Who can make a browser send requests with text of their
//! choice, and see the lengths of the answers, can guess a secret that stands in the same body (BREACH). So a response that
//! may carry a secret is sent as it is, unless the configuration asks for all; then its length is blurred.

use std::{hash::BuildHasher, sync::Arc};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body::Body as _;
use stack_config::CompressionMode;
use tokio::{sync::Semaphore, task::spawn_blocking};

mod body;
mod coding;
mod encoder;
mod secrets;
mod types;

use body::CompressedBody;
pub(crate) use coding::{Accepted, Coding};
pub(crate) use encoder::{Effort, compress};
pub(crate) use types::Types;

/// A whole body up to this size is compressed where it is; a larger one on a thread that may take its time.
const AT_ONCE: u64 = 16 * 1024;

/// Streams that are compressed at a time. Each holds an encoder for as long as its client reads, and slow clients must
/// not cost more than this; beyond it streams are sent as they are.
const STREAMS: usize = 128;

/// The longest padding of a response whose length is blurred.
const PADDING: u64 = 64;

/// What is compressed, and how. One for all requests.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    mode: CompressionMode,
    min_size: u64,
    pub(crate) types: Arc<Types>,
    streams: Arc<Semaphore>,
}

/// What compression has to know of a request, taken before the application gets it.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    is_head: bool,
    accepted: Accepted,
    client: secrets::Client,
    if_none_match: Vec<HeaderValue>,
}

impl Facts {
    /// Reads a request's fields.
    pub(crate) fn of(method: &Method, headers: &HeaderMap) -> Self {
        Self {
            is_head: *method == Method::HEAD,
            accepted: Accepted::of(headers),
            client: secrets::Client::of(headers),
            if_none_match: headers.get_all(header::IF_NONE_MATCH).iter().cloned().collect(),
        }
    }
}

impl Policy {
    /// A policy as configured.
    pub(crate) fn new(config: &stack_config::Compression) -> Self {
        Self {
            mode: config.mode,
            min_size: config.min_size,
            types: Arc::new(Types::new(&config.types)),
            streams: Arc::new(Semaphore::new(STREAMS)),
        }
    }

    /// Whether anything is compressed at all.
    pub(crate) fn is_on(&self) -> bool {
        self.mode != CompressionMode::Off
    }

    /// Whether static content of this size and type is compressed.
    pub(crate) fn includes(&self, content_type: &HeaderValue, length: u64) -> bool {
        self.is_on() && length >= self.min_size && self.types.include(content_type.as_bytes())
    }

    /// Whether a response of the application's is, where its client takes it so. Its length may not be known.
    pub(crate) fn includes_response(&self, status: StatusCode, headers: &HeaderMap, length: Option<u64>) -> bool {
        let has_whole_body =
            !status.is_informational() && !matches!(status, StatusCode::NO_CONTENT | StatusCode::PARTIAL_CONTENT);
        self.is_on()
            && has_whole_body
            && length.is_none_or(|length| length >= self.min_size.max(1))
            && !headers.contains_key(header::CONTENT_ENCODING)
            && !headers.contains_key(header::CONTENT_RANGE)
            && headers.get(header::CONTENT_TYPE).is_some_and(|value| self.types.include(value.as_bytes()))
            // RFC 9111 §5.2.2.6.
            && !directives(headers, header::CACHE_CONTROL).any(|directive| directive.eq_ignore_ascii_case("no-transform"))
    }
}

/// Compresses a response of the application's, if it may be and its client wants it.
pub(crate) async fn apply(policy: &Policy, facts: &Facts, mut response: Response) -> Response {
    if !policy.is_on() {
        return response;
    }
    if response.status() == StatusCode::NOT_MODIFIED {
        weaken_for_its_copy(facts, response.headers_mut());
        return response;
    }
    let length = length(&response, facts.is_head);
    let status = response.status();
    let Some(Chosen { coding, has_secret }) = choose(policy, facts, status, response.headers_mut(), length) else {
        return response;
    };
    let compressed = if facts.is_head {
        set_fields(response.headers_mut(), coding, None);
        response
    } else if response.body().size_hint().exact().is_some() {
        whole(coding, response).await
    } else {
        stream(policy, coding, response)
    };
    if has_secret { padded(compressed) } else { compressed }
}

/// Whether a response in memory is sent as it is. If its client could have asked for another form of it, it says so then.
pub(crate) fn is_left_as_it_is(
    policy: &Policy,
    facts: &Facts,
    status: StatusCode,
    headers: &mut HeaderMap,
    length: usize,
) -> bool {
    choose(policy, facts, status, headers, Some(length as u64)).is_none()
}

/// How a response is compressed.
struct Chosen {
    coding: Coding,
    has_secret: bool,
}

fn choose(
    policy: &Policy,
    facts: &Facts,
    status: StatusCode,
    headers: &mut HeaderMap,
    length: Option<u64>,
) -> Option<Chosen> {
    if !policy.includes_response(status, headers, length) {
        return None;
    }
    let has_secret = facts.client.has_secret_in(headers);
    if has_secret && policy.mode == CompressionMode::Safe {
        return None;
    }
    append_vary(headers, "accept-encoding");
    let coding = facts.accepted.best(Coding::BY_SPEED)?;
    Some(Chosen { coding, has_secret })
}

/// The body's length, where it is known.
fn length(response: &Response, is_head: bool) -> Option<u64> {
    let told = response.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    // The body of a response to HEAD says nothing about that to GET.
    told.or_else(|| response.body().size_hint().exact().filter(|_| !is_head))
}

/// The elements of all fields of this name, without their arguments.
fn directives(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|element| element.split('=').next().unwrap_or_default().trim())
}

/// Compresses a body that is in memory.
async fn whole(coding: Coding, response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    // It is there already, so this neither waits nor fails.
    let Ok(content) = axum::body::to_bytes(body, usize::MAX).await else {
        return Response::from_parts(parts, Body::empty());
    };
    let encode = {
        let content = content.clone();
        move || compress(coding, Effort::Once, &content)
    };
    let encoded = if content.len() as u64 <= AT_ONCE { Ok(encode()) } else { spawn_blocking(encode).await };
    match encoded {
        Ok(Ok(encoded)) if encoded.len() < content.len() => {
            set_fields(&mut parts.headers, coding, Some(&encoded));
            Response::from_parts(parts, Body::from(encoded))
        }
        // It is not worth it, or there is no memory for an encoder.
        _ => Response::from_parts(parts, Body::from(content)),
    }
}

fn stream(policy: &Policy, coding: Coding, response: Response) -> Response {
    let Ok(permit) = Arc::clone(&policy.streams).try_acquire_owned() else { return response };
    let Ok(encoder) = encoder::Encoder::new(coding, Effort::Once, None) else { return response };
    let (mut parts, body) = response.into_parts();
    set_fields(&mut parts.headers, coding, None);
    Response::from_parts(parts, Body::new(CompressedBody::new(body, encoder, permit)))
}

/// Makes a head that of a compressed body.
fn set_fields(headers: &mut HeaderMap, coding: Coding, content: Option<&Bytes>) {
    headers.insert(header::CONTENT_ENCODING, coding.field_value());
    match content {
        Some(content) => headers.insert(header::CONTENT_LENGTH, HeaderValue::from(content.len())),
        None => headers.remove(header::CONTENT_LENGTH),
    };
    // They speak of the bytes that were.
    for name in ["accept-ranges", "content-md5", "content-digest", "repr-digest", "digest"] {
        headers.remove(name);
    }
    if let Some(weak) = headers.get(header::ETAG).and_then(weak) {
        headers.insert(header::ETAG, weak);
    }
}

/// The weak form of a strong entity tag.
fn weak(tag: &HeaderValue) -> Option<HeaderValue> {
    let is_strong = tag.as_bytes().starts_with(b"\"");
    is_strong.then(|| HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()).ok()).flatten()
}

/// A client that has a compressed copy has a weak entity tag; a 304 must name its copy by the same one (RFC 9111 §4.3.4).
fn weaken_for_its_copy(facts: &Facts, headers: &mut HeaderMap) {
    let Some(weak) = headers.get(header::ETAG).and_then(weak) else { return };
    let tags = || facts.if_none_match.iter().filter_map(|value| value.to_str().ok());
    let is_there = |wanted: &HeaderValue| {
        tags().flat_map(|value| value.split(',')).any(|tag| tag.trim().as_bytes() == wanted.as_bytes())
    };
    if is_there(&weak) && !headers.get(header::ETAG).is_some_and(is_there) {
        headers.insert(header::ETAG, weak);
        append_vary(headers, "accept-encoding");
    }
}

/// Adds a name to Vary, unless it is there.
pub(crate) fn append_vary(headers: &mut HeaderMap, name: &'static str) {
    if !directives(headers, header::VARY).any(|known| known == "*" || known.eq_ignore_ascii_case(name)) {
        headers.append(header::VARY, HeaderValue::from_static(name));
    }
}

/// Blurs the length on the wire. What repeats in a body saves a byte or two; that drowns in this.
fn padded(mut response: Response) -> Response {
    // The one source of randomness in the standard library; its keys are not to be guessed.
    let random = std::hash::RandomState::new().hash_one(0_u8);
    let padding = vec![b'x'; usize::try_from(random % PADDING).unwrap_or_default() + 1];
    if let Ok(padding) = HeaderValue::try_from(padding) {
        response.headers_mut().insert("x-padding", padding);
    }
    response
}

#[cfg(test)]
mod tests;
