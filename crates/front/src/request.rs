//! The way of one request through the front: checks, routes, and what every response gets.

use std::sync::{Arc, OnceLock};

use axum::{body::Body, response::Response};
use http::{HeaderValue, Method, Request, StatusCode, header};
use hyper::body::{Body as _, Incoming};
use stack_bridge::RequestId;

use crate::{
    access_log::{Entry, Passage},
    connection::{Connection, Order, Phase},
    error::Error,
    sent_body::SentBody,
    server::Server,
    strict,
};

/// What a route knows of the request besides the request itself. An extension of it.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) id: RequestId,
    pub(crate) connection: Arc<Connection>,
    pub(crate) passage: Arc<OnceLock<Passage>>,
}

/// Answers one request. Dropped before its end, the client has left: what it waited for is given up.
pub(crate) async fn answer(
    server: Arc<Server>,
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Response<SentBody> {
    connection.enter(Phase::Answering);
    let id = server.next_id();
    let entry = Entry::new(server.log.as_ref(), &server.metrics, id, connection.origin.peer, &request);
    let context = Context { id, connection: Arc::clone(&connection), passage: entry.passage() };
    let (parts, body) = request.into_parts();
    let is_head = parts.method == Method::HEAD;
    connection.set_lingering(!body.is_end_stream());
    let response = match strict::check(&parts) {
        Err(malformed) => {
            connection.set_lingering(true);
            Error::Malformed(malformed).respond(id)
        }
        Ok(()) if parts.method == Method::CONNECT => Error::Connect.respond(id),
        Ok(()) if parts.uri.path() == "*" => options(),
        Ok(()) => {
            let mut request = Request::from_parts(parts, Body::new(body));
            request.extensions_mut().insert(context);
            server.site.respond(request).await
        }
    };
    complete(response, is_head, entry, connection)
}

/// `OPTIONS *` asks the server itself (RFC 9110 §9.3.7).
fn options() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let methods = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    response.headers_mut().insert(header::ALLOW, methods);
    response
}

fn complete(
    mut response: Response,
    is_head: bool,
    mut entry: Entry,
    connection: Arc<Connection>,
) -> Response<SentBody> {
    let status = response.status();
    entry.answered(status);
    let headers = response.headers_mut();
    headers.entry(header::SERVER).or_insert(const { HeaderValue::from_static("stack") });
    if connection.order() > Order::Serve {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let has_body =
        !is_head && !status.is_informational() && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    response.map(|body| SentBody::new(body, has_body, length, entry, connection))
}
