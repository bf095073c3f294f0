//! The checked configuration: what the rest of the program works with.
//!
//! Every value here has been checked and carries its unit in its type. It is made once, by
//! `load`, and never changes.

mod clients;
mod layout;
mod lifecycle;
mod rules;
mod site;
mod tls;

use std::{
    net::SocketAddr,
    num::{NonZeroU32, NonZeroU64, NonZeroUsize},
    os::fd::RawFd,
    path::PathBuf,
    time::Duration,
};

use serde::{Deserialize, Serialize};

mod files;

pub use self::clients::{Clients, ErrorDetails, ForwardedHeaders, Health, Network, RateKey, RateLimit, Rates};
pub use files::{CacheRule, Compression, CompressionMode, Fallback, Files, InternalRoot};
pub use layout::{Layout, Served, Site};
pub use lifecycle::{Changes, ControlSocket, Lifecycle, ReloadCheck};
pub use rules::{
    ErrorPage, ErrorStatus, FieldRule, LARGEST_ERROR_PAGE, PathPattern, Piece, Redirect, Return, Rewrite, Rules, Target,
};
pub use site::{Application, Host, Mount, Section, Sites};
pub use tls::{
    CertificateFiles, ClientAuth, Endpoint, Hsts, HstsScope, SettingFile, Tls, TlsMode, TlsVersion, Transport,
};

/// The whole configuration of one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The profile whose defaults are in force.
    pub profile: Profile,
    /// The application, or how to look for it.
    pub app: AppSource,
    /// The directory the application runs in, absolute; it is first on `sys.path`.
    pub chdir: PathBuf,
    /// The virtual environment that was named; `None` looks for one.
    pub venv: Option<PathBuf>,
    /// Variables read from `env_file`, in order. They have been checked, not set.
    pub env: Vec<(String, String)>,
    /// Where to listen, at least one.
    pub bind: Vec<Endpoint>,
    /// Static roots, longest prefix first.
    pub statics: Vec<StaticRoot>,
    /// How files are served, and what is compressed.
    pub files: Files,
    /// Sites beside the one that these keys make, and the rules of that one.
    pub sites: Sites,
    /// Encryption.
    pub tls: Tls,
    /// What a worker is.
    pub isolation: Isolation,
    /// Interpreters or processes, as `isolation` has it.
    pub workers: NonZeroUsize,
    /// Whether the user set the number of workers; else it is the default.
    pub workers_given: bool,
    /// Threads of each worker.
    pub threads: NonZeroUsize,
    /// Whether the user set the number of threads; else it is the default.
    pub threads_given: bool,
    /// The application is imported once, and worker processes are forked from there. It comes with no other isolation
    /// than `processes` and `auto`, which it makes `processes`.
    pub preload: bool,
    /// Sizes and counts.
    pub limits: Limits,
    /// Times.
    pub timeouts: Timeouts,
    /// When a worker is replaced by a new one.
    pub recycling: Recycling,
    /// How clients are told apart and kept within limits.
    pub clients: Clients,
    /// How the server is started, replaced and stopped.
    pub lifecycle: Lifecycle,
    /// What is logged, how and where.
    pub log: Log,
}

/// Which defaults are in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// For the laptop.
    Dev,
    /// For everywhere else.
    Prod,
}

/// What a worker is: where its Python runs, and what runs in parallel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// The best that Python and the application allow: threads, interpreters, processes, in this order.
    Auto,
    /// Interpreters with a GIL each, in this process. An extension module has to support it.
    Interpreters,
    /// The main interpreter of this process is the one worker. Its threads run in parallel on a free-threaded Python.
    Threads,
    /// The main interpreters of child processes.
    Processes,
}

/// The application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppSource {
    /// Named by the user.
    Named(AppSpec),
    /// To be found in [`Config::chdir`].
    Search,
    /// There is none.
    None,
}

/// `MODULE[:CALLABLE]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppSpec {
    /// Dotted name of the module.
    pub module: String,
    /// The callable in it; `None` tries `application`, then `app`.
    pub callable: Option<Callable>,
}

