//! How the server lives: its parent, reloads.

use super::{
    super::{Key, Kind, Preset},
    both,
};

const LIFECYCLE: &str = "Lifecycle";

pub(super) const KEYS: &[Key] = &[
    Key {
        name: "supervisor",
        value_name: "true|false",
        kind: Kind::Switch,
        repeatable: false,
        in_file: true,
        heading: LIFECYCLE,
        help: "Run the server as the child of a small parent that keeps its sockets",
        details: "The parent restarts a server that has ended, and can put a new one in its place without losing a \
                  request. --no-supervisor runs the server alone.",
        presets: both(Preset::Value("true")),
        elsewhere: &["master", "daemon", "daemonize", "respawn", "respawn_failed_workers"],
    },
    Key {
        name: "watchdog_timeout",
        value_name: "DURATION",
        kind: Kind::Duration,
        repeatable: false,
        in_file: true,
        heading: LIFECYCLE,
        help: "How long a server may be silent until the supervisor replaces it",
        details: "The supervisor asks five times in that time whether the event loop turns. The server gets SIGABRT and \
                  after 5 seconds SIGKILL, and another one is started. Requests of the application do not count, however long they \
                  take: see request_timeout. Time in which the supervisor stood still itself does not count either. 0 \
                  switches it off.",
        presets: both(Preset::Value("30s")),
        elsewhere: &["watchdog", "watchdog_sec", "WatchdogSec"],
    },
    Key {
        name: "control_socket",
        value_name: "PATH|off",
        kind: Kind::Text,
        repeatable: false,
        in_file: true,
        heading: LIFECYCLE,
        help: "Where stack status, reload and stop find the supervisor",
        details: "A Unix socket that only its owner may use. Without it the socket is made in the user's runtime \
                  directory, under a name that belongs to the configuration file or, without one, to the current \
                  directory.",
        presets: both(Preset::Described("a name in the user's runtime directory")),
        elsewhere: &["pid", "pidfile", "pid_file", "control", "control_sock"],
    },
    Key {
        name: "reload_check",
        value_name: "PATH|URL",
        kind: Kind::Text,
        repeatable: false,
        in_file: true,
        heading: LIFECYCLE,
        help: "Ask a new server for this before it takes over in a reload",
        details: "An answer of 2xx or 3xx within 30 seconds lets it take over; anything else fails the reload, and the \
                  server before goes on. A URL (https://www.example.com/healthz) says which host is asked for.",
        presets: both(Preset::Described("none")),
        elsewhere: &["check_path", "ready_path"],
    },
    Key {
        name: "reload_on_change",
        value_name: "true|false",
        kind: Kind::Switch,
        repeatable: false,
        in_file: true,
        heading: LIFECYCLE,
        help: "Reload when a file changes that the application is made of",
        details: "Those are the modules that it has imported, Python files and templates below chdir, the configuration file and \
                  env_file. What git ignores is none of them, nor are hidden files, virtual environments and node_modules. \
                  The server before goes on where the new one does not come up. It takes the supervisor.",
        presets: [Preset::Value("true"), Preset::Value("false")],
        elsewhere: &["reload", "autoreload", "auto_reload", "use_reloader", "py_autoreload"],
    },
    Key {
        name: "reload_include",
        value_name: "GLOB",
        kind: Kind::Text,
        repeatable: true,
        in_file: true,
        heading: LIFECYCLE,
        help: "Further files below chdir whose change reloads",
        details: "*.json is for file names; with a slash the glob is for paths from chdir on: data/*.csv.",
        presets: both(Preset::Described("none")),
        elsewhere: &["reload_extra_file", "reload_extra_files", "extra_files", "reload_includes", "reload_dirs"],
    },
    Key {
        name: "reload_ignore",
        value_name: "GLOB",
        kind: Kind::Text,
        repeatable: true,
        in_file: true,
        heading: LIFECYCLE,
        help: "Files below chdir whose change does not reload",
        details: "Written as those of reload_include, and stronger: for what the application writes by itself.",
        presets: both(Preset::Described("none")),
        elsewhere: &["reload_excludes", "reload_exclude", "exclude_patterns"],
    },
    Key {
        name: "browser_reload",
        value_name: "true|false",
        kind: Kind::Switch,
        repeatable: false,
        in_file: true,
        heading: LIFECYCLE,
        help: "Pages of the application reload themselves after a reload",
        details: "A script is added to each, and the paths below /.stack/ are the server's own. A changed static file has the pages \
                  reloaded as well.",
        presets: [Preset::Value("true"), Preset::Value("false")],
        elsewhere: &["livereload", "live_reload", "hot_reload"],
    },
];
