//! The way of one request through the front: checks, routes, and what every response gets.

use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};

use axum::{body::Body, response::Response};
use http::{HeaderValue, Method, Request, StatusCode, header, request::Parts};
use hyper::body::{Body as _, Incoming};
use stack_bridge::{DetailsForm, RequestId, Scheme};
use stack_config::ErrorDetails;

use crate::{
    access_log::{Described, Entry, Passage},
    client::Client,
    connection::{Order, Phase, Refused, Stream},
    details::{self, Asker},
    development::Development,
    direct::Carried,
    error::Error,
    https, outgoing,
    sent_body::SentBody,
    server::Server,
    server_timing,
    site::{self, Site},
    strict::{self, Refusal},
};

/// What a route knows of the request besides the request itself. An extension of it.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) id: RequestId,
    pub(crate) stream: Stream,
    pub(crate) client: Client,
    pub(crate) passage: Arc<OnceLock<Passage>>,
    /// In which form the client is shown why the application failed, if it is.
    pub(crate) details: Option<DetailsForm>,
}

/// Answers one request. Dropped before its end, the client has left: what it waited for is given up.
pub(crate) async fn answer(server: Arc<Server>, stream: Stream, request: Request<Incoming>) -> Response<SentBody> {
    let started_at = Instant::now();
    stream.enter(Phase::Answering);
    let handed = stream.take_handed();
    let id = handed.as_ref().map_or_else(|| server.next_id(), |handed| handed.id);
    let (mut parts, body) = request.into_parts();
    let origin = &stream.connection().origin;
    let gets_script = server.development.as_ref().is_some_and(|development| development.prepare(&mut parts));
    let verdict = verdict(&stream, &mut parts, server.head_limits.fields).map_err(Error::Refused);
    let is_forwarded = server.error_details == ErrorDetails::Local && details::is_forwarded(&parts.headers);
    let client = verdict.and_then(|()| server.admission.trust.identify(origin, &mut parts).map_err(Error::Forwarded));
    let (client, verdict) = match client {
        Ok(client) => (client, Ok(())),
        Err(error) => (Client::from(origin), Err(error)),
    };
    // What the gate has begun with, it has counted.
    let (mut entry, begun) = if let Some(handed) = handed {
        (handed.entry, Some(handed.begun))
    } else {
        let described = || Described::of(&parts);
        (Entry::new(server.log.as_ref(), &server.metrics, id, stream.connection(), described), None)
    };
    entry.set_client(client.peer);
    if let Some(Refused { refusal: _, line }) = stream.connection().refused() {
        entry.refused(line.clone());
    }
    if begun.is_none() && stream.connection().count_request() >= server.keepalive_requests {
        stream.connection().command(Order::Drain);
    }
    let asked = Asked {
        id,
        is_head: parts.method == Method::HEAD,
        accept: parts.headers.get(header::ACCEPT).cloned(),
        site: server.sites.find(site::host::of(&parts)),
        scheme: client.scheme,
        gets_script,
        started_at,
    };
    stream.set_lingering(!body.is_end_stream());
    let response = match verdict.and_then(|()| admit(&server, &client, &parts, &mut entry)) {
        Err(error) => {
            stream.set_lingering(matches!(error, Error::Refused(_) | Error::Forwarded(_)) || !body.is_end_stream());
            error.respond(id)
        }
        Ok(Some(response)) => response,
        // What a proxy says of its client's connection counts: that one may be encrypted.
        Ok(None) if client.scheme == Scheme::Http && https::is_redirected(origin, &parts) => {
            https::redirect(origin, &parts, id)
        }
        Ok(None) if parts.method == Method::CONNECT => {
            // hyper does not end such a connection in order by itself.
            stream.set_lingering(true);
            Error::Connect.respond(id)
        }
        Ok(None) if parts.uri.path() == "*" => options(),
        Ok(None) => {
            let asker = Asker { origin, client: &client, is_forwarded, parts: &parts };
            let details = asker.form(server.error_details, &server.sites);
            let context = Context { id, stream: stream.clone(), client, passage: entry.passage(), details };
            let mut request = Request::from_parts(parts, Body::new(body));
            request.extensions_mut().insert(context);
            if let Some(begun) = begun {
                request.extensions_mut().insert(Carried::new(begun));
            }
            server.sites.respond(asked.site, request).await
        }
    };
    complete(response, &asked, &server, entry, stream)
}

