//! What the client sees of an error: the site's own page, JSON where it asks for that, or else the short text that
//! `error.rs` gave it.

use std::collections::HashMap;

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use stack_bridge::RequestId;
use stack_config::{ErrorPage, ErrorStatus};

use crate::{
    accept::{Wanted, wanted},
    details::Shown,
};

mod page;

use page::Page;

/// Whose a response is that says that something went wrong. An extension of it; without one it is the front's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// The application made it.
    Application,
    /// The configuration gives its body.
    Configuration,
}

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

impl Pages {
    pub(super) fn new(pages: &[ErrorPage], for_application: bool) -> Self {
        let mut all = Self { for_application, ..Self::default() };
        for ErrorPage { status, path, content } in pages {
            let page = Page::new(path, content);
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
            Some(page) => (page.content_type(), page.fill(status, id)),
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

#[cfg(test)]
mod tests;
