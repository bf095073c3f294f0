//! `Server-Timing` (W3C): what browsers show of a response's time beside their own.

use std::{
    fmt::Write,
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::access_log::Passage;

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Adds the times up to now, behind what the application says of its own.
///
/// `queue` is from the complete request to the thread that takes it, `app` from there to the end of the application, or to
/// now where it goes on; `total` is from the head of the request to now.
pub(crate) fn put(headers: &mut HeaderMap, started_at: Instant, passage: Option<&Passage>) {
    let now = Instant::now();
    let mut value = String::with_capacity(64);
    if let Some(Passage { queued_at, trace }) = passage {
        // One that was never taken waited until now.
        let taken_at = trace.started_at.unwrap_or(now);
        metric(&mut value, "queue", taken_at.saturating_duration_since(*queued_at));
        if let Some(started_at) = trace.started_at {
            metric(&mut value, "app", trace.finished_at.unwrap_or(now).saturating_duration_since(started_at));
        }
    }
    metric(&mut value, "total", now.saturating_duration_since(started_at));
    headers.append(SERVER_TIMING, HeaderValue::try_from(value).expect("names and numbers"));
}

/// `name;dur=` and milliseconds.
fn metric(value: &mut String, name: &str, duration: Duration) {
    let comma = if value.is_empty() { "" } else { ", " };
    let _ = write!(value, "{comma}{name};dur={:.3}", duration.as_secs_f64() * 1000.0);
}

#[cfg(test)]
mod tests {
    use stack_bridge::Trace;

    use super::*;

    #[test]
    fn times_are_in_milliseconds_behind_the_applications_own() {
        let now = Instant::now();
        let ago = |micros| now.checked_sub(Duration::from_micros(micros)).unwrap();
        let (started_at, finished_at) = (Some(ago(300_000)), Some(ago(50_500)));
        let passage = Passage { queued_at: ago(301_250), trace: Trace { worker: None, started_at, finished_at } };
        let mut headers = HeaderMap::from_iter([(SERVER_TIMING, HeaderValue::from_static("db;dur=1"))]);
        put(&mut headers, ago(400_000), Some(&passage));
        let values: Vec<_> = headers.get_all(SERVER_TIMING).iter().map(|value| value.to_str().unwrap()).collect();
        assert_eq!(values[0], "db;dur=1");
        let begin = "queue;dur=1.250, app;dur=249.500, total;dur=4";
        assert!(values[1].starts_with(begin), "{values:?}");
    }

    #[test]
    fn what_was_not_asked_of_an_application_has_a_total_only() {
        let mut headers = HeaderMap::new();
        put(&mut headers, Instant::now(), None);
        let value = headers[SERVER_TIMING].to_str().unwrap();
        assert!(value.starts_with("total;dur=0.") && !value.contains(','), "{value}");
    }

    #[test]
    fn what_no_thread_took_has_only_waited() {
        let now = Instant::now();
        let passage = Passage { queued_at: now, trace: Trace::default() };
        let mut headers = HeaderMap::new();
        put(&mut headers, now, Some(&passage));
        let value = headers[SERVER_TIMING].to_str().unwrap();
        assert!(value.starts_with("queue;dur=") && !value.contains("app"), "{value}");
    }
}
