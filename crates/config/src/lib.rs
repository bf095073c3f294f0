//! Every configuration key: its name, default, unit and check.
//!
//! Layers, each over the one before: defaults of the profile, the file, the environment, the flags. [`keys()`] is the one
//! table of keys; [`load()`] reads what the user wrote as it is, then checks it. This crate knows neither sockets nor
//! Python.
//!
//! Invariants:
//! - A [`Config`] is complete and every value in it has been checked; without one there are [`Errors`], all of them.
//! - An error names the key, the value, where it came from, and a way out.
//! - Nothing is changed: no variable is set, no directory entered, no file left behind.
#![forbid(unsafe_code)]

mod check;
mod checked;
mod error;
mod explain;
mod keys;
mod layers;
mod load;
mod origin;
mod raw;
#[cfg(test)]
mod testing;
mod units;

pub use check::local_ca;
pub use checked::{
    AccessLog, AppSource, AppSpec, Application, Bind, CacheRule, Callable, CertificateFiles, Changes, ClientAuth,
    Clients, Compression, CompressionMode, Config, ControlSocket, Endpoint, ErrorDetails, ErrorPage, ErrorStatus,
    Fallback, FieldRule, Files, ForwardedHeaders, Health, Host, Hsts, HstsScope, InternalRoot, Isolation,
    LARGEST_ERROR_PAGE, Layout, Lifecycle, Limits, Log, LogFormat, LogLevel, Mount, Network, PathPattern, Piece,
    Profile, RateKey, RateLimit, Rates, Recycling, Redirect, ReloadCheck, Return, Rewrite, Rules, Section, Served,
    SettingFile, Site, Sites, StaticRoot, Target, Timeouts, Tls, TlsMode, TlsVersion, Transport,
};
pub use error::{Errors, Problem, Reason, SiteReason, TlsReason};
pub use explain::{Explained, ExplainedSite};
pub use keys::{Key, Kind, Preset, keys};
pub use layers::DEFAULT_FILE;
pub use load::{Inputs, Loaded, Located, load, locate};
pub use origin::Origin;
