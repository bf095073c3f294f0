//! Requests that go from the gate to the application, and their answers from there to the gate, without hyper in between.
//!
//! A request whose body is small and here, from a client that nothing has to be found out about, to an application before
//! which there is nothing, goes so; and comes back so if its answer is whole, and sent as it is. With any other answer the long
//! way through [`request::answer`] takes over: hyper gets the request then, and where a job would be made there is one that is
//! under way already ([`Handed`]). Both ways lead to the same application and give the same answer.

mod head;

use std::{
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
    task::{Context, Poll},
    time::Instant,
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri, Version, header, uri::PathAndQuery};
use stack_bridge::{Reply, RequestBody, RequestId, ResponseHead};
use stack_config::{ErrorDetails, Limits};

use self::head::Head;
use crate::{
    access_log::{Described, Entry, Passage},
    application::Call,
    client::Client,
    compression,
    connection::{Connection, Order, Origin},
    error::Error,
    files::Internal,
    path,
    ready::Answer,
    request,
    server::Server,
    site::{Site, host},
    timer::LazyTimer,
};

/// A request that is with its application.
#[derive(Debug)]
pub(crate) struct UnderWay<'a> {
    site: &'a Site,
    handed: Handed,
}

/// A request that is with its application, for the long way.
#[derive(Debug)]
pub(crate) struct Handed {
    pub(crate) id: RequestId,
    pub(crate) entry: Entry,
    pub(crate) begun: Begun,
}

/// What is there of its answer.
#[derive(Debug)]
pub(crate) struct Begun {
    /// Or why the queue did not take the job.
    pub(crate) reply: Result<Reply, Error>,
    pub(crate) queued_at: Instant,
    /// When the client is answered in the application's place.
    pub(crate) deadline: Option<Instant>,
    /// The head, and the body if that is whole.
    pub(crate) answer: Option<(ResponseHead, Option<Bytes>)>,
}

/// Has what has begun go with a request. An extension of it, taken once.
#[derive(Clone, Debug)]
pub(crate) struct Carried(Arc<Mutex<Option<Begun>>>);

impl Carried {
    pub(crate) fn new(begun: Begun) -> Self {
        Self(Arc::new(Mutex::new(Some(begun))))
    }

    pub(crate) fn take(&self) -> Option<Begun> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Whether requests of a connection from there may go so at all: nothing about their client has to be found out, it is told
/// neither times nor why an application failed, and nobody writes the application meanwhile.
pub(crate) fn is_possible(server: &Server, origin: &Origin) -> bool {
    !server.tells_times
        && server.development.is_none()
        && server.error_details == ErrorDetails::Off
        && !origin.is_proxy
        && origin.redirect_to.is_none()
        && server.admission.trusts_nobody()
        && server.admission.lets_all_requests_in(&origin.peer)
}

/// Bytes of a body that may be read at once.
const BODY: u64 = 64 * 1024;

/// Bytes of a body that are looked for before its request is handed on.
pub(crate) fn most_body(limits: &Limits) -> u64 {
    BODY.min(limits.max_body_size).min(limits.body_buffer_size as u64)
}

/// Hands a request whose head has passed the strict checks to its application, with its body. `None`: it takes the long way.
pub(crate) fn ask<'a>(
    server: &'a Server,
    connection: &Arc<Connection>,
    head: &[u8],
    body: &[u8],
) -> Option<UnderWay<'a>> {
    // The last request of a connection says so in its response.
    if connection.requests().saturating_add(1) >= server.keepalive_requests {
        return None;
    }
    let Head { method, target, uri, headers } = Head::read(head)?;
    let path = uri.path();
    if path::normalise(path) != Ok(None) || server.health.is_asked(path) {
        return None;
    }
    let site = server.sites.find(host::of_authority(headers.get(header::HOST)?.as_bytes()))?;
    let (mount, application) = site.application_of(&method, path)?;
    let id = server.next_id();
    connection.count_request();
    server.metrics.direct.fetch_add(1, Relaxed);
    let entry = Entry::new(server.log.as_ref(), &server.metrics, id, connection, || described(&method, uri, &headers));
    let body = if body.is_empty() { RequestBody::Empty } else { RequestBody::Memory(Bytes::copy_from_slice(body)) };
    let call = Call {
        id,
        method,
        target: target.clone(),
        origin_form: target,
        mount,
        version: Version::HTTP_11,
        headers,
        client: Client::from(&connection.origin),
        tls: connection.tls.get().cloned(),
        body,
        connection: Some(Arc::clone(connection) as Arc<_>),
        details: None,
    };
    Some(UnderWay { site, handed: Handed { id, entry, begun: application.push(call) } })
}

