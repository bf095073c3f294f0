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
    BodyLimits, ClientConnection, DetailsForm, Failure, Job, Refused, Reply, RequestBody, RequestId, ResponseHead,
    TlsFacts, exchange,
};
use stack_config::{Limits, Rates, Timeouts};
use tokio::time::{timeout, timeout_at};

use crate::{
    client::Client,
    connection::Stream,
    details::Details,
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

/// How long a client that is shown why the application failed waits for that once its time is over.
const LAST_WORDS: Duration = Duration::from_secs(1);

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
            Err(Unanswered { error, details }) => {
                let mut response = error.respond(id);
                if let Some(details) = details {
                    details.put(&mut response);
                }
                response
            }
        }
    }

    async fn run(&self, context: Context, request: Request<Body>) -> Result<Response, Unanswered> {
        let (mut parts, body) = request.into_parts();
        let carried = parts.extensions.remove::<Carried>().and_then(|carried| carried.take());
        let begun = if let Some(begun) = carried {
            // The application has the body already.
            request_body::skip(body, &context.stream).await;
            begun
        } else {
            let body = request_body::read(body, &parts.headers, &self.limits, self.patience, &context.stream);
            let body = body.await?;
            self.push(call(&context, parts, body))
        };
        let Begun { reply, queued_at, deadline, answer } = begun;
        let details = context.details;
        let waiting = WaitingReply { body: ReplyBody::new(reply?, context, queued_at, self.request_timeout), details };
        match answer {
            Some((head, body)) => Ok(waiting.response(head, body)),
            None => waiting.into_response(deadline).await,
        }
    }

    /// Queues a job.
    pub(crate) fn push(&self, call: Call) -> Begun {
        let queued_at = Instant::now();
        let deadline = self.request_timeout.and_then(|timeout| queued_at.checked_add(timeout));
        Begun { reply: self.try_push(call, queued_at, deadline), queued_at, deadline, answer: None }
    }

    fn try_push(&self, call: Call, now: Instant, deadline: Option<Instant>) -> Result<Reply, Error> {
        let Call { id, method, target, origin_form, mount, version, headers, client, tls, body, connection, details } =
            call;
        let path::Target { path, query } = path::split(&origin_form);
        let below = path::below(&mount, &path).expect("routed here because it is below").len();
        let path = path.slice(path.len() - below..);
        let Client { peer, scheme, local } = client;
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
            details,
        };
        let (responder, reply) = exchange(self.response.clone());
        if let Some(counters) = self.counters() {
            counters.requests.fetch_add(1, Relaxed);
        }
        match self.pressure.queue().push(Job { request: Box::new(request), responder, deadline, retried: false }) {
            Ok(()) => Ok(reply),
            Err(Refused::Full(_)) => {
                self.metrics.refused.fetch_add(1, Relaxed);
                self.refused();
                Err(Error::QueueFull)
            }
            Err(Refused::Overloaded(_)) => {
                self.metrics.shed.fetch_add(1, Relaxed);
                self.refused();
                Err(Error::Overloaded)
            }
            Err(Refused::Closed(_)) => Err(Error::Stopping),
        }
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
    /// What the client is shown of a failure.
    pub(crate) details: Option<DetailsForm>,
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
        details: context.details,
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

/// A request without a response of the application's.
struct Unanswered {
    error: Error,
    /// What the client is shown in the place of the short text.
    details: Option<Details>,
}

impl From<Error> for Unanswered {
    fn from(error: Error) -> Self {
        Self { error, details: None }
    }
}

/// A reply whose head has not come. Dropped, it tells the worker that the client has gone.
struct WaitingReply {
    body: ReplyBody,
    details: Option<DetailsForm>,
}

impl WaitingReply {
    async fn into_response(mut self, deadline: Option<Instant>) -> Result<Response, Unanswered> {
        let head = self.head(deadline).await?;
        let whole = self.body.reply().whole();
        Ok(self.response(head, whole))
    }

    /// The response with this head, and with this body, if it is whole.
    fn response(self, head: ResponseHead, whole: Option<Bytes>) -> Response {
        let ResponseHead { status, reason, headers } = head;
        let mut response = if let Some(block) = whole {
            // Dropping the reply notes where and when it was made.
            Response::new(Body::from(block))
        } else {
            let passage = self.body.passage();
            let mut response = Response::new(Body::new(self.body));
            response.extensions_mut().insert(passage);
            response
        };
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        // A phrase that is not one is left out: the registered one says the same.
        if let Some(reason) = reason.and_then(|reason| ReasonPhrase::try_from(reason.into_bytes()).ok()) {
            response.extensions_mut().insert(reason);
        }
        response
    }

    async fn head(&mut self, deadline: Option<Instant>) -> Result<ResponseHead, Unanswered> {
        let reply = self.body.reply();
        let head = match deadline {
            None => Some(reply.head().await),
            Some(deadline) => timeout_at(deadline.into(), reply.head()).await.ok(),
        };
        let error = match head {
            Some(Ok(head)) => return Ok(head),
            // Interrupted because its time is over, and quick to end.
            Some(Err(Failure::Application)) if deadline.is_some_and(|deadline| Instant::now() >= deadline) => {
                Error::RequestTimeout
            }
            Some(Err(failure)) => Error::from(failure),
            None => {
                if self.details.is_some() {
                    // What interrupted the application has only begun to. An answer that comes now is too late all the same.
                    let _ = timeout(LAST_WORDS, reply.head()).await;
                }
                Error::RequestTimeout
            }
        };
        let text = self.body.reply().take_details();
        let details = self.details.zip(text).map(|(form, text)| Details { form, text });
        Err(Unanswered { error, details })
    }
}
