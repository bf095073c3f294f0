//! The keys about the life of the server and its workers, and all times.

use std::{fmt, num::NonZeroU64, time::Duration};

use toml::Value;

use crate::{Changes, ControlSocket, Lifecycle, Recycling, ReloadCheck, Timeouts, units};

pub(super) fn values(lifecycle: &Lifecycle) -> Vec<(&'static str, Option<Value>)> {
    let Lifecycle { supervisor, watchdog, control_socket, reload_check, changes } = lifecycle;
    let watchdog = units::format_duration(watchdog.unwrap_or_default());
    let Changes { reload, include, ignore, browser } = changes;
    let all = |globs: &[String]| Some(Value::Array(globs.iter().cloned().map(Value::String).collect()));
    vec![
        ("supervisor", Some(Value::Boolean(*supervisor))),
        ("watchdog_timeout", Some(Value::String(watchdog))),
        ("control_socket", control_text(control_socket)),
        ("reload_check", reload_check.as_ref().map(|check| Value::String(check.to_string()))),
        ("reload_on_change", Some(Value::Boolean(*reload))),
        ("reload_include", all(include)),
        ("reload_ignore", all(ignore)),
        ("browser_reload", Some(Value::Boolean(*browser))),
    ]
}

pub(super) fn times(timeouts: &Timeouts, recycling: &Recycling) -> Vec<(&'static str, Option<Value>)> {
    let Timeouts {
        header,
        body,
        send,
        idle,
        request,
        kill,
        slow_request,
        interrupt_on_disconnect,
        drain_delay,
        grace_period,
    } = timeouts;
    let Recycling { max_requests, jitter, max_memory, max_lifetime } = recycling;
    let duration = |duration: &Duration| Value::String(units::format_duration(*duration));
    let values = [
        ("header_timeout", duration(header)),
        ("body_timeout", duration(body)),
        ("request_timeout", duration(&request.unwrap_or_default())),
        ("kill_timeout", duration(kill)),
        ("slow_request_threshold", duration(&slow_request.unwrap_or_default())),
        ("interrupt_on_disconnect", Value::Boolean(*interrupt_on_disconnect)),
        ("send_timeout", duration(send)),
        ("idle_timeout", duration(idle)),
        ("drain_delay", duration(drain_delay)),
        ("grace_period", duration(grace_period)),
        ("max_requests", super::count(max_requests.map_or(0, NonZeroU64::get))),
        ("max_requests_jitter", super::count(*jitter)),
        ("max_worker_memory", super::size(max_memory.map_or(0, NonZeroU64::get))),
        ("max_worker_lifetime", duration(&max_lifetime.unwrap_or_default())),
    ];
    values.into_iter().map(|(name, value)| (name, Some(value))).collect()
}

fn control_text(socket: &ControlSocket) -> Option<Value> {
    match socket {
        ControlSocket::Default => None,
        ControlSocket::Off => Some(Value::String("off".into())),
        ControlSocket::Path(path) => Some(Value::String(path.display().to_string())),
    }
}

impl fmt::Display for ReloadCheck {
    /// As the user wrote it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.is_https {
            None => "",
            Some(false) => "http://",
            Some(true) => "https://",
        };
        write!(f, "{scheme}{}{}", self.host.as_deref().unwrap_or_default(), self.target)
    }
}
