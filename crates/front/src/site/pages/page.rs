//! A page with placeholders, as its file has it.

use std::{
    ffi::OsStr,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use stack_bridge::RequestId;

use crate::{files::KeptFile, html::escaped};

/// Placeholders of a page.
const STATUS: &str = "{{status}}";
const REASON: &str = "{{reason}}";
const REQUEST_ID: &str = "{{request_id}}";

#[derive(Debug)]
pub(super) struct Page {
    content_type: HeaderValue,
    file: Arc<KeptFile>,
    parts: Arc<Mutex<Arc<[Part]>>>,
}

#[derive(Debug)]
enum Part {
    Text(Bytes),
    Status,
    Reason,
    RequestId,
}

impl Page {
    /// The page of a file that had this content a moment ago.
    pub(super) fn new(path: &Path, content: &[u8]) -> Self {
        Self {
            content_type: media_type(path.extension()),
            file: KeptFile::new(path),
            parts: Arc::new(Mutex::new(parts(&Bytes::copy_from_slice(content)).into())),
        }
    }

    pub(super) fn content_type(&self) -> HeaderValue {
        self.content_type.clone()
    }

    fn current(&self) -> Arc<[Part]> {
        let kept = Arc::clone(&self.parts);
        self.file.look(move |content| *lock(&kept) = parts(&content).into());
        Arc::clone(&lock(&self.parts))
    }

    pub(super) fn fill(&self, status: StatusCode, id: RequestId) -> Bytes {
        let parts = self.current();
        if let [Part::Text(text)] = &parts[..] {
            return text.clone();
        }
        let mut filled = Vec::new();
        for part in &*parts {
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
fn parts(content: &Bytes) -> Vec<Part> {
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
