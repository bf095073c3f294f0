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
        kind: Kind::Word(&["text", "json"]),
        repeatable: false,
        in_file: true,
        heading: LOGGING,
        help: "Form of the log: text for people, or json with one object a line",
        details: "Both go to standard error. Text is coloured on a terminal, unless NO_COLOR is set.",
        presets: both(Preset::Value("text")),
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
                  Apache.",
        presets: both(Preset::Value("-")),
        elsewhere: &["accesslog", "access_logfile", "access_log_file", "log_file"],
    },
];
