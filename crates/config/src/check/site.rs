//! The `[[site]]` sections: what each has of its own and what from the top level, and how they stand to one another.

use std::net::{Ipv4Addr, Ipv6Addr};

use figment::value::{Dict, Tag, Value};

use super::{Check, MOST_THREADS, MOST_WORKERS, env_file, paths, rules};
use crate::{
    AppSource, Application, Config, Host, Isolation, Section,
    error::{Problem, Reason, SiteReason},
    keys,
    layers::{Layers, SiteSection},
    origin::Origin,
    raw::RawSite,
};

/// RFC 1035 §2.3.4, without the final dot.
const LONGEST_HOST: usize = 253;
const LONGEST_LABEL: usize = 63;

/// Checks every section, which inherits from `top`.
pub(super) fn sections(
    top: &Config,
    layers: &Layers,
    environment: &[(String, String)],
    problems: &mut Vec<Problem>,
) -> Vec<Section> {
    let sections = layers.sites().iter().filter_map(|section| {
        let values = Value::Dict(Tag::Default, Dict::clone(&section.values));
        match values.deserialize::<RawSite>() {
            Ok(raw) => Some(one(raw, section, top, layers, environment, problems)),
            Err(error) => {
                // The file lets no value through that this could refuse; should one slip by, it is said and not lost.
                problems.push(Problem::with_name(section.start(), "site", Reason::Layers(Box::new(error))));
                None
            }
        }
    });
    sections.collect()
}

/// One long list on purpose, as the check of the top level is: a key that is added to [`RawSite`] does not build until it is
/// here.
fn one(
    raw: RawSite,
    section: &SiteSection,
    top: &Config,
    layers: &Layers,
    environment: &[(String, String)],
    problems: &mut Vec<Problem>,
) -> Section {
    let RawSite {
        host,
        default,
        app,
        chdir,
        venv,
        env_file,
        isolation,
        workers,
        threads,
        preload,
        statics,
        mount,
        canonical_host,
        redirect,
        rewrite,
        returns,
        header,
        error_page,
        error_pages_for_application,
    } = raw;
    let before = problems.len();
    let mut check = Check { layers, section: Some(section), problems };
    let hosts = check.several("host", host, |_, text| parse_host(text).map_err(Reason::from));
    let is_default = default.is_some_and(|default| check.switch("default", &default));
    let app = check.app(app).unwrap_or(AppSource::None);
    let modes = [Isolation::Auto, Isolation::Interpreters, Isolation::Threads, Isolation::Processes];
    let isolation = isolation.map_or(top.isolation, |isolation| check.word("isolation", &isolation, &modes));
    let env = check.path("env_file", env_file, |path| Ok((env_file::read(&path, environment)?, path)));
    let (env, env_file) = env.unzip();
    let (workers_given, threads_given) =
        (workers.is_some() || top.workers_given, threads.is_some() || top.threads_given);
    let application = Application {
        app,
        chdir: check.path("chdir", chdir, paths::directory).unwrap_or_else(|| top.chdir.clone()),
        venv: check.path("venv", venv, paths::venv).or_else(|| top.venv.clone()),
        env: env.unwrap_or_else(|| top.env.clone()),
        isolation,
        workers: workers.map_or(top.workers, |count| check.non_zero_count("workers", &count, MOST_WORKERS)),
        workers_given,
        threads: threads.map_or(top.threads, |count| check.non_zero_count("threads", &count, MOST_THREADS)),
        threads_given,
        preload: preload.map_or(top.preload, |preload| check.preload(&preload, isolation)),
    };
    let statics = check.statics(statics);
    let mounts = check.mounts(mount, &statics);
    let written = rules::Written { canonical_host, redirect, rewrite, returns, header, error_page };
    let rules = check.rules(written, error_pages_for_application.as_ref(), &top.sites.rules);
    let site = Section { hosts, is_default, statics, application, env_file, mounts, rules };
    // A value that was refused may be what is missing.
    if problems.len() == before {
        complete(&site, section, problems);
    }
    site
}

