//! Listeners for those who watch the server: health and metrics, from before the application is imported to the very end.
//!
//! They are for a network that clients have no access to. What comes here takes no place of a client and waits behind none.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{body::Body, response::Response};
use http::{HeaderValue, Method, Request, header};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use stack_bridge::Depth;
use tokio::{sync::Semaphore, task::JoinSet, time::timeout};

use crate::{
    front::{Accepting, rest_after},
    health::{self, Check, Health},
    listen::{Listener, Listeners},
    metrics::{Metrics, Snapshot},
    transport::Plain,
};

mod prometheus;

/// Where health is answered if no path is configured.
const HEALTH: &str = "/-/health";

/// Connections at a time. A scraper and a few probes have one each.
const CONNECTIONS: usize = 64;

/// How long a connection may wait for a request, and live at all.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
const LIFETIME: Duration = Duration::from_mins(5);

/// Answers for the server. Clones share what they know.
#[derive(Clone, Debug)]
pub struct Admin {
    path: Arc<str>,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
}

impl Admin {
    pub(crate) fn new(path: Option<&str>, health: Arc<Health>, metrics: Arc<Metrics>) -> Self {
        Self { path: path.unwrap_or(HEALTH).into(), health, metrics }
    }

    /// What the server can say of itself at the moment, as JSON.
    pub fn report(&self) -> serde_json::Value {
        let Snapshot { connections, in_flight, requests, .. } = self.metrics.snapshot();
        let Depth { queued, running, idle } = self.health.depth();
        serde_json::json!({
            "connections": connections,
            "requests_in_flight": in_flight,
            "requests": requests,
            "queued": queued,
            "threads_running": running,
            "threads_idle": idle,
        })
    }

    /// Answers on these listeners until `end`. On return they are closed.
    pub async fn serve(self, listeners: Listeners, end: impl Future<Output = ()>) {
        let mut acceptors: JoinSet<()> =
            listeners.all.into_iter().map(|listener| self.clone().accept(listener)).collect();
        end.await;
        acceptors.shutdown().await;
    }

    async fn accept(self, listener: Listener) {
        let Listener { socket, local: _, address, is_tls: _, file: _file } = listener;
        let socket = match Accepting::new(socket) {
            Ok(socket) => socket,
            Err(error) => {
                tracing::error!(code = "STACK0309", listener = address, %error, "listener not registered with the runtime");
                return;
            }
        };
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let mut connections = JoinSet::new();
        let mut complained_at = None;
        loop {
            let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
            while connections.try_join_next().is_some() {}
            match socket.accept().await {
                Ok((stream, _)) => {
                    let admin = self.clone();
                    connections.spawn(async move {
                        let _ = timeout(LIFETIME, admin.exchange(stream)).await;
                        drop(place);
                    });
                }
                Err(error) => rest_after(&error, &mut complained_at).await,
            }
        }
    }

    async fn exchange(self, stream: Plain) {
        let service = service_fn(|request: Request<hyper::body::Incoming>| {
            let response = self.answer(request.method(), request.uri().path());
            async move { Ok::<_, Infallible>(response) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service);
        if let Err(error) = connection.await {
            tracing::debug!(%error, "admin connection ended with an error");
        }
    }

    fn answer(&self, method: &Method, path: &str) -> Response {
        let below = path.strip_prefix(&*self.path).filter(|below| below.is_empty() || below.starts_with('/'));
        match below.and_then(Check::named) {
            Some(check) => self.health.respond(method, check),
            None if path == "/metrics" => self.metrics(method),
            None => health::not_found(),
        }
    }

    fn metrics(&self, method: &Method) -> Response {
        if method != Method::GET && method != Method::HEAD {
            return health::method_not_allowed();
        }
        let text = prometheus::text(&self.metrics.snapshot(), self.health.depth());
        let mut response = Response::new(Body::from(text));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}
