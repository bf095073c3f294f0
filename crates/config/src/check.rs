//! From what the user wrote to the checked [`Config`].
//!
//! Each value is checked by itself and every problem is noted. A value with a problem is replaced by a placeholder; the
//! [`Config`] with a placeholder in it never leaves [`load`](crate::load()).

mod app;
mod bind;
pub(crate) mod clients;
mod env_file;
mod files;
mod paths;
mod rules;
mod site;
mod statics;
mod tls;

use std::{
    num::{NonZeroU32, NonZeroU64, NonZeroUsize},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use crate::{
    AccessLog, AppSource, Config, Isolation, Lifecycle, Limits, Log, LogFormat, LogLevel, Profile, Rules, Sites,
    StaticRoot, Timeouts,
    error::{Problem, Reason},
    keys::{self, Key, Kind},
    layers::{Layers, SiteSection},
    origin::Origin,
    raw::{Raw, Several, Written},
    units,
};
use tls::RawTls;
pub use tls::local_ca;

/// A worker's number has 16 bits.
const MOST_WORKERS: u64 = u16::MAX as u64;
const MOST_THREADS: u64 = 4096;
/// `listen` takes an `int`.
const MOST_BACKLOG: u64 = i32::MAX as u64;
/// Far more than one machine has memory for.
const MOST: u64 = 1 << 32;

/// Room for a request line and a few fields.
const LEAST_HEAD: (u64, &str) = (1024, "1KiB");
/// A target longer than this is none to the libraries below.
const LONGEST_LINE: (u64, &str) = (60 * 1024, "60KiB");
/// Room for method, version and a short target.
const LEAST_LINE: (u64, &str) = (64, "64 bytes");
const MOST_FIELDS: u64 = 10_000;
const MOST_STREAMS: u64 = 10_000;

/// One block of a response must fit.
const LEAST_RESPONSE_BUFFER: (u64, &str) = (4096, "4KiB");

/// What a check gives: the configuration, and what is not in it but belongs to `stack config`.
pub(crate) struct Checked {
    pub(crate) config: Config,
    pub(crate) env_file: Option<PathBuf>,
}

/// Checks every value, with all problems noted in `problems`. It is one long list on purpose: a key that is added to
/// [`Raw`] does not build until it is here.
#[expect(clippy::too_many_lines, reason = "two of them for each key")]
pub(crate) fn check(
    raw: Raw,
    layers: &Layers,
    environment: &[(String, String)],
    problems: &mut Vec<Problem>,
) -> Checked {
    let Raw {
        profile,
        app,
        chdir,
        venv,
        env_file,
        isolation,
        workers,
        threads,
        preload,
        bind,
        backlog,
        max_connections,
        statics,
        spa_fallback,
        static_cache,
        static_cache_memory,
        static_listing,
        internal,
        sendfile,
        django_static,
        compression,
        compression_min_size,
        compression_types,
        mount,
        canonical_host,
        redirect,
        rewrite,
        returns,
        header,
        error_page,
        error_pages_for_application,
        tls,
        tls_cert,
        tls_key,
        tls_min_version,
        tls_client_ca,
        tls_client_auth,
        handshake_timeout,
        https_redirect,
        hsts,
        queue_size,
        max_head_size,
        max_request_line_size,
        max_header_fields,
        http2,
        http2_max_streams,
        max_body_size,
        body_buffer_size,
        response_buffer_size,
        max_response_spill,
        temp_dir,
        header_timeout,
        body_timeout,
        request_timeout,
        send_timeout,
        idle_timeout,
        grace_period,
        trusted_proxies,
        forwarded_headers,
        proxy_protocol,
        allow,
        deny,
        max_connections_per_address,
        rate_limit,
        rate_limit_burst,
        rate_limit_key,
        min_receive_rate,
        min_send_rate,
        min_rate_grace,
        send_rate_limit,
        keepalive_requests,
        queue_target,
        security_headers,
        health_path,
        admin_bind,
        supervisor,
        log_level,
        log_format,
        access_log,
    } = raw;
    let mut check = Check { layers, section: None, problems };

    let profile = check.word("profile", &profile, &[Profile::Dev, Profile::Prod]);
    let app = check.app(app);
    let chdir = check.path("chdir", chdir, paths::directory);
    let venv = check.path("venv", venv, paths::venv);
    let env_file = check.path("env_file", env_file, |path| Ok((env_file::read(&path, environment)?, path)));
    let isolations = [Isolation::Auto, Isolation::Interpreters, Isolation::Threads, Isolation::Processes];
    let isolation = check.word("isolation", &isolation, &isolations);
    let preload = check.preload(&preload, isolation);
    let workers_given = check.is_given("workers");
    let threads_given = check.is_given("threads");
    let workers = match workers {
        Some(workers) => check.non_zero_count("workers", &workers, MOST_WORKERS),
        None => thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
    };
    let threads = check.non_zero_count("threads", &threads, MOST_THREADS);

    let bind = check.several("bind", bind, bind::parse);
    if bind.is_empty() {
        check.no_value("bind");
    }
    check.no_repetition("bind", bind::repetition(&bind));
    let tls = RawTls {
        tls,
        tls_cert,
        tls_key,
        tls_min_version,
        tls_client_ca,
        tls_client_auth,
        handshake_timeout,
        https_redirect,
        hsts,
    };
    let tls = check.tls(tls, environment);
    let bind = check.transports(bind, tls.mode);
    let backlog = u32::try_from(check.count("backlog", &backlog, 1, MOST_BACKLOG)).unwrap_or(u32::MAX);
    let max_connections = check.count("max_connections", &max_connections, 1, MOST);
    let statics = check.statics(statics);
    let raw_files = files::RawFiles {
        spa_fallback,
        static_cache,
        static_cache_memory,
        static_listing,
        internal,
        sendfile,
        django_static,
        compression,
        compression_min_size,
        compression_types,
    };
    let files = check.files(raw_files);
    let written = rules::Written {
        canonical_host,
        redirect,
        rewrite,
        returns,
        header: Some(header),
        error_page: Some(error_page),
    };
    let sites = Sites {
        mounts: check.mounts(mount, &statics),
        rules: check.rules(written, Some(&error_pages_for_application), &Rules::default()),
        sections: Vec::new(),
    };

    let limits = Limits {
        backlog,
        queue_size: in_memory(check.count("queue_size", &queue_size, 0, MOST)),
        max_body_size: check.size("max_body_size", &max_body_size, (1, "1 byte")),
        max_head_size: NonZeroUsize::new(in_memory(check.size("max_head_size", &max_head_size, LEAST_HEAD)))
            .unwrap_or(NonZeroUsize::MIN),
        max_request_line_size: check.request_line(&max_request_line_size),
        max_header_fields: check.non_zero_count("max_header_fields", &max_header_fields, MOST_FIELDS),
        http2: check.switch("http2", &http2),
        http2_max_streams: NonZeroU32::new(
            u32::try_from(check.count("http2_max_streams", &http2_max_streams, 1, MOST_STREAMS)).unwrap_or(1),
        )
        .unwrap_or(NonZeroU32::MIN),
        body_buffer_size: in_memory(check.size("body_buffer_size", &body_buffer_size, (0, ""))),
        response_buffer_size: in_memory(check.size(
            "response_buffer_size",
            &response_buffer_size,
            LEAST_RESPONSE_BUFFER,
        )),
        max_response_spill: check.size("max_response_spill", &max_response_spill, (0, "")),
        temp_dir: check
            .path("temp_dir", temp_dir, paths::writable_directory)
            .unwrap_or_else(|| check.default_temp_dir()),
        max_connections: NonZeroU64::new(max_connections).unwrap_or(NonZeroU64::MIN),
    };
    let request_timeout = check.duration_or_zero("request_timeout", &request_timeout);
    let timeouts = Timeouts {
        header: check.duration("header_timeout", &header_timeout),
        body: check.duration("body_timeout", &body_timeout),
        send: check.duration("send_timeout", &send_timeout),
        idle: check.duration("idle_timeout", &idle_timeout),
        request: Some(request_timeout).filter(|timeout| !timeout.is_zero()),
        grace_period: check.duration_or_zero("grace_period", &grace_period),
    };
    let clients = check.clients(clients::Given {
        trusted_proxies,
        forwarded_headers,
        proxy_protocol,
        allow,
        deny,
        max_connections_per_address,
        rate_limit,
        rate_limit_burst,
        rate_limit_key,
        min_receive_rate,
        min_send_rate,
        min_rate_grace,
        send_rate_limit,
        keepalive_requests,
        queue_target,
        security_headers,
        health_path,
        admin_bind,
    });
    let lifecycle = Lifecycle { supervisor: check.switch("supervisor", &supervisor) };
    let levels = [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace];
    let log = Log {
        level: check.word("log_level", &log_level, &levels),
        format: check.word("log_format", &log_format, &[LogFormat::Text, LogFormat::Json]),
        access: check.one("access_log", &access_log, paths::access_log).unwrap_or(AccessLog::Off),
    };

    let chdir = chdir.unwrap_or_else(|| layers.current_dir().to_path_buf());
    // Who says what is served elsewhere does not want to be surprised at the root.
    let searches = sites.mounts.is_empty() && layers.sites().is_empty();
    let app = app.unwrap_or(if searches { AppSource::Search } else { AppSource::None });
    let (env, env_file) = env_file.unzip();
    let env = env.unwrap_or_default();
    let mut config = Config {
        profile,
        app,
        chdir,
        venv,
        env,
        bind,
        statics,
        files,
        sites,
        tls,
        isolation,
        workers,
        workers_given,
        threads,
        threads_given,
        preload,
        limits,
        timeouts,
        clients,
        lifecycle,
        log,
    };
    config.sites.sections = site::sections(&config, layers, environment, problems);
    site::defaults(&config, layers, problems);
    files::settle(&config, layers, problems);
    Checked { config, env_file }
}

/// What the checks of all kinds have in common: which key it is, and where its problems go.
struct Check<'a> {
    layers: &'a Layers,
    /// The section of the file that the keys are from; `None` at the top level.
    section: Option<&'a SiteSection>,
    problems: &'a mut Vec<Problem>,
}

