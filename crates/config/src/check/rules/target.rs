//! Where a rule leads: `/path`, `https://host/path`, with `$1` for what the pattern matched.
//!
//! No capture is ever part of the authority, so that no request can choose where it is sent.

use std::fmt::Write;

use super::super::site::parse_host;
use crate::{Host, Piece, Target, error::SiteReason};

/// Reads a target of a pattern with this many groups.
pub(super) fn parse(text: &str, groups: usize) -> Result<Target, SiteReason> {
    let not_target = || SiteReason::NotTarget(text.to_owned());
    let (origin, rest) = match split_scheme(text) {
        Some((scheme, rest)) => {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            let (authority, path) = rest.split_at(end);
            if authority.contains('$') {
                return Err(SiteReason::OpenRedirect(text.to_owned()));
            }
            (Some(format!("{scheme}://{}", host_and_port(authority).ok_or_else(not_target)?)), path)
        }
        None => (None, text),
    };
    if origin.is_none() && (!rest.starts_with('/') || is_other_site(rest)) {
        return Err(not_target());
    }
    let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
    let path = if path.is_empty() { "/" } else { path };
    // As nginx's rewrite has it: the request's own query follows, unless a `?` ends the target.
    let (query, keeps_query) = match query {
        None => ("", true),
        Some(query) => query.strip_suffix('?').map_or((query, !query.is_empty()), |query| (query, false)),
    };
    let target = Target { origin, path: pieces(path, groups)?, query: pieces(query, groups)?, keeps_query };
    if [&target.path, &target.query]
        .into_iter()
        .flatten()
        .any(|piece| matches!(piece, Piece::Text(text) if !is_url(text)))
    {
        return Err(not_target());
    }
    Ok(target)
}

/// `HOST[:PORT]`, with `http://` or `https://` in front if the scheme is to change.
pub(super) fn authority(text: &str) -> Result<String, SiteReason> {
    let refused = || SiteReason::NotHost {
        hint: "write a host such as example.com or https://example.com:8443, without a path".into(),
    };
    let (scheme, rest) = split_scheme(text).map_or((None, text), |(scheme, rest)| (Some(scheme), rest));
    let authority = host_and_port(rest).ok_or_else(refused)?;
    Ok(scheme.map(|scheme| format!("{scheme}://{authority}")).unwrap_or(authority))
}

fn split_scheme(text: &str) -> Option<(&'static str, &str)> {
    ["https", "http"].into_iter().find_map(|scheme| Some((scheme, text.strip_prefix(scheme)?.strip_prefix("://")?)))
}

/// In lower case, without what the host rule leaves out.
fn host_and_port(text: &str) -> Option<String> {
    let colon = text.rfind(':').filter(|at| !text[*at..].contains(']'));
    let (host, port) = colon.map_or((text, ""), |at| (&text[..at], &text[at..]));
    if !port.is_empty() && port[1..].parse::<u16>().is_err() {
        return None;
    }
    match parse_host(host) {
        Ok(Host::Exact(host)) => Some(host + port),
        _ => None,
    }
}

/// Browsers read `//host` and `/\host` as another site.
fn is_other_site(path: &str) -> bool {
    path[1..].starts_with(['/', '\\'])
}

fn pieces(text: &str, groups: usize) -> Result<Vec<Piece>, SiteReason> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '$' => match rest.next() {
                Some('$') => plain.push('$'),
                Some(digit @ '0'..='9') => {
                    let number = digit as usize - '0' as usize;
                    if number > groups {
                        return Err(SiteReason::NoCapture { number, groups });
                    }
                    if !plain.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut plain)));
                    }
                    pieces.push(Piece::Capture(number));
                }
                _ => return Err(SiteReason::LoneDollar),
            },
            // A URL is ASCII (RFC 3986 §2): what is not is encoded as browsers do.
            c if c.is_ascii() => plain.push(c),
            c => c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| {
                let _ = write!(plain, "%{byte:02X}");
            }),
        }
    }
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    Ok(pieces)
}

/// The characters of a path or a query (RFC 3986 §3.3 and §3.4).
fn is_url(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%?".contains(&byte))
}
