//! Static files: below an owned prefix, in a document root that is tried before the application, or sent for the
//! application.

use std::{borrow::Cow, path::PathBuf, sync::Arc};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts};
use stack_bridge::RequestId;
use stack_config::Fallback;
use tokio::task::spawn_blocking;

use crate::{
    compression::{self, Policy},
    error::Error,
    path,
    request::Context,
};

mod body;
mod cache;
mod cache_control;
mod conditional;
mod internal;
mod kept;
mod listing;
mod media_type;
mod open;
mod part;
mod ranges;
mod ready;
mod response;
mod root;
mod version;

pub(crate) use internal::Internal;
pub(crate) use kept::KeptFile;
pub(crate) use part::{FilePart, Piece};
pub(crate) use ready::{AtHand, Content, ContentBody, Wish};
use response::Asked;
pub(crate) use root::protect;
use root::{Origin, Root, Served, Shared};

/// What is the same for the files of all sites.
#[derive(Clone, Debug)]
pub(crate) struct FileService {
    config: Arc<stack_config::Files>,
    shared: Arc<Shared>,
    pub(crate) internal: Arc<Internal>,
    pub(crate) compression: Policy,
}

/// A directory that owns every path below its prefix.
#[derive(Debug)]
pub(crate) struct OwnedPrefix {
    prefix: String,
    site: Directory,
}

/// A directory that answers for the files it has, and leaves everything else to the application.
#[derive(Debug)]
pub(crate) struct DocumentRoot(Directory);

/// A root with what is done where it has no file.
#[derive(Debug)]
struct Directory {
    root: Arc<Root>,
    /// Path of the file for pages that only the browser knows, with its leading `/`.
    fallback: Option<Bytes>,
    is_listed: bool,
}

impl FileService {
    pub(crate) fn new(config: &stack_config::Files) -> Self {
        let compression = Policy::new(&config.compression);
        let shared = Arc::new(Shared::new(config, compression.clone()));
        let internal = Arc::new(Internal::new(config, &shared));
        Self { config: Arc::new(config.clone()), shared, internal, compression }
    }

    fn directory(&self, prefix: Option<&str>, directory: PathBuf) -> Directory {
        let root = Root::new(prefix.unwrap_or_default(), directory, Origin::Site, &self.shared);
        let path = |fallback: &Fallback| [b"/", fallback.file.as_os_str().as_encoded_bytes()].concat().into();
        let fallback = self.config.fallbacks.iter().find(|fallback| fallback.prefix.as_deref() == prefix).map(path);
        let is_listed = self.config.listings.iter().any(|listed| listed.as_deref() == prefix);
        Directory { root, fallback, is_listed }
    }

    /// A directory that owns its prefix.
    pub(crate) fn owned(&self, prefix: String, directory: PathBuf) -> OwnedPrefix {
        OwnedPrefix { site: self.directory(Some(&prefix), directory), prefix }
    }

    /// A directory that an application has named for its own files, or for those of its users.
    pub(crate) fn of_application(&self, prefix: &str, directory: PathBuf, is_of_users: bool) -> OwnedPrefix {
        let origin = if is_of_users { Origin::Uploads } else { Origin::Site };
        let root = Root::new(prefix, directory, origin, &self.shared);
        OwnedPrefix { site: Directory { root, fallback: None, is_listed: false }, prefix: prefix.to_owned() }
    }

    pub(crate) fn document_root(&self, directory: PathBuf) -> DocumentRoot {
        DocumentRoot(self.directory(None, directory))
    }

    /// Whether a path is the application's to send, so that no document root answers for it.
    pub(crate) fn is_internal(&self, path: &str) -> bool {
        let internal = &self.config.internal;
        let is_below = |decoded: &[u8]| internal.iter().any(|it| path::below(it.prefix.as_bytes(), decoded).is_some());
        !internal.is_empty() && is_below(&path::decode(path.as_bytes()))
    }
}

impl OwnedPrefix {
    /// The file of a decoded path, if it is in memory or can be opened at once.
    pub(crate) fn at_hand<'a>(&'a self, decoded: Cow<'a, [u8]>, sends_files: bool) -> Option<AtHand<'a>> {
        let below = match decoded {
            Cow::Borrowed(decoded) => path::below(self.prefix.as_bytes(), decoded)?.into(),
            Cow::Owned(decoded) => path::below(self.prefix.as_bytes(), &decoded)?.to_vec().into(),
        };
        self.site.root.at_hand(below, sends_files)
    }

