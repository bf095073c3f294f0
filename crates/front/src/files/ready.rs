//! Files as they go out at once: those in memory, with a head that is made once and sent often, and large ones, which the
//! kernel sends.

use std::{
    borrow::Cow,
    sync::{Arc, OnceLock},
};

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use stack_bridge::Scheme;

use super::{
    body::PIECE,
    cache::Hot,
    part::{FilePart, OnDisk, Region},
    response::{self, Asked},
    root::Root,
    version::{Representation, Source},
};
use crate::{
    compression::{Accepted, Coding},
    ready::serialised,
};

/// A file that a path names: in memory, or open.
#[derive(Debug)]
pub(crate) struct AtHand<'a> {
    pub(super) root: &'a Arc<Root>,
    pub(super) hot: Arc<Hot>,
    /// Below the root, decoded.
    pub(super) path: Cow<'a, [u8]>,
}

/// What of a request the answer depends on: it has no conditions, but may be for a part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish<'a> {
    pub(crate) is_head: bool,
    pub(crate) accept_encoding: Option<&'a [u8]>,
    pub(crate) range: Option<&'a [u8]>,
    pub(crate) if_range: Option<&'a [u8]>,
    pub(crate) scheme: Scheme,
    /// Files may go out there without being read.
    pub(crate) sends_files: bool,
}

/// The head of a response but for the date and the empty line at its end, and what follows.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) status: StatusCode,
    pub(crate) head: Bytes,
    pub(crate) body: ContentBody,
}

/// What follows a head.
#[derive(Debug)]
pub(crate) enum ContentBody {
    Memory(Bytes),
    /// In a box, since most answers have none.
    File(Box<FilePart>),
}

/// The heads of one representation: they depend on the encryption. `None` for one that is not for everybody.
#[derive(Debug, Default)]
pub(super) struct Heads([OnceLock<Option<Bytes>>; 2]);

impl Wish<'_> {
    fn accepted(&self) -> Accepted {
        Accepted::of_values(self.accept_encoding.into_iter())
    }

    fn headers(&self) -> HeaderMap {
        let fields = [
            (header::ACCEPT_ENCODING, self.accept_encoding),
            (header::RANGE, self.range),
            (header::IF_RANGE, self.if_range),
        ];
        let value = |value: Option<&[u8]>| HeaderValue::from_bytes(value?).ok();
        fields.into_iter().filter_map(|(name, text)| Some((name, value(text)?))).collect()
    }
}

impl AtHand<'_> {
    /// The answer; `dress` adds to it what every response of the site gets. `None` where it has to be made on the long way.
    pub(crate) fn answer(&self, wish: &Wish<'_>, dress: impl FnOnce(&mut Response)) -> Option<Content> {
        let mut derived = None;
        let chosen = response::choose_whole(self.root, &self.hot, &self.path, || wish.accepted(), &mut derived);
        match &chosen.source {
            Source::Memory(content, on_disk) if wish.range.is_none() && content.len() <= PIECE => {
                let head = chosen.heads.0[wish.scheme as usize]
                    .get_or_init(|| self.head(&Method::GET, &HeaderMap::new(), chosen, dress).map(|it| it.head));
                let part = on_disk.as_ref().filter(|_| wish.sends_files && !wish.is_head).and_then(OnDisk::ready);
                let body = match part {
                    Some(part) => ContentBody::File(Box::new(part)),
                    None if wish.is_head => ContentBody::Memory(Bytes::new()),
                    None => ContentBody::Memory(content.clone()),
                };
                Some(Content { status: StatusCode::OK, head: head.clone()?, body })
            }
            Source::File(_) if wish.sends_files && !self.will_be_compressed(chosen, wish) => {
                let method = if wish.is_head { Method::HEAD } else { Method::GET };
                let Made { status, head, region } = self.head(&method, &wish.headers(), chosen, dress)?;
                let part = FilePart::new(region?);
                let has_body = !wish.is_head && part.left() > 0;
                let body = if has_body { ContentBody::File(Box::new(part)) } else { ContentBody::Memory(Bytes::new()) };
                Some(Content { status, head, body })
            }
            _ => None,
        }
    }

    /// Whether the long way takes the file into memory for this client, to compress it there.
    fn will_be_compressed(&self, chosen: &Representation, wish: &Wish<'_>) -> bool {
        chosen.coding.is_none()
            && self.hot.version.is_compressible
            && self.root.keeps(chosen.length)
            && wish.accepted().best(Coding::BY_SIZE).is_some()
    }

    fn head(
        &self,
        method: &Method,
        headers: &HeaderMap,
        chosen: &Representation,
        dress: impl FnOnce(&mut Response),
    ) -> Option<Made> {
        let asked = Asked { method, headers, path: &self.path, content_type: None };
        let mut response = response::represented(&asked, self.root, &self.hot, chosen);
        dress(&mut response);
        let region = response.extensions_mut().remove();
        let fields = response.headers();
        // The site may say itself what is the connection's or the clock's to say.
        let is_fixed = fields.contains_key(header::DATE) || fields.contains_key(header::CONNECTION);
        let status = response.status();
        (!is_fixed).then(|| Made { status, head: serialised(status, fields), region })
    }
}

#[cfg(feature = "counts")]
impl AtHand<'_> {
    /// The head, made as for the first request.
    pub(crate) fn make_head(
        &self,
        accepted: impl FnOnce() -> Accepted,
        dress: impl FnOnce(&mut Response),
    ) -> Option<Bytes> {
        let mut derived = None;
        let chosen = response::choose_whole(self.root, &self.hot, &self.path, accepted, &mut derived);
        self.head(&Method::GET, &HeaderMap::new(), chosen, dress).map(|made| made.head)
    }

    /// No look at the file is due any more.
    pub(crate) fn stays(&self) {
        self.hot.stays();
    }
}

/// A head that was made for one request.
struct Made {
    status: StatusCode,
    head: Bytes,
    /// What of a file follows.
    region: Option<Region>,
}
