//! What the tests of this crate share: jobs made by hand, and a wait without a runtime.

use std::{path::Path, sync::Arc, time::Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Version};

use crate::{BodyLimits, Job, Local, Peer, Reply, Request, RequestBody, RequestId, ResponseHead, Scheme, exchange};

pub(crate) fn limits(memory: usize, spill: u64) -> BodyLimits {
    BodyLimits { memory, spill, directory: Path::new("/tmp").into() }
}

pub(crate) fn ok_head() -> ResponseHead {
    ResponseHead { status: StatusCode::OK, reason: None, headers: HeaderMap::new() }
}

pub(crate) fn job() -> (Job, Reply) {
    let request = Request {
        id: RequestId(1),
        method: Method::GET,
        target: Bytes::from_static(b"/"),
        path: Bytes::from_static(b"/"),
        script_name: Bytes::new(),
        query: Bytes::new(),
        version: Version::HTTP_11,
        headers: HeaderMap::new(),
        scheme: Scheme::Http,
        tls: None,
        peer: Peer::Unix,
        local: Arc::new(Local { name: "localhost".into(), port: "80".into() }),
        body: RequestBody::Empty,
        connection: None,
        received_at: Instant::now(),
        details: None,
    };
    let (responder, reply) = exchange(limits(16, 0));
    (Job { request: Box::new(request), responder, deadline: None, retried: false }, reply)
}

#[cfg(not(loom))]
pub(crate) use waiting::{block_on, head};

#[cfg(not(loom))]
mod waiting {
    use std::{
        future::Future,
        pin::pin,
        sync::Arc,
        task::{Context, Poll, Wake},
        thread::{self, Thread},
    };

    use crate::{Failure, Reply, ResponseHead};

    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
        let mut future = pin!(future);
        let waker = Arc::new(Unpark(thread::current())).into();
        loop {
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(output) => return output,
                Poll::Pending => thread::park(),
            }
        }
    }

    pub(crate) fn head(reply: &mut Reply) -> Result<ResponseHead, Failure> {
        block_on(reply.head())
    }
}
