//! One accepted connection, from its first byte to its close.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::{Poll, ready},
    time::Duration,
};

use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::sleep,
};

use crate::{request, server::Server, transport::Socket};

pub(crate) mod registry;
mod state;
mod timed;

pub(crate) use state::{Connection, Order, Origin, Phase};
use timed::Timed;

/// How long a refused client may take to read its answer before the connection is closed under it.
const LINGER: Duration = Duration::from_secs(2);

/// How long a connection without a request yet is kept when the server is told to stop.
const FIRST_REQUEST: Duration = Duration::from_millis(250);

/// hyper's own minimum.
const SMALLEST_BUFFER: usize = 8 * 1024;

/// Serves one connection until either side closes it, or the server stops. True if a request was cut off.
pub(crate) async fn serve(server: Arc<Server>, mut socket: Socket, connection: Arc<Connection>) -> bool {
    let is_aborted = {
        let mut work = pin!(async {
            exchange(&server, &mut socket, &connection).await;
            if connection.is_lingering() {
                linger(&mut socket).await;
            }
        });
        poll_fn(|cx| {
            connection.listen(cx);
            if connection.order() == Order::Abort {
                return Poll::Ready(connection.phase().is_in_flight());
            }
            work.as_mut().poll(cx).map(|()| false)
        })
        .await
    };
    drop(socket);
    connection.finish_entries(true);
    is_aborted
}

/// Requests in, responses out.
async fn exchange(server: &Arc<Server>, socket: &mut Socket, connection: &Arc<Connection>) {
    let io = Timed::new(socket, Arc::clone(connection), &server.timeouts, server.rates);
    let service = service_fn(|request: Request<Incoming>| {
        let answer = request::answer(Arc::clone(server), Arc::clone(connection), request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let hyper = http1::Builder::new()
        // It bounds what hyper holds in either direction, and so the size of a request head (431 past it).
        .max_buf_size(server.limits.max_head_size.get().max(SMALLEST_BUFFER))
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(io), service);
    let mut hyper = pin!(hyper);
    let mut first_request = pin!(None);
    let outcome = poll_fn(|cx| {
        if let Poll::Ready(outcome) = hyper.as_mut().poll(cx) {
            return Poll::Ready(outcome);
        }
        if connection.order() != Order::Drain {
            return Poll::Pending;
        }
        // It was opened before the server was told to stop, so its first request may be on its way.
        if connection.is_fresh() {
            if first_request.is_none() {
                first_request.set(Some(sleep(FIRST_REQUEST)));
            }
            let wait = first_request.as_mut().as_pin_mut().expect("set above");
            ready!(wait.poll(cx));
        }
        hyper.as_mut().graceful_shutdown();
        hyper.as_mut().poll(cx)
    });
    if let Err(error) = outcome.await {
        if error.is_parse() {
            tracing::debug!(code = "STACK0101", %error, "request head refused");
            connection.set_lingering(true);
        } else {
            tracing::debug!(%error, "connection ended with an error");
        }
    }
    connection.ended();
}

/// Closing a socket with unread bytes resets it, and the reset can overtake the answer (RFC 9112 §9.6): close one side,
/// and read what the client still sends, for a while.
async fn linger(socket: &mut Socket) {
    if socket.shutdown().await.is_err() {
        return;
    }
    let drain = async {
        let mut sink = vec![0; 16 * 1024];
        while socket.read(&mut sink).await.is_ok_and(|read| read > 0) {}
    };
    let _ = tokio::time::timeout(LINGER, drain).await;
}
