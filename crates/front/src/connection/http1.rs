//! Requests in, responses out, one after the other (RFC 9112).

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, sleep};

use super::{
    Begun, Connection, Order, Phase,
    gate::{Gate, Next},
    stream::Stream,
};
use crate::{request, server::Server, timer::LazyTimer, transport::Socket};

/// How long a connection on which a request may be on its way is kept when it is to close.
pub(super) const NEXT_REQUEST: Duration = Duration::from_millis(250);

/// How long a connection is idle before it is parked. Late enough that a busy one never is, and that what it takes to come
/// back is little beside the pause; soon enough that few wait for it at a time, since an allocator gives back late what many
/// had.
const PARK_AFTER: Duration = Duration::from_millis(20);

/// hyper's own minimum.
const SMALLEST_BUFFER: usize = 8 * 1024;

/// hyper reads this many fields without being asked.
const FIELDS_WITHOUT_ASKING: usize = 100;

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Nothing more will come of the connection.
    Closed,
    /// It is idle, and nothing of it is held but its socket.
    Idle,
}

/// Serves requests until the connection ends or is idle for a while.
pub(super) async fn exchange(
    server: &Arc<Server>,
    socket: &mut Socket,
    connection: &Arc<Connection>,
    begun: Begun,
) -> Ended {
    let mut gate = Gate::new(socket, Arc::clone(connection), begun, server);
    let mut parking = LazyTimer::default();
    // Most connections have nothing for hyper, and do without it.
    let alone = poll_fn(|cx| {
        if connection.order() >= Order::Drain {
            return Poll::Ready(None);
        }
        match gate.poll_alone(cx) {
            Poll::Ready(Next::Hyper) => Poll::Ready(None),
            Poll::Ready(Next::End) => Poll::Ready(Some(Ended::Closed)),
            Poll::Pending => poll_parking(connection, &mut parking, cx).map(|()| Some(Ended::Idle)),
        }
    });
    if let Some(ended) = alone.await {
        if ended == Ended::Closed {
            socket.say_goodbye().await;
            connection.ended();
        }
        return ended;
    }
    let service = service_fn(|request: Request<Incoming>| {
        let stream = Stream::http1(Arc::clone(connection));
        let answer = request::answer(Arc::clone(server), stream, request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let mut builder = http1::Builder::new();
    // The gate has checked the size. What is held of a response has the same bound.
    builder.max_buf_size(server.head_limits.head.max(SMALLEST_BUFFER)).header_read_timeout(None);
    if server.head_limits.fields > FIELDS_WITHOUT_ASKING {
        builder.max_headers(server.head_limits.fields);
    }
    let mut hyper = pin!(builder.serve_connection(TokioIo::new(gate), service));
    let mut next_request = pin!(None);
    let outcome = poll_fn(|cx| {
        if let Poll::Ready(outcome) = hyper.as_mut().poll(cx) {
            return Poll::Ready(outcome.map(|()| Ended::Closed));
        }
        if connection.order() < Order::Drain {
            return poll_parking(connection, &mut parking, cx).map(|()| Ok(Ended::Idle));
        }
        if !matches!(connection.phase(), Phase::Idle | Phase::Head) {
            // The response says that it is the last, unless its head had left before.
            return Poll::Pending;
        }
        // A request may be on its way, the first one or one behind such a response; or a part of it is here.
        if next_request.is_none() {
            next_request.set(Some(sleep(NEXT_REQUEST)));
        }
        let wait = next_request.as_mut().as_pin_mut().expect("set above");
        ready!(wait.poll(cx));
        hyper.as_mut().graceful_shutdown();
        hyper.as_mut().poll(cx).map_ok(|()| Ended::Closed)
    });
    match outcome.await {
        Ok(Ended::Idle) => return Ended::Idle,
        Ok(Ended::Closed) => {}
        Err(error) if error.is_parse() => {
            // The gate is the stricter one, so this is a bug of ours; the client gets hyper's answer.
            tracing::warn!(code = "STACK0101", %error, "request head refused");
            connection.set_lingering(true);
        }
        Err(error) => tracing::debug!(%error, "connection ended with an error"),
    }
    connection.ended();
    Ended::Closed
}

/// Waits until the connection has been idle for so long that it is parked.
fn poll_parking(connection: &Connection, timer: &mut LazyTimer, cx: &mut Context<'_>) -> Poll<()> {
    let Some(since) = connection.idle_since() else { return Poll::Pending };
    if timer.is_past(Instant::from_std(since) + PARK_AFTER, cx) { Poll::Ready(()) } else { Poll::Pending }
}
