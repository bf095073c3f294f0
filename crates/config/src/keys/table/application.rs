//! Where the configuration is, and what is served.

use super::{
    super::{Key, Kind, Preset},
    both,
};

const GENERAL: &str = "General";
const APPLICATION: &str = "Application";

pub(super) const KEYS: &[Key] = &[
    Key {
        name: "config",
        value_name: "FILE",
        kind: Kind::File,
        repeatable: false,
        in_file: false,
        heading: GENERAL,
        help: "Read the configuration from this TOML file",
        details: "A relative path in the file is relative to the file's directory; elsewhere to the current \
                  directory.",
        presets: both(Preset::Described("stack.toml, where it exists")),
        elsewhere: &["config_file", "settings"],
    },
    Key {
        name: "profile",
        value_name: "PROFILE",
        kind: Kind::Word(&["dev", "prod"]),
        repeatable: false,
        in_file: true,
        heading: GENERAL,
        help: "Whose defaults are in force",
        details: "The profiles differ in nothing but defaults.",
        presets: both(Preset::Value("prod")),
        elsewhere: &["env", "environment", "mode"],
    },
    Key {
        name: "app",
        value_name: "APP",
        kind: Kind::Text,
        repeatable: false,
        in_file: true,
        heading: APPLICATION,
        help: "The WSGI application: module, module:callable or module:factory()",
        details: "The module is imported with chdir first on sys.path. Without a callable, application and then app \
                  is tried.",
        presets: both(Preset::Described("looked for in chdir")),
        elsewhere: &["application", "wsgi", "wsgi_app", "module"],
    },
    Key {
        name: "chdir",
        value_name: "DIR",
        kind: Kind::Directory,
        repeatable: false,
        in_file: true,
        heading: APPLICATION,
        help: "Directory the application runs in",
        details: "It is first on sys.path.",
        presets: both(Preset::Described("the current directory")),
        elsewhere: &["directory", "working_directory", "working_dir", "pythonpath"],
    },
    Key {
        name: "venv",
        value_name: "DIR",
        kind: Kind::Directory,
        repeatable: false,
        in_file: true,
        heading: APPLICATION,
        help: "Virtual environment of the application",
        details: "It must belong to the Python version this program was built with.",
        presets: both(Preset::Described("VIRTUAL_ENV, or .venv or venv in chdir")),
        elsewhere: &["virtualenv", "virtual_env", "home"],
    },
    Key {
        name: "env_file",
        value_name: "FILE",
        kind: Kind::File,
        repeatable: false,
        in_file: true,
        heading: APPLICATION,
        help: "File of NAME=value lines, set for the application",
        details: "Dotenv format; a $ needs single quotes. A variable that is already in the environment wins. Keys of this server do not \
                  belong in it: they are read from the real environment only.",
        presets: both(Preset::Described("none")),
        elsewhere: &["dotenv", "raw_env"],
    },
    Key {
        name: "isolation",
        value_name: "MODE",
        kind: Kind::Word(&["auto", "interpreters", "threads", "processes"]),
        repeatable: false,
        in_file: true,
        heading: APPLICATION,
        help: "What keeps the workers apart, and lets Python run in parallel",
        details: "interpreters: each worker is an interpreter with a GIL of its own, in this process; extension modules \
                  have to support that. processes: each worker is a process of its own; everything loads there. \
                  threads: one worker, whose threads run in parallel on a free-threaded Python; workers does not \
                  count there. auto: threads on a free-threaded Python, else interpreters if the application can be \
                  imported in one, else processes; `stack doctor` shows what it picks, and why.",
        presets: both(Preset::Value("auto")),
        elsewhere: &["worker_class", "worker_type", "runtime_mode", "concurrency", "multiprocess"],
    },
    Key {
        name: "workers",
        value_name: "COUNT",
        kind: Kind::Count,
        repeatable: false,
        in_file: true,
        heading: APPLICATION,
        help: "Interpreters or processes that run the application",
        details: "Each runs Python in parallel with the others; isolation says which of the two they are. In a \
                  container the default follows the CPU quota.",
        presets: [Preset::Value("1"), Preset::Described("one for each CPU")],
        elsewhere: &["worker_processes", "processes", "num_workers"],
    },
    Key {
        name: "threads",
        value_name: "COUNT",
        kind: Kind::Count,
        repeatable: false,
        in_file: true,
        heading: APPLICATION,
        help: "Threads of each worker",
        details: "A worker answers that many requests at a time, be it an interpreter or a process. With isolation = \
                  threads on a free-threaded Python the default is one for each CPU, where that is more.",
        presets: both(Preset::Value("4")),
        elsewhere: &["worker_threads", "blocking_threads", "num_threads"],
    },
    Key {
        name: "preload",
        value_name: "true|false",
        kind: Kind::Switch,
        repeatable: false,
        in_file: true,
        heading: APPLICATION,
        help: "Import the application once and fork the worker processes from there",
        details: "What the import made is shared memory then. It takes isolation = processes, which auto becomes with \
                  it. An import that leaves a thread running is refused; a connection that it opens is shared by all \
                  workers.",
        presets: both(Preset::Value("false")),
        elsewhere: &["preload_app", "lazy_apps", "lazy", "fork"],
    },
];