/// What comes before any route: whether the client is served, whether it asks for something of the server itself, and whether
/// there is anything to ask for.
fn admit(server: &Server, client: &Client, parts: &Parts, entry: &mut Entry) -> Result<Option<Response>, Error> {
    server.admission.allows(client)?;
    if let Some(response) = server.health.answer(parts) {
        entry.silence();
        return Ok(Some(response));
    }
    if let Some(response) = server.development.as_ref().and_then(|development| development.answer(parts)) {
        entry.silence();
        return Ok(Some(response));
    }
    server.admission.request(client, &parts.headers)?;
    Ok(server.development.as_ref().and_then(|development| development.stand_in(parts)))
}

/// Whether this is a request at all. Of HTTP/1.1 the gate has decided that; of HTTP/2 a part is left to look at.
fn verdict(stream: &Stream, parts: &mut Parts, most_fields: usize) -> Result<(), Refusal> {
    if stream.is_http2() {
        return strict::http2::normalise(parts, most_fields);
    }
    stream.connection().refused().map_or(Ok(()), |refused| Err(refused.refusal))
}

/// What the response depends on when the request is gone.
struct Asked<'a> {
    id: RequestId,
    is_head: bool,
    accept: Option<HeaderValue>,
    site: Option<&'a Site>,
    /// How the client reached us, or its proxy.
    scheme: Scheme,
    /// A page gets the script with which it reloads itself.
    gets_script: bool,
    /// When it was here: its head, not its body.
    started_at: Instant,
}

/// `OPTIONS *` asks the server itself (RFC 9110 §9.3.7).
fn options() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let methods = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    response.headers_mut().insert(header::ALLOW, methods);
    response
}

/// The fields that every response gets, whatever it is.
pub(crate) fn dress(server: &Server, site: Option<&Site>, scheme: Scheme, response: &mut Response) {
    response.headers_mut().entry(header::SERVER).or_insert(const { HeaderValue::from_static("stack") });
    server.sites.dress(site).put_fields(response);
    let headers = response.headers_mut();
    if server.security_headers {
        outgoing::secure(headers, scheme);
    }
    // RFC 6797 §7.2: over TLS only. The application may say it in its own words.
    if let Some(hsts) = server.hsts.as_ref().filter(|_| scheme == Scheme::Https) {
        headers.entry(header::STRICT_TRANSPORT_SECURITY).or_insert_with(|| hsts.clone());
    }
}

fn complete(
    mut response: Response,
    asked: &Asked<'_>,
    server: &Server,
    mut entry: Entry,
    stream: Stream,
) -> Response<SentBody> {
    let status = response.status();
    entry.answered(status);
    server.sites.dress(asked.site).put_page(&mut response, asked.id, asked.accept.as_ref());
    if server.tells_times {
        let passage = response.extensions().get().copied().or_else(|| entry.passage().get().copied());
        server_timing::put(response.headers_mut(), asked.started_at, passage.as_ref());
    }
    dress(server, asked.site, asked.scheme, &mut response);
    details::protect(&mut response);
    if let Some(development) = &server.development {
        Development::leave_no_trace(&mut response);
        if asked.gets_script {
            development.add_script(&mut response);
        }
    }
    let headers = response.headers_mut();
    if stream.is_last() {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let has_body = !asked.is_head
        && !status.is_informational()
        && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    response.map(|body| SentBody::new(body, has_body, length, entry, stream))
}
