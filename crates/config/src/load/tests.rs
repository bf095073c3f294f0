//! What the whole of it gives: precedence, origins, defaults, and problems all at once.

use std::{
    num::{NonZeroU32, NonZeroU64, NonZeroUsize},
    time::Duration,
};

use crate::{
    AccessLog, AppSource, Bind, Clients, Compression, CompressionMode, Config, Endpoint, Files, Isolation, Lifecycle,
    Limits, Log, LogFormat, LogLevel, Profile, Rates, Recycling, Sites, Timeouts, Tls,
    testing::{Setup, problem},
};

fn threads(setup: &Setup) -> (usize, String) {
    let loaded = setup.load().unwrap_or_else(|errors| panic!("{errors}"));
    let (_, origin) = loaded.origins.iter().find(|(key, _)| *key == "threads").unwrap();
    (loaded.config.threads.get(), origin.to_string())
}

fn first_bind(setup: &Setup) -> String {
    match setup.config().bind.remove(0).bind {
        Bind::Tcp { written, addresses: _ } => written,
        other => panic!("{other:?}"),
    }
}

#[test]
fn flag_beats_environment_beats_file_beats_default() {
    let setup = Setup::new();
    assert_eq!(threads(&setup), (4, "default".into()));
    let setup = setup.file("\nthreads = 5");
    assert_eq!(threads(&setup), (5, "stack.toml:2".into()));
    let setup = setup.variable("STACK_THREADS", "6");
    assert_eq!(threads(&setup), (6, "environment variable STACK_THREADS".into()));
    let setup = setup.flag("threads", "7");
    assert_eq!(threads(&setup), (7, "flag --threads".into()));
}

#[test]
fn a_list_of_a_higher_layer_replaces_the_lower_one() {
    let setup = Setup::new().file("bind = [\":8000\", \":8001\"]").variable("STACK_BIND", ":9000");
    assert_eq!(setup.config().bind.len(), 1);
}

#[test]
fn a_single_text_is_as_good_as_an_array_of_one() {
    assert_eq!(first_bind(&Setup::new().file("bind = ':8000'")), ":8000");
}

#[test]
fn numbers_may_be_text_and_text_may_be_numbers() {
    let setup = Setup::new().file("threads = '8'\nidle_timeout = 5\nsend_timeout = 0.5\nmax_body_size = 0x400\n");
    let Config { threads, timeouts, limits, .. } = setup.config();
    assert_eq!((threads.get(), limits.max_body_size), (8, 1024));
    assert_eq!((timeouts.idle, timeouts.send), (Duration::from_secs(5), Duration::from_millis(500)));
}

#[test]
fn the_port_of_a_platform_counts_where_nobody_sets_bind() {
    let setup = Setup::new().variable("PORT", "9000");
    assert_eq!(first_bind(&setup), "0.0.0.0:9000");
    let loaded = setup.load().unwrap();
    let origin = loaded.origins.iter().find(|(key, _)| *key == "bind").unwrap().1.to_string();
    assert_eq!(origin, "environment variable PORT");
    assert_eq!(first_bind(&setup.file("bind = ':8000'")), ":8000");
    let text = problem(&Setup::new().variable("PORT", "http"));
    assert!(text.starts_with("environment variable PORT: bind = `0.0.0.0:http`: `http` is not a port"), "{text}");
}

