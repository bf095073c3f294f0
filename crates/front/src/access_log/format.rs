//! The forms of a line. Everything a client sent is escaped: a line stays one line, a field stays one field.

use std::{
    fmt::{self, Write as _},
    io::Write as _,
    time::{Duration, Instant, SystemTime},
};

use jiff::tz::TimeZone;
use serde::Serialize;
use stack_bridge::Peer;
use stack_config::LogFormat;

use super::{Passage, Record};

mod short;

/// How lines are written.
#[derive(Clone, Debug)]
pub(super) struct Form {
    pub(super) format: LogFormat,
    /// Whether somebody sees them on a terminal that has colours.
    pub(super) is_coloured: bool,
    /// Where that person is.
    pub(super) zone: TimeZone,
}

impl Form {
    /// Appends the line of `record`, its end included.
    pub(super) fn line(&self, record: &Record, out: &mut Vec<u8>) {
        match self.format {
            LogFormat::Text => combined(record, out),
            LogFormat::Json => json(record, out),
            LogFormat::Short => short::line(self, record, out),
        }
    }
}

/// Apache's combined format, then `request_id queue_ms app_ms worker`, and `aborted` where the response was cut.
fn combined(record: &Record, out: &mut Vec<u8>) {
    let Times { queue, app, total: _ } = Times::of(record);
    let _ = writeln!(
        out,
        "{} - - [{}] \"{}\" {} {} \"{}\" \"{}\" {} {} {} {}{}",
        PeerAddress(record.peer),
        common_date(record.time),
        RequestLine(record),
        status(record),
        record.bytes,
        record.described.referer.as_ref().map_or(Escaped(b"-"), |value| Escaped(value.as_bytes())),
        record.described.user_agent.as_ref().map_or(Escaped(b"-"), |value| Escaped(value.as_bytes())),
        record.request_id,
        OrDash(queue.map(milliseconds)),
        OrDash(app.map(milliseconds)),
        OrDash(worker(record)),
        if record.aborted { " aborted" } else { "" },
    );
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    request_id: String,
    peer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<&'a str>,
    method: Option<&'a str>,
    target: Option<String>,
    version: Option<String>,
    /// The first line of what was not a request.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    status: u16,
    bytes: u64,
    referer: Option<String>,
    user_agent: Option<String>,
    queue_ms: Option<f64>,
    app_ms: Option<f64>,
    total_ms: f64,
    worker: Option<u16>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    aborted: bool,
}

fn json(record: &Record, out: &mut Vec<u8>) {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let Times { queue, app, total } = Times::of(record);
    let is_request = record.refused.is_none();
    let line = Line {
        time: rfc3339(record.time),
        request_id: record.request_id.to_string(),
        peer: PeerAddress(record.peer).to_string(),
        tls: record.tls.as_ref().map(|facts| &*facts.protocol),
        method: is_request.then_some(record.described.method.as_str()),
        target: is_request.then(|| record.described.target.to_string()),
        version: is_request.then(|| format!("{:?}", record.described.version)),
        refused: record.refused.as_ref().map(|line| Escaped(line).to_string()),
        status: status(record),
        bytes: record.bytes,
        referer: record.described.referer.as_ref().map(text),
        user_agent: record.described.user_agent.as_ref().map(text),
        queue_ms: queue.map(milliseconds),
        app_ms: app.map(milliseconds),
        total_ms: milliseconds(total),
        worker: worker(record),
        aborted: record.aborted,
    };
    let before = out.len();
    // Strings and numbers always serialize; if that changes, a line is lost, not the log.
    match serde_json::to_writer(&mut *out, &line) {
        Ok(()) => out.push(b'\n'),
        Err(_) => out.truncate(before),
    }
}

fn worker(record: &Record) -> Option<u16> {
    record.passage?.trace.worker.map(|worker| worker.0)
}

struct Times {
    /// From the complete request to a worker, or to the end where none took it.
    queue: Option<Duration>,
    /// From there to the end of the application's iterable.
    app: Option<Duration>,
    total: Duration,
}

impl Times {
    fn of(record: &Record) -> Self {
        let since = |start: Instant, end: Instant| end.saturating_duration_since(start);
        let total = since(record.started_at, record.finished_at);
        let Some(Passage { queued_at, trace }) = record.passage else { return Self { queue: None, app: None, total } };
        Self {
            queue: Some(since(queued_at, trace.started_at.unwrap_or(record.finished_at))),
            app: trace.started_at.map(|started| since(started, trace.finished_at.unwrap_or(record.finished_at))),
            total,
        }
    }
}

fn status(record: &Record) -> u16 {
    record.status.map_or(0, |status| status.as_u16())
}

/// Rounded to microseconds.
#[expect(clippy::cast_precision_loss, reason = "2^53 microseconds are 285 years")]
fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

