//! A front on a port of its own, and the workers behind it.

use std::{
    net::SocketAddr,
    num::NonZero,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use stack_bridge::{Flow, Job, Push, Queue, ResponseHead, WorkerId};
use stack_config::{
    AccessLog, AppSource, Bind, Clients, Compression, CompressionMode, Config, Endpoint, Files, Isolation, Lifecycle,
    Limits, Log, LogFormat, LogLevel, Network, Profile, Recycling, Sites, StaticRoot, Timeouts,
};
use stack_front::{Drained, Front, Listeners, Metrics, Snapshot, Stop, Tls};
use tokio::{runtime::Runtime, sync::watch, task::JoinHandle};

use crate::client::{Client, PATIENCE};

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// Of all TCP listeners.
    pub(crate) addresses: Vec<SocketAddr>,
    /// The first admin listener, if there is one.
    pub(crate) admin: Option<SocketAddr>,
    /// Of the applications, in the order of the layout.
    pub(crate) queues: Vec<Queue>,
    pub(crate) metrics: Arc<Metrics>,
    stop: watch::Sender<Stop>,
    serving: Option<JoinHandle<Drained>>,
    runtime: Runtime,
}

impl Server {
    /// Starts a front with no worker behind it.
    pub(crate) fn start(configure: impl FnOnce(&mut Config)) -> Self {
        let mut config = config();
        configure(&mut config);
        let listeners = Listeners::bind(&config.bind, config.limits.backlog).unwrap();
        let addresses = listeners.addresses();
        let admin_listeners = Listeners::bind(&config.clients.health.admin_bind, 16).unwrap();
        let admin = admin_listeners.addresses().first().copied();
        let queue = |_| Queue::shedding(config.limits.queue_size, config.clients.queue_target);
        let queues: Vec<_> = config.layout().applications.iter().map(queue).collect();
        let tls = Tls::load(&config.tls, &config.bind, config.limits.http2).unwrap();
        let front = Front::new(&config, queues.clone()).unwrap().with_tls(tls);
        let metrics = front.metrics();
        let (stop, stopped) = watch::channel(Stop::Serving);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.spawn(front.admin().serve(admin_listeners, std::future::pending()));
        let serving = Some(runtime.spawn(front.serve(listeners, stopped)));
        Self { address: addresses[0], addresses, admin, queues, metrics, stop, serving, runtime }
    }

    /// Starts a front with one worker of one thread.
    pub(crate) fn with(configure: impl FnOnce(&mut Config), application: impl Fn(Job) + Send + 'static) -> Self {
        let server = Self::start(configure);
        server.worker(application);
        server
    }

    pub(crate) fn worker(&self, application: impl Fn(Job) + Send + 'static) {
        self.worker_of(0, application);
    }

    /// A worker of the application at this place of the layout.
    pub(crate) fn worker_of(&self, place: usize, application: impl Fn(Job) + Send + 'static) {
        let mut consumer = self.queues[place].consumer(WorkerId(7));
        thread::spawn(move || {
            while let Ok(job) = consumer.take() {
                application(job);
            }
        });
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.metrics.snapshot()
    }

    pub(crate) fn order(&self, stop: Stop) {
        self.stop.send_replace(stop);
    }

    /// Waits for the end of the drain.
    pub(crate) fn drained(&mut self) -> Drained {
        let serving = self.serving.take().unwrap();
        let patient = async { tokio::time::timeout(PATIENCE, serving).await };
        self.runtime.block_on(patient).expect("drained in time").unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(Stop::Aborting);
        self.queues.iter().for_each(Queue::close);
    }
}

pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        thread::yield_now();
    }
}

