//! From a request to a job, and from its reply to a response.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Request, Uri, Version, request::Parts};
use hyper::ext::ReasonPhrase;
use stack_bridge::{
    BodyLimits, ClientConnection, Job, Refused, Reply, RequestBody, RequestId, ResponseHead, TlsFacts, exchange,
};
use stack_config::{Limits, Rates, Timeouts};

use crate::{
    client::Client,
    connection::Stream,
    direct::{Begun, Carried},
    error::Error,
    health::Pressure,
    metrics::{ApplicationMetrics, Metrics},
    path,
    reply_body::ReplyBody,
    request::Context,
    request_body::{self, Patience},
    site::Routed,
};

/// The application, as the front sees it: a queue.
#[derive(Debug)]
pub(crate) struct Application {
    pressure: Arc<Pressure>,
    limits: Arc<Limits>,
    response: BodyLimits,
    patience: Patience,
    request_timeout: Option<Duration>,
    metrics: Arc<Metrics>,
    /// In the configuration's layout, and so among the counters.
    place: usize,
}

impl Application {
    pub(crate) fn new(
        pressure: Arc<Pressure>,
        limits: Arc<Limits>,
        timeouts: &Timeouts,
        rates: Rates,
        metrics: Arc<Metrics>,
    ) -> Self {
        let response = BodyLimits {
            memory: limits.response_buffer_size,
            spill: limits.max_response_spill,
            directory: limits.temp_dir.as_path().into(),
        };
        let patience = Patience { pause: timeouts.body, rates };
        Self { pressure, limits, response, patience, request_timeout: timeouts.request, metrics, place: 0 }
    }

    /// The same, at this place of the layout.
    pub(crate) fn at(self, place: usize) -> Self {
        Self { place, ..self }
    }

    fn refused(&self) {
        self.pressure.refused();
        if let Some(counters) = self.counters() {
            counters.refused.fetch_add(1, Relaxed);
        }
    }

    fn counters(&self) -> Option<&ApplicationMetrics> {
        self.metrics.applications.get(self.place)
    }

    /// Has the application answer.
    pub(crate) async fn respond(&self, mut request: Request<Body>) -> Response {
        let context = request.extensions_mut().remove::<Context>().expect("every request gets one before its route");
        let id = context.id;
        match self.run(context, request).await {
            Ok(response) => response,
            Err(error) => error.respond(id),
        }
    }

    async fn run(&self, context: Context, request: Request<Body>) -> Result<Response, Error> {
        let (mut parts, body) = request.into_parts();
        let carried = parts.extensions.remove::<Carried>().and_then(|carried| carried.take());
        let begun = if let Some(begun) = carried {
            begun
        } else {
            let body = request_body::read(body, &parts.headers, &self.limits, self.patience, &context.stream);
            let body = body.await?;
            let (reply, deadline) = self.push(call(&context, parts, body));
            Begun { reply, queued_at: Instant::now(), deadline, answer: None }
        };
        let Begun { reply, queued_at, deadline, answer } = begun;
        let waiting = WaitingReply { body: ReplyBody::new(reply?, context, queued_at) };
        match answer {
            Some((head, body)) => Ok(waiting.response(head, body)),
            None => waiting.into_response(deadline).await,
        }
    }

    /// Queues a job, and says when the application has had its time.
    pub(crate) fn push(&self, call: Call) -> (Result<Reply, Error>, Option<Instant>) {
        let Call { id, method, target, origin_form, mount, version, headers, client, tls, body, connection } = call;
        let path::Target { path, query } = path::split(&origin_form);
        let below = path::below(&mount, &path).expect("routed here because it is below").len();
        let path = path.slice(path.len() - below..);
        let Client { peer, scheme, local } = client;
        let now = Instant::now();
        let request = stack_bridge::Request {
            id,
            method,
            target,
            path,
            script_name: mount,
            query,
            version,
            headers,
            scheme,
            tls,
            peer,
            local,
            body,
            connection,
            received_at: now,
        };
        let (responder, reply) = exchange(self.response.clone());
        let deadline = self.request_timeout.and_then(|timeout| now.checked_add(timeout));
        if let Some(counters) = self.counters() {
            counters.requests.fetch_add(1, Relaxed);
        }
        let refused = match self.pressure.queue().push(Job { request, responder, deadline, retried: false }) {
            Ok(()) => return (Ok(reply), deadline),
            Err(Refused::Full(_)) => {
                self.metrics.refused.fetch_add(1, Relaxed);
                self.refused();
                Error::QueueFull
            }
            Err(Refused::Overloaded(_)) => {
                self.metrics.shed.fetch_add(1, Relaxed);
                self.refused();
                Error::Overloaded
            }
            Err(Refused::Closed(_)) => Error::Stopping,
        };
        (Err(refused), deadline)
    }
}