    pub(crate) async fn respond(&self, request: &Parts) -> Response {
        if !is_read(&request.method) {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed\n");
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        let decoded = path::decode(request.uri.path().as_bytes());
        let response = match path::below(self.prefix.as_bytes(), &decoded) {
            // The prefix itself, without its slash, is a directory like any other.
            Some(b"") => Some(redirect(request)),
            Some(below) => self.site.respond(request, below).await,
            None => None,
        };
        match response {
            Some(response) => response,
            None => match self.site.fall_back(request).await {
                Some(response) => response,
                None => plain(StatusCode::NOT_FOUND, "Not found\n"),
            },
        }
    }
}

impl DocumentRoot {
    /// The file of a decoded path, if it is in memory or can be opened at once.
    pub(crate) fn at_hand<'a>(&'a self, decoded: Cow<'a, [u8]>, sends_files: bool) -> Option<AtHand<'a>> {
        self.0.root.at_hand(decoded, sends_files)
    }

    /// Whether it would have to be looked further than in the kernel's caches, or there is something.
    pub(crate) fn may_have(&self, method: &Method, decoded: &[u8]) -> bool {
        is_read(method) && (self.0.fallback.is_some() || !self.0.root.is_empty_at(decoded, self.0.is_listed))
    }

    /// The file, if there is one.
    pub(crate) async fn respond(&self, request: &Parts) -> Option<Response> {
        if !is_read(&request.method) {
            return None;
        }
        let decoded = path::decode(request.uri.path().as_bytes());
        self.0.respond(request, &decoded).await
    }

    /// The file for pages that only the browser knows, where the request is for a page.
    pub(crate) async fn fall_back(&self, request: &Parts) -> Option<Response> {
        self.0.fall_back(request).await
    }
}

impl Directory {
    async fn respond(&self, request: &Parts, path: &[u8]) -> Option<Response> {
        match self.root.find(path).await {
            Ok(Served::File(hot)) => Some(response::file(&asked(request, path), &self.root, &hot)),
            Ok(Served::Directory) => Some(redirect(request)),
            Ok(Served::Bare { has_slash, name }) if self.is_listed => {
                Some(if has_slash { self.list(request, name).await } else { redirect(request) })
            }
            Ok(Served::Bare { .. } | Served::Nothing) => None,
            // Perhaps the application has something there.
            Ok(Served::Forbidden(_)) if self.root.is_document_root() => None,
            Ok(Served::Forbidden(error)) => Some(Error::FileForbidden(error).respond(id(request))),
            Err(error) => Some(Error::File(error).respond(id(request))),
        }
    }

    async fn fall_back(&self, request: &Parts) -> Option<Response> {
        let path = self.fallback.as_deref().filter(|_| is_navigation(request))?;
        let Ok(Served::File(hot)) = self.root.find(path).await else { return None };
        let mut response = response::file(&asked(request, path), &self.root, &hot);
        // Another request for the same path gets another answer.
        compression::append_vary(response.headers_mut(), "accept");
        Some(response)
    }

    async fn list(&self, request: &Parts, name: PathBuf) -> Response {
        let root = Arc::clone(&self.root);
        let entries = spawn_blocking(move || listing::entries(&root.directory, &name)).await;
        match entries.map_err(std::io::Error::other).flatten() {
            Ok(entries) => listing::response(&path::decode(request.uri.path().as_bytes()), &entries, &request.headers),
            Err(error) => Error::File(error).respond(id(request)),
        }
    }
}

fn asked<'a>(request: &'a Parts, path: &'a [u8]) -> Asked<'a> {
    Asked { method: &request.method, headers: &request.headers, path, content_type: None }
}

fn id(request: &Parts) -> RequestId {
    request.extensions.get::<Context>().expect("every request gets one before its route").id
}

fn is_read(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

/// Whether somebody goes to a page: a browser names HTML then, and for what a page loads it does not.
fn is_navigation(request: &Parts) -> bool {
    is_read(&request.method) && names_html(&request.headers)
}

fn names_html(headers: &HeaderMap) -> bool {
    let ranges = headers.get_all(header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    ranges.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_html = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("text/html"));
        // A weight of 0 refuses it (RFC 9110 §12.4.2).
        is_html && !parts.any(|parameter| matches!(parameter, "q=0" | "q=0." | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

/// Adds the slash that relative links below a directory need, and keeps the query.
fn redirect(request: &Parts) -> Response {
    let uri = &request.uri;
    // `//host` would be another site; below one slash it can only be ours.
    let path = uri.path().trim_start_matches('/');
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut response = plain(StatusCode::MOVED_PERMANENTLY, "Moved\n");
    if let Ok(location) = HeaderValue::try_from(format!("/{path}/{query}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}
