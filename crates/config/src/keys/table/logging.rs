//! What is logged.

use super::{
    super::{Key, Kind, Preset},
    both,
};

const LOGGING: &str = "Logging";

pub(super) const KEYS: &[Key] = &[
    Key {
        name: "log_level",
        value_name: "LEVEL",
        kind: Kind::Word(&["error", "warn", "info", "debug", "trace"]),
        repeatable: false,
        in_file: true,
        heading: LOGGING,
        help: "Least serious level that is logged",
        details: "",
        presets: both(Preset::Value("info")),
        elsewhere: &["loglevel", "verbosity", "level"],
    },
    Key {
        name: "log_format",
        value_name: "FORMAT",
        kind: Kind::Word(&["text", "json", "short"]),
        repeatable: false,
        in_file: true,
        heading: LOGGING,
        help: "Form of the log: text, json with one object a line, or short",
        details: "It goes to standard error. short has the local time of day and, for each request, a line that is as short as can \
                  be. text and short are coloured on a terminal, unless NO_COLOR is set.",
        presets: [Preset::Value("short"), Preset::Value("text")],
        elsewhere: &["logformat", "log_config"],
    },
    Key {
        name: "access_log",
        value_name: "-|FILE|off",
        kind: Kind::Text,
        repeatable: false,
        in_file: true,
        heading: LOGGING,
        help: "Where each request is logged: - for standard output, a file, or off",
        details: "A file is appended to. Its form is that of log_format; text is the combined format of nginx and \
                  Apache, short has time, method, target, status, size and duration.",
        presets: both(Preset::Value("-")),
        elsewhere: &["accesslog", "access_logfile", "access_log_file", "log_file"],
    },
];
