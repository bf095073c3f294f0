//! The keys themselves, a file for each of their groups in the help.

mod application;
mod clients;
mod exchange;
mod files;
mod lifecycle;
mod listening;
mod logging;
mod recycling;
mod routing;
mod timeouts;
mod tls;

use std::sync::LazyLock;

use super::{Key, Preset};

/// All of them, in the order of the help.
pub(super) static TABLE: LazyLock<Vec<Key>> = LazyLock::new(|| {
    [
        application::KEYS,
        listening::KEYS,
        files::KEYS,
        tls::KEYS,
        routing::KEYS,
        exchange::KEYS,
        timeouts::KEYS,
        recycling::KEYS,
        clients::KEYS,
        lifecycle::KEYS,
        logging::KEYS,
    ]
    .concat()
});

const fn both(preset: Preset) -> [Preset; 2] {
    [preset, preset]
}
