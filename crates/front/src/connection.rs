//! One accepted connection, from its first byte to its close.
//!
//! It is parked whenever nothing is known of a next request: then it is its socket and a timer, and what its protocol
//! takes is there only from the first byte on.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use bytes::BytesMut;
use stack_bridge::Scheme;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, sleep_until},
};

use crate::{
    metrics::Counted,
    server::Server,
    timer::LazyTimer,
    transport::{Plain, Socket},
};

mod gate;
mod http1;
mod http2;
pub(crate) mod registry;
mod secure;
mod sending;
mod state;
mod stream;

use http1::Ended;
pub(crate) use state::{Connection, Order, Origin, Phase, Refused};
pub(crate) use stream::Stream;

/// How long a refused client may take to read its answer before the connection is closed under it.
const LINGER: Duration = Duration::from_secs(2);

/// Bytes that are read before the protocol is known.
const FIRST_BLOCK: usize = 1024;

/// Serves one connection until either side closes it, or the server stops. Gives the number of requests cut off.
pub(crate) async fn serve(server: Arc<Server>, socket: Plain, connection: Arc<Connection>) -> usize {
    let cut_off = {
        let mut work = pin!(async {
            let mut socket = match connection.origin.scheme {
                Scheme::Http => Socket::Plain(socket),
                // In a box: what a handshake takes is given back with its end.
                Scheme::Https => match Box::pin(secure::secure(&server, socket, &connection)).await {
                    Some(socket) => socket,
                    None => return,
                },
            };
            serve_requests(&server, &mut socket, &connection).await;
            if connection.is_lingering() {
                Box::pin(linger(&mut socket)).await;
            }
        });
        poll_fn(|cx| {
            connection.listen(cx);
            if connection.order() == Order::Abort {
                return Poll::Ready(connection.in_flight());
            }
            work.as_mut().poll(cx).map(|()| 0)
        })
        .await
    };
    connection.finish_entries(true);
    cut_off
}

/// Serves a connection of this process with itself. Nothing is encrypted on it, whatever its requests are told.
pub(crate) async fn serve_own(server: &Arc<Server>, socket: Plain, connection: &Arc<Connection>) {
    let mut socket = Socket::Plain(socket);
    serve_requests(server, &mut socket, connection).await;
    connection.finish_entries(true);
}

async fn serve_requests(server: &Arc<Server>, socket: &mut Socket, connection: &Arc<Connection>) {
    while wait(server, socket, connection).await {
        // In a box: what an exchange takes is given back with its end, and a parked connection stays small.
        let ended = if connection.is_fresh() {
            Box::pin(begin(server, socket, connection)).await
        } else {
            Box::pin(http1::exchange(server, socket, connection, Begun::default())).await
        };
        if ended == Ended::Closed {
            return connection.ended();
        }
    }
    connection.ended();
    socket.say_goodbye().await;
}

/// Waits for the first byte of a request. False where there will be none: the client was silent for too long, or the
/// server stops.
async fn wait(server: &Arc<Server>, socket: &Socket, connection: &Arc<Connection>) -> bool {
    let _parked = Counted::new(&server.metrics.parked);
    let idle_since = connection.idle_since().map_or_else(Instant::now, Instant::from_std);
    let mut deadline = idle_since + server.timeouts.idle;
    let mut timer = pin!(sleep_until(deadline));
    poll_fn(|cx| {
        if connection.order() == Order::Drain {
            // It was opened before the server was told to stop, so its first request may be on its way.
            let last = if connection.is_fresh() { Instant::now() + http1::NEXT_REQUEST } else { Instant::now() };
            if last < deadline {
                deadline = last;
                timer.as_mut().reset(last);
            }
        }
        // First, so that a request that is there is not lost to a deadline.
        if socket.poll_readable(cx).is_ready() {
            return Poll::Ready(true);
        }
        timer.as_mut().poll(cx).map(|()| false)
    })
    .await
}

