//! What a site does with a request before it is routed: its canonical host, returns, redirects and rewrites.

use axum::{body::Body, response::Response};
use http::{HeaderValue, StatusCode, header, request::Parts};
use stack_config::{Redirect, Return, Rewrite, Target};

use super::{
    host, normalise,
    pages::Whose,
    patterns::{Captures, Patterns},
    retarget,
    target::{fill, location},
};
use crate::{error::Error, path, request::Context};

/// The rules of a site that has any.
#[derive(Debug)]
pub(super) struct Rules {
    canonical: Option<Canonical>,
    answers: Patterns<Answer>,
    rewrites: Patterns<Target>,
}

/// A host that others are redirected to.
#[derive(Debug)]
struct Canonical {
    /// In lower case, without a port.
    host: String,
    /// With `SCHEME://` in front, or to be put behind that of the request.
    authority: String,
}

#[derive(Debug)]
enum Answer {
    Redirect { status: StatusCode, to: Target },
    Return { status: StatusCode, body: Option<String> },
}

impl Rules {
    /// `None` where nothing would ever happen.
    pub(super) fn new(rules: stack_config::Rules) -> Option<Self> {
        let mut answers = Patterns::default();
        let status = |code| StatusCode::from_u16(code).expect("the configuration checked the status");
        for Redirect { from, to, status: code } in rules.redirects {
            answers.insert(&from, Answer::Redirect { status: status(code), to });
        }
        // For one and the same path a fixed answer goes before a redirect.
        for Return { from, status: code, body } in rules.returns {
            answers.insert(&from, Answer::Return { status: status(code), body });
        }
        let mut rewrites = Patterns::default();
        for Rewrite { from, to } in rules.rewrites {
            rewrites.insert(&from, to);
        }
        let canonical = rules.canonical_host.map(Canonical::new);
        let is_needed = canonical.is_some() || !answers.is_empty() || !rewrites.is_empty();
        is_needed.then_some(Self { canonical, answers, rewrites })
    }

    /// Answers the request, or gives it another path, or neither.
    pub(super) fn apply(&self, parts: &mut Parts) -> Result<Option<Response>, Error> {
        if let Some(response) = self.canonical.as_ref().and_then(|canonical| canonical.redirect(parts)) {
            return Ok(Some(response));
        }
        let decoded = path::decode(parts.uri.path().as_bytes());
        let seen = path::merged(&decoded);
        if let Some((answer, captures)) = self.answers.find(&seen) {
            return Ok(Some(answer.respond(&captures, &seen, parts.uri.query())));
        }
        let Some((to, captures)) = self.rewrites.find(&seen) else { return Ok(None) };
        let target = fill(to, &captures, &seen, parts.uri.query());
        drop(seen);
        drop(decoded);
        // What two groups matched may come to a dot segment together.
        retarget(parts, &target).and_then(|()| normalise(parts)).map_err(Error::Path)?;
        Ok(None)
    }
}

impl Canonical {
    fn new(authority: String) -> Self {
        let host = authority.split_once("://").map_or(authority.as_str(), |(_, authority)| authority);
        let colon = host.rfind(':').filter(|at| !host[*at..].contains(']'));
        Self { host: host[..colon.unwrap_or(host.len())].to_owned(), authority }
    }

    /// 308 keeps the method (RFC 9110 §15.4.9). Who names no host is not sent to one.
    fn redirect(&self, parts: &Parts) -> Option<Response> {
        if host::of(parts)?.eq_ignore_ascii_case(self.host.as_bytes()) {
            return None;
        }
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        let url = if self.authority.contains("://") {
            format!("{}{target}", self.authority)
        } else {
            let context = parts.extensions.get::<Context>().expect("every request gets one before its route");
            format!("{}://{}{target}", context.client.scheme.as_str(), self.authority)
        };
        Some(redirect(StatusCode::PERMANENT_REDIRECT, &url))
    }
}

impl Answer {
    fn respond(&self, captures: &Captures, path: &[u8], query: Option<&str>) -> Response {
        match self {
            Self::Redirect { status, to } => redirect(*status, &fill(to, captures, path, query)),
            Self::Return { status, body: Some(body) } => {
                let mut response = plain(*status, body.clone());
                response.extensions_mut().insert(Whose::Configuration);
                response
            }
            Self::Return { status, body: None } => {
                let reason = status.canonical_reason().unwrap_or("Unknown");
                // RFC 9110 §15.3.5 and §15.3.6.
                let has_body = !matches!(*status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT);
                let mut response = if has_body { plain(*status, format!("{reason}\n")) } else { Response::default() };
                *response.status_mut() = *status;
                response
            }
        }
    }
}

fn redirect(status: StatusCode, url: &str) -> Response {
    let mut response = plain(status, "Moved\n".to_owned());
    response.headers_mut().insert(header::LOCATION, location(url));
    response
}

fn plain(status: StatusCode, text: String) -> Response {
    let length = HeaderValue::from(text.len());
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response.headers_mut().insert(header::CONTENT_LENGTH, length);
    response
}
