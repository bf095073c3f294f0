//! What is counted, and what is not.

use std::hint::black_box;

/// How often each benchmark does what it measures before it is counted: caches fill, tables grow.
pub(crate) const WARM_UP: usize = 200;
/// How often between the marks.
pub(crate) const COUNTED: usize = 1000;

/// Does something, and has the last times counted.
pub(crate) fn repeat(mut once: impl FnMut()) {
    for _ in 0..WARM_UP {
        once();
    }
    counting_begins();
    for _ in 0..COUNTED {
        once();
    }
    counting_ends();
}

/// The counter knows this function by its name: what came before does not count.
#[inline(never)]
pub(crate) fn counting_begins() {
    black_box("begins");
}

/// The other mark.
#[inline(never)]
pub(crate) fn counting_ends() {
    black_box("ends");
}
