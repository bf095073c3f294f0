//! Every configuration key: its name, default, unit and check.
//!
//! Layers, each over the one before: defaults of the profile, the file, the environment, the flags. This crate knows
//! neither sockets nor Python.
#![forbid(unsafe_code)]

mod checked;

pub use checked::{
    AccessLog, AppSource, AppSpec, Bind, Callable, Config, Limits, Log, LogFormat, LogLevel, Profile, StaticRoot,
    Timeouts,
};
