//! Files in memory as they go out: head and content, made once and sent often.

use std::{
    borrow::Cow,
    sync::{Arc, OnceLock},
};

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use stack_bridge::Scheme;

use super::{
    body::PIECE,
    cache::Hot,
    response::{self, Asked},
    root::Root,
    version::Source,
};
use crate::{compression::Accepted, ready::serialised};

/// A file in memory that a path names.
#[derive(Debug)]
pub(crate) struct InMemory<'a> {
    pub(super) root: &'a Arc<Root>,
    pub(super) hot: Arc<Hot>,
    /// Below the root, decoded.
    pub(super) path: Cow<'a, [u8]>,
}

/// The whole of a file: the head of its response but for the date and the empty line at its end, and what follows.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) head: Bytes,
    pub(crate) content: Bytes,
}

/// The heads of one representation: they depend on the encryption. `None` for one that is not for everybody.
#[derive(Debug, Default)]
pub(super) struct Heads([OnceLock<Option<Bytes>>; 2]);

impl InMemory<'_> {
    /// The answer to a request without conditions; `dress` adds to it what every response of the site gets. `None` where it
    /// has to be made anew for each request.
    pub(crate) fn ready(
        &self,
        accepted: impl FnOnce() -> Accepted,
        scheme: Scheme,
        dress: impl FnOnce(&mut Response),
    ) -> Option<Content> {
        let Self { root, hot, path } = self;
        let mut derived = None;
        let chosen = response::choose_whole(root, hot, path, accepted, &mut derived);
        let Source::Memory(content) = &chosen.source else { return None };
        if content.len() > PIECE {
            return None;
        }
        let head = chosen.heads.0[scheme as usize].get_or_init(|| {
            let asked = Asked { method: &Method::GET, headers: &HeaderMap::new(), path, content_type: None };
            let mut response = response::represented(&asked, root, hot, chosen);
            dress(&mut response);
            let fields = response.headers();
            // The site may say itself what is the connection's or the clock's to say.
            let is_fixed = fields.contains_key(header::DATE) || fields.contains_key(header::CONNECTION);
            (!is_fixed).then(|| serialised(StatusCode::OK, fields, None))
        });
        Some(Content { head: head.clone()?, content: content.clone() })
    }
}
