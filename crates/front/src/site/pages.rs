//! What the client sees of an error: the site's own page, JSON where it asks for that, or else the short text that
//! `error.rs` gave it.

use std::{collections::HashMap, ffi::OsStr};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use stack_bridge::RequestId;
use stack_config::{ErrorPage, ErrorStatus};

use crate::{
    accept::{Wanted, wanted},
    details::Shown,
    html::escaped,
};

/// Whose a response is that says that something went wrong. An extension of it; without one it is the front's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// The application made it.
    Application,
    /// The configuration gives its body.
    Configuration,
}

/// Placeholders of a page.
const STATUS: &str = "{{status}}";
const REASON: &str = "{{reason}}";
const REQUEST_ID: &str = "{{request_id}}";

/// Media types of an application's error that a page may replace; all others are meant for programs.
const REPLACEABLE: [&str; 3] = ["text/html", "text/plain", "application/xhtml+xml"];

/// Fields that describe a body that is no more.
const OF_THE_BODY: [header::HeaderName; 7] = [
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_RANGE,
    header::CONTENT_DISPOSITION,
    header::ETAG,
    header::LAST_MODIFIED,
    header::ACCEPT_RANGES,
];

/// The error pages of a site.
#[derive(Debug, Default)]
pub(super) struct Pages {
    by_code: HashMap<u16, Page>,
    by_class: HashMap<u16, Page>,
    for_application: bool,
}

#[derive(Debug)]
struct Page {
    content_type: HeaderValue,
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    Text(Bytes),
    Status,
    Reason,
    RequestId,
}

impl Pages {
    pub(super) fn new(pages: &[ErrorPage], for_application: bool) -> Self {
        let mut all = Self { for_application, ..Self::default() };
        for ErrorPage { status, path, content } in pages {
            let page = Page { content_type: media_type(path.extension()), parts: parts(content) };
            match status {
                ErrorStatus::Code(code) => all.by_code.insert(*code, page),
                ErrorStatus::Class(digit) => all.by_class.insert(*digit, page),
            };
        }
        all
    }

    fn find(&self, status: StatusCode) -> Option<&Page> {
        let code = status.as_u16();
        self.by_code.get(&code).or_else(|| self.by_class.get(&(code / 100)))
    }

    /// Puts a page or JSON in the place of an error's body. The status stays, and so does what belongs to it: `Connection`,
    /// `Retry-After`, `Allow`.
    pub(super) fn dress(&self, response: &mut Response, id: RequestId, accept: Option<&HeaderValue>) {
        // Whoever is shown why the application failed is to see that.
        if response.extensions().get::<Shown>().is_some() {
            return;
        }
        let status = response.status();
        let is_ours = match response.extensions().get::<Whose>() {
            None => true,
            Some(Whose::Application) if self.for_application && is_replaceable(response.headers()) => false,
            Some(Whose::Application | Whose::Configuration) => return,
        };
        if is_ours {
            // Which of the texts it is depends on that.
            response.headers_mut().append(header::VARY, const { HeaderValue::from_static("Accept") });
        }
        let (content_type, body) = match self.find(status) {
            _ if is_ours && accept.is_some_and(|accept| wanted(accept) == Wanted::Json) => {
                (PROBLEM, problem(status, id))
            }
            Some(page) => (page.content_type.clone(), page.fill(status, id)),
            None => return,
        };
        let headers = response.headers_mut();
        for name in &OF_THE_BODY {
            headers.remove(name);
        }
        headers.insert(header::CONTENT_TYPE, content_type);
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        *response.body_mut() = Body::from(body);
    }
}

const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

/// RFC 9457 §3, with a type that says no more than the status (§4.2.1).
fn problem(status: StatusCode, id: RequestId) -> Bytes {
    let title = status.canonical_reason().unwrap_or_default();
    let code = status.as_u16();
    let problem =
        serde_json::json!({"type": "about:blank", "title": title, "status": code, "request_id": id.to_string()});
    let mut text = problem.to_string();
    text.push('\n');
    text.into()
}

fn is_replaceable(headers: &HeaderMap) -> bool {
    let Some(content_type) = headers.get(header::CONTENT_TYPE) else { return true };
    let media_type = content_type.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    REPLACEABLE.iter().any(|replaceable| media_type.eq_ignore_ascii_case(replaceable))
}

impl Page {
    fn fill(&self, status: StatusCode, id: RequestId) -> Bytes {
        if let [Part::Text(text)] = &self.parts[..] {
            return text.clone();
        }
        let mut filled = Vec::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => filled.extend_from_slice(text),
                Part::Status => filled.extend_from_slice(status.as_str().as_bytes()),
                // For HTML, and harmless elsewhere: "I'm a teapot" has an apostrophe.
                Part::Reason => filled.extend(escaped(status.canonical_reason().unwrap_or_default()).bytes()),
                Part::RequestId => filled.extend_from_slice(id.to_string().as_bytes()),
            }
        }
        filled.into()
    }
}

fn media_type(extension: Option<&OsStr>) -> HeaderValue {
    HeaderValue::from_static(match extension.and_then(OsStr::to_str) {
        Some("json") => "application/json",
        Some("txt") => "text/plain; charset=utf-8",
        Some("xml") => "application/xml",
        _ => "text/html; charset=utf-8",
    })
}

/// Cuts a page at its placeholders.
fn parts(content: &[u8]) -> Vec<Part> {
    let content = Bytes::copy_from_slice(content);
    let (mut parts, mut text_from, mut at) = (Vec::new(), 0, 0);
    while at < content.len() {
        let rest = &content[at..];
        let placeholder = [(STATUS, Part::Status), (REASON, Part::Reason), (REQUEST_ID, Part::RequestId)]
            .into_iter()
            .find(|(name, _)| rest.starts_with(name.as_bytes()));
        let Some((name, part)) = placeholder else {
            at += 1;
            continue;
        };
        if text_from < at {
            parts.push(Part::Text(content.slice(text_from..at)));
        }
        parts.push(part);
        at += name.len();
        text_from = at;
    }
    if text_from < content.len() || parts.is_empty() {
        parts.push(Part::Text(content.slice(text_from..)));
    }
    parts
}

#[cfg(test)]
mod tests;
