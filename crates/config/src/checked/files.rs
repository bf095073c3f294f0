//! How files are served beyond where they are, and what is compressed.

use std::path::PathBuf;

/// What holds for all static files, and what is sent for the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// Files for pages that only the browser knows.
    pub fallbacks: Vec<Fallback>,
    /// Cache-Control by path, in order.
    pub cache_rules: Vec<CacheRule>,
    /// Memory for files that are asked for often, in bytes; 0 for none.
    pub cache_memory: u64,
    /// Prefixes whose directories are listed; `None` is the document roots.
    pub listings: Vec<Option<String>>,
    /// Directories for `X-Accel-Redirect`, longest prefix first.
    pub internal: Vec<InternalRoot>,
    /// Directories for `X-Sendfile`, absolute, with symbolic links resolved.
    pub sendfile: Vec<PathBuf>,
    /// Whether the directories of a Django project are found and served.
    pub django: bool,
    /// What is compressed.
    pub compression: Compression,
}

/// `[PREFIX=]FILE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// The prefix of a static directory; `None` is the document roots.
    pub prefix: Option<String>,
    /// Path of the file in that directory, made of plain names.
    pub file: PathBuf,
}

/// `GLOB=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheRule {
    /// A valid glob. Without a slash it is for file names, with one for whole paths.
    pub glob: String,
    /// The value of Cache-Control, visible ASCII.
    pub value: String,
}

/// `PREFIX=DIR`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InternalRoot {
    /// What the paths in `X-Accel-Redirect` begin with: `/` and no slash at its end.
    pub prefix: String,
    /// The directory, absolute, with symbolic links resolved.
    pub directory: PathBuf,
}

/// What is compressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compression {
    /// Which responses.
    pub mode: CompressionMode,
    /// The smallest body, in bytes.
    pub min_size: u64,
    /// Media types in lower case: `text/html`, or `text/*`. Empty is the default list.
    pub types: Vec<String>,
}

/// Which responses are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompressionMode {
    /// None.
    Off,
    /// Those that carry no secret.
    Safe,
    /// All; those with a secret get a random length.
    All,
}
