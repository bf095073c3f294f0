//! When a worker is replaced by a new one.

use super::{
    super::{Key, Kind, Preset},
    both,
};

const RECYCLING: &str = "Recycling";

pub(super) const KEYS: &[Key] = &[
    Key {
        name: "max_requests",
        value_name: "COUNT",
        kind: Kind::Count,
        repeatable: false,
        in_file: true,
        heading: RECYCLING,
        help: "Requests after which a worker is replaced",
        details: "One worker at a time: the new one is ready first, and the old one finishes what it has. An interpreter \
                  of Python 3.13 and the threads of isolation = threads can not give their memory back: there the first \
                  worker that has run enough has the supervisor put a new server process in the place of this one, as a \
                  reload does, but not before this one has served for ten times as long as its start took. With 0 \
                  there is no limit.",
        presets: both(Preset::Value("0")),
        elsewhere: &["max_requests_per_child", "limit_max_requests", "workers_max_requests"],
    },
    Key {
        name: "max_requests_jitter",
        value_name: "COUNT",
        kind: Kind::Count,
        repeatable: false,
        in_file: true,
        heading: RECYCLING,
        help: "Up to this many requests more, by chance, for each worker",
        details: "So that workers that began together do not end together.",
        presets: both(Preset::Value("0")),
        elsewhere: &["jitter"],
    },
    Key {
        name: "max_worker_memory",
        value_name: "SIZE",
        kind: Kind::Size,
        repeatable: false,
        in_file: true,
        heading: RECYCLING,
        help: "Memory above which a worker is replaced",
        details: "A process's own memory and its share of what it shares (PSS), looked at every few seconds. What one \
                  interpreter takes can not be told: with isolation = interpreters or threads the key has no effect, \
                  and the log says so. With 0 there is no limit.",
        presets: both(Preset::Value("0")),
        elsewhere: &["reload_on_rss", "max_memory_per_child", "workers_max_rss", "max_memory"],
    },
    Key {
        name: "max_worker_lifetime",
        value_name: "DURATION",
        kind: Kind::Duration,
        repeatable: false,
        in_file: true,
        heading: RECYCLING,
        help: "How long a worker serves until it is replaced",
        details: "As with max_requests. With 0 there is no limit.",
        presets: both(Preset::Value("0")),
        elsewhere: &["max_lifetime", "workers_lifetime", "worker_lifetime"],
    },
];
