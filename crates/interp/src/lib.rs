//! Placeholder of a crate to be written.
