//! What can be wrong with sites, routes and rules.

/// What is wrong with a site or a rule of one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SiteReason {
    /// `[site]`, or something that is no table.
    #[error("not a list of sections")]
    NotSections,
    /// A key that only the top level has.
    #[error("not to be set for one site")]
    NotInSite,
    /// A section without a host that is not the default.
    #[error("a site without a host")]
    NoHost,
    /// A section that answers nothing.
    #[error("a site with nothing to serve")]
    Nothing,
    /// A host that is not one.
    #[error("not a host name")]
    NotHost {
        /// What to write in its place.
        hint: String,
    },
    /// The same host, twice.
    #[error("host `{host}` is there twice: it is at {other} already")]
    HostTwice {
        /// The host.
        host: String,
        /// Where it stands first.
        other: String,
    },
    /// Two default sites.
    #[error("there is a default site already: {other}")]
    DefaultTwice {
        /// The first one.
        other: String,
    },
    /// No `PREFIX=APP`.
    #[error("not a path prefix and an application")]
    NotMount,
    /// A prefix that is owned by a static root or another application.
    #[error("prefix `{0}` is there twice")]
    PrefixTwice(String),
    /// A path that no request can have.
    #[error("`{path}` is not a path that a request can have")]
    PathPattern {
        /// The path.
        path: String,
        /// What to write in its place.
        hint: &'static str,
    },
    /// A regular expression that is none.
    #[error("not a regular expression: {0}")]
    Regex(String),
    /// A rule without its second side.
    #[error("nothing to lead to")]
    NoTarget,
    /// A target that is neither a path nor a URL.
    #[error("`{0}` is neither a path nor a URL")]
    NotTarget(String),
    /// A rewrite to another site.
    #[error("a rewrite stays on the site")]
    RewriteElsewhere,
    /// A capture in the authority of a URL.
    #[error("`{0}` lets the client choose the host")]
    OpenRedirect(String),
    /// A capture that the pattern does not have.
    #[error("`${number}` is not there: the pattern has {groups} groups")]
    NoCapture {
        /// The one that was named.
        number: usize,
        /// As many there are.
        groups: usize,
    },
    /// A `$` that nothing follows.
    #[error("a `$` without a number")]
    LoneDollar,
    /// A status that the rule can not have.
    #[error("`{0}` is not a status for this")]
    Status(String),
    /// A body where the status has none.
    #[error("a response with status {0} has no body")]
    NoBody(u16),
    /// The same pattern, twice.
    #[error("`{0}` is there twice")]
    PatternTwice(String),
    /// A field that is not `NAME: VALUE`.
    #[error("not a field")]
    NotField,
    /// A field that belongs to the server.
    #[error("`{0}` belongs to the framing of the response")]
    FramingField(String),
    /// No `STATUS=FILE`.
    #[error("not a status and a file")]
    NotErrorPage,
    /// A page that is not meant to be one.
    #[error("larger than 1 MiB")]
    PageTooLarge,
}

impl SiteReason {
    /// A way out, in a sentence.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotSections => "write a section for each site, with [[site]] above its keys",
            Self::NotInSite => "set it at the top level, for all sites",
            Self::NoHost => "write host = [\"example.com\"], or default = true",
            Self::Nothing => "name an app, or static roots, mounts, redirects, returns or a canonical_host",
            Self::NotHost { hint } => return Some(hint.clone()),
            Self::DefaultTwice { .. } => {
                "leave default out, or leave app, static, mount, redirect, return and canonical_host out of the top level"
            }
            Self::NotMount => "write PREFIX=APP, such as /shop=shop.wsgi:application",
            Self::HostTwice { .. } | Self::PrefixTwice(_) | Self::PatternTwice(_) => "leave one of them out",
            Self::PathPattern { path: _, hint } => hint,
            Self::Regex(_) => "back references and look-around are not part of it: it takes linear time",
            Self::NoTarget => "write FROM=TO; with a = in FROM write FROM -> TO",
            Self::NotTarget(_) => "write a path such as /new, or http:// or https:// with a host",
            Self::RewriteElsewhere => "write a path, or use redirect",
            Self::OpenRedirect(_) => "write the host out, and a / behind it",
            Self::NoCapture { .. } => "$1 is the first group, or what * stands for; $0 is all that matched",
            Self::LoneDollar => "write $1 to $9 for a group, $$ for a dollar sign",
            Self::Status(_) => {
                "a redirect has 301, 302, 303, 307 or 308; a return has 200 to 599 without 3xx; an error page 400 to 599, \
                 4xx or 5xx"
            }
            Self::NoBody(_) => "leave the body out",
            Self::NotField => "write NAME: VALUE to set it, +NAME: VALUE to add it, -NAME to remove it",
            Self::FramingField(_) => "leave it to the server: a wrong one would break the connection",
            Self::NotErrorPage => "write STATUS=FILE, such as 404=./404.html or 5xx=./oops.html",
            Self::PageTooLarge => return None,
        };
        Some(hint.to_owned())
    }
}
