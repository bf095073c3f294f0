//! From a file to the response: which representation, and what of it.

use std::{ops::Range, sync::Arc};

use axum::{body::Body, response::Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::{
    body,
    cache::Hot,
    conditional::{self, Selected, Subject},
    part::Region,
    root::{OfUsers, Root},
    version::{Representation, Source, Version},
};
use crate::compression::{Accepted, Coding};

/// What a response depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) method: &'a Method,
    pub(super) headers: &'a HeaderMap,
    /// The decoded path of the file below its root.
    pub(super) path: &'a [u8],
    /// In place of what the file's name says.
    pub(super) content_type: Option<&'a HeaderValue>,
}

/// The response with a file, or with what is to be said of it.
pub(super) fn file(asked: &Asked<'_>, root: &Arc<Root>, hot: &Arc<Hot>) -> Response {
    of_users(root, hot, of_version(asked, root, hot))
}

/// The response with a representation that has been chosen, or with what is to be said of it.
pub(super) fn represented(asked: &Asked<'_>, root: &Root, hot: &Hot, chosen: &Representation) -> Response {
    of_users(root, hot, represent(asked, &hot.version, chosen, &[]))
}

fn of_users(root: &Root, hot: &Hot, mut response: Response) -> Response {
    if root.is_of_users() {
        response.extensions_mut().insert(OfUsers::of(&hot.version.identity.head));
    }
    response
}

fn of_version(asked: &Asked<'_>, root: &Arc<Root>, hot: &Arc<Hot>) -> Response {
    let version = &hot.version;
    // Most files have one representation, and most requests no condition.
    if !version.identity.head.contains_key(header::VARY) {
        return represent(asked, version, &version.identity, &[]);
    }
    let accepted = Accepted::of(asked.headers);
    let mut derived = None;
    // A part of what may be made anew is of no use.
    let may_derive = !asked.headers.contains_key(header::RANGE);
    let chosen = choose(root, hot, asked.path, accepted, may_derive, &mut derived);
    let others = other_tags(asked, version, accepted);
    represent(asked, version, chosen, &others)
}

/// The representation for a request that wants the whole file at a path.
pub(super) fn choose_whole<'a>(
    root: &Arc<Root>,
    hot: &'a Arc<Hot>,
    path: &[u8],
    accepted: impl FnOnce() -> Accepted,
    derived: &'a mut Option<Arc<super::cache::Derived>>,
) -> &'a Representation {
    if hot.version.identity.head.contains_key(header::VARY) {
        choose(root, hot, path, accepted(), true, derived)
    } else {
        &hot.version.identity
    }
}

/// The best representation that there is. One that has yet to be made is made for those who ask later.
fn choose<'a>(
    root: &Arc<Root>,
    hot: &'a Arc<Hot>,
    path: &[u8],
    accepted: Accepted,
    may_derive: bool,
    derived: &'a mut Option<Arc<super::cache::Derived>>,
) -> &'a Representation {
    let version = &hot.version;
    let may_derive = may_derive && version.is_compressible;
    let mut is_first = true;
    for coding in accepted.in_order(Coding::BY_SIZE) {
        if let Some(neighbour) = version.neighbour(coding) {
            return neighbour;
        }
        if may_derive && is_first {
            is_first = false;
            *derived = root.derived(path, hot, coding);
            if derived.is_some() {
                break;
            }
        }
    }
    derived.as_ref().and_then(|derived| derived.representation.as_ref()).unwrap_or(&version.identity)
}

/// The entity tags of what else a client may have got of this version, where it names one: its copy is as good whatever it
/// would get today.
fn other_tags(asked: &Asked<'_>, version: &Version, accepted: Accepted) -> Vec<HeaderValue> {
    let names_one = [header::IF_NONE_MATCH, header::IF_MATCH].iter().any(|name| asked.headers.contains_key(name));
    if !names_one {
        return Vec::new();
    }
    let codings = || accepted.in_order(Coding::BY_SIZE);
    let neighbours = codings().filter_map(|coding| version.neighbour(coding)).map(|it| it.etag.clone());
    let derived = codings().filter(|_| version.is_compressible).map(|coding| version.derived_etag(coding));
    neighbours.chain(derived).chain([version.identity.etag.clone()]).collect()
}

fn represent(asked: &Asked<'_>, version: &Version, chosen: &Representation, others: &[HeaderValue]) -> Response {
    let subject = Subject { etag: &chosen.etag, modified: version.modified, length: chosen.length, others };
    match conditional::select(asked.method, asked.headers, &subject) {
        Selected::Whole => {
            let mut response = of_range(&chosen.source, 0..chosen.length);
            *response.headers_mut() = chosen.head.clone();
            if let Some(content_type) = asked.content_type {
                response.headers_mut().insert(header::CONTENT_TYPE, content_type.clone());
            }
            response
        }
        Selected::Parts(parts) => partial(asked, chosen, &parts),
        Selected::NotModified(tag) => {
            let mut response = without_content(StatusCode::NOT_MODIFIED, chosen);
            response.headers_mut().insert(header::ETAG, tag);
            response
        }
        Selected::PreconditionFailed => without_content(StatusCode::PRECONDITION_FAILED, chosen),
        Selected::Unsatisfiable => {
            let mut response = without_content(StatusCode::RANGE_NOT_SATISFIABLE, chosen);
            let range = HeaderValue::try_from(format!("bytes */{}", chosen.length)).expect("digits");
            response.headers_mut().insert(header::CONTENT_RANGE, range);
            response
        }
    }
}

fn partial(asked: &Asked<'_>, chosen: &Representation, parts: &[Range<u64>]) -> Response {
    let mut headers = chosen.head.clone();
    if let Some(content_type) = asked.content_type {
        headers.insert(header::CONTENT_TYPE, content_type.clone());
    }
    let mut response = if let [part] = parts {
        let range = format!("bytes {}-{}/{}", part.start, part.end - 1, chosen.length);
        headers.insert(header::CONTENT_RANGE, HeaderValue::try_from(range).expect("digits"));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(part.end - part.start));
        of_range(&chosen.source, part.clone())
    } else {
        let content_type = headers.get(header::CONTENT_TYPE);
        let (body, length, media_type) = body::multipart(&chosen.source, parts, chosen.length, content_type);
        headers.insert(header::CONTENT_TYPE, media_type);
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        Response::new(body)
    };
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    *response.headers_mut() = headers;
    response
}

/// A body, and for those who can send it so the part of the file that it is.
fn of_range(source: &Source, range: Range<u64>) -> Response {
    let mut response = Response::new(body::range(source, range.clone()));
    if let Source::File(on_disk) = source {
        response.extensions_mut().insert(Region::new(on_disk, range));
    }
    response
}

/// A head that says what the file is, without describing a body that does not come (RFC 9110 §15.4.5).
fn without_content(status: StatusCode, chosen: &Representation) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    *response.headers_mut() = chosen.head.clone();
    for name in [header::CONTENT_TYPE, header::CONTENT_LENGTH, header::CONTENT_ENCODING, header::ACCEPT_RANGES] {
        response.headers_mut().remove(name);
    }
    response
}
