//! `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host`: what everybody sends and nobody has specified.

use http::{HeaderMap, HeaderName};

use super::{Said, Unclear, node};
use crate::networks::Networks;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

pub(super) fn remove(headers: &mut HeaderMap) {
    for name in [FOR, PROTO, HOST] {
        headers.remove(name);
    }
}

pub(super) fn read(headers: &HeaderMap, proxies: &Networks) -> Result<Said, Unclear> {
    let addresses = headers.get_all(FOR).iter().rev().flat_map(|value| {
        // A value that is no text is one entry that can not be read.
        let text = value.to_str().ok();
        text.unwrap_or("?").rsplit(',').map(str::trim).filter(|entry| !entry.is_empty())
    });
    let (client, _) = node::walk(addresses.map(Some), proxies);
    let scheme = the_only(headers, &PROTO).map_err(|Several| Unclear::SeveralSchemes)?;
    let host = the_only(headers, &HOST).map_err(|Several| Unclear::SeveralHosts)?;
    Ok(Said { client, scheme: scheme.map(node::scheme).transpose()?, host: host.map(node::host).transpose()? })
}

/// Entries that contradict each other.
struct Several;

/// The value that all entries of a field have. Which proxy of several has added which entry is not known, so they have to
/// agree.
fn the_only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Several> {
    let values = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or("?"));
    let mut entries = values.flat_map(|value| value.split(',')).map(str::trim).filter(|entry| !entry.is_empty());
    let Some(first) = entries.next() else { return Ok(None) };
    if entries.all(|entry| entry.eq_ignore_ascii_case(first)) { Ok(Some(first)) } else { Err(Several) }
}
