//! The log: tracing events to standard error, in one line each.

mod fields;

use std::{
    env, fmt,
    io::{self, IsTerminal},
    time::SystemTime,
};

use anyhow::Context;
use jiff::tz::TimeZone;
use stack_config::{Log, LogFormat, LogLevel};
use tracing::{Event, Level, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer, Registry,
    filter::Targets,
    fmt::{
        FmtContext, FormatEvent, FormatFields, FormattedFields, MakeWriter,
        format::{JsonFields, Writer},
        time::FormatTime,
    },
    layer::SubscriberExt,
    registry::{LookupSpan, Scope},
};

use self::fields::{PlainFields, Written};

/// What our own crates have in common: their targets begin with it.
const OURS: &str = "stack";

/// The target of what applications write to `wsgi.errors`, a line an event.
const WRITTEN: &str = "wsgi.errors";

/// Sends every event of this process to standard error from now on.
pub(crate) fn init(log: &Log) -> anyhow::Result<()> {
    // https://no-color.org: set to anything but nothing.
    let no_color = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colour = if io::stderr().is_terminal() && !no_color { Colour::Yes } else { Colour::No };
    let layer = layer(log.format, colour, io::stderr);
    let subscriber = Registry::default().with(layer.with_filter(filter(log.level)));
    tracing::subscriber::set_global_default(subscriber).context("the log is set up already")
}

/// Whether levels and field names are coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Colour {
    Yes,
    No,
}

/// The level is that of our own crates; of others, only what somebody must look at, until everything is asked for.
fn filter(level: LogLevel) -> Targets {
    let (ours, others) = match level {
        LogLevel::Error => (LevelFilter::ERROR, LevelFilter::ERROR),
        LogLevel::Warn => (LevelFilter::WARN, LevelFilter::WARN),
        LogLevel::Info => (LevelFilter::INFO, LevelFilter::WARN),
        LogLevel::Debug => (LevelFilter::DEBUG, LevelFilter::WARN),
        LogLevel::Trace => (LevelFilter::TRACE, LevelFilter::TRACE),
    };
    Targets::new().with_default(others).with_target(OURS, ours)
}

fn layer<S, W>(format: LogFormat, colour: Colour, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    match format {
        LogFormat::Text | LogFormat::Short => {
            let zone = (format == LogFormat::Short).then(TimeZone::system);
            let line = Line { zone };
            Box::new(layer.with_ansi(colour == Colour::Yes).fmt_fields(PlainFields).event_format(line))
        }
        LogFormat::Json => {
            let line = tracing_subscriber::fmt::format()
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(true)
                .with_timer(Timestamp);
            Box::new(layer.with_ansi(false).fmt_fields(JsonFields::new()).event_format(line))
        }
    }
}

/// `2026-11-20T12:00:00.123Z`: UTC, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Timestamp;

impl FormatTime for Timestamp {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{}", humantime::format_rfc3339_millis(SystemTime::now()))
    }
}

/// `2026-11-20T12:00:00.123Z INFO  message field=value`; the fields of the spans around it follow.
#[derive(Clone, Debug)]
struct Line {
    /// Where the reader is: the time is the time of day there.
    zone: Option<TimeZone>,
}

impl Line {
    fn time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        match &self.zone {
            None => Timestamp.format_time(writer),
            Some(zone) => write!(writer, "{}", jiff::Timestamp::now().to_zoned(zone.clone()).strftime("%H:%M:%S%.3f")),
        }
    }
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        self.time(&mut writer)?;
        let level = *event.metadata().level();
        if writer.has_ansi_escapes() {
            write!(writer, " \u{1b}[{}m{level:5}\u{1b}[0m ", colour_code(level))?;
        } else {
            write!(writer, " {level:5} ")?;
        }
        if self.zone.is_some() && event.metadata().target() == WRITTEN {
            // Most of it are tracebacks, and who reads them knows whose they are.
            let mut written = Written::default();
            event.record(&mut written);
            return writeln!(writer, "{}", written.0);
        }
        context.field_format().format_fields(writer.by_ref(), event)?;
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>().filter(|fields| !fields.is_empty()) {
                write!(writer, " {fields}")?;
            }
        }
        writeln!(writer)
    }
}

