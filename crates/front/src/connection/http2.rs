//! HTTP/2 (RFC 9113): many requests at once, each in a task of its own.
//!
//! hyper and h2 speak the protocol. What is here are the limits that they leave open: how long a connection may be idle,
//! how long a stream may wait for its client, and how many frames that carry nothing a client may send.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use bytes::BytesMut;
use http::Request;
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::Instant;

use super::{Connection, Order, http1::Ended, stream::Stream};
use crate::{request, server::Server, timer::LazyTimer, transport::Socket};

mod frames;
mod link;
mod outflow;
mod streams;

use link::Link;
use outflow::{Outbound, Outflow};
use streams::{SendLimits, Streams};

/// What a client sends first (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a client may send of a request body before it is read, for each stream and for all of them. Bodies are always
/// read, so neither can keep another stream waiting.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// What is held of a response beyond what the client's window takes.
const SEND_BUFFER: usize = 64 * 1024;

/// A client that is quiet for so long is asked whether it is still there, and has as long again to say so.
const PING_AFTER: Duration = Duration::from_secs(30);

/// How long a client may take to end an idle connection that it has been told to end.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Whether the bytes begin with the preface.
pub(super) fn is_preface(bytes: &[u8]) -> bool {
    bytes.starts_with(PREFACE)
}

/// Whether it takes more bytes to tell.
pub(super) fn may_become_preface(bytes: &[u8]) -> bool {
    PREFACE.starts_with(bytes)
}

/// Serves streams until the connection ends. `inbound` has been read from it already.
pub(super) async fn exchange(
    server: &Arc<Server>,
    socket: &mut Socket,
    connection: &Arc<Connection>,
    inbound: BytesMut,
) -> Ended {
    let outflow = Arc::new(Outflow::default());
    let limits = SendLimits { timeout: server.timeouts.send, rates: server.rates };
    let streams = Streams::new(Arc::clone(connection), Arc::clone(&outflow), limits);
    // The tasks of the streams end with the connection, however it ends.
    let _tasks = streams.end_with_this();
    let link = Link::new(socket, inbound, Arc::clone(connection), Arc::clone(&outflow), server);
    let service = service_fn(|request: Request<Incoming>| {
        let clock = streams.open();
        // In a box: it is large, and moved several times on its way into the stream's task.
        let answer = Box::pin(request::answer(Arc::clone(server), Stream::http2(Arc::clone(connection)), request));
        async move { Ok::<_, Infallible>(answer.await.map(|body| Outbound::new(body, clock))) }
    });
    let head = u32::try_from(server.head_limits.head).unwrap_or(u32::MAX);
    let hyper = http2::Builder::new(streams.clone())
        .timer(TokioTimer::new())
        .max_concurrent_streams(server.limits.http2_max_streams.get())
        .max_header_list_size(head)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(PING_AFTER)
        .keep_alive_timeout(PING_AFTER)
        .serve_connection(TokioIo::new(link), service);
    let mut hyper = pin!(hyper);
    let mut timer = LazyTimer::default();
    let mut leaving_since = None;
    let mut others_go_first = true;
    let outcome = poll_fn(|cx| {
        // A stream that has something to send has this polled next. What the others have is to be sent with it: each write is
        // a record of TLS and a system call.
        if others_go_first && connection.streams() > 1 {
            others_go_first = false;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        others_go_first = true;
        loop {
            if let Poll::Ready(outcome) = hyper.as_mut().poll(cx) {
                return Poll::Ready(outcome);
            }
            let idle_since = connection.idle_since().filter(|_| connection.streams() == 0).map(Instant::from_std);
            let must_leave = match (leaving_since, idle_since) {
                (None, _) if connection.order() > Order::Serve => true,
                (None, Some(since)) => timer.is_past(since + server.timeouts.idle, cx),
                // What was handed over last may still be on its way: as long as the client takes it, it is waited for.
                (Some(since), Some(idle_since)) => {
                    let quiet_since = Instant::from_std(connection.written_at()).max(idle_since).max(since);
                    if timer.is_past(quiet_since + LAST_WORDS, cx) {
                        return Poll::Ready(Ok(()));
                    }
                    false
                }
                _ => false,
            };
            if !must_leave {
                return Poll::Pending;
            }
            leaving_since = Some(Instant::now());
            // GOAWAY: streams that are open are finished, new ones are refused (RFC 9113 §6.8).
            hyper.as_mut().graceful_shutdown();
        }
    });
    if let Err(error) = outcome.await {
        tracing::debug!(%error, "connection ended with an error");
    }
    // A client that has not heard of the end yet sends on. One that is given up has nothing more to hear.
    connection.set_lingering(!outflow.has_failed());
    connection.ended();
    Ended::Closed
}
