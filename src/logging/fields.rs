//! Fields of a text log line: the message, then `name=value`, then what does not fit into one line.

use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing_subscriber::{
    field::RecordFields,
    fmt::{FormatFields, format::Writer},
};

/// Values stand as they are where that is clear, quoted where it is not. A value of several lines, such as a traceback,
/// follows below the line as it is: people read it there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlainFields;

impl<'writer> FormatFields<'writer> for PlainFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut line = Line::default();
        fields.record(&mut line);
        let Line { message, fields, below } = line;
        write!(writer, "{message}")?;
        if !fields.is_empty() {
            write!(writer, "{}{fields}", if message.is_empty() { "" } else { " " })?;
        }
        below.iter().try_for_each(|text| write!(writer, "\n{text}"))
    }
}

#[derive(Default)]
struct Line {
    message: String,
    fields: String,
    below: Vec<String>,
}

impl Line {
    fn add(&mut self, name: &str, value: &str) {
        if value.contains('\n') {
            return self.below.push(value.trim_end().to_owned());
        }
        let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '=' | '\\');
        let space = if self.fields.is_empty() { "" } else { " " };
        // Writing to a String can not fail.
        let _ = if !value.is_empty() && value.chars().all(is_plain) {
            write!(self.fields, "{space}{name}={value}")
        } else {
            write!(self.fields, "{space}{name}={value:?}")
        };
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let value = format!("{value:?}");
        if field.name() == "message" { self.message = value } else { self.add(field.name(), &value) }
    }
}

/// What an application has written, as it stands there; only what would do something to a terminal is escaped.
#[derive(Default)]
pub(crate) struct Written(pub(crate) String);

impl Visit for Written {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "line" {
            for c in value.chars() {
                if c.is_control() && c != '\t' { self.0.extend(c.escape_default()) } else { self.0.push(c) }
            }
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}
