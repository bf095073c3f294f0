//! What all connections share: sites, limits, counters.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use http::HeaderValue;
use stack_bridge::{Queue, RequestId};
use stack_config::{Config, ErrorDetails, Limits, Rates, Timeouts};

use crate::{
    access_log::Sender, admission::Admission, application::Application, development::Development, files::FileService,
    health::Health, https, metrics::Metrics, site::Sites, strict::head::HeadLimits, tls::Tls,
};

/// Everything a connection needs. It lives until the last connection has ended.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) sites: Sites,
    pub(crate) limits: Arc<Limits>,
    pub(crate) head_limits: HeadLimits,
    pub(crate) timeouts: Timeouts,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) log: Option<Sender>,
    /// There wherever a listener speaks TLS.
    pub(crate) tls: Option<Arc<Tls>>,
    /// Whether plain TCP connections are sent to the encrypted listener.
    pub(crate) https_redirect: bool,
    /// What browsers are told over TLS to remember.
    pub(crate) hsts: Option<HeaderValue>,
    pub(crate) admission: Admission,
    pub(crate) health: Arc<Health>,
    pub(crate) keepalive_requests: u64,
    pub(crate) security_headers: bool,
    /// Who is shown why an application failed.
    pub(crate) error_details: ErrorDetails,
    /// Whether responses say how long they took.
    pub(crate) tells_times: bool,
    pub(crate) rates: Rates,
    /// There only where somebody writes the application.
    pub(crate) development: Option<Development>,
    ids: Ids,
}

impl Server {
    /// With a queue for each application of the configuration's layout, in its order.
    pub(crate) fn new(config: &Config, queues: Vec<Queue>, log: Option<Sender>) -> Self {
        let metrics = Arc::new(Metrics::new(queues.len()));
        let limits = Arc::new(config.limits.clone());
        let health = Arc::new(Health::new(config.clients.health.path.clone()));
        let rates = config.clients.rates;
        let application = |(place, queue)| {
            let (pressure, limits) = (health.watch(queue), Arc::clone(&limits));
            let application = Application::new(pressure, limits, &config.timeouts, rates, Arc::clone(&metrics));
            Arc::new(application.at(place))
        };
        let applications: Vec<_> = queues.into_iter().enumerate().map(application).collect();
        Self {
            sites: Sites::new(config.layout(), &applications, &FileService::new(&config.files)),
            head_limits: HeadLimits {
                line: limits.max_request_line_size.get(),
                head: limits.max_head_size.get(),
                fields: limits.max_header_fields.get(),
                chunk: limits.max_body_size,
            },
            limits,
            timeouts: config.timeouts.clone(),
            admission: Admission::new(&config.clients, Arc::clone(&metrics)),
            health,
            keepalive_requests: config.clients.keepalive_requests.map_or(u64::MAX, NonZero::get),
            security_headers: config.clients.security_headers,
            error_details: config.clients.error_details,
            tells_times: config.clients.server_timing,
            rates,
            metrics,
            log,
            tls: None,
            https_redirect: config.tls.https_redirect,
            hsts: config.tls.hsts.map(https::hsts),
            development: None,
            ids: Ids::new(),
        }
    }

    pub(crate) fn next_id(&self) -> RequestId {
        self.ids.next()
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
