//! Static files, below an owned prefix or in a document root that is tried before the application.

use std::{
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll, ready},
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header, request::Parts};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::task::spawn_blocking;

use crate::{
    error::Error,
    file_stream::FileStream,
    path::{self, FilePath},
    request::Context,
};

mod conditional;
mod media_type;
mod open;

use conditional::{Selected, Validators};
use open::{Found, Lookup, Opened};

/// A directory that owns every path below its prefix.
#[derive(Debug)]
pub(crate) struct OwnedPrefix {
    prefix: String,
    directory: Arc<PathBuf>,
}

/// A directory that answers for the files it has, and leaves everything else to the application.
#[derive(Debug)]
pub(crate) struct DocumentRoot {
    directory: Arc<PathBuf>,
}

impl OwnedPrefix {
    pub(crate) fn new(prefix: String, directory: PathBuf) -> Self {
        Self { prefix, directory: Arc::new(directory) }
    }

    pub(crate) async fn respond(&self, request: &Parts) -> Response {
        if !is_read(&request.method) {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed\n");
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        let decoded = path::decode(request.uri.path().as_bytes());
        let below = decoded.strip_prefix(self.prefix.as_bytes());
        let found = match below {
            // The prefix itself, without its slash, is a directory like any other.
            Some(b"") => Ok(Found::Directory),
            Some(below) => match path::file_path(below) {
                Some(path) => find(&self.directory, path).await,
                None => Ok(Found::Nothing),
            },
            None => Ok(Found::Nothing),
        };
        let id = request.extensions.get::<Context>().expect("every request gets one before its route").id;
        match found {
            Ok(Found::File(file)) => file_response(request, file),
            Ok(Found::Directory) => redirect(request),
            Ok(Found::Nothing) => plain(StatusCode::NOT_FOUND, "Not found\n"),
            Ok(Found::Forbidden(error)) => Error::FileForbidden(error).respond(id),
            Err(error) => Error::File(error).respond(id),
        }
    }
}

impl DocumentRoot {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory: Arc::new(directory) }
    }

    /// The file, if there is one.
    pub(crate) async fn respond(&self, request: &Parts) -> Option<Response> {
        if !is_read(&request.method) {
            return None;
        }
        let decoded = path::decode(request.uri.path().as_bytes());
        match find(&self.directory, path::file_path(&decoded)?).await {
            Ok(Found::File(file)) => Some(file_response(request, file)),
            Ok(Found::Directory) => Some(redirect(request)),
            Ok(Found::Nothing | Found::Forbidden(_)) => None,
            Err(error) => {
                let id = request.extensions.get::<Context>().expect("every request gets one before its route").id;
                Some(Error::File(error).respond(id))
            }
        }
    }
}

fn is_read(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

/// Looks in the kernel's caches first: most requests are for the application, and must not pay for a thread.
async fn find(directory: &Arc<PathBuf>, path: FilePath) -> std::io::Result<Found> {
    if let Some(found) = open::find(directory, &path, Lookup::Cached) {
        return found;
    }
    let directory = Arc::clone(directory);
    spawn_blocking(move || open::find(&directory, &path, Lookup::Complete))
        .await
        .map_err(std::io::Error::other)?
        .unwrap_or(Ok(Found::Nothing))
}

fn file_response(request: &Parts, file: Opened) -> Response {
    let validators = Validators::of(&file);
    let selected = conditional::select(&request.method, &request.headers, &validators, file.length);
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(header::ETAG, validators.etag());
    if let Some(date) = validators.last_modified() {
        headers.insert(header::LAST_MODIFIED, date);
    }
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let (status, offset, length) = match selected {
        Selected::NotModified => {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
        Selected::Unsatisfiable => {
            let range = HeaderValue::try_from(format!("bytes */{}", file.length)).expect("digits");
            headers.insert(header::CONTENT_RANGE, range);
            *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            return response;
        }
        Selected::Whole => (StatusCode::OK, 0, file.length),
        Selected::Part { offset, length } => {
            let range = format!("bytes {offset}-{}/{}", offset + length - 1, file.length);
            headers.insert(header::CONTENT_RANGE, HeaderValue::try_from(range).expect("digits"));
            (StatusCode::PARTIAL_CONTENT, offset, length)
        }
    };
    headers.insert(header::CONTENT_TYPE, media_type::of(&file.name));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    *response.status_mut() = status;
    // HEAD gets the same head; hyper sends no body with it.
    *response.body_mut() = file.into_body(offset, length);
    response
}

impl Opened {
    fn into_body(self, offset: u64, length: u64) -> Body {
        let range = |content: Bytes| {
            let (from, to) = (usize::try_from(offset).ok()?, usize::try_from(offset + length).ok()?);
            (to <= content.len()).then(|| content.slice(from..to))
        };
        match self.content.and_then(range) {
            Some(content) => Body::from(content),
            None => Body::new(FileBody(FileStream::new(Arc::new(self.file), offset, length))),
        }
    }
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

/// A range of a file as a body.
struct FileBody(FileStream);

impl HttpBody for FileBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let block = ready!(self.get_mut().0.poll_block(cx));
        if let Some(Err(error)) = &block {
            tracing::warn!(code = "STACK0307", %error, "static file cut short");
        }
        Poll::Ready(block.map(|block| block.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.0.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.left())
    }
}
