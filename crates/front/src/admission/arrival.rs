//! What comes before the first byte of TLS or HTTP: the PROXY protocol, where it is spoken.

use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll, time::Duration};

use stack_bridge::{Local, Peer};
use tokio::time::{sleep, timeout};

use super::Held;
use crate::{
    connection::{Connection, Order, Origin, registry::Place},
    proxy_protocol::{self, Header, HeaderError},
    server::Server,
    transport::Plain,
};

/// How long a header may still take when the server is told to stop: it may be on its way.
const LAST_HEADERS: Duration = Duration::from_millis(250);

/// Finds out whose connection it is. `None` closes it.
pub(crate) async fn complete(
    server: &Server,
    socket: &mut Plain,
    connection: Arc<Connection>,
    place: &Place,
) -> Option<(Arc<Connection>, Option<Held>)> {
    if !server.admission.proxy_protocol {
        return Some((connection, None));
    }
    // In a box: most connections have no header, and each would keep its room.
    Box::pin(with_header(server, socket, connection, place)).await
}

async fn with_header(
    server: &Server,
    socket: &mut Plain,
    connection: Arc<Connection>,
    place: &Place,
) -> Option<(Arc<Connection>, Option<Held>)> {
    let header = {
        let reading = async {
            match timeout(server.timeouts.header, proxy_protocol::read(socket)).await {
                Ok(header) => header,
                Err(_) => Err(HeaderError::Missing),
            }
        };
        unless_told_to_stop(&connection, reading).await?
    };
    let header = header.inspect_err(|error| refused(server, &connection, error)).ok()?;
    let origin = origin(&connection.origin, header, |peer| server.admission.trust.is_proxy(peer));
    let held = server.admission.connection(&origin).ok()?;
    let connection = Arc::new(Connection::new(origin));
    place.hand_over(&connection);
    Some((connection, held))
}

fn refused(server: &Server, connection: &Connection, error: &HeaderError) {
    server.metrics.rejected(super::Rejected::NoProxy);
    let cause = std::error::Error::source(error).map(tracing::field::display);
    tracing::debug!(code = "STACK0119", peer = ?connection.origin.peer, %error, cause, "connection closed unheard");
}

/// Whose requests come on the connection. A client that the proxy does not name is not the proxy: it is not believed.
fn origin(proxy: &Origin, header: Header, is_proxy: impl Fn(&Peer) -> bool) -> Origin {
    let Origin { scheme, peer, local, redirect_to, is_proxy: _, is_direct: _ } = proxy.clone();
    match header {
        Header::Local => Origin { scheme, peer, local, redirect_to, is_proxy: true, is_direct: false },
        Header::Unknown => Origin { scheme, peer, local, redirect_to, is_proxy: false, is_direct: false },
        Header::Client { source, destination } => {
            let peer = Peer::Tcp(source);
            let local = Local { name: destination.ip().to_string(), port: destination.port().to_string() };
            Origin { scheme, peer, local: Arc::new(local), redirect_to, is_proxy: is_proxy(&peer), is_direct: false }
        }
    }
}

/// The output of `work`, unless the server's orders end it.
async fn unless_told_to_stop<F: Future>(connection: &Connection, work: F) -> Option<F::Output> {
    let mut work = pin!(work);
    let mut last = pin!(None);
    poll_fn(|cx| {
        connection.listen(cx);
        if let Poll::Ready(output) = work.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        match connection.order() {
            Order::Serve | Order::Leave => Poll::Pending,
            Order::Abort => Poll::Ready(None),
            Order::Drain => {
                if last.is_none() {
                    last.set(Some(sleep(LAST_HEADERS)));
                }
                let last = last.as_mut().as_pin_mut().expect("set above");
                last.poll(cx).map(|()| None)
            }
        }
    })
    .await
}
