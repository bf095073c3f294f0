//! The effective configuration, as `stack config` shows it.

mod clients;
mod files;
mod lifecycle;
mod site;
mod tls;

use std::{fmt, path::Path};

use toml::Value;

use crate::{
    AccessLog, AppSource, AppSpec, Bind, Callable, Config, Endpoint, Isolation, Limits, Log, LogFormat, LogLevel,
    Mount, Profile, Rules, Sites, StaticRoot, TlsMode, Transport,
    keys::{self, Key},
    origin::Origin,
    units,
};

pub use site::ExplainedSite;
pub(crate) use site::explain_sites;

/// One key with its effective value.
#[derive(Clone, Debug)]
pub struct Explained {
    /// The key.
    pub key: &'static Key,
    /// The value as TOML; `None` where nothing is set and nothing is the default.
    pub value: Option<String>,
    /// Where it is from.
    pub origin: Origin,
}

/// Every key of the file, in the order of the table.
pub(crate) fn explain(config: &Config, env_file: Option<&Path>, origins: &[(&'static str, Origin)]) -> Vec<Explained> {
    let mut values = values(config, env_file);
    let explained = origins.iter().filter_map(|(name, origin)| {
        let key = keys::find(name).filter(|key| key.in_file)?;
        let place = values.iter().position(|(name, _)| *name == key.name)?;
        let value = values.swap_remove(place).1.map(|value| value.to_string());
        Some(Explained { key, value, origin: origin.clone() })
    });
    explained.collect()
}

fn values(config: &Config, env_file: Option<&Path>) -> Vec<(&'static str, Option<Value>)> {
    // The variables themselves may be secrets, so `env` is shown by the name of its file alone.
    let Config {
        profile,
        app,
        chdir,
        venv,
        env: _,
        bind,
        statics,
        files,
        sites,
        tls,
        isolation,
        workers,
        workers_given: _,
        threads_given: _,
        threads,
        preload,
        limits,
        timeouts,
        recycling,
        clients,
        lifecycle,
        log,
    } = config;
    let Limits {
        backlog,
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
        max_connections,
    } = limits;
    let Log { level, format, access } = log;
    let Sites { mounts, rules, sections: _ } = sites;
    let values = [
        ("profile", text(profile.as_str())),
        ("chdir", path(chdir)),
        ("isolation", text(isolation.as_str())),
        ("workers", count(workers.get() as u64)),
        ("threads", count(threads.get() as u64)),
        ("preload", Value::Boolean(*preload)),
        ("bind", Value::Array(bind.iter().map(|endpoint| bind_text(endpoint, tls.mode)).collect())),
        ("backlog", count((*backlog).into())),
        ("max_connections", count(max_connections.get())),
        ("static", Value::Array(statics.iter().map(static_text).collect())),
        ("mount", Value::Array(mounts.iter().map(mount_text).collect())),
        ("queue_size", count(*queue_size as u64)),
        ("max_head_size", size(max_head_size.get() as u64)),
        ("max_request_line_size", size(max_request_line_size.get() as u64)),
        ("max_header_fields", count(max_header_fields.get() as u64)),
        ("http2", Value::Boolean(*http2)),
        ("http2_max_streams", count(http2_max_streams.get().into())),
        ("max_body_size", size(*max_body_size)),
        ("body_buffer_size", size(*body_buffer_size as u64)),
        ("response_buffer_size", size(*response_buffer_size as u64)),
        ("max_response_spill", size(*max_response_spill)),
        ("temp_dir", path(temp_dir)),
        ("log_level", text(level.as_str())),
        ("log_format", text(format.as_str())),
        ("access_log", text(&access_text(access))),
    ];
    let unset_or = [
        ("app", app_text(app).map(Value::String)),
        ("venv", venv.as_deref().map(path)),
        ("env_file", env_file.map(path)),
    ];
    let rules = rule_values(rules);
    let values = values.map(|(name, value)| (name, Some(value)));
    let others = clients::values(clients)
        .into_iter()
        .chain(files::values(files))
        .chain(lifecycle::values(lifecycle))
        .chain(lifecycle::times(timeouts, recycling))
        .chain(tls::values(tls));
    unset_or.into_iter().chain(rules).chain(values).chain(others).collect()
}

fn rule_values(rules: &Rules) -> [(&'static str, Option<Value>); 7] {
    let Rules { canonical_host, redirects, rewrites, returns, fields, error_pages, error_pages_for_application } =
        rules;
    let all = |texts: Vec<String>| Some(Value::Array(texts.into_iter().map(Value::String).collect()));
    let returns = returns.iter().map(|rule| match &rule.body {
        Some(body) => format!("{} {} -> {body}", rule.status, rule.from),
        None => format!("{} {}", rule.status, rule.from),
    });
    [
        ("canonical_host", canonical_host.clone().map(Value::String)),
        (
            "redirect",
            all(redirects.iter().map(|rule| format!("{} {} -> {}", rule.status, rule.from, rule.to)).collect()),
        ),
        ("rewrite", all(rewrites.iter().map(|rule| format!("{} -> {}", rule.from, rule.to)).collect())),
        ("return", all(returns.collect())),
        ("header", all(fields.iter().map(ToString::to_string).collect())),
        (
            "error_page",
            all(error_pages.iter().map(|page| format!("{}={}", page.status, page.path.display())).collect()),
        ),
        ("error_pages_for_application", Some(Value::Boolean(*error_pages_for_application))),
    ]
}

impl Profile {
    /// The word a user writes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Prod => "prod",
        }
    }
}

impl Isolation {
    /// The word a user writes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Interpreters => "interpreters",
            Self::Threads => "threads",
            Self::Processes => "processes",
        }
    }
}