/// What an application is asked.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) id: RequestId,
    pub(crate) method: Method,
    /// As it was sent.
    pub(crate) target: Bytes,
    /// The target that leads to the application.
    pub(crate) origin_form: Bytes,
    /// The prefix of the application, decoded.
    pub(crate) mount: Bytes,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) client: Client,
    pub(crate) tls: Option<Arc<TlsFacts>>,
    pub(crate) body: RequestBody,
    /// What is closed behind a response that proves to be of the wrong length.
    pub(crate) connection: Option<Arc<dyn ClientConnection>>,
}

fn call(context: &Context, mut parts: Parts, body: RequestBody) -> Call {
    let Routed { original, mount } = parts.extensions.remove::<Routed>().unwrap_or_default();
    let (target, origin_form) = targets(&parts.uri);
    Call {
        id: context.id,
        method: parts.method,
        target: original.map_or(target, |original| targets(&original).0),
        origin_form,
        mount,
        version: parts.version,
        headers: without_ambiguous_names(parts.headers),
        client: context.client.clone(),
        tls: context.stream.connection().tls.get().cloned(),
        body,
        connection: closes_for(&context.stream),
    }
}

/// A response that proves to be of the wrong length spoils what follows on its connection. A stream has none behind it.
fn closes_for(stream: &Stream) -> Option<Arc<dyn ClientConnection>> {
    if stream.is_http2() { None } else { Some(stream.connection().clone()) }
}

/// The target as sent, and its path and query.
fn targets(uri: &Uri) -> (Bytes, Bytes) {
    let path_and_query = uri.path_and_query().map_or("/", |origin_form| origin_form.as_str());
    let origin_form = Bytes::copy_from_slice(path_and_query.as_bytes());
    let target = if uri.authority().is_some() { Bytes::from(uri.to_string()) } else { origin_form.clone() };
    (target, origin_form)
}

/// WSGI can not tell `X_A` from `X-A`: a client could pass the one off as the other, past a proxy that sets or removes the
/// latter. nginx leaves names with an underscore out, and so does this.
fn without_ambiguous_names(mut headers: HeaderMap) -> HeaderMap {
    let is_ambiguous = |name: &HeaderName| name.as_str().contains('_');
    if headers.keys().any(is_ambiguous) {
        let names: Vec<_> = headers.keys().filter(|name| is_ambiguous(name)).cloned().collect();
        for name in names {
            headers.remove(name);
        }
    }
    headers
}

/// A reply whose head has not come. Dropped, it tells the worker that the client has gone.
struct WaitingReply {
    body: ReplyBody,
}

impl WaitingReply {
    async fn into_response(mut self, deadline: Option<Instant>) -> Result<Response, Error> {
        let head = match deadline {
            None => self.body.reply().head().await,
            Some(deadline) => match tokio::time::timeout_at(deadline.into(), self.body.reply().head()).await {
                Ok(head) => head,
                Err(_) => return Err(Error::RequestTimeout),
            },
        };
        let (head, body) = (head?, self.body.reply().whole());
        Ok(self.response(head, body))
    }

    /// The response with this head, and with this body, if it is whole.
    fn response(self, head: ResponseHead, whole: Option<Bytes>) -> Response {
        let ResponseHead { status, reason, headers } = head;
        let body = match whole {
            // Dropping the reply notes where and when it was made.
            Some(block) => Body::from(block),
            None => Body::new(self.body),
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        // A phrase that is not one is left out: the registered one says the same.
        if let Some(reason) = reason.and_then(|reason| ReasonPhrase::try_from(reason.into_bytes()).ok()) {
            response.extensions_mut().insert(reason);
        }
        response
    }
}
