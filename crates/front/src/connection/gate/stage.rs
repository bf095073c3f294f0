//! What a gate does with the bytes that come, request by request.

use super::body::Body;
use crate::{
    direct::UnderWay,
    ready::Answer,
    strict::{
        Malformed,
        head::{HeadLimits, HeadReader},
    },
};

/// What the next inbound bytes are.
#[derive(Debug)]
pub(super) enum Stage<'a> {
    /// A head, or the one empty line that may stand before it (RFC 9112 §2.2).
    Head {
        reader: HeadReader,
        may_skip: bool,
    },
    /// This many bytes of a head that has passed, and then its body.
    Passing(usize, Body),
    Body(Body),
    /// The next request's: they wait for the end of this one.
    Waiting,
    /// A body that breaks the rules: hyper is told so as often as it asks.
    Broken(Malformed),
    /// A head that has passed, with a body that is small. If that is here already, hyper need not hear of the request.
    Gathering(Extent),
    /// The application has the request. hyper does not, or not yet.
    Asked(Extent, UnderWay<'a>),
    /// An answer that hyper did not make is on its way out.
    Ready(Answer),
    /// These stand in for a head that was refused; then nothing is of interest any more.
    Refused(&'static [u8]),
}

/// How many bytes of what is inbound are one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    pub(super) head: usize,
    pub(super) body: usize,
}

impl Extent {
    pub(super) fn whole(self) -> usize {
        self.head + self.body
    }
}

impl Stage<'_> {
    pub(super) fn head(limits: HeadLimits) -> Self {
        Self::Head { reader: HeadReader::new(limits), may_skip: true }
    }

    pub(super) fn passing(Extent { head, body }: Extent) -> Self {
        Self::Passing(head, Body::Length(body as u64))
    }

    pub(super) fn body(body: Body) -> Self {
        if body.is_done() { Self::Waiting } else { Self::Body(body) }
    }
}
