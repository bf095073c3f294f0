//! How the server lives: its parent, reloads.

use super::{
    super::{Key, Kind, Preset},
    both,
};

const LIFECYCLE: &str = "Lifecycle";

pub(super) const KEYS: &[Key] = &[Key {
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
}];