/// A configuration in which no timeout plays a part.
fn config() -> Config {
    Config {
        profile: Profile::Prod,
        app: AppSource::Search,
        chdir: "/".into(),
        venv: None,
        env: Vec::new(),
        bind: vec![Endpoint::plain(loopback())],
        tls: stack_config::Tls::default(),
        statics: Vec::new(),
        files: Files {
            fallbacks: Vec::new(),
            cache_rules: Vec::new(),
            cache_memory: 64 << 20,
            listings: Vec::new(),
            internal: Vec::new(),
            sendfile: Vec::new(),
            django: false,
            compression: Compression { mode: CompressionMode::Safe, min_size: 1024, types: Vec::new() },
        },
        sites: Sites::default(),
        isolation: Isolation::Auto,
        workers: NonZero::<usize>::MIN,
        workers_given: false,
        threads_given: false,
        threads: NonZero::<usize>::MIN,
        preload: false,
        limits: Limits {
            backlog: 64,
            queue_size: 16,
            max_body_size: 1 << 20,
            max_head_size: NonZero::new(16 * 1024).unwrap(),
            max_request_line_size: NonZero::new(8 * 1024).unwrap(),
            max_header_fields: NonZero::new(100).unwrap(),
            http2: true,
            http2_max_streams: NonZero::new(100).unwrap(),
            body_buffer_size: 1024,
            response_buffer_size: 64 * 1024,
            max_response_spill: 1 << 30,
            temp_dir: std::env::temp_dir(),
            max_connections: NonZero::new(100).unwrap(),
        },
        timeouts: Timeouts {
            header: Duration::from_mins(1),
            body: Duration::from_mins(1),
            send: Duration::from_mins(1),
            idle: Duration::from_mins(1),
            request: None,
            kill: Duration::from_mins(1),
            slow_request: None,
            interrupt_on_disconnect: false,
            drain_delay: Duration::ZERO,
            grace_period: Duration::from_mins(1),
        },
        recycling: Recycling::default(),
        clients: Clients::default(),
        lifecycle: Lifecycle::default(),
        log: Log { level: LogLevel::Info, format: LogFormat::Text, access: AccessLog::Off },
    }
}

/// Any port of this machine.
pub(crate) fn loopback() -> Bind {
    Bind::Tcp { written: "127.0.0.1:0".into(), addresses: vec!["127.0.0.1:0".parse().unwrap()] }
}

pub(crate) fn network(first: &str, prefix: u8) -> Network {
    Network::Block { first: first.parse().unwrap(), prefix }
}

pub(crate) fn static_root(prefix: Option<&str>, directory: &std::path::Path) -> StaticRoot {
    StaticRoot { prefix: prefix.map(str::to_owned), directory: directory.canonicalize().unwrap() }
}

pub(crate) fn head(status: u16, fields: &[(&'static str, &str)]) -> ResponseHead {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    ResponseHead { status: StatusCode::from_u16(status).unwrap(), reason: None, headers }
}

/// An application that holds its thread with each job that it hands out, for as long as the sender is there.
pub(crate) fn holding() -> (impl Fn(Job) + Send + 'static, mpsc::Receiver<Job>, mpsc::Sender<()>) {
    let (jobs, job) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let application = move |job| {
        let _ = jobs.send(job);
        let _ = released.recv();
    };
    (application, job, release)
}

/// Answers with 200 and a body.
pub(crate) fn respond(job: Job, body: impl AsRef<[u8]>) {
    let Job { request, mut responder, deadline: _, retried: _ } = job;
    drop(request);
    let body = body.as_ref();
    let length = body.len().to_string();
    let head = head(200, &[("content-length", &length)]);
    let _ = responder.push(&mut Push { head: Some((head, Flow::Buffered)), block: body, last: true, may_wait: false });
}

/// Answers with what was asked for: method, path, query and body.
pub(crate) fn echo(mut job: Job) {
    use std::io::Read;

    let request = &mut job.request;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut answer = format!("{} {} {} ", request.method, text(&request.path), text(&request.query)).into_bytes();
    let body = std::mem::replace(&mut request.body, stack_bridge::RequestBody::Empty);
    body.into_reader().read_to_end(&mut answer).unwrap();
    respond(job, answer);
}