/// Finds out which protocol the client speaks, and speaks it.
async fn begin(server: &Arc<Server>, socket: &mut Socket, connection: &Arc<Connection>) -> Ended {
    let mut inbound = BytesMut::with_capacity(FIRST_BLOCK);
    // Over TLS they have agreed on it (RFC 9113 §3.3), else it shows in the first bytes.
    match socket.is_http2() {
        Some(true) => return http2::exchange(server, socket, connection, inbound).await,
        None if server.limits.http2 => {}
        _ => return http1::exchange(server, socket, connection, Begun::default()).await,
    }
    let mut waiting = Waiting { since: Instant::now(), last: None, timer: LazyTimer::default() };
    while http2::may_become_preface(&inbound) && !http2::is_preface(&inbound) {
        match waiting.read_more(server, socket, connection, &mut inbound).await {
            More::Bytes => {}
            // It is the head of a request then, which has its own answer.
            More::TooLate => break,
            More::Nothing => return Ended::Closed,
        }
    }
    if http2::is_preface(&inbound) {
        return http2::exchange(server, socket, connection, inbound).await;
    }
    let begun = Begun { bytes: inbound, age: waiting.since.elapsed() };
    http1::exchange(server, socket, connection, begun).await
}

/// What has been read before the protocol was known.
#[derive(Debug, Default)]
struct Begun {
    bytes: BytesMut,
    /// For how long a head has been coming.
    age: Duration,
}

/// The wait for enough bytes to tell the protocol.
struct Waiting {
    since: Instant,
    /// How long it is waited at most once the server stops.
    last: Option<Instant>,
    timer: LazyTimer,
}

enum More {
    Bytes,
    /// There will be none: the client closed, or the server stops.
    Nothing,
    /// The time for a head is up.
    TooLate,
}

impl Waiting {
    async fn read_more(
        &mut self,
        server: &Server,
        socket: &mut Socket,
        connection: &Connection,
        inbound: &mut BytesMut,
    ) -> More {
        poll_fn(|cx| {
            if let Poll::Ready(read) = pin!(socket.read_buf(inbound)).poll(cx) {
                return Poll::Ready(if matches!(read, Ok(1..)) { More::Bytes } else { More::Nothing });
            }
            if connection.order() == Order::Drain {
                // As one of which no byte has come.
                let last = *self.last.get_or_insert_with(|| Instant::now() + http1::NEXT_REQUEST);
                if self.timer.is_past(last, cx) {
                    return Poll::Ready(More::Nothing);
                }
            }
            let deadline = self.since.checked_add(server.timeouts.header);
            let is_late = deadline.is_some_and(|deadline| self.timer.is_past(deadline, cx));
            if is_late { Poll::Ready(More::TooLate) } else { Poll::Pending }
        })
        .await
    }
}

/// Closing a socket with unread bytes resets it, and the reset can overtake the answer (RFC 9112 §9.6): close one side,
/// and read what the client still sends, for a while.
///
/// All of it has its time, the shutdown too: with TLS that has something to send, which a client may never take.
async fn linger(socket: &mut Socket) {
    let drain = async {
        if socket.shutdown().await.is_err() {
            return;
        }
        let mut sink = vec![0; 16 * 1024];
        while socket.read(&mut sink).await.is_ok_and(|read| read > 0) {}
    };
    let _ = tokio::time::timeout(LINGER, drain).await;
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;
    use crate::tls::testing::connected;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_nothing_does_not_hold_a_connection_that_lingers() {
        let (mut socket, _client) = connected(4096).await;
        let fill = async { while socket.write_all(&[0; 4096]).await.is_ok() {} };
        assert!(timeout(LINGER, fill).await.is_err(), "there is always room");
        let begun = Instant::now();
        assert!(timeout(100 * LINGER, linger(&mut socket)).await.is_ok(), "it waits for the client");
        assert_eq!(begun.elapsed(), LINGER);
    }
}
