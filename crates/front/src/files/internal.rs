//! Files that the application has sent for it: `X-Accel-Redirect` with a path of an internal prefix, `X-Sendfile` with the
//! path of a file.
//!
//! The file takes the place of the application's body. Its validators, ranges and codings are those of any static file; all
//! else in the application's head stays, as its Content-Type, cookies and Cache-Control.

use std::sync::Arc;

use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts};
use stack_bridge::RequestId;

use super::{
    response::{self, Asked},
    root::{Origin, Root, Served, Shared},
};
use crate::{error::Error, path};

const ACCEL: HeaderName = HeaderName::from_static("x-accel-redirect");
const SENDFILE: HeaderName = HeaderName::from_static("x-sendfile");

/// What described the body that is not sent, and what is for the server alone.
const REPLACED: [HeaderName; 12] = [
    ACCEL,
    SENDFILE,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONTENT_RANGE,
    header::ACCEPT_RANGES,
    header::ETAG,
    header::LAST_MODIFIED,
    header::TRANSFER_ENCODING,
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("x-accel-buffering"),
    HeaderName::from_static("x-accel-charset"),
];

/// The directories, and what of a request is needed to answer it with a file.
#[derive(Debug)]
pub(crate) struct Internal {
    /// Longest prefix first.
    accel: Vec<(String, Arc<Root>)>,
    sendfile: Vec<Arc<Root>>,
}

/// What of a request is kept while the application runs.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    method: Method,
    headers: HeaderMap,
}

impl Internal {
    pub(crate) fn new(config: &stack_config::Files, shared: &Arc<Shared>) -> Self {
        let root = |directory: &std::path::PathBuf| Root::new("", directory.clone(), Origin::Internal, shared);
        Self {
            accel: config.internal.iter().map(|it| (it.prefix.clone(), root(&it.directory))).collect(),
            sendfile: config.sendfile.iter().map(root).collect(),
        }
    }

    /// What has to be kept of a request; nothing where the application has no such files.
    pub(crate) fn keep(&self, request: &Parts) -> Option<Kept> {
        let is_used = !self.accel.is_empty() || !self.sendfile.is_empty();
        is_used.then(|| match request.method {
            Method::HEAD | Method::GET => Kept { method: request.method.clone(), headers: request.headers.clone() },
            // Its fields are about what it asked for, which was not the file.
            _ => Kept { method: Method::GET, headers: HeaderMap::new() },
        })
    }

    /// Whether the application asks for a file with this field.
    pub(crate) fn is_wish(name: &HeaderName) -> bool {
        *name == ACCEL || *name == SENDFILE
    }

    /// Whether the application asks for a file in the place of the body.
    pub(crate) fn is_wished_for(response: &Response) -> bool {
        response.headers().contains_key(ACCEL) || response.headers().contains_key(SENDFILE)
    }

    /// Puts the file in the place of the body, where the application asks for it.
    pub(crate) async fn apply(&self, kept: Option<Kept>, id: RequestId, response: Response) -> Response {
        let fields = response.headers();
        let wish = fields.get(ACCEL).map(|value| (value, true)).or(fields.get(SENDFILE).map(|value| (value, false)));
        let Some((value, is_accel)) = wish else { return response };
        let wanted = value.as_bytes();
        let place = if is_accel { self.accelerated(wanted) } else { self.by_path(wanted) };
        let (Some((root, path)), Some(kept)) = (place, kept) else {
            let wanted = String::from_utf8_lossy(wanted).into_owned();
            return Error::InternalOutside(wanted).respond(id);
        };
        let content_type = response.headers().get(header::CONTENT_TYPE).cloned();
        let asked =
            Asked { method: &kept.method, headers: &kept.headers, path: &path, content_type: content_type.as_ref() };
        let file = match root.find(&path).await {
            Ok(Served::File(hot)) => response::file(&asked, root, &hot),
            Ok(Served::Directory | Served::Bare { .. } | Served::Nothing) => {
                let wanted = String::from_utf8_lossy(&path).into_owned();
                return Error::InternalMissing(wanted).respond(id);
            }
            Ok(Served::Forbidden(error)) => return Error::FileForbidden(error).respond(id),
            Err(error) => return Error::File(error).respond(id),
        };
        merged(file, response.headers())
    }

    /// A path of the site, percent-encoded, and perhaps with a query that has no meaning here.
    fn accelerated(&self, wanted: &[u8]) -> Option<(&Arc<Root>, Vec<u8>)> {
        let path = wanted.split(|&byte| byte == b'?').next().unwrap_or_default();
        let decoded = path::decode(path);
        self.accel.iter().find_map(|(prefix, root)| {
            let below = path::below(prefix.as_bytes(), &decoded).filter(|below| below.starts_with(b"/"))?;
            path::file_path(below).map(|_| (root, below.to_vec()))
        })
    }

    /// The path of a file, as it is.
    fn by_path(&self, wanted: &[u8]) -> Option<(&Arc<Root>, Vec<u8>)> {
        self.sendfile.iter().find_map(|root| {
            let directory = root.directory.as_os_str().as_encoded_bytes();
            let below = wanted.strip_prefix(directory).filter(|below| below.starts_with(b"/"))?;
            path::file_path(below).map(|_| (root, below.to_vec()))
        })
    }
}

/// The file with the application's fields.
fn merged(mut file: Response, application: &HeaderMap) -> Response {
    let has_content = matches!(file.status(), StatusCode::OK | StatusCode::PARTIAL_CONTENT);
    let headers = file.headers_mut();
    let of_content = [header::CONTENT_TYPE, header::CONTENT_DISPOSITION, header::CONTENT_LANGUAGE];
    for name in application.keys().filter(|name| !REPLACED.contains(name)) {
        let values = application.get_all(name).iter().cloned();
        if *name == header::VARY {
            append(headers, name, values);
        } else if of_content.contains(name) {
            // Several parts have the type in each; without content there is nothing to describe.
            if has_content && *name != header::CONTENT_TYPE {
                replace(headers, name, values);
            }
        } else {
            replace(headers, name, values);
        }
    }
    file
}

fn replace(headers: &mut HeaderMap, name: &HeaderName, values: impl Iterator<Item = HeaderValue>) {
    headers.remove(name);
    append(headers, name, values);
}

fn append(headers: &mut HeaderMap, name: &HeaderName, values: impl Iterator<Item = HeaderValue>) {
    for value in values {
        headers.append(name, value);
    }
}
