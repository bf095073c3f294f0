//! From what the user wrote to the checked [`Config`].
//!
//! Each value is checked by itself and every problem is noted. A value with a problem is replaced by a placeholder; the
//! [`Config`] with a placeholder in it never leaves [`load`](crate::load()).

mod app;
mod bind;
pub(crate) mod clients;
mod env_file;
mod files;
mod lifecycle;
mod limits;
mod noting;
mod paths;
mod rules;
mod site;
mod statics;
mod tls;
mod values;

use std::{
    num::{NonZeroU64, NonZeroUsize},
    path::PathBuf,
    thread,
};

use crate::{
    AccessLog, AppSource, Config, Isolation, Log, LogFormat, LogLevel, Profile, Recycling, Rules, Sites,
    error::Problem, layers::Layers, raw::Raw,
};
use noting::{Check, Place};
use tls::RawTls;
pub use tls::local_ca;

/// A worker's number has 16 bits.
const MOST_WORKERS: u64 = u16::MAX as u64;
const MOST_THREADS: u64 = 4096;
/// `listen` takes an `int`.
const MOST_BACKLOG: u64 = i32::MAX as u64;
/// Far more than one machine has memory for.
const MOST: u64 = 1 << 32;

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
        kill_timeout,
        slow_request_threshold,
        interrupt_on_disconnect,
        send_timeout,
        idle_timeout,
        drain_delay,
        grace_period,
        max_requests,
        max_requests_jitter,
        max_worker_memory,
        max_worker_lifetime,
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
        error_details,
        server_timing,
        health_path,
        admin_bind,
        supervisor,
        watchdog_timeout,
        control_socket,
        reload_check,
        reload_on_change,
        reload_include,
        reload_ignore,
        browser_reload,
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

    let bind = check.several("bind", bind, |place, text| bind::parse(place, &bind::numbered(text, environment)));
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

    let limits = check.limits(limits::RawLimits {
        backlog,
        max_connections,
        queue_size,
        max_body_size,
        max_head_size,
        max_request_line_size,
        max_header_fields,
        http2,
        http2_max_streams,
        body_buffer_size,
        response_buffer_size,
        max_response_spill,
        temp_dir,
    });
    let timeouts = check.timeouts(limits::RawTimeouts {
        header_timeout,
        body_timeout,
        send_timeout,
        idle_timeout,
        request_timeout,
        kill_timeout,
        slow_request_threshold,
        interrupt_on_disconnect,
        drain_delay,
        grace_period,
    });
    let recycling = Recycling {
        max_requests: NonZeroU64::new(check.count("max_requests", &max_requests, 0, MOST)),
        jitter: check.count("max_requests_jitter", &max_requests_jitter, 0, MOST),
        max_memory: NonZeroU64::new(check.size("max_worker_memory", &max_worker_memory, (0, ""))),
        max_lifetime: check.limit("max_worker_lifetime", &max_worker_lifetime),
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
        error_details,
        server_timing,
        health_path,
        admin_bind,
    });
    let lifecycle = check.lifecycle(lifecycle::RawLifecycle {
        supervisor,
        watchdog_timeout,
        control_socket,
        reload_check,
        reload_on_change,
        reload_include,
        reload_ignore,
        browser_reload,
    });
    let levels = [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace];
    let log = Log {
        level: check.word("log_level", &log_level, &levels),
        format: check.word("log_format", &log_format, &[LogFormat::Text, LogFormat::Json, LogFormat::Short]),
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
        recycling,
        clients,
        lifecycle,
        log,
    };
    config.sites.sections = site::sections(&config, layers, environment, problems);
    site::defaults(&config, layers, problems);
    files::settle(&config, layers, problems);
    Checked { config, env_file }
}
