//! What the user wrote, before any of it is checked.

use std::fmt;

use serde::{Deserialize, Deserializer, de};

/// One value as it was written. The file's numbers and booleans become text, as they are in the environment and in flags,
/// so that every source has the same checks and the same messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written(pub(crate) String);

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyScalar)
    }
}

struct AnyScalar;

impl de::Visitor<'_> for AnyScalar {
    type Value = Written;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text or a number")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Written, E> {
        Ok(Written(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Written, E> {
        Ok(Written(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Written, E> {
        Ok(Written(value.to_owned()))
    }
}

/// The values of a key that takes several; a single one needs no array.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
pub(crate) enum Several {
    Array(Vec<Written>),
    Single(Written),
    #[default]
    Nothing,
}

impl Several {
    pub(crate) fn into_vec(self) -> Vec<Written> {
        match self {
            Self::Array(values) => values,
            Self::Single(value) => vec![value],
            Self::Nothing => Vec::new(),
        }
    }
}

/// Every key of the file. Those without a fixed default in each profile may be missing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Raw {
    pub(crate) profile: Written,
    pub(crate) app: Option<Written>,
    pub(crate) chdir: Option<Written>,
    pub(crate) venv: Option<Written>,
    pub(crate) env_file: Option<Written>,
    pub(crate) isolation: Written,
    pub(crate) workers: Option<Written>,
    pub(crate) threads: Written,
    pub(crate) preload: Written,
    pub(crate) bind: Several,
    pub(crate) backlog: Written,
    pub(crate) max_connections: Written,
    #[serde(default, rename = "static")]
    pub(crate) statics: Several,
    pub(crate) tls: Option<Written>,
    #[serde(default)]
    pub(crate) tls_cert: Several,
    #[serde(default)]
    pub(crate) tls_key: Several,
    pub(crate) tls_min_version: Written,
    pub(crate) tls_client_ca: Option<Written>,
    pub(crate) tls_client_auth: Option<Written>,
    pub(crate) handshake_timeout: Written,
    pub(crate) https_redirect: Written,
    pub(crate) hsts: Written,
    #[serde(default)]
    pub(crate) spa_fallback: Several,
    #[serde(default)]
    pub(crate) static_cache: Several,
    pub(crate) static_cache_memory: Written,
    #[serde(default)]
    pub(crate) static_listing: Several,
    #[serde(default)]
    pub(crate) internal: Several,
    #[serde(default)]
    pub(crate) sendfile: Several,
    pub(crate) django_static: Written,
    pub(crate) compression: Written,
    pub(crate) compression_min_size: Written,
    #[serde(default)]
    pub(crate) compression_types: Several,
    #[serde(default)]
    pub(crate) mount: Several,
    pub(crate) canonical_host: Option<Written>,
    #[serde(default)]
    pub(crate) redirect: Several,
    #[serde(default)]
    pub(crate) rewrite: Several,
    #[serde(default, rename = "return")]
    pub(crate) returns: Several,
    #[serde(default)]
    pub(crate) header: Several,
    #[serde(default)]
    pub(crate) error_page: Several,
    pub(crate) error_pages_for_application: Written,
    pub(crate) queue_size: Written,
    pub(crate) max_head_size: Written,
    pub(crate) max_request_line_size: Written,
    pub(crate) max_header_fields: Written,
    pub(crate) http2: Written,
    pub(crate) http2_max_streams: Written,
    pub(crate) max_body_size: Written,
    pub(crate) body_buffer_size: Written,
    pub(crate) response_buffer_size: Written,
    pub(crate) max_response_spill: Written,
    pub(crate) temp_dir: Option<Written>,
    pub(crate) header_timeout: Written,
    pub(crate) body_timeout: Written,
    pub(crate) request_timeout: Written,
    pub(crate) kill_timeout: Written,
    pub(crate) slow_request_threshold: Written,
    pub(crate) interrupt_on_disconnect: Written,
    pub(crate) send_timeout: Written,
    pub(crate) idle_timeout: Written,
    pub(crate) drain_delay: Written,
    pub(crate) grace_period: Written,
    pub(crate) max_requests: Written,
    pub(crate) max_requests_jitter: Written,
    pub(crate) max_worker_memory: Written,
    pub(crate) max_worker_lifetime: Written,
    #[serde(default)]
    pub(crate) trusted_proxies: Several,
    pub(crate) forwarded_headers: Written,
    pub(crate) proxy_protocol: Written,
    #[serde(default)]
    pub(crate) allow: Several,
    #[serde(default)]
    pub(crate) deny: Several,
    pub(crate) max_connections_per_address: Written,
    pub(crate) rate_limit: Written,
    pub(crate) rate_limit_burst: Option<Written>,
    pub(crate) rate_limit_key: Written,
    pub(crate) min_receive_rate: Written,
    pub(crate) min_send_rate: Written,
    pub(crate) min_rate_grace: Written,
    pub(crate) send_rate_limit: Written,
    pub(crate) keepalive_requests: Written,
    pub(crate) queue_target: Written,
    pub(crate) security_headers: Written,
    pub(crate) error_details: Written,
    pub(crate) server_timing: Written,
    pub(crate) health_path: Option<Written>,
    #[serde(default)]
    pub(crate) admin_bind: Several,
    pub(crate) supervisor: Written,
    pub(crate) watchdog_timeout: Written,
    pub(crate) control_socket: Option<Written>,
    pub(crate) reload_check: Option<Written>,
    pub(crate) reload_on_change: Written,
    #[serde(default)]
    pub(crate) reload_include: Several,
    #[serde(default)]
    pub(crate) reload_ignore: Several,
    pub(crate) browser_reload: Written,
    pub(crate) log_level: Written,
    pub(crate) log_format: Written,
    pub(crate) access_log: Written,
}

/// Every key of a `[[site]]` section. What is missing is inherited, or not there.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawSite {
    #[serde(default)]
    pub(crate) host: Several,
    pub(crate) default: Option<Written>,
    pub(crate) app: Option<Written>,
    pub(crate) chdir: Option<Written>,
    pub(crate) venv: Option<Written>,
    pub(crate) env_file: Option<Written>,
    pub(crate) isolation: Option<Written>,
    pub(crate) workers: Option<Written>,
    pub(crate) threads: Option<Written>,
    pub(crate) preload: Option<Written>,
    #[serde(default, rename = "static")]
    pub(crate) statics: Several,
    #[serde(default)]
    pub(crate) mount: Several,
    pub(crate) canonical_host: Option<Written>,
    #[serde(default)]
    pub(crate) redirect: Several,
    #[serde(default)]
    pub(crate) rewrite: Several,
    #[serde(default, rename = "return")]
    pub(crate) returns: Several,
    pub(crate) header: Option<Several>,
    pub(crate) error_page: Option<Several>,
    pub(crate) error_pages_for_application: Option<Written>,
}
