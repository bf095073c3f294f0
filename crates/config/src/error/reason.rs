//! Every way in which a value can be wrong, and the hint that goes with it.

mod site;

use std::{io, net::SocketAddr, path::PathBuf};

pub use site::SiteReason;

use super::TlsReason;

/// What is wrong with a name or a value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// No key has this name.
    #[error("no such key")]
    UnknownKey {
        /// What may have been meant, in the words of the source: a key, a variable or a flag.
        nearest: Option<String>,
    },
    /// The name is a table of the file.
    #[error("a table; keys stand at the top level of the file")]
    Table,
    /// A key that the file can not set.
    #[error("not to be set in the file itself")]
    NotInFile,
    /// The file is no TOML.
    #[error("{column}: {message}")]
    Syntax {
        /// Counted from 1, in characters.
        column: usize,
        /// What the parser says.
        message: String,
    },
    /// The value has the wrong form.
    #[error("{found} in place of {wanted}")]
    Form {
        /// What was expected.
        wanted: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// Nothing between the quotes.
    #[error("empty")]
    Empty,
    /// Not one of the words.
    #[error("not one of {}", choices.join(", "))]
    NotOneOf {
        /// The words.
        choices: &'static [&'static str],
        /// Which may have been meant.
        nearest: Option<&'static str>,
    },
    /// Not a switch's word.
    #[error("neither true nor false")]
    NotSwitch,
    /// Nothing is forked under this isolation.
    #[error("isolation is {0}, and only worker processes can be forked from a preloaded application")]
    PreloadIsolation(&'static str),
    /// Not a number.
    #[error("not a whole number")]
    NotCount {
        /// The smallest that is allowed.
        least: u64,
        /// The largest that is allowed.
        most: u64,
    },
    /// Too small or too large a number.
    #[error("out of range")]
    OutOfRange {
        /// The smallest that is allowed.
        least: u64,
        /// The largest that is allowed.
        most: u64,
    },
    /// Not a duration.
    #[error("not a duration: {0}")]
    NotDuration(humantime::DurationError),
    /// No time at all.
    #[error("must be longer than 0")]
    ZeroDuration,
    /// Longer than a year.
    #[error("longer than a year")]
    TooLong,
    /// Not a size.
    #[error("not a size")]
    NotSize,
    /// Smaller than is of use.
    #[error("smaller than {0}")]
    TooSmall(&'static str),
    /// More than fits.
    #[error("too large")]
    TooLarge,
    /// Larger than can be dealt with.
    #[error("larger than {0}")]
    LargerThan(&'static str),
    /// The name of a file where the name of a module belongs.
    #[error("the name of a file, not of a Python module")]
    AppIsFile {
        /// What to write in its place.
        module: String,
    },
    /// No `MODULE[:CALLABLE]`.
    #[error("`{part}` is not a Python name")]
    AppName {
        /// The part that is wrong.
        part: String,
    },
    /// Arguments between the parentheses of a factory.
    #[error("a factory is called without arguments")]
    AppArguments,
    /// No form of address.
    #[error("not an address to listen on")]
    NotAddress,
    /// A URL.
    #[error("a URL, not an address to listen on")]
    AddressIsUrl,
    /// An IPv6 address without brackets.
    #[error("an IPv6 address without brackets")]
    AddressWithoutBrackets,
    /// A host without a port.
    #[error("no port")]
    NoPort,
    /// The port is no port.
    #[error("`{0}` is not a port")]
    NotPort(String),
    /// Name resolution failed.
    #[error("no address found for host `{host}`: {error}")]
    Unresolvable {
        /// The host.
        host: String,
        /// What the resolver says.
        error: io::Error,
    },
    /// The name is known and has no address.
    #[error("host `{0}` has no address")]
    NoAddress(String),
    /// The same address, twice.
    #[error("{0} is there twice")]
    AddressTwice(SocketAddr),
    /// The same Unix socket or descriptor, twice.
    #[error("there twice")]
    Twice,
    /// A socket path that the kernel can not take.
    #[error("the path of the socket has {0} bytes; the system takes 107")]
    SocketPathTooLong(usize),
    /// A descriptor that is in use.
    #[error("not a file descriptor's number")]
    NotDescriptor,
    /// A static prefix that can not match.
    #[error("`{prefix}` is not a path prefix")]
    StaticPrefix {
        /// The prefix.
        prefix: String,
        /// A usable one.
        suggestion: Option<String>,
    },
    /// The same static prefix, twice.
    #[error("prefix `{0}` is there twice")]
    StaticTwice(String),
    /// No static directory has this prefix.
    #[error("static serves no directory at `{0}`")]
    NoStaticPrefix(String),
    /// A path that could mean another file than it shows.
    #[error("`{0}` is not the path of a file in the static directory")]
    FallbackPath(String),
    /// Neither a glob nor a value.
    #[error("not a glob, `=` and a Cache-Control value")]
    NotCacheRule,
    /// The glob itself is wrong.
    #[error("not a glob: {0}")]
    NotGlob(String),
    /// A glob for files that are elsewhere.
    #[error("not a glob for files from chdir on")]
    GlobOutside,
    /// A reload takes the parent.
    #[error("supervisor is false, and only a supervisor can start another server")]
    ReloadAlone,
    /// What can not stand in a response head.
    #[error("not the value of a field")]
    NotFieldValue,
    /// Only for the application, and served to everybody.
    #[error("{} is inside {}, which static serves to everybody", inner.display(), outer.display())]
    InternalIsServed {
        /// The directory for the application.
        inner: PathBuf,
        /// The static directory.
        outer: PathBuf,
    },
    /// A file's directory without its prefix.
    #[error("no prefix")]
    NoInternalPrefix,
    /// Not a media type.
    #[error("not a media type")]
    NotMediaType,
    /// Neither an address nor some of them.
    #[error("neither an address nor a CIDR block")]
    NotNetwork,
    /// A block that begins in its middle.
    #[error("has bits behind its prefix")]
    NetworkWithHost(String),
    /// Not so many in so long.
    #[error("not a rate")]
    NotRate,
    /// Nothing that tells clients apart.
    #[error("not a key of rates")]
    NotRateKey,
    /// The PROXY protocol of nobody.
    #[error("no peer is trusted, so that nobody could connect")]
    NoTrustedProxy,
    /// Not a path of a URL, or more than one segment needs.
    #[error("not a path")]
    NotPath,
    /// Not what a server can be asked for.
    #[error("neither a path nor a URL")]
    NotReloadCheck,
    /// A path that can not be used.
    #[error("{what} {}: {error}", path.display())]
    Path {
        /// What was done with it: `can not read`.
        what: &'static str,
        /// The path, absolute.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A file where a directory belongs.
    #[error("{} is not a directory", .0.display())]
    NotDirectory(PathBuf),
    /// A directory where a file belongs.
    #[error("{} is a directory", .0.display())]
    IsDirectory(PathBuf),
    /// A directory that is no virtual environment.
    #[error("{} is not a virtual environment: it has no pyvenv.cfg", .0.display())]
    NotVenv(PathBuf),
    /// A line of the `env_file` that is no assignment.
    #[error("{}:{line}: {message}", path.display())]
    EnvFile {
        /// The `env_file`.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong in it.
        message: String,
    },
    /// A table without a name that it needs.
    #[error("a table without `{0}`")]
    FieldMissing(&'static str),
    /// About sites, routes and rules.
    #[error(transparent)]
    Site(#[from] SiteReason),
    /// A key of TLS.
    #[error(transparent)]
    Tls(#[from] TlsReason),
    /// A value the layers could not put together.
    #[error("{0}")]
    Layers(Box<figment::Error>),
}

impl Reason {
    /// A way out, in a sentence.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::UnknownKey { nearest: Some(nearest) } => format!("did you mean `{nearest}`?"),
            Self::UnknownKey { nearest: None } => "`stack config` lists all keys".into(),
            Self::Table => "write the keys without a line in brackets above them; only sites have one: [[site]]".into(),
            Self::NotInFile => "name the file with --config or STACK_CONFIG".into(),
            Self::Form { wanted: "one value", .. } => "write a single one".into(),
            Self::Form { .. } => "write text in quotes or a number".into(),
            Self::Empty => "leave the key out to have its default".into(),
            Self::NotOneOf { nearest: Some(nearest), .. } => format!("did you mean `{nearest}`?"),
            Self::NotSwitch => "write true or false".into(),
            Self::PreloadIsolation(_) => "write isolation = \"processes\", or leave preload out".into(),
            Self::NotCount { least, most } | Self::OutOfRange { least, most } => {
                format!("write a number from {least} to {most}")
            }
            Self::NotDuration(_) => "write 30s, 1m30s or 500ms; a plain number is seconds".into(),
            Self::ZeroDuration => "this time can not be switched off; write a long one, such as 1h".into(),
            Self::TooLong => "write a unit: a plain number is seconds, ms is milliseconds".into(),
            Self::NotSize | Self::TooLarge => "write 64k, 16M or 1G; a plain number is bytes".into(),
            Self::LargerThan(most) => format!("write at most {most}"),
            Self::TooSmall(_) => "a plain number is bytes; write 64k, 16M or 1G".into(),
            Self::AppIsFile { module } => format!("write {module}, the name that Python code imports it by"),
            Self::AppName { .. } => "write module, module:callable or module:factory()".into(),
            Self::AppArguments => "write a function without parameters that calls it, and name that".into(),
            Self::NotAddress => "write HOST:PORT, :PORT, unix:PATH or fd://N".into(),
            Self::AddressIsUrl => "write HOST:PORT, or http:// or https:// before it".into(),
            Self::AddressWithoutBrackets => "write [::1]:8000".into(),
            Self::NoPort => "write HOST:PORT, such as 127.0.0.1:8000".into(),
            Self::NotPort(_) => "a port is a number from 0 to 65535; 0 lets the system choose".into(),
            Self::Unresolvable { .. } | Self::NoAddress(_) => {
                "write an address of this machine; 0.0.0.0 is every IPv4 address, [::] every IPv6 address".into()
            }
            Self::SocketPathTooLong(_) => "choose a shorter directory, such as /run".into(),
            Self::NotDescriptor => "systemd's first socket is fd://3, or fd:// with its name in LISTEN_FDNAMES".into(),
            Self::StaticPrefix { suggestion: Some(suggestion), .. } | Self::NetworkWithHost(suggestion) => {
                format!("write {suggestion}")
            }
            Self::StaticPrefix { suggestion: None, .. } => {
                "a prefix is a path such as /static, as it is after percent-decoding".into()
            }
            Self::NoStaticPrefix(prefix) if prefix == "/" => "add static = \"DIR\"".into(),
            Self::NoStaticPrefix(prefix) => format!("add static = \"{prefix}=DIR\""),
            Self::FallbackPath(_) => "write a path without a slash at its beginning, such as index.html".into(),
            Self::NotCacheRule => "write *.html=no-cache or /assets/**=public, max-age=3600".into(),
            Self::NotGlob(_) => "write *.html or assets/**".into(),
            Self::GlobOutside => "write *.json or data/*.csv".into(),
            Self::ReloadAlone => "leave out one of the two".into(),
            Self::NotFieldValue => "write visible ASCII characters".into(),
            Self::InternalIsServed { .. } => "move it out of there, or serve less".into(),
            Self::NoInternalPrefix => "write /protected=DIR".into(),
            Self::NotMediaType => "write text/html, or text/* for all of a kind".into(),
            Self::NotNetwork => "write 192.0.2.1, 10.0.0.0/8, 2001:db8::/32, unix, or * for all".into(),
            Self::NotRate => "write 100/s, 60/m, 1000/h or off".into(),
            Self::NotRateKey => "write address, or header: and the name of a field".into(),
            Self::NoTrustedProxy => "name the proxies in trusted_proxies".into(),
            Self::NotPath => "write a plain path below the root, such as /-/health".into(),
            Self::NotReloadCheck => "write /healthz or https://www.example.com/healthz".into(),
            Self::NotDirectory(_) => "name the directory, not a file in it".into(),
            Self::IsDirectory(_) => "name a file in it".into(),
            Self::NotVenv(_) => "make one with `python3 -m venv DIR`, or leave the key out".into(),
            Self::EnvFile { .. } => "write NAME=value, and quotes around a value with spaces".into(),
            Self::AddressTwice(_) | Self::Twice | Self::StaticTwice(_) => "leave one of them out".into(),
            Self::Path { error, .. } => match error.kind() {
                io::ErrorKind::NotFound => {
                    "a relative path in the file begins at the file's directory, elsewhere at the current one".into()
                }
                io::ErrorKind::PermissionDenied => "let this user, or a group of its own, read it".into(),
                _ => return None,
            },
            Self::FieldMissing(name) => format!("write {name} = \"…\" in it"),
            Self::Site(reason) => return reason.hint(),
            Self::Tls(reason) => reason.hint().into(),
            Self::NotOneOf { nearest: None, .. } | Self::Syntax { .. } | Self::Layers(_) => return None,
        })
    }
}
