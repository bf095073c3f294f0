//! What plain HTTP is told about TLS, and browsers about staying with it.

use axum::{body::Body, response::Response};
use http::{HeaderValue, StatusCode, Uri, header, request::Parts};
use stack_bridge::RequestId;
use stack_config::Hsts;

use crate::{connection::Origin, error::Error, path, strict::Malformed};

/// Certificate authorities look there by plain HTTP, before there is a certificate (RFC 8555 §8.3).
const CHALLENGES: &str = "/.well-known/acme-challenge/";

/// Whether the request is to come again by TLS.
pub(crate) fn is_redirected(origin: &Origin, parts: &Parts) -> bool {
    let path = parts.uri.path();
    // A path that means another one is none of theirs.
    let is_challenge = path.starts_with(CHALLENGES) && matches!(path::normalise(path), Ok(None));
    origin.redirect_to.is_some() && !is_challenge
}

/// Sends a client to the same place by TLS. 308 keeps the method and the body (RFC 9110 §15.4.9).
pub(crate) fn redirect(origin: &Origin, parts: &Parts, id: RequestId) -> Response {
    let Some(location) = location(origin, parts) else {
        return Error::Refused(Malformed::InvalidHost.into()).respond(id);
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    response.headers_mut().insert(header::LOCATION, location);
    response
}

/// The value of `Strict-Transport-Security`.
pub(crate) fn hsts(hsts: Hsts) -> HeaderValue {
    HeaderValue::try_from(hsts.field_value()).expect("a number and fixed words")
}

fn location(origin: &Origin, parts: &Parts) -> Option<HeaderValue> {
    let from_field = || parts.headers.get(header::HOST)?.to_str().ok();
    let authority = parts.uri.authority().map(http::uri::Authority::as_str).or_else(from_field);
    // HTTP/1.0 may leave it out.
    let authority = authority.filter(|authority| !authority.is_empty()).unwrap_or(&origin.local.name);
    let host = host(authority);
    let port = match origin.redirect_to? {
        443 => String::new(),
        port => format!(":{port}"),
    };
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    // `OPTIONS *` is about the server.
    let target = if target == "*" { "/" } else { target };
    let location = format!("https://{host}{port}{target}");
    location.parse::<Uri>().ok()?;
    HeaderValue::try_from(location).ok()
}

/// An authority without its port. Brackets of an IPv6 address stay.
fn host(authority: &str) -> &str {
    let end_of_address = authority.rfind(']').unwrap_or(0);
    authority[end_of_address..].rfind(':').map_or(authority, |colon| &authority[..end_of_address + colon])
}

#[cfg(test)]
mod tests;
