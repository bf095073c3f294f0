//! The script, and its way into pages.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts};
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::{PREFIX, SCRIPT};

/// What runs in the browser.
pub(super) const SOURCE: &str = include_str!("script.js");

/// Whether a browser is to show the response as a page: what a script of the page fetches is left alone.
pub(super) fn is_wished_for(request: &Parts) -> bool {
    if request.method == Method::HEAD {
        return false;
    }
    let field = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
    match field("sec-fetch-dest") {
        Some(destination) => matches!(destination, "document" | "iframe" | "frame"),
        // Browsers leave it out where an origin is not trustworthy: plain HTTP from another machine.
        None => field("accept").is_some_and(|accept| accept.contains("text/html")),
    }
}

/// Adds the script at the end of a page, where every HTML parser takes one: what the page is made of need not be known, and a
/// page that comes in pieces need not be kept.
pub(super) fn add(response: &mut Response, version: &str) {
    if !is_page(response.status(), response.headers()) {
        return;
    }
    let nonce = nonce(response.headers()).map(|nonce| format!(" nonce=\"{nonce}\"")).unwrap_or_default();
    let tag = format!("\n<script src=\"{PREFIX}{SCRIPT}\" data-version=\"{version}\"{nonce} async></script>\n");
    let headers = response.headers_mut();
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if let Some(length) = length {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length + tag.len() as u64));
    }
    // They speak of the bytes that were. A copy that is kept, or confirmed with 304, would be one with an old version in it.
    for name in ["etag", "last-modified", "accept-ranges", "content-md5", "content-digest", "repr-digest", "digest"] {
        headers.remove(name);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let body = std::mem::take(response.body_mut());
    *response.body_mut() = Body::new(Scripted { body, tag: Some(tag.into()) });
}

/// Lets a page of the server's own, whose policy allows no scripts, have this one.
pub(super) fn allow(headers: &mut HeaderMap) {
    let policy = headers.get(header::CONTENT_SECURITY_POLICY).and_then(|policy| policy.to_str().ok());
    let wider = policy
        .and_then(|policy| HeaderValue::try_from(format!("{policy}; script-src 'self'; connect-src 'self'")).ok());
    if let Some(wider) = wider {
        headers.insert(header::CONTENT_SECURITY_POLICY, wider);
    }
}

pub(super) fn is_page(status: StatusCode, headers: &HeaderMap) -> bool {
    let has_whole_body = !status.is_informational()
        && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED | StatusCode::PARTIAL_CONTENT);
    let is_html = headers.get(header::CONTENT_TYPE).is_some_and(|value| {
        let essence = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
        essence.trim_ascii().eq_ignore_ascii_case(b"text/html")
    });
    let disposition = headers.get(header::CONTENT_DISPOSITION).map(HeaderValue::as_bytes).unwrap_or_default();
    let is_download = disposition.trim_ascii_start().to_ascii_lowercase().starts_with(b"attachment");
    has_whole_body && is_html && !is_download && !headers.contains_key(header::CONTENT_ENCODING)
}

/// The nonce that a policy wants of scripts (Content Security Policy Level 3, §2.3.1).
fn nonce(headers: &HeaderMap) -> Option<String> {
    let policies = headers.get_all(header::CONTENT_SECURITY_POLICY).into_iter().filter_map(|value| value.to_str().ok());
    let directives: Vec<&str> = policies.flat_map(|policy| policy.split([';', ','])).map(str::trim).collect();
    let of = |wanted: &str| {
        let named = |directive: &&&str| {
            directive.split_ascii_whitespace().next().is_some_and(|name| name.eq_ignore_ascii_case(wanted))
        };
        let sources = directives.iter().find(named)?.split_ascii_whitespace();
        let quoted = sources.filter_map(|source| source.strip_prefix("'nonce-")?.strip_suffix('\''));
        let is_plain =
            |nonce: &&str| nonce.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=-_".contains(&byte));
        quoted.filter(is_plain).map(str::to_owned).next()
    };
    ["script-src-elem", "script-src", "default-src"].into_iter().find_map(of)
}

/// A page, and the script behind it.
struct Scripted {
    body: Body,
    tag: Option<Bytes>,
}

impl HttpBody for Scripted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        if this.tag.is_none() {
            return Poll::Ready(None);
        }
        match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
            Some(frame) => Poll::Ready(Some(frame)),
            None => Poll::Ready(this.tag.take().map(|tag| Ok(Frame::data(tag)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.tag.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let added = self.tag.as_ref().map_or(0, Bytes::len) as u64;
        let mut hint = SizeHint::new();
        let inner = self.body.size_hint();
        hint.set_lower(inner.lower() + added);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + added);
        }
        hint
    }
}