#[test]
fn the_defaults_of_prod_are_these() {
    let setup = Setup::new();
    let expected = Config {
        profile: Profile::Prod,
        app: AppSource::Search,
        chdir: setup.directory().to_path_buf(),
        venv: None,
        env: vec![],
        bind: vec![Endpoint::plain(Bind::Tcp {
            written: "127.0.0.1:8000".into(),
            addresses: vec![([127, 0, 0, 1], 8000).into()],
        })],
        tls: Tls::default(),
        statics: vec![],
        files: Files {
            fallbacks: vec![],
            cache_rules: vec![],
            cache_memory: 64 << 20,
            listings: vec![],
            internal: vec![],
            sendfile: vec![],
            django: true,
            compression: Compression { mode: CompressionMode::Safe, min_size: 1024, types: vec![] },
        },
        sites: Sites::default(),
        isolation: Isolation::Auto,
        workers: std::thread::available_parallelism().unwrap(),
        workers_given: false,
        threads_given: false,
        threads: NonZeroUsize::new(4).unwrap(),
        preload: false,
        limits: Limits {
            backlog: 2048,
            queue_size: 1024,
            max_body_size: 16 << 20,
            max_head_size: NonZeroUsize::new(32 << 10).unwrap(),
            max_request_line_size: NonZeroUsize::new(8 << 10).unwrap(),
            max_header_fields: NonZeroUsize::new(100).unwrap(),
            http2: true,
            http2_max_streams: NonZeroU32::new(128).unwrap(),
            body_buffer_size: 64 << 10,
            response_buffer_size: 256 << 10,
            max_response_spill: 1 << 30,
            temp_dir: std::env::temp_dir(),
            max_connections: NonZeroU64::new(10_000).unwrap(),
        },
        timeouts: Timeouts {
            header: Duration::from_secs(10),
            body: Duration::from_secs(30),
            send: Duration::from_mins(1),
            idle: Duration::from_secs(75),
            request: Some(Duration::from_mins(1)),
            kill: Duration::from_secs(10),
            slow_request: None,
            interrupt_on_disconnect: false,
            drain_delay: Duration::ZERO,
            grace_period: Duration::from_secs(30),
        },
        recycling: Recycling::default(),
        clients: Clients {
            rates: Rates { min_receive: 240, min_send: 240, grace: Duration::from_secs(20), send_limit: 0 },
            keepalive_requests: NonZeroU64::new(1000),
            queue_target: Some(Duration::from_millis(100)),
            ..Clients::default()
        },
        lifecycle: Lifecycle::default(),
        log: Log { level: LogLevel::Info, format: LogFormat::Text, access: AccessLog::Stdout },
    };
    assert_eq!(setup.config(), expected);
}

#[test]
fn dev_differs_in_defaults_only() {
    let dev = Setup::new().file("profile = 'dev'");
    let Config { profile, workers, timeouts, .. } = dev.config();
    assert_eq!((profile, workers.get(), timeouts.request), (Profile::Dev, 1, None));
    let origins = dev.load().unwrap().origins;
    let origin = |name: &str| origins.iter().find(|(key, _)| *key == name).unwrap().1.to_string();
    assert_eq!(origin("workers"), "default of profile dev");
    assert_eq!(origin("threads"), "default");
    let told = Setup::new().flag("profile", "dev").variable("STACK_REQUEST_TIMEOUT", "5s").config();
    assert_eq!(told.timeouts.request, Some(Duration::from_secs(5)));
}

#[test]
fn a_flag_beats_the_profile_of_the_file() {
    let setup = Setup::new().file("profile = 'dev'").flag("profile", "prod");
    assert_eq!(setup.config().timeouts.request, Some(Duration::from_mins(1)));
}

#[test]
fn a_file_is_named_by_flag_or_variable_and_must_be_there() {
    let setup = Setup::new().with_file("a.toml", "threads = 1").with_file("b.toml", "threads = 2");
    let setup = setup.variable("STACK_CONFIG", "a.toml");
    assert_eq!(threads(&setup), (1, "a.toml:1".into()));
    assert_eq!(threads(&setup.flag("config", "b.toml")), (2, "b.toml:1".into()));
    let text = problem(&Setup::new().variable("STACK_CONFIG", "no.toml"));
    assert!(text.starts_with("environment variable STACK_CONFIG: config = `no.toml`: can not read /"), "{text}");
}

#[test]
fn all_problems_are_found_in_one_go() {
    let setup = Setup::new()
        .file("worker = 2\nworkers = 0\nlog_level = 'loud'\nbind = [\n  ':8000',\n  'localhost',\n]\n")
        .variable("STACK_THREADS", "many")
        .variable("STACK_TIMEOUT", "5")
        .flag("max_body_size", "16 apples");
    let errors = setup.load().unwrap_err();
    let first_lines: Vec<_> =
        errors.problems().iter().map(|problem| problem.to_string().lines().next().unwrap().to_owned()).collect();
    assert_eq!(
        first_lines,
        [
            "stack.toml:1: `worker`: no such key",
            "stack.toml:2: workers = `0`: out of range",
            "stack.toml:3: log_level = `loud`: not one of error, warn, info, debug, trace",
            "stack.toml:6: bind = `localhost`: no port",
            "environment variable STACK_TIMEOUT: no such key",
            "environment variable STACK_THREADS: threads = `many`: not a whole number",
            "flag --max-body-size: max_body_size = `16 apples`: not a size",
        ]
    );
}