fn complete(site: &Section, section: &SiteSection, problems: &mut Vec<Problem>) {
    if site.hosts.is_empty() && !site.is_default {
        problems.push(Problem::with_name(section.start(), "site", SiteReason::NoHost.into()));
    } else if !site.serves_something() {
        problems.push(Problem::with_name(section.start(), "site", SiteReason::Nothing.into()));
    }
}

impl Section {
    fn serves_something(&self) -> bool {
        self.application.app != AppSource::None
            || !self.statics.is_empty()
            || !self.mounts.is_empty()
            || self.rules.answer_something()
    }
}

/// No host and no default twice, and something to serve at all.
pub(super) fn defaults(config: &Config, layers: &Layers, problems: &mut Vec<Problem>) {
    let sections = &config.sites.sections;
    if sections.len() != layers.sites().len() || problems.iter().any(|problem| problem.name == "host") {
        return;
    }
    let origin = |site: usize, host: usize| layers.sites()[site].origin("host", host);
    let mut seen: Vec<(&Host, Origin)> = Vec::new();
    for (number, section) in sections.iter().enumerate() {
        for (index, host) in section.hosts.iter().enumerate() {
            let here = origin(number, index);
            match seen.iter().find(|(known, _)| *known == host) {
                Some((_, other)) => {
                    let reason = SiteReason::HostTwice { host: host.to_string(), other: other.to_string() };
                    problems.push(Problem::with_name(here, "host", reason.into()));
                }
                None => seen.push((host, here)),
            }
        }
    }
    let mut first = config.has_top_level_site().then(|| "the top-level keys make it".to_owned());
    if sections.is_empty() && first.is_none() {
        let app = keys::find("app").expect("in the table");
        problems.push(Problem::with_name(layers.origin(app, 0), app.name, SiteReason::Nothing.into()));
    }
    for (_, written) in sections.iter().zip(layers.sites()).filter(|(section, _)| section.is_default) {
        let here = written.origin("default", 0);
        match &first {
            Some(other) => {
                let reason = SiteReason::DefaultTwice { other: other.clone() };
                problems.push(Problem::with_name(here, "default", reason.into()));
            }
            None => first = Some(format!("it is at {here}")),
        }
    }
}

/// A host as RFC 9110 §4.2.3 compares them: in lower case, the port and a final dot (RFC 3986 §3.2.2) left out.
pub(super) fn parse_host(text: &str) -> Result<Host, SiteReason> {
    let refused = |hint: String| Err(SiteReason::NotHost { hint });
    if text == "*" || text == "_" {
        return refused("write default = true in the site that serves all other hosts".into());
    }
    if !text.is_ascii() {
        return refused("write it in ASCII, as the browser sends it: xn--…".into());
    }
    let host = text.to_ascii_lowercase();
    if let Some(name) = host.strip_prefix('.') {
        return refused(format!("write \"{name}\" and \"*.{name}\""));
    }
    let host = host.strip_suffix('.').unwrap_or(&host);
    if let Some(literal) = host.strip_prefix('[') {
        let address = literal.strip_suffix(']').and_then(|address| address.parse::<Ipv6Addr>().ok());
        return match address {
            Some(_) => Ok(Host::Exact(host.to_owned())),
            None => refused("write an IPv6 address as [::1], without a port".into()),
        };
    }
    if host.contains("://") || host.contains('/') {
        return refused("write the host alone, without scheme and path".into());
    }
    if let Some((name, _)) = host.split_once(':') {
        return refused(format!("write `{name}`: the port does not count"));
    }
    let (name, is_wildcard) = host.strip_prefix("*.").map_or((host, false), |name| (name, true));
    let is_label = |label: &str| {
        (1..=LONGEST_LABEL).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() > LONGEST_HOST || !name.split('.').all(is_label) {
        return refused("write a name such as example.com, or *.example.com for all below it".into());
    }
    if is_wildcard && name.parse::<Ipv4Addr>().is_ok() {
        return refused("nothing is below an address".into());
    }
    Ok(if is_wildcard { Host::Below(name.to_owned()) } else { Host::Exact(name.to_owned()) })
}

#[cfg(test)]
mod tests;
