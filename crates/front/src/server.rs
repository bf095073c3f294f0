//! What all connections share: routes, limits, counters.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use axum::{body::Body, response::Response};
use http::Request;
use stack_bridge::{Queue, RequestId};
use stack_config::{Config, Limits, Timeouts};

use crate::{
    access_log::Sender,
    application::Application,
    compression::{self, Policy},
    files::{Internal, Shared, StaticFiles},
    metrics::Metrics,
    request::Context,
};

/// Everything a connection needs. It lives until the last connection has ended.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) site: Site,
    pub(crate) limits: Arc<Limits>,
    pub(crate) timeouts: Timeouts,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) log: Option<Sender>,
    ids: Ids,
}

impl Server {
    pub(crate) fn new(config: &Config, queue: Queue, log: Option<Sender>) -> Self {
        let metrics = Arc::new(Metrics::default());
        let limits = Arc::new(config.limits.clone());
        let application = Application::new(queue, Arc::clone(&limits), &config.timeouts, Arc::clone(&metrics));
        Self {
            site: Site::new(config, application),
            limits,
            timeouts: config.timeouts.clone(),
            metrics,
            log,
            ids: Ids::new(),
        }
    }

    pub(crate) fn next_id(&self) -> RequestId {
        self.ids.next()
    }
}

/// What answers requests: static files first, then the application.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) files: StaticFiles,
    internal: Internal,
    compression: Policy,
    application: Application,
}

impl Site {
    fn new(config: &Config, application: Application) -> Self {
        let compression = Policy::new(&config.files.compression);
        let shared = Arc::new(Shared::new(&config.files, compression.clone()));
        Self {
            files: StaticFiles::new(&config.statics, &config.files, &shared),
            internal: Internal::new(&config.files, &shared),
            compression,
            application,
        }
    }

    pub(crate) async fn respond(&self, request: Request<Body>) -> Response {
        let (parts, body) = request.into_parts();
        if let Some(response) = self.files.respond(&parts).await {
            return response;
        }
        let id = parts.extensions.get::<Context>().expect("every request gets one before its route").id;
        let (facts, kept) = (compression::Facts::of(&parts), self.internal.keep(&parts));
        let response = self.application.respond(Request::from_parts(parts, body)).await;
        let response = self.internal.apply(kept, id, response).await;
        compression::apply(&self.compression, &facts, response).await
    }
}

/// Request ids: unique within the process, and not to be guessed from one another.
#[derive(Debug)]
struct Ids {
    next: AtomicU64,
}

impl Ids {
    fn new() -> Self {
        // The one source of randomness in the standard library.
        Self { next: AtomicU64::new(RandomState::new().hash_one(std::process::id())) }
    }

    fn next(&self) -> RequestId {
        // SplitMix64: a bijection, so that no id comes twice in 2^64.
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut id = self.next.fetch_add(STEP, Relaxed);
        id = (id ^ (id >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        id = (id ^ (id >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        RequestId(id ^ (id >> 31))
    }
}