#[test]
fn a_number_out_of_range_is_refused() {
    for (key, value) in [
        ("workers", "0"),
        ("workers", "65536"),
        ("threads", "-1"),
        ("backlog", "2147483648"),
        ("queue_size", "-1"),
        ("max_connections", "0"),
    ] {
        let text = problem(&Setup::new().flag(key, value));
        assert!(text.contains(": out of range\n    hint: write a number from "), "{text}");
    }
    assert_eq!(Setup::new().flag("queue_size", "0").config().limits.queue_size, 0);
}

#[test]
fn a_size_that_is_of_no_use_is_refused() {
    for (key, value, least) in
        [("max_head_size", "32", "1KiB"), ("response_buffer_size", "0", "4KiB"), ("max_body_size", "0", "1 byte")]
    {
        let text = problem(&Setup::new().flag(key, value));
        assert!(text.contains(&format!("{key} = `{value}`: smaller than {least}")), "{text}");
    }
    let limits = Setup::new().flag("body_buffer_size", "0").flag("max_response_spill", "0").config().limits;
    assert_eq!((limits.body_buffer_size, limits.max_response_spill), (0, 0));
}

#[test]
fn only_some_times_can_be_switched_off() {
    for key in ["header_timeout", "body_timeout", "send_timeout", "idle_timeout"] {
        let text = problem(&Setup::new().flag(key, "0"));
        assert!(text.contains("must be longer than 0"), "{text}");
    }
    let timeouts = Setup::new().flag("request_timeout", "0").flag("grace_period", "0s").config().timeouts;
    assert_eq!((timeouts.request, timeouts.grace_period), (None, Duration::ZERO));
}

#[test]
fn every_key_is_checked_under_its_own_name() {
    for key in crate::keys() {
        let text = problem(&Setup::new().flag(key.name, "\u{1}/"));
        assert!(text.starts_with(&format!("flag --{}: {} = ", key.flag(), key.name)), "{text}");
        if key.in_file && !key.repeatable {
            let text = problem(&Setup::new().file(&format!("{} = ''", key.name)));
            assert!(text.starts_with(&format!("stack.toml:1: {} = ``: empty", key.name)), "{text}");
        }
    }
}

#[test]
fn a_switch_takes_the_usual_words() {
    let preload = |word: &str| Setup::new().variable("STACK_PRELOAD", word).config().preload;
    assert!(["true", "1", "yes", "on", "True", "ON"].into_iter().all(preload));
    assert!(!["false", "0", "no", "off", "False"].into_iter().any(preload));
    assert!(Setup::new().file("preload = true").config().preload);
    assert!(!Setup::new().file("preload = true").flag("preload", "false").config().preload);
    let text = problem(&Setup::new().file("preload = 'perhaps'"));
    assert_eq!(text, "stack.toml:1: preload = `perhaps`: neither true nor false\n    hint: write true or false");
}

#[test]
fn only_processes_can_be_preloaded() {
    for isolation in ["auto", "processes"] {
        assert!(Setup::new().flag("preload", "true").flag("isolation", isolation).config().preload);
    }
    for isolation in ["interpreters", "threads"] {
        let text = problem(&Setup::new().flag("preload", "true").variable("STACK_ISOLATION", isolation));
        assert!(
            text.starts_with(&format!("flag --preload: preload = `true`: isolation is {isolation}, and only worker")),
            "{text}"
        );
    }
}

#[test]
fn it_is_known_whether_the_user_chose_the_number_of_workers() {
    let given = |setup: Setup| setup.config().workers_given;
    assert!(!given(Setup::new()));
    assert!(!given(Setup::new().flag("profile", "dev")));
    assert!(given(Setup::new().file("workers = 1")));
    assert!(given(Setup::new().flag("profile", "dev").variable("STACK_WORKERS", "1")));
}

#[test]
fn an_unknown_flag_is_refused() {
    let text = problem(&Setup::new().flag("worker", "1"));
    assert_eq!(text, "flag --worker: `worker`: no such key\n    hint: did you mean `--workers`?");
}
