//! The stream that pages listen to (server-sent events: HTML Standard, §9.2).

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{HeaderValue, header};
use http_body::Frame;
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use super::{Development, Event, Serving, State};
use crate::Stop;

/// How long a browser waits before it comes back.
const RETRY: &str = "retry: 200\n\n";

/// How often something is sent where nothing happens, so that a client that is gone is noticed.
const ALIVE: Duration = Duration::from_secs(15);

/// How long the last event waits at most until its clients can only reach the next server: an acceptor that waits for a place
/// may wait for one of theirs.
const LEAVING: Duration = Duration::from_secs(1);

/// Events until the server stops, or the client leaves.
struct Events(mpsc::Receiver<Bytes>);

impl http_body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|event| event.map(|event| Ok(Frame::data(event))))
    }
}

pub(super) fn stream(development: &Development) -> Response {
    let (sender, receiver) = mpsc::channel(4);
    tokio::spawn(tell(development.clone(), sender));
    let mut response = Response::new(Body::new(Events(receiver)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // For a server in front of this one.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// Tells one client how things are, first and whenever that changes.
async fn tell(development: Development, client: mpsc::Sender<Bytes>) {
    let mut state = development.0.state.subscribe();
    let Some(Serving { mut stop, mut has_left }) = development.0.serving.get().cloned() else { return };
    let mut next = Bytes::from_static(RETRY.as_bytes());
    next = [next, event(&development, &state.borrow_and_update().clone())].concat().into();
    loop {
        if client.send(next).await.is_err() {
            return;
        }
        next = tokio::select! {
            () = client.closed() => return,
            is_handed_over = end(&mut stop) => {
                if is_handed_over {
                    // The next one serves already. Whoever is told comes back at once, and must not find this one again.
                    let _ = timeout(LEAVING, has_left.wait_for(|has_left| *has_left)).await;
                    let _ = client.send(line(&Event { version: None, failure: None })).await;
                }
                return;
            }
            changed = timeout(ALIVE, state.changed()) => match changed {
                Ok(Ok(())) => event(&development, &state.borrow_and_update().clone()),
                Ok(Err(_)) => return,
                Err(_) => Bytes::from_static(b":\n\n"),
            },
        };
    }
}

/// Waits for the end of serving; whether another server has taken over.
async fn end(stop: &mut watch::Receiver<Stop>) -> bool {
    stop.wait_for(|stop| *stop >= Stop::HandedOver).await.is_ok_and(|stop| *stop == Stop::HandedOver)
}

fn event(development: &Development, state: &State) -> Bytes {
    line(&Event { version: Some(development.version(state)), failure: state.failure.as_deref().map(cause) })
}

fn line(event: &Event<'_>) -> Bytes {
    // JSON has no line ends of its own.
    let json = serde_json::to_string(event).expect("texts always serialize");
    format!("data: {json}\n\n").into()
}

/// The last line of a traceback says what it comes to.
fn cause(failure: &str) -> &str {
    failure.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or(failure).trim()
}