impl LogLevel {
    /// The word a user writes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl LogFormat {
    /// The word a user writes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Short => "short",
        }
    }
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn path(path: &Path) -> Value {
    text(&path.display().to_string())
}

fn count(number: u64) -> Value {
    // TOML has no larger integers; text reads back as well.
    i64::try_from(number).map_or_else(|_| Value::String(number.to_string()), Value::Integer)
}

fn size(bytes: u64) -> Value {
    units::format_size(bytes).map_or_else(|| count(bytes), Value::String)
}

fn app_text(app: &AppSource) -> Option<String> {
    match app {
        AppSource::Search => None,
        AppSource::None => Some("none".into()),
        AppSource::Named(app) => Some(spec_text(app)),
    }
}

fn spec_text(AppSpec { module, callable }: &AppSpec) -> String {
    match callable {
        None => module.clone(),
        Some(Callable { path, factory }) => format!("{module}:{path}{}", if *factory { "()" } else { "" }),
    }
}

fn mount_text(Mount { prefix, app }: &Mount) -> Value {
    Value::String(format!("{prefix}={}", spec_text(app)))
}

fn bind_text(endpoint: &Endpoint, tls: TlsMode) -> Value {
    let scheme = match (endpoint.transport, &endpoint.bind) {
        (Transport::Tls, _) => "https://",
        (Transport::Plain, Bind::Tcp { .. } | Bind::Fd(_)) if tls != TlsMode::Off => "http://",
        (Transport::Plain | Transport::TlsOnTcp, _) => "",
    };
    Value::String(format!("{scheme}{}", endpoint.bind))
}

impl fmt::Display for Bind {
    /// As the user wrote it, with a relative path made absolute.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { written, addresses: _ } => f.write_str(written),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Fd(number) => write!(f, "fd://{number}"),
        }
    }
}

fn static_text(root: &StaticRoot) -> Value {
    let StaticRoot { prefix, directory } = root;
    let directory = directory.display().to_string();
    Value::String(match prefix {
        Some(prefix) => format!("{prefix}={directory}"),
        None if directory.contains('=') => format!("/={directory}"),
        None => directory,
    })
}

fn access_text(access: &AccessLog) -> String {
    match access {
        AccessLog::Stdout => "-".into(),
        AccessLog::Off => "off".into(),
        AccessLog::File(path) => path.display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Setup;

    fn everything_set() -> Setup {
        Setup::new()
            .with_directory("venv")
            .with_file("venv/pyvenv.cfg", "")
            .with_file(".env", "TOKEN=hidden\n")
            .with_directory("a=b")
            .file("app = 'web:make()'\nvenv = 'venv'\nenv_file = '.env'\nstatic = ['/=a=b', '/x=a=b']\nmax_body_size = 1000\n")
            .flag_values("bind", &["127.0.0.1:0", "unix:a.sock", "fd://3"])
            .flag("request_timeout", "1m30s")
            .flag("access_log", "access.log")
    }

    #[test]
    fn every_key_of_the_file_is_there_in_order() {
        let explained = Setup::new().load().unwrap().explain();
        let names: Vec<_> = explained.iter().map(|explained| explained.key.name).collect();
        let expected: Vec<_> = keys::keys().iter().filter(|key| key.in_file).map(|key| key.name).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn a_value_is_shown_as_a_user_would_write_it() {
        let setup = everything_set();
        let explained = setup.load().unwrap().explain();
        let shown = |name: &str| {
            let explained = explained.iter().find(|explained| explained.key.name == name).unwrap();
            explained.value.clone().unwrap()
        };
        assert_eq!(shown("app"), "\"web:make()\"");
        assert_eq!(shown("max_body_size"), "1000");
        assert_eq!(shown("max_head_size"), "\"32KiB\"");
        assert_eq!(shown("request_timeout"), "\"90s\"");
        assert_eq!(shown("threads"), "4");
        let socket = setup.directory().join("a.sock");
        assert_eq!(shown("bind"), format!("[\"127.0.0.1:0\", \"unix:{}\", \"fd://3\"]", socket.display()));
    }

    #[test]
    fn what_is_shown_reads_back_as_the_same_configuration() {
        let setup = everything_set();
        let loaded = setup.load().unwrap();
        let lines = loaded.explain().into_iter().filter_map(|explained| {
            let value = explained.value?;
            Some(format!("{} = {value}\n", explained.key.name))
        });
        let text: String = lines.collect();
        assert!(!text.contains("hidden"), "{text}");
        let again = Setup::new().file(&text);
        // A default that is written out is none any more.
        assert_eq!(again.config(), Config { workers_given: true, threads_given: true, ..loaded.config });
    }
}