/// The SGR code of a level: red, yellow, green, and faint for the rest.
fn colour_code(level: Level) -> u8 {
    match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, colour: Colour, level: LogLevel, events: impl FnOnce()) -> String {
        let memory = Memory::default();
        let writer = memory.clone();
        let layer = layer(format, colour, move || writer.clone()).with_filter(filter(level));
        tracing::subscriber::with_default(Registry::default().with(layer), events);
        let bytes = memory.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn text_is_one_line_with_time_level_message_and_fields() {
        let text = logged(LogFormat::Text, Colour::No, LogLevel::Info, || {
            let _span = tracing::info_span!("request", id = 7).entered();
            tracing::info!(address = %"127.0.0.1:8000", workers = 4, "listening");
        });
        let (time, rest) = text.split_at("2026-11-20T12:00:00.123Z".len());
        assert_eq!(rest, " INFO  listening address=127.0.0.1:8000 workers=4 id=7\n");
        assert!(humantime::parse_rfc3339(time).is_ok() && time.ends_with('Z'), "{time}");
    }

    #[test]
    fn short_has_the_time_of_day() {
        let text = logged(LogFormat::Short, Colour::No, LogLevel::Info, || tracing::info!(port = 1, "listening"));
        let (time, rest) = text.split_at("12:00:00.123".len());
        assert_eq!(rest, " INFO  listening port=1\n");
        assert_eq!(time.split([':', '.']).map(str::len).collect::<Vec<_>>(), [2, 2, 2, 3], "{time}");
    }

    #[test]
    fn what_an_application_writes_stands_in_short_as_it_is() {
        let event = || {
            tracing::error!(target: WRITTEN, request_id = 7, line = "  File \"a.py\", line 1\u{1b}[2J", "application");
        };
        let short = logged(LogFormat::Short, Colour::No, LogLevel::Info, event);
        assert_eq!(&short["12:00:00.123".len()..], " ERROR   File \"a.py\", line 1\\u{1b}[2J\n");
        assert!(logged(LogFormat::Text, Colour::No, LogLevel::Info, event).contains("request_id=7 line="));
    }

    #[test]
    fn values_are_quoted_where_they_must_be_and_tracebacks_stand_below() {
        let text = logged(LogFormat::Text, Colour::No, LogLevel::Info, || {
            tracing::error!(
                path = "/a b",
                empty = "",
                traceback = "Traceback:\n  line\n",
                code = "STACK0201",
                "raised"
            );
        });
        let (_, rest) = text.split_once("ERROR ").unwrap();
        assert_eq!(rest, "raised path=\"/a b\" empty=\"\" code=STACK0201\nTraceback:\n  line\n");
    }

    #[test]
    fn colour_is_there_on_demand_only() {
        let event = || tracing::error!("broken");
        assert!(logged(LogFormat::Text, Colour::Yes, LogLevel::Info, event).contains("\u{1b}[31mERROR\u{1b}[0m"));
        assert!(!logged(LogFormat::Text, Colour::No, LogLevel::Info, event).contains('\u{1b}'));
    }

    #[test]
    fn json_is_one_flat_object_a_line() {
        let text = logged(LogFormat::Json, Colour::Yes, LogLevel::Info, || {
            tracing::warn!(status = 503, reason = "saturated", "refused");
        });
        assert_eq!(text.lines().count(), 1);
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["message"], "refused");
        assert_eq!((&line["status"], &line["reason"]), (&503.into(), &"saturated".into()));
        assert_eq!(line["target"], "stack::logging::tests");
        assert!(line["timestamp"].as_str().is_some_and(|time| humantime::parse_rfc3339(time).is_ok()), "{line}");
    }

    #[test]
    fn the_level_is_ours_and_others_only_warn() {
        let events = || {
            tracing::debug!("ours");
            tracing::debug!(target: "hyper::proto", "theirs");
            tracing::info!(target: "stack_front::accept", "crate");
            tracing::warn!(target: "hyper::proto", "warning");
        };
        let messages = |level| {
            let text = logged(LogFormat::Text, Colour::No, level, events);
            text.lines().map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(messages(LogLevel::Debug), ["ours", "crate", "warning"]);
        assert_eq!(messages(LogLevel::Error), Vec::<String>::new());
        assert_eq!(messages(LogLevel::Trace).len(), 4);
    }
}