struct PeerAddress(Peer);

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Peer::Tcp(address) => address.ip().fmt(f),
            Peer::Unix => f.write_str("unix:"),
        }
    }
}

/// As the client sent it, be it a request or not.
struct RequestLine<'a>(&'a Record);

impl fmt::Display for RequestLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(record) = self;
        if let Some(line) = &record.refused {
            return Escaped(line).fmt(f);
        }
        let (method, target) = (record.described.method.as_str(), record.described.target.to_string());
        write!(f, "{} {} {:?}", Escaped(method.as_bytes()), Escaped(target.as_bytes()), record.described.version)
    }
}

struct OrDash<T>(Option<T>);

impl<T: fmt::Display> fmt::Display for OrDash<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_char('-'),
        }
    }
}

/// A client's bytes inside a quoted field, as nginx writes them.
struct Escaped<'a>(&'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &byte in self.0 {
            match byte {
                b'"' | b'\\' | 0..=0x1f | 0x7f.. => write!(f, "\\x{byte:02X}")?,
                _ => f.write_char(char::from(byte))?,
            }
        }
        Ok(())
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7) is the one date format at hand; the others are its fields in another
/// order.
fn common_date(time: SystemTime) -> String {
    let date = httpdate::fmt_http_date(time);
    format!("{}/{}/{}:{} +0000", &date[5..7], &date[8..11], &date[12..16], &date[17..25])
}

fn rfc3339(time: SystemTime) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let date = httpdate::fmt_http_date(time);
    let month = MONTHS.iter().position(|month| *month == &date[8..11]).map_or(0, |index| index + 1);
    let millis = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().subsec_millis();
    format!("{}-{month:02}-{}T{}.{millis:03}Z", &date[12..16], &date[5..7], &date[17..25])
}

#[cfg(test)]
pub(super) mod tests {
    use http::{HeaderValue, Method, StatusCode, Version};
    use stack_bridge::{RequestId, Trace, WorkerId};

    use super::{super::Described, *};

    pub(in super::super) fn record() -> Record {
        let now = Instant::now();
        Record {
            request_id: RequestId(0xabc),
            tls: None,
            peer: Peer::Tcp("192.0.2.1:4711".parse().unwrap()),
            described: Described {
                method: Method::GET,
                target: "/a?b=%22".parse().unwrap(),
                version: Version::HTTP_11,
                referer: None,
                user_agent: Some(HeaderValue::from_bytes(b"x\"\xff \\y").unwrap()),
            },
            refused: None,
            status: Some(StatusCode::OK),
            bytes: 12,
            started_at: now,
            finished_at: now + Duration::from_millis(9),
            time: SystemTime::UNIX_EPOCH + Duration::from_millis(784_111_777_042),
            passage: Some(Passage {
                queued_at: now + Duration::from_micros(500),
                trace: Trace {
                    worker: Some(WorkerId(3)),
                    started_at: Some(now + Duration::from_millis(2)),
                    finished_at: Some(now + Duration::from_micros(8500)),
                },
            }),
            aborted: false,
        }
    }

    fn written(format: LogFormat, record: &Record) -> String {
        let mut out = Vec::new();
        Form { format, is_coloured: false, zone: TimeZone::UTC }.line(record, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_combined_line_escapes_what_the_client_sent() {
        assert_eq!(
            written(LogFormat::Text, &record()),
            "192.0.2.1 - - [06/Nov/1994:08:49:37 +0000] \"GET /a?b=%22 HTTP/1.1\" 200 12 \"-\" \
             \"x\\x22\\xFF \\x5Cy\" 0000000000000abc 1.5 6.5 3\n"
        );
    }

    #[test]
    fn a_request_without_a_worker_has_dashes_and_a_cut_one_says_so() {
        let record = Record { passage: None, aborted: true, ..record() };
        assert!(written(LogFormat::Text, &record).ends_with(" 0000000000000abc - - - aborted\n"));
    }

    #[test]
    fn what_was_no_request_is_shown_as_it_came() {
        let refused = || Some(b"G\x16T / \"HTTP/1.1".as_slice().into());
        let text = written(LogFormat::Text, &Record { refused: refused(), ..record() });
        assert!(text.contains("] \"G\\x16T / \\x22HTTP/1.1\" 200"), "{text}");
        let json = written(LogFormat::Json, &Record { refused: refused(), ..record() });
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(
            (&value["method"], &value["refused"]),
            (&serde_json::Value::Null, &"G\\x16T / \\x22HTTP/1.1".into())
        );
    }

    #[test]
    fn a_json_line_is_one_object() {
        let line = written(LogFormat::Json, &record());
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["time"], "1994-11-06T08:49:37.042Z");
        assert_eq!(value["queue_ms"], 1.5);
        assert_eq!(value["worker"], 3);
        assert_eq!(value.get("aborted"), None);
        assert_eq!(line.matches('\n').count(), 1);
    }
}
