//! Who is shown why the application failed, in what form, and how that is sent.
//!
//! It shows source and variables, so who may see it is decided by more than the address that a request comes from. A proxy
//! of this machine makes everybody local, and a name that somebody points here makes any page in a browser of this machine
//! one that may read what this server answers (DNS rebinding). So a request that was forwarded is not local unless a
//! trusted proxy says that its client is, and neither is one for a host that does not mean this machine.

use std::net::IpAddr;

use axum::{body::Body, response::Response};
use http::{HeaderMap, HeaderValue, header, request::Parts};
use stack_bridge::{DetailsForm, Peer};
use stack_config::ErrorDetails;

use crate::{
    accept::{Wanted, wanted},
    client::Client,
    connection::Origin,
    site::{Sites, host},
};

/// Nothing is loaded, nothing is run, nothing is sent, and nobody puts the page into another. The one style is the page's own.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'sha256-c5Wxggs6d1Qge60pB+6QXSpdVVap+SorbaRBwpHu5LQ='; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// Fields in which proxies speak of clients, beside `X-Forwarded-*`.
const FORWARDED: [&str; 5] = ["forwarded", "via", "x-real-ip", "cf-connecting-ip", "true-client-ip"];

/// Marks a response that shows why the application failed. An extension of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown;

/// What a client is shown.
#[derive(Debug)]
pub(crate) struct Details {
    pub(crate) form: DetailsForm,
    pub(crate) text: Vec<u8>,
}

/// Whether somebody speaks for another in the request as it came.
pub(crate) fn is_forwarded(headers: &HeaderMap) -> bool {
    let is_one = |name: &str| name.starts_with("x-forwarded-") || FORWARDED.contains(&name);
    headers.keys().any(|name| is_one(name.as_str()))
}

/// What a request gets if the application fails.
#[derive(Debug)]
pub(crate) struct Asker<'a> {
    pub(crate) origin: &'a Origin,
    /// Who sent it, as far as that can be believed.
    pub(crate) client: &'a Client,
    pub(crate) is_forwarded: bool,
    pub(crate) parts: &'a Parts,
}

impl Asker<'_> {
    /// The form in which it is shown why the application failed; `None` where it is not.
    pub(crate) fn form(&self, shown_to: ErrorDetails, sites: &Sites) -> Option<DetailsForm> {
        let is_shown = match shown_to {
            ErrorDetails::Off => false,
            ErrorDetails::Local => self.is_local(sites),
            ErrorDetails::All => true,
        };
        is_shown.then(|| match self.parts.headers.get(header::ACCEPT).map(wanted) {
            Some(Wanted::Page) => DetailsForm::Html,
            Some(Wanted::Json) => DetailsForm::Json,
            Some(Wanted::Anything) | None => DetailsForm::Text,
        })
    }

    fn is_local(&self, sites: &Sites) -> bool {
        let speaks_for_itself = self.origin.is_proxy || !self.is_forwarded;
        speaks_for_itself
            && !is_of_another_site(&self.parts.headers)
            && is_loopback(&self.origin.peer)
            && is_loopback(&self.client.peer)
            && host::of(self.parts).is_some_and(|host| means_this_machine(host) || sites.are_named(host))
    }
}

/// Whether a page of another site asks for it, in whose scripts the answer could end where a rule of this site's allows that
/// (CORS). A browser that goes there itself shows it to its user only (Fetch Metadata, W3C).
fn is_of_another_site(headers: &HeaderMap) -> bool {
    let is =
        |name, value: &str| headers.get(name).is_some_and(|field: &HeaderValue| field.as_bytes() == value.as_bytes());
    is("sec-fetch-site", "cross-site") && !is("sec-fetch-mode", "navigate")
}

/// A peer on a Unix domain socket is a proxy, as a rule, that says nothing of its client.
fn is_loopback(peer: &Peer) -> bool {
    match peer {
        Peer::Tcp(address) => address.ip().to_canonical().is_loopback(),
        Peer::Unix => false,
    }
}

/// RFC 6761 §6.3: `localhost` and all below it is this machine, whatever a name server says.
fn means_this_machine(host: &[u8]) -> bool {
    let Ok(host) = str::from_utf8(host) else { return false };
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = literal.parse::<IpAddr>() {
        return address.to_canonical().is_loopback();
    }
    let top = host.rsplit('.').next().unwrap_or_default();
    top.eq_ignore_ascii_case("localhost")
}

impl Details {
    /// Puts them in the place of the short text. Status and connection stay as they are.
    pub(crate) fn put(self, response: &mut Response) {
        let content_type = match self.form {
            DetailsForm::Html => "text/html; charset=utf-8",
            DetailsForm::Json => "application/problem+json",
            DetailsForm::Text => "text/plain; charset=utf-8",
        };
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(self.text.len()));
        response.headers_mut().append(header::VARY, const { HeaderValue::from_static("Accept") });
        response.extensions_mut().insert(Shown);
        *response.body_mut() = Body::from(self.text);
    }
}

/// Sees to it that details are neither kept nor passed on, whatever fields the site sets.
pub(crate) fn protect(response: &mut Response) {
    if response.extensions().get::<Shown>().is_none() {
        return;
    }
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ] {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests;
