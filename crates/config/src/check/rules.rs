//! The rules of a site: mounts, redirects, rewrites, returns, fields, error pages.

mod fields;
mod pages;
mod pattern;
mod target;

use super::{Check, Place, app};
use crate::{
    Mount, PathPattern, Redirect, Return, Rewrite, Rules, StaticRoot,
    error::{Reason, SiteReason},
    raw::{self, Several},
};

/// Between the two sides of a rule that has a `=` in one of them.
const ARROW: &str = " -> ";

/// What the user wrote.
pub(super) struct Written {
    pub(super) canonical_host: Option<raw::Written>,
    pub(super) redirect: Several,
    pub(super) rewrite: Several,
    pub(super) returns: Several,
    pub(super) header: Option<Several>,
    pub(super) error_page: Option<Several>,
}

impl Rules {
    /// Whether requests are answered by them alone.
    pub(crate) fn answer_something(&self) -> bool {
        self.canonical_host.is_some() || !self.redirects.is_empty() || !self.returns.is_empty()
    }
}

impl Check<'_> {
    /// Rules, some of which are those of `above` where none are written.
    pub(super) fn rules(&mut self, written: Written, for_application: Option<&raw::Written>, above: &Rules) -> Rules {
        let Written { canonical_host, redirect, rewrite, returns, header, error_page } = written;
        let canonical_host = self.optional("canonical_host", canonical_host, |_, text| Ok(target::authority(text)?));
        let redirects = self.several("redirect", redirect, |_, text| Ok(redirect_rule(text)?));
        self.no_repetition("redirect", repetition(redirects.iter().map(|rule| &rule.from)));
        let rewrites = self.several("rewrite", rewrite, |_, text| Ok(rewrite_rule(text)?));
        self.no_repetition("rewrite", repetition(rewrites.iter().map(|rule| &rule.from)));
        let returns = self.several("return", returns, |_, text| Ok(return_rule(text)?));
        self.no_repetition("return", repetition(returns.iter().map(|rule| &rule.from)));
        let fields = match header {
            Some(header) => self.several("header", header, |_, text| Ok(fields::parse(text)?)),
            None => above.fields.clone(),
        };
        let error_pages = match error_page {
            Some(pages) => {
                let pages = self.several("error_page", pages, pages::parse);
                self.no_repetition("error_page", pages::repetition(&pages));
                pages
            }
            None => above.error_pages.clone(),
        };
        let error_pages_for_application = for_application
            .map_or(above.error_pages_for_application, |value| self.switch("error_pages_for_application", value));
        Rules { canonical_host, redirects, rewrites, returns, fields, error_pages, error_pages_for_application }
    }

    /// Mounts, whose prefixes no static root owns.
    pub(super) fn mounts(&mut self, written: Several, statics: &[StaticRoot]) -> Vec<Mount> {
        let mounts = self.several("mount", written, mount);
        let twice = mounts.iter().enumerate().find_map(|(index, Mount { prefix, app: _ })| {
            let taken = mounts[..index].iter().any(|other| other.prefix == *prefix)
                || statics.iter().any(|root| root.prefix.as_ref() == Some(prefix));
            taken.then(|| (index, SiteReason::PrefixTwice(prefix.clone()).into()))
        });
        self.no_repetition("mount", twice);
        mounts
    }
}

fn mount(_: Place<'_>, text: &str) -> Result<Mount, Reason> {
    let (prefix, app) = text.split_once('=').ok_or(SiteReason::NotMount)?;
    let (prefix, app) = (prefix.trim(), app.trim());
    if !prefix.starts_with('/') || app.is_empty() {
        return Err(SiteReason::NotMount.into());
    }
    let prefix = prefix.trim_end_matches('/');
    if prefix.is_empty() {
        let hint = "name the application at the root with app";
        return Err(SiteReason::PathPattern { path: "/".into(), hint }.into());
    }
    pattern::plain(prefix)?;
    Ok(Mount { prefix: prefix.to_owned(), app: app::parse(app)? })
}

fn redirect_rule(text: &str) -> Result<Redirect, SiteReason> {
    let (status, rule) = status_and_rest(text);
    let status = match status {
        None => 302,
        Some(status) => match status.parse() {
            Ok(status @ (301 | 302 | 303 | 307 | 308)) => status,
            _ => return Err(SiteReason::Status(status.to_owned())),
        },
    };
    let (from, to) = sides(rule).ok_or(SiteReason::NoTarget)?;
    let (from, groups) = pattern::parse(from)?;
    Ok(Redirect { to: target::parse(to, groups)?, from, status })
}

fn rewrite_rule(text: &str) -> Result<Rewrite, SiteReason> {
    let (from, to) = sides(text).ok_or(SiteReason::NoTarget)?;
    let (from, groups) = pattern::parse(from)?;
    let to = target::parse(to, groups)?;
    if to.origin.is_some() {
        return Err(SiteReason::RewriteElsewhere);
    }
    Ok(Rewrite { from, to })
}

fn return_rule(text: &str) -> Result<Return, SiteReason> {
    let (status, rule) = status_and_rest(text);
    let refused = || SiteReason::Status(status.unwrap_or_default().to_owned());
    let status: u16 = status.and_then(|status| status.parse().ok()).ok_or_else(refused)?;
    if !(200..=599).contains(&status) || (300..=399).contains(&status) {
        return Err(refused());
    }
    let (from, body) = match rule.split_once(ARROW).or_else(|| rule.split_once('=')) {
        Some((from, body)) => (from, Some(body.to_owned())),
        None => (rule, None),
    };
    // RFC 9110 §15.3.5 and §15.3.6.
    if body.is_some() && matches!(status, 204 | 205) {
        return Err(SiteReason::NoBody(status));
    }
    Ok(Return { from: pattern::parse(from)?.0, status, body })
}

/// `308 /a=/b` has a status, `/a=/b` has none.
fn status_and_rest(text: &str) -> (Option<&str>, &str) {
    match text.split_once(' ') {
        Some((status, rest)) if status.starts_with(|c: char| c.is_ascii_digit()) => (Some(status), rest.trim_start()),
        _ => (None, text),
    }
}

/// The two sides of a rule: at the arrow, or else at the first `=` that a path or a URL follows.
fn sides(rule: &str) -> Option<(&str, &str)> {
    let sides = rule.split_once(ARROW).or_else(|| {
        let is_target =
            |rest: &str| rest.starts_with('/') || rest.starts_with("http://") || rest.starts_with("https://");
        let at = rule.match_indices('=').find(|(at, _)| is_target(&rule[at + 1..])).or(rule.match_indices('=').next());
        at.map(|(at, _)| (&rule[..at], &rule[at + 1..]))
    });
    sides.map(|(from, to)| (from.trim(), to.trim())).filter(|(_, to)| !to.is_empty())
}

/// The first pattern that is there twice, by its place.
fn repetition<'a>(patterns: impl Iterator<Item = &'a PathPattern>) -> Option<(usize, Reason)> {
    let patterns: Vec<_> = patterns.collect();
    patterns.iter().enumerate().find_map(|(index, pattern)| {
        let taken = patterns[..index].contains(pattern);
        taken.then(|| (index, SiteReason::PatternTwice(pattern.to_string()).into()))
    })
}

#[cfg(test)]
mod tests;