/// The part of [`AppSpec`] after the colon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callable {
    /// Dotted path of attributes below the module.
    pub path: String,
    /// Written `name()`: a factory that is called once and returns the application.
    pub factory: bool,
}

/// The address of a listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bind {
    /// `HOST:PORT`, resolved. One name may give several addresses.
    Tcp {
        /// As the user wrote it.
        written: String,
        /// What it means.
        addresses: Vec<SocketAddr>,
    },
    /// `unix:PATH`.
    Unix(PathBuf),
    /// `fd://N`: a listening socket that was inherited.
    Fd(RawFd),
}

/// `[PREFIX=]DIR`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticRoot {
    /// The owned prefix, beginning with `/` and without one at its end; `None` is a document root that is tried before
    /// the application.
    pub prefix: Option<String>,
    /// The directory, absolute, with symbolic links resolved.
    pub directory: PathBuf,
}

/// Sizes in bytes, and counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The kernel's accept queue of each listener.
    pub backlog: u32,
    /// Jobs that may wait for a thread.
    pub queue_size: usize,
    /// The largest request body.
    pub max_body_size: u64,
    /// The largest request head: request line and fields.
    pub max_head_size: NonZeroUsize,
    /// The longest request line.
    pub max_request_line_size: NonZeroUsize,
    /// The most fields of a request head.
    pub max_header_fields: NonZeroUsize,
    /// Whether HTTP/2 is spoken.
    pub http2: bool,
    /// Requests that may be in flight on one HTTP/2 connection.
    pub http2_max_streams: NonZeroU32,
    /// A request body up to this size stays in memory.
    pub body_buffer_size: usize,
    /// As much of a response as may wait in memory for its client.
    pub response_buffer_size: usize,
    /// As much of a response as may wait on disk for its client; then the worker waits.
    pub max_response_spill: u64,
    /// Where bodies wait on disk.
    pub temp_dir: PathBuf,
    /// Open connections at a time.
    pub max_connections: NonZeroU64,
}

/// Durations. `None` means no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the first byte of a request to the end of its head.
    pub header: Duration,
    /// The longest pause while a request body is read.
    pub body: Duration,
    /// The longest pause in which the client takes no byte of a response.
    pub send: Duration,
    /// How long a connection may wait for its next request.
    pub idle: Duration,
    /// From the complete request to the head of its response.
    pub request: Option<Duration>,
    /// How much longer a request may run that is past its request timeout.
    pub kill: Duration,
    /// A request that runs for longer is logged while it runs.
    pub slow_request: Option<Duration>,
    /// Whether an exception is raised in a request whose client has left.
    pub interrupt_on_disconnect: bool,
    /// How long a stop accepts connections before it begins.
    pub drain_delay: Duration,
    /// How long a stop waits for what is in flight.
    pub grace_period: Duration,
}

/// When a worker is replaced by a new one. `None` means never.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recycling {
    /// After as many requests.
    pub max_requests: Option<NonZeroU64>,
    /// Up to as many more, by chance.
    pub jitter: u64,
    /// When its process takes more bytes.
    pub max_memory: Option<NonZeroU64>,
    /// After it has served for so long.
    pub max_lifetime: Option<Duration>,
}

/// What is logged, how and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The least serious level that is logged.
    pub level: LogLevel,
    /// Form of the log lines, the access log's included.
    pub format: LogFormat,
    /// Where the access log goes.
    pub access: AccessLog,
}

/// Levels, the most serious first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LogLevel {
    /// Somebody must act.
    Error,
    /// Unexpected, recovered.
    Warn,
    /// Lifecycle.
    Info,
    /// Per connection.
    Debug,
    /// Everything.
    Trace,
}

/// Form of the log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogFormat {
    /// For people; the access log in combined format.
    Text,
    /// One JSON object a line.
    Json,
    /// For people at a terminal: as little as will do.
    Short,
}

/// Where the access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// Standard output.
    Stdout,
    /// A file, appended to.
    File(PathBuf),
    /// Nowhere.
    Off,
}
