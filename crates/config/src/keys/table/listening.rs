//! Where clients connect, and how many.

use super::{
    super::{Key, Kind, Preset},
    both,
};

const LISTENING: &str = "Listening";

pub(super) const KEYS: &[Key] = &[
    Key {
        name: "bind",
        value_name: "ADDRESS",
        kind: Kind::Text,
        repeatable: true,
        in_file: true,
        heading: LISTENING,
        help: "Where to listen: HOST:PORT, unix:PATH or fd://N",
        details: "Without a host (:8000, or 8000) it is every IPv4 address. fd://N is a listening socket that was \
                  inherited, fd://NAME one that systemd passes on under that name. If nobody sets bind, it is the \
                  sockets that systemd passes on (LISTEN_FDS) or, if the variable PORT is set, 0.0.0.0:$PORT.",
        presets: both(Preset::Value("127.0.0.1:8000")),
        elsewhere: &["listen", "host", "port", "address", "http_socket"],
    },
    Key {
        name: "backlog",
        value_name: "COUNT",
        kind: Kind::Count,
        repeatable: false,
        in_file: true,
        heading: LISTENING,
        help: "Connections the kernel may keep waiting for each listener",
        details: "The kernel lowers it to net.core.somaxconn.",
        presets: both(Preset::Value("2048")),
        elsewhere: &["listen_backlog"],
    },
    Key {
        name: "max_connections",
        value_name: "COUNT",
        kind: Kind::Count,
        repeatable: false,
        in_file: true,
        heading: LISTENING,
        help: "Connections that may be open at a time",
        details: "More wait in the backlog.",
        presets: both(Preset::Value("10000")),
        elsewhere: &["worker_connections", "connections"],
    },
    Key {
        name: "static",
        value_name: "[PREFIX=]DIR",
        kind: Kind::Text,
        repeatable: true,
        in_file: true,
        heading: LISTENING,
        help: "Serve the files in DIR, below PREFIX if it is given",
        details: "With a prefix (/static=./public) the application never sees a path below it. Without one, a file \
                  that exists is served and everything else goes to the application.",
        presets: both(Preset::Described("none")),
        elsewhere: &["statics", "static_path", "static_dir", "static_map", "root", "alias", "public"],
    },
];
