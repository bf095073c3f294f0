//! What all connections share: routes, limits, counters.

use std::{
    collections::hash_map::RandomState,
    convert::Infallible,
    hash::BuildHasher,
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use axum::{Router, body::Body, response::Response};
use http::Request;
use stack_bridge::{Queue, RequestId};
use stack_config::{Config, Limits, Rates, StaticRoot, Timeouts};
use tower::service_fn;

use crate::{
    access_log::Sender,
    admission::Admission,
    application::Application,
    files::{DocumentRoot, OwnedPrefix},
    health::Health,
    metrics::Metrics,
};

/// Everything a connection needs. It lives until the last connection has ended.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) router: Router,
    pub(crate) limits: Arc<Limits>,
    pub(crate) timeouts: Timeouts,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) log: Option<Sender>,
    pub(crate) admission: Admission,
    pub(crate) health: Arc<Health>,
    pub(crate) keepalive_requests: u64,
    pub(crate) security_headers: bool,
    pub(crate) rates: Rates,
    ids: Ids,
}

impl Server {
    pub(crate) fn new(config: &Config, queue: Queue, log: Option<Sender>) -> Self {
        let metrics = Arc::new(Metrics::default());
        let limits = Arc::new(config.limits.clone());
        let health = Arc::new(Health::new(config.clients.health.path.clone()));
        let pressure = health.watch(queue.clone());
        let application = Application::new(queue, Arc::clone(&limits), config, Arc::clone(&metrics), pressure);
        Self {
            router: router(&config.statics, application),
            limits,
            timeouts: config.timeouts.clone(),
            admission: Admission::new(&config.clients, Arc::clone(&metrics)),
            health,
            keepalive_requests: config.clients.keepalive_requests.map_or(u64::MAX, NonZero::get),
            security_headers: config.clients.security_headers,
            rates: config.clients.rates,
            metrics,
            log,
            ids: Ids::new(),
        }
    }

    pub(crate) fn next_id(&self) -> RequestId {
        self.ids.next()
    }
}

/// Owned prefixes first, then the document roots, then the application.
fn router(statics: &[StaticRoot], application: Application) -> Router {
    let mut router = Router::new();
    let mut document_roots = Vec::new();
    for StaticRoot { prefix, directory } in statics {
        let Some(prefix) = prefix else {
            document_roots.push(DocumentRoot::new(directory.clone()));
            continue;
        };
        let owned = Arc::new(OwnedPrefix::new(prefix.clone(), directory.clone()));
        let service = service_fn(move |request: Request<Body>| {
            let owned = Arc::clone(&owned);
            let (parts, _body) = request.into_parts();
            async move { Ok::<_, Infallible>(owned.respond(&parts).await) }
        });
        // Braces are axum's; doubled they are plain.
        let literal = prefix.replace('{', "{{").replace('}', "}}");
        router = router
            .route_service(&literal, service.clone())
            .route_service(&format!("{literal}/"), service.clone())
            .route_service(&format!("{literal}/{{*rest}}"), service);
    }
    let site = Arc::new((document_roots, application));
    router.fallback_service(service_fn(move |request: Request<Body>| {
        let site = Arc::clone(&site);
        async move {
            let (document_roots, application) = &*site;
            Ok::<_, Infallible>(respond(document_roots, application, request).await)
        }
    }))
}

async fn respond(document_roots: &[DocumentRoot], application: &Application, request: Request<Body>) -> Response {
    if document_roots.is_empty() {
        return application.respond(request).await;
    }
    let (parts, body) = request.into_parts();
    for root in document_roots {
        if let Some(response) = root.respond(&parts).await {
            return response;
        }
    }
    application.respond(Request::from_parts(parts, body)).await
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