/// How many fields a head has that goes to the application as it is.
#[cfg(feature = "counts")]
pub(crate) fn fields_of(head: &[u8]) -> Option<usize> {
    Head::read(head).map(|head| head.headers.len())
}

fn described(method: &Method, uri: PathAndQuery, headers: &HeaderMap) -> Described {
    Described {
        method: method.clone(),
        target: Uri::from(uri),
        version: Version::HTTP_11,
        referer: headers.get(header::REFERER).cloned(),
        user_agent: headers.get(header::USER_AGENT).cloned(),
    }
}

impl UnderWay<'_> {
    /// Waits for the head of the answer, or until it is known that there is none.
    pub(crate) fn poll_head(&mut self, timer: &mut LazyTimer, cx: &mut Context<'_>) -> Poll<()> {
        let Begun { reply, deadline, answer, queued_at: _ } = &mut self.handed.begun;
        let Ok(waiting) = reply else { return Poll::Ready(()) };
        match waiting.poll_head(cx) {
            Poll::Ready(Ok(head)) => {
                *answer = Some((head, waiting.whole()));
                Poll::Ready(())
            }
            // It says so again where it is asked again.
            Poll::Ready(Err(_)) => Poll::Ready(()),
            Poll::Pending => match *deadline {
                Some(deadline) if timer.is_past(deadline.into(), cx) => Poll::Ready(()),
                _ => Poll::Pending,
            },
        }
    }

    /// The answer, if it is simple. Else it is for the long way. `asked` is the request's head.
    pub(crate) fn into_answer(
        self,
        server: &Server,
        connection: &Connection,
        asked: &[u8],
    ) -> Result<Answer, Box<Handed>> {
        let Self { site, mut handed } = self;
        let Some((head, Some(body))) = handed.begun.answer.take_if(|answer| {
            let (head, body) = answer;
            connection.order() == Order::Serve
                && body.as_ref().is_some_and(|body| is_simple(head, body) && is_plain(site, asked, head, body))
        }) else {
            return Err(Box::new(handed));
        };
        let ResponseHead { status, reason: _, headers } = head;
        let has_length = headers.contains_key(header::CONTENT_LENGTH);
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        request::dress(server, Some(site), connection.origin.scheme, &mut response);
        let Handed { id: _, mut entry, begun: Begun { reply, queued_at, .. } } = handed;
        entry.answered(status);
        if let (Ok(reply), true) = (&reply, entry.is_written()) {
            let _ = entry.passage().set(Passage { queued_at, trace: reply.trace() });
        }
        let length = (!has_length).then_some(body.len());
        Ok(Answer::with(status, response.headers(), length, body, entry))
    }
}

/// Whether it is sent without compression. Most answers are too small for that, and it need not be known what their clients take.
fn is_plain(site: &Site, asked: &[u8], head: &mut ResponseHead, body: &Bytes) -> bool {
    let (policy, ResponseHead { status, reason: _, headers }) = (site.compression(), head);
    if !policy.includes_response(*status, headers, Some(body.len() as u64)) {
        return true;
    }
    Head::read(asked).is_some_and(|asked| {
        let facts = compression::Facts::of(&asked.method, &asked.headers);
        compression::is_left_as_it_is(policy, &facts, *status, headers, body.len())
    })
}

/// Whether a whole answer is sent as it is, but for what every response gets, and what compression makes of it.
fn is_simple(head: &ResponseHead, body: &Bytes) -> bool {
    let ResponseHead { status, reason, headers } = head;
    let has_body = status.is_success() || status.is_redirection();
    let is_special = matches!(*status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED);
    has_body && !is_special && reason.is_none() && {
        let length = body.len();
        headers.iter().all(|(name, value)| match *name {
            header::CONTENT_LENGTH => value.to_str().is_ok_and(|value| value.parse() == Ok(length)),
            header::CONNECTION | header::TRANSFER_ENCODING | header::UPGRADE | header::TRAILER | header::DATE => false,
            _ => !Internal::is_wish(name),
        })
    }
}