/// The place a value has: what relative paths in it begin at.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    base: &'a Path,
}

impl Place<'_> {
    /// A path as the user wrote it, absolute. Symbolic links stay as they are.
    pub(super) fn absolute(self, written: &str) -> PathBuf {
        let joined = self.base.join(written);
        // Lexical only, so it fails for an empty path alone, and that is refused before.
        std::path::absolute(&joined).unwrap_or(joined)
    }
}

impl<'a> Check<'a> {
    fn key(name: &str) -> &'static Key {
        keys::find(name).or_else(|| keys::site::find(name)).expect("a field of Raw is in the table")
    }

    /// Where the value is from that is checked.
    fn origin(&self, key: &'static Key, index: usize) -> Origin {
        match self.section {
            Some(section) => section.origin(key.name, index),
            None => self.layers.origin(key, index),
        }
    }

    fn base(&self, key: &'static Key) -> &'a Path {
        match self.section {
            Some(_) => self.layers.file_directory(),
            None => self.layers.base(key),
        }
    }

    fn report(&mut self, key: &'static Key, index: usize, value: &Written, reason: Reason) {
        self.problems.push(Problem::with_value(self.origin(key, index), key, value.0.clone(), reason));
    }

    fn has_problem(&self, name: &str) -> bool {
        self.problems.iter().any(|problem| problem.name == name)
    }

    /// Notes what is wrong with a value that can be right by itself.
    fn problem_with(&mut self, name: &str, value: &Written, reason: impl Into<Reason>) {
        self.report(Self::key(name), 0, value, reason.into());
    }

    /// The same of a value whose text is gone, unless the key has a problem already: then the index may be wrong.
    fn problem(&mut self, name: &str, index: usize, reason: impl Into<Reason>) {
        self.no_repetition(name, Some((index, reason.into())));
    }

    fn no_value(&mut self, name: &str) {
        let key = Self::key(name);
        // Values that were refused one by one have been reported already.
        if !self.problems.iter().any(|problem| problem.name == name) {
            self.problems.push(Problem::with_name(self.origin(key, 0), name, Reason::Empty));
        }
    }

    fn no_repetition(&mut self, name: &str, repetition: Option<(usize, Reason)>) {
        let key = Self::key(name);
        // With refused values left out, the index would name the wrong line.
        if let Some((index, reason)) = repetition.filter(|_| !self.problems.iter().any(|problem| problem.name == name))
        {
            self.problems.push(Problem::with_name(self.origin(key, index), name, reason));
        }
    }

    fn nth<T>(
        &mut self,
        (name, index): (&str, usize),
        value: &Written,
        parse: impl FnOnce(Place<'_>, &str) -> Result<T, Reason>,
    ) -> Option<T> {
        let key = Self::key(name);
        let text = value.0.trim();
        let parsed = if text.is_empty() { Err(Reason::Empty) } else { parse(Place { base: self.base(key) }, text) };
        parsed.map_err(|reason| self.report(key, index, value, reason)).ok()
    }

    fn one<T>(
        &mut self,
        name: &str,
        value: &Written,
        parse: impl FnOnce(Place<'_>, &str) -> Result<T, Reason>,
    ) -> Option<T> {
        self.nth((name, 0), value, parse)
    }

    fn optional<T>(
        &mut self,
        name: &str,
        value: Option<Written>,
        parse: impl FnOnce(Place<'_>, &str) -> Result<T, Reason>,
    ) -> Option<T> {
        value.and_then(|value| self.one(name, &value, parse))
    }

    fn several<T>(
        &mut self,
        name: &str,
        values: Several,
        parse: impl Fn(Place<'_>, &str) -> Result<T, Reason>,
    ) -> Vec<T> {
        let values = values.into_vec();
        values.iter().enumerate().filter_map(|(index, value)| self.nth((name, index), value, &parse)).collect()
    }

    fn path<T>(
        &mut self,
        name: &str,
        value: Option<Written>,
        check: impl FnOnce(PathBuf) -> Result<T, Reason>,
    ) -> Option<T> {
        self.optional(name, value, |place, text| check(place.absolute(text)))
    }

    /// The value at the place in `values` that the word has in the table.
    fn word<T: Copy>(&mut self, name: &str, value: &Written, values: &[T]) -> T {
        let Kind::Word(choices) = Self::key(name).kind else { unreachable!("{name} is a word in the table") };
        let chosen = self.one(name, value, |_, text| {
            let place = choices.iter().position(|choice| *choice == text);
            place.ok_or_else(|| Reason::NotOneOf { choices, nearest: keys::nearest_word(choices, text) })
        });
        values[chosen.unwrap_or(0)]
    }

    fn app(&mut self, app: Option<Written>) -> Option<AppSource> {
        self.optional("app", app, |_, text| match text {
            "none" => Ok(AppSource::None),
            text => app::parse(text).map(AppSource::Named),
        })
    }

    fn statics(&mut self, statics: Several) -> Vec<StaticRoot> {
        let mut statics = self.several("static", statics, statics::parse);
        self.no_repetition("static", statics::repetition(&statics));
        // Routing takes the first prefix that fits.
        statics.sort_by_key(|root| std::cmp::Reverse(root.prefix.as_ref().map_or(0, String::len)));
        statics
    }

    /// Whether anybody set the key.
    fn is_given(&self, name: &str) -> bool {
        !matches!(self.layers.origin(Self::key(name), 0), Origin::Default(_))
    }

    fn switch(&mut self, name: &str, value: &Written) -> bool {
        let switch = self.one(name, value, |_, text| match text.to_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            _ => Err(Reason::NotSwitch),
        });
        switch.unwrap_or(false)
    }

    fn preload(&mut self, value: &Written, isolation: Isolation) -> bool {
        let preload = self.switch("preload", value);
        if preload && matches!(isolation, Isolation::Interpreters | Isolation::Threads) {
            self.report(Self::key("preload"), 0, value, Reason::PreloadIsolation(isolation.as_str()));
        }
        preload
    }

    fn count(&mut self, name: &str, value: &Written, least: u64, most: u64) -> u64 {
        let count = self.one(name, value, |_, text| match text.parse::<i128>() {
            Ok(count) => match u64::try_from(count) {
                Ok(count) if (least..=most).contains(&count) => Ok(count),
                _ => Err(Reason::OutOfRange { least, most }),
            },
            Err(_) => Err(Reason::NotCount { least, most }),
        });
        count.unwrap_or(least)
    }

    fn non_zero_count(&mut self, name: &str, value: &Written, most: u64) -> NonZeroUsize {
        NonZeroUsize::new(in_memory(self.count(name, value, 1, most))).unwrap_or(NonZeroUsize::MIN)
    }

    fn size(&mut self, name: &str, value: &Written, (least, least_text): (u64, &'static str)) -> u64 {
        let size = self.one(name, value, |_, text| match units::size(text)? {
            size if size < least => Err(Reason::TooSmall(least_text)),
            size => Ok(size),
        });
        size.unwrap_or(least)
    }

    fn request_line(&mut self, value: &Written) -> NonZeroUsize {
        let size = self.one("max_request_line_size", value, |_, text| match units::size(text)? {
            size if size < LEAST_LINE.0 => Err(Reason::TooSmall(LEAST_LINE.1)),
            size if size > LONGEST_LINE.0 => Err(Reason::LargerThan(LONGEST_LINE.1)),
            size => Ok(size),
        });
        NonZeroUsize::new(in_memory(size.unwrap_or(LEAST_LINE.0))).unwrap_or(NonZeroUsize::MIN)
    }

    fn duration(&mut self, name: &str, value: &Written) -> Duration {
        let duration = self.one(name, value, |_, text| match units::duration(text)? {
            Duration::ZERO => Err(Reason::ZeroDuration),
            duration => Ok(duration),
        });
        duration.unwrap_or(Duration::ZERO)
    }

    fn duration_or_zero(&mut self, name: &str, value: &Written) -> Duration {
        self.one(name, value, |_, text| units::duration(text)).unwrap_or(Duration::ZERO)
    }

    /// The system's own directory, which nobody named but which must be of use all the same.
    fn default_temp_dir(&mut self) -> PathBuf {
        let directory = std::env::temp_dir();
        let key = Self::key("temp_dir");
        if !self.problems.iter().any(|problem| problem.name == key.name) {
            let written = Written(directory.display().to_string());
            if let Err(reason) = paths::writable_directory(directory.clone()) {
                self.report(key, 0, &written, reason);
            }
        }
        directory
    }
}

/// A number that is to be held in memory. More than the machine can address is as good as no limit.
fn in_memory(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
