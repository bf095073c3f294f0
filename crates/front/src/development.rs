//! What the front does for somebody who writes the application, and for nobody else.
//!
//! Pages get a script, which listens to a stream of events and has the browser load the page again when another server, or
//! another version of a static file, is there. An application that does not import is answered for: with the reason. The
//! paths below `/.stack/` are the server's own then. Without a [`Development`] none of this exists.

mod events;
mod page;
mod script;

use std::{
    process,
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use axum::{body::Body, response::Response};
use http::{HeaderValue, Method, StatusCode, header, request::Parts};
use serde::Serialize;
use tokio::sync::watch;

use crate::{Stop, error::IsError, health};

/// Where the script and the events are.
const PREFIX: &str = "/.stack/";
const SCRIPT: &str = "reload.js";
const EVENTS: &str = "events";

/// Development, as the front sees it. Clones share what they know.
#[derive(Clone, Debug)]
pub struct Development(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Whether pages reload themselves.
    reloads_pages: bool,
    /// No other server process has the same.
    server: String,
    state: watch::Sender<State>,
    /// There once serving has begun.
    serving: OnceLock<Serving>,
}

/// How serving ends.
#[derive(Clone, Debug)]
struct Serving {
    stop: watch::Receiver<Stop>,
    /// Whether no connection is accepted any more, and none is kept open for a further request.
    has_left: watch::Receiver<bool>,
}

/// What pages have to know.
#[derive(Clone, Debug, Default)]
struct State {
    /// How often static files have changed, or the reason of a failure.
    changes: u64,
    failure: Option<Arc<str>>,
    /// There is no application, because of this failure.
    is_broken: bool,
}

/// What an event says.
#[derive(Serialize)]
struct Event<'a> {
    /// Of what is served: a page of another version is to be loaded again. `None` is one of another server, which is there.
    version: Option<String>,
    /// Why the newest code is not what is served.
    failure: Option<&'a str>,
}

impl Development {
    /// With or without pages that reload themselves.
    pub fn new(reloads_pages: bool) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let server = format!("{:x}-{:x}", now.as_millis(), process::id());
        let (state, serving) = (watch::channel(State::default()).0, OnceLock::new());
        Self(Arc::new(Shared { reloads_pages, server, state, serving }))
    }

    /// A static file has changed.
    pub fn files_changed(&self) {
        self.0.state.send_modify(|state| state.changes += 1);
    }

    /// The application does not import: from now on each request is answered with the reason.
    pub fn is_broken(&self, reason: &str) {
        self.0.state.send_modify(|state| {
            state.failure = Some(reason.trim_end().into());
            state.is_broken = true;
            state.changes += 1;
        });
    }

    /// Another server was to take over, and did not come up.
    pub fn reload_failed(&self, reason: &str) {
        self.0.state.send_modify(|state| {
            state.failure = Some(reason.trim_end().into());
            // Where the reason is all that there is to see, it is another page.
            state.changes += u64::from(state.is_broken);
        });
    }

    /// Serving begins. From now on `stop` says whether it ends, and what this gives is to be told when nobody can reach this
    /// server any more.
    pub(crate) fn start(&self, stop: watch::Receiver<Stop>) -> watch::Sender<bool> {
        let (left, has_left) = watch::channel(false);
        let _ = self.0.serving.set(Serving { stop, has_left });
        left
    }

    /// Answers what is asked of the server itself.
    pub(crate) fn answer(&self, request: &Parts) -> Option<Response> {
        let asked = request.uri.path().strip_prefix(PREFIX).filter(|_| self.0.reloads_pages)?;
        if request.method != Method::GET && request.method != Method::HEAD {
            return Some(health::method_not_allowed());
        }
        Some(match asked {
            SCRIPT => plain(script::SOURCE.into(), "text/javascript; charset=utf-8"),
            EVENTS => events::stream(self),
            _ => health::not_found(),
        })
    }

    /// Answers in the application's place, where there is none.
    pub(crate) fn stand_in(&self, request: &Parts) -> Option<Response> {
        let failure = self.0.state.borrow().clone();
        let reason = failure.failure.filter(|_| failure.is_broken)?;
        let (text, kind) = if script::is_wished_for(request) {
            (page::broken(&reason), "text/html; charset=utf-8")
        } else {
            (format!("The application does not import.\n\n{reason}\n"), "text/plain; charset=utf-8")
        };
        let mut response = plain(text, kind);
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        response.extensions_mut().insert(MayReload);
        Some(response)
    }

    /// Whether the response to a request gets the script, if it is a page. Then it comes as it is: what is compressed could
    /// not be added to.
    pub(crate) fn prepare(&self, request: &mut Parts) -> bool {
        let is_wished_for = self.0.reloads_pages && script::is_wished_for(request);
        if is_wished_for {
            request.headers.remove(header::ACCEPT_ENCODING);
        }
        is_wished_for
    }

    /// Adds the script to a page of the application's, or of an error: that one will be mended, too.
    pub(crate) fn add_script(&self, response: &mut Response) {
        let is_error = response.extensions().get::<IsError>().is_some();
        if !is_error && response.extensions().get::<MayReload>().is_none() {
            return;
        }
        if is_error && !script::is_page(response.status(), response.headers()) {
            let status = response.status();
            *response.body_mut() = Body::from(page::failed(status));
            let headers = response.headers_mut();
            headers.remove(header::CONTENT_LENGTH);
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        }
        if is_error {
            script::allow(response.headers_mut());
        }
        let version = self.version(&self.0.state.borrow());
        script::add(response, &version);
    }

    /// Takes back what a browser would go on believing of `localhost` when another program listens there: that it is to be
    /// reached by TLS alone, and redirects that are for good.
    pub(crate) fn leave_no_trace(response: &mut Response) {
        let is_for_good = matches!(response.status(), StatusCode::MOVED_PERMANENTLY | StatusCode::PERMANENT_REDIRECT);
        let headers = response.headers_mut();
        headers.remove(header::STRICT_TRANSPORT_SECURITY);
        if is_for_good {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
    }

    fn version(&self, state: &State) -> String {
        format!("{}.{}", self.0.server, state.changes)
    }
}

/// Marks a response that may get the script: one of the application's, or in its place. An extension of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MayReload;

/// A response that is never kept: the next server has another one.
fn plain(text: String, kind: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
