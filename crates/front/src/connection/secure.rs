//! The handshake that comes before everything else on an encrypted connection.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::{Poll, ready},
};

use tokio::{io::AsyncWriteExt, time::sleep};

use super::{Connection, Order, http1::NEXT_REQUEST, linger};
use crate::{
    server::Server,
    tls::{self, HandshakeError, PLAIN_HTTP},
    transport::{Plain, Socket},
};

/// The socket as encrypted requests come on it; `None` if the connection is over before any.
pub(super) async fn secure(server: &Server, socket: Plain, connection: &Arc<Connection>) -> Option<Socket> {
    let tls = server.tls.as_ref().expect("a listener speaks TLS only where there is some");
    let mut handshake = pin!(tls::accept(tls, socket));
    let mut last_wait = pin!(None);
    let outcome = poll_fn(|cx| {
        if let Poll::Ready(outcome) = handshake.as_mut().poll(cx) {
            return Poll::Ready(Some(outcome));
        }
        if connection.order() < Order::Drain {
            return Poll::Pending;
        }
        // As long as a first request is waited for.
        if last_wait.is_none() {
            last_wait.set(Some(sleep(NEXT_REQUEST)));
        }
        ready!(last_wait.as_mut().as_pin_mut().expect("set above").poll(cx));
        Poll::Ready(None)
    });
    match outcome.await? {
        Ok((socket, facts)) => {
            tracing::debug!(protocol = %facts.protocol, cipher = %facts.cipher, http2 = socket.is_http2(), "TLS connection");
            // Nobody else sets it.
            let _ = connection.tls.set(Arc::new(facts));
            Some(socket)
        }
        Err(error) => {
            connection.ended();
            Box::pin(refuse(error)).await;
            None
        }
    }
}

/// Notes why there is no connection, and says so to a client that may be listening.
async fn refuse(error: HandshakeError) {
    let code = match &error {
        HandshakeError::Tls(..) | HandshakeError::Io(_) | HandshakeError::Silent => "STACK0111",
        HandshakeError::Timeout => "STACK0112",
        HandshakeError::PlainHttp(_) => "STACK0113",
    };
    tracing::debug!(code, %error, "no TLS connection");
    let socket = match error {
        HandshakeError::PlainHttp(mut socket) => {
            // The client may be gone.
            let _ = socket.write_all(PLAIN_HTTP).await;
            socket
        }
        // Its alert is on its way.
        HandshakeError::Tls(_, socket) => socket,
        HandshakeError::Timeout | HandshakeError::Silent | HandshakeError::Io(_) => return,
    };
    linger(&mut Socket::Plain(socket)).await;
}
