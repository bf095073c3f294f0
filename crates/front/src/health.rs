//! Whether the server lives, has started, and wants requests. The front answers alone: the application is never asked.

use std::sync::{
    Arc, Mutex, OnceLock, PoisonError,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use axum::{body::Body, response::Response};
use http::{HeaderValue, Method, StatusCode, header, request::Parts};
use serde::Serialize;
use stack_bridge::{Depth, Queue};
use tokio::sync::watch;

use crate::Stop;

mod pressure;

pub(crate) use pressure::Pressure;

/// What is known of the server's state. Shared by all that answer for it.
#[derive(Debug)]
pub(crate) struct Health {
    /// Below it the listeners for clients answer, if at all.
    path: Option<String>,
    /// The application has been imported.
    started: AtomicBool,
    stop: OnceLock<watch::Receiver<Stop>>,
    applications: Mutex<Vec<Arc<Pressure>>>,
}

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// The event loop turns: that there is an answer is the answer.
    Live,
    /// Requests are welcome.
    Ready,
    /// The application has been imported.
    Startup,
}

/// Why a check fails, as its answer names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Reason {
    /// The application is being imported.
    Starting,
    /// The server finishes what it has and takes no more.
    Stopping,
    /// No worker is there to run the application.
    NoWorker,
    /// Requests have been refused for a while: the queue is full, or too slow.
    Saturated,
}

#[derive(Serialize)]
struct Answer {
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<Reason>,
}

impl Health {
    pub(crate) fn new(path: Option<String>) -> Self {
        Self { path, started: AtomicBool::new(false), stop: OnceLock::new(), applications: Mutex::default() }
    }

    /// Has an application count, whose jobs wait in `queue`. Whoever pushes them tells what becomes of it.
    pub(crate) fn watch(&self, queue: Queue) -> Arc<Pressure> {
        let pressure = Arc::new(Pressure::new(queue));
        self.lock().push(Arc::clone(&pressure));
        pressure
    }

    /// Serving begins. From now on `stop` says whether it ends.
    pub(crate) fn start(&self, stop: watch::Receiver<Stop>) {
        let _ = self.stop.set(stop);
        self.started.store(true, Relaxed);
    }

    /// Answers a client's request, if it is below the health path.
    pub(crate) fn answer(&self, parts: &Parts) -> Option<Response> {
        let below = self.below(parts.uri.path())?;
        Some(Check::named(below).map_or_else(not_found, |check| self.respond(&parts.method, check)))
    }

    /// Whether a path is that of a health check.
    pub(crate) fn is_asked(&self, path: &str) -> bool {
        self.below(path).is_some()
    }

    fn below<'a>(&self, path: &'a str) -> Option<&'a str> {
        let below = path.strip_prefix(self.path.as_deref()?)?;
        (below.is_empty() || below.starts_with('/')).then_some(below)
    }

    pub(crate) fn respond(&self, method: &Method, check: Check) -> Response {
        if method != Method::GET && method != Method::HEAD {
            return method_not_allowed();
        }
        let reasons = self.reasons(check);
        let (status, word) =
            if reasons.is_empty() { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "unavailable") };
        let body = serde_json::to_vec(&Answer { status: word, reasons }).expect("words always serialize");
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    fn reasons(&self, check: Check) -> Vec<Reason> {
        let starting = (!self.started.load(Relaxed)).then_some(Reason::Starting);
        match check {
            Check::Live => Vec::new(),
            Check::Startup => starting.into_iter().collect(),
            Check::Ready if starting.is_some() => starting.into_iter().collect(),
            Check::Ready => {
                let is_stopping = self.stop.get().is_some_and(|stop| *stop.borrow() > Stop::Serving);
                let applications = self.lock();
                let without = applications.iter().any(|application| application.queue().workers() == 0);
                let saturated = applications.iter().any(|application| application.is_saturated());
                let reasons =
                    [(is_stopping, Reason::Stopping), (without, Reason::NoWorker), (saturated, Reason::Saturated)];
                reasons.into_iter().filter_map(|(applies, reason)| applies.then_some(reason)).collect()
            }
        }
    }

    /// How busy the queues of all applications are together.
    pub(crate) fn depth(&self) -> Depth {
        self.lock().iter().map(|application| application.queue().depth()).fold(Depth::default(), |sum, depth| Depth {
            queued: sum.queued + depth.queued,
            running: sum.running + depth.running,
            idle: sum.idle + depth.idle,
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Pressure>>> {
        self.applications.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Check {
    /// The check of a path below the health path; that path itself asks what a load balancer asks.
    pub(crate) fn named(path: &str) -> Option<Self> {
        match path {
            "/live" => Some(Self::Live),
            "" | "/" | "/ready" => Some(Self::Ready),
            "/startup" => Some(Self::Startup),
            _ => None,
        }
    }
}

pub(crate) fn not_found() -> Response {
    plain(StatusCode::NOT_FOUND, "Not found\n")
}

pub(crate) fn method_not_allowed() -> Response {
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed\n");
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use stack_bridge::WorkerId;

    use super::*;

    #[test]
    fn a_server_is_ready_between_its_start_and_its_stop() {
        let health = Health::new(None);
        let queue = Queue::new(1);
        let pressure = health.watch(queue.clone());
        assert_eq!(health.reasons(Check::Ready), [Reason::Starting]);
        assert_eq!(health.reasons(Check::Startup), [Reason::Starting]);
        assert_eq!(health.reasons(Check::Live), []);

        let (stop, stopped) = watch::channel(Stop::Serving);
        health.start(stopped);
        assert_eq!(health.reasons(Check::Startup), []);
        assert_eq!(health.reasons(Check::Ready), [Reason::NoWorker]);
        let _consumer = queue.consumer(WorkerId(0));
        assert_eq!(health.reasons(Check::Ready), []);
        pressure.refused_for(pressure::LONG);
        assert_eq!(health.reasons(Check::Ready), [Reason::Saturated]);
        queue.retire(WorkerId(0));
        stop.send_replace(Stop::Draining);
        assert_eq!(health.reasons(Check::Ready), [Reason::Stopping, Reason::NoWorker, Reason::Saturated]);
        assert_eq!(health.reasons(Check::Live), []);
        assert_eq!(health.reasons(Check::Startup), []);
    }

    #[test]
    fn only_paths_below_the_health_path_are_answered() {
        let status = |health: &Health, path: &str| {
            let parts = http::Request::builder().uri(path).body(()).unwrap().into_parts().0;
            health.answer(&parts).map(|response| response.status().as_u16())
        };
        let health = Health::new(Some("/-/health".into()));
        for (path, expected) in [
            ("/-/health/live", Some(200)),
            ("/-/health/live?x", Some(200)),
            ("/-/health", Some(503)),
            ("/-/health/ready", Some(503)),
            ("/-/health/startup", Some(503)),
            ("/-/health/other", Some(404)),
            ("/-/healthy", None),
            ("/", None),
        ] {
            assert_eq!(status(&health, path), expected, "{path}");
        }
        assert_eq!(status(&Health::new(None), "/-/health/live"), None);
    }

    #[test]
    fn only_get_and_head_are_answered() {
        let health = Health::new(None);
        for (method, expected) in [(Method::GET, 200), (Method::HEAD, 200), (Method::POST, 405)] {
            assert_eq!(health.respond(&method, Check::Live).status(), expected);
        }
    }
}
