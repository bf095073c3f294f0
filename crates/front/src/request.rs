//! The way of one request through the front: checks, routes, and what every response gets.

use std::sync::{Arc, OnceLock};

use axum::{body::Body, response::Response};
use http::{HeaderValue, Method, Request, StatusCode, header, request::Parts};
use hyper::body::{Body as _, Incoming};
use stack_bridge::RequestId;
use tower::Service;

use crate::{
    access_log::{Entry, Passage},
    client::Client,
    connection::{Connection, Order, Phase},
    error::Error,
    outgoing,
    sent_body::SentBody,
    server::Server,
    strict,
};

/// What a route knows of the request besides the request itself. An extension of it.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) id: RequestId,
    pub(crate) connection: Arc<Connection>,
    pub(crate) client: Client,
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
    let mut entry = Entry::new(server.log.as_ref(), &server.metrics, id, connection.origin.peer, &request);
    let (mut parts, body) = request.into_parts();
    let is_head = parts.method == Method::HEAD;
    connection.set_lingering(!body.is_end_stream());
    let mut client = Client::from(&connection.origin);
    let response = match admit(&server, &connection, &mut parts, &mut client, &mut entry) {
        Err(error) => error.respond(id),
        Ok(Some(response)) => response,
        Ok(None) => {
            let context =
                Context { id, connection: Arc::clone(&connection), client: client.clone(), passage: entry.passage() };
            let mut request = Request::from_parts(parts, Body::new(body));
            request.extensions_mut().insert(context);
            // A router that has no state to add is always ready.
            let Ok(response) = server.router.clone().call(request).await;
            response
        }
    };
    let mut response = complete(response, is_head, entry, Arc::clone(&connection));
    let headers = response.headers_mut();
    if server.security_headers {
        outgoing::secure(headers, client.scheme);
    }
    if connection.count_request() >= server.keepalive_requests {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// What comes before any route: the head's form, whose it is, whether that one is served, and what the front says itself.
fn admit(
    server: &Server,
    connection: &Connection,
    parts: &mut Parts,
    client: &mut Client,
    entry: &mut Entry,
) -> Result<Option<Response>, Error> {
    let malformed = |error| {
        connection.set_lingering(true);
        error
    };
    strict::check(parts).map_err(Error::Malformed).map_err(malformed)?;
    let identified = server.admission.trust.identify(&connection.origin, parts);
    *client = identified.map_err(Error::Forwarded).map_err(malformed)?;
    entry.set_client(client.peer);
    server.admission.allows(client)?;
    if let Some(response) = server.health.answer(parts) {
        entry.silence();
        return Ok(Some(response));
    }
    server.admission.request(client, &parts.headers)?;
    match &parts.method {
        &Method::CONNECT => Err(Error::Connect),
        _ if parts.uri.path() == "*" => Ok(Some(options())),
        _ => Ok(None),
    }
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
