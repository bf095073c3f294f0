//! The sites of the file, as `stack config` shows them: what each sets, and where.

use toml::Value;

use super::{Explained, app_text, count, mount_text, path, rule_values, static_text, text};
use crate::{Application, Section, keys::site, layers::SiteSection, origin::Origin};

/// A `[[site]]` section: the keys that it sets. What it inherits stands at the top level.
#[derive(Clone, Debug)]
pub struct ExplainedSite {
    /// Where it begins.
    pub origin: Origin,
    /// Its keys.
    pub keys: Vec<Explained>,
}

/// Every section, in order.
pub(crate) fn explain_sites(sections: &[Section], written: &[SiteSection]) -> Vec<ExplainedSite> {
    let explained = sections.iter().zip(written).map(|(section, written)| {
        let mut values = values(section);
        let keys = site::all().filter(|key| written.values.contains_key(key.name)).filter_map(|key| {
            let place = values.iter().position(|(name, _)| *name == key.name)?;
            let value = values.swap_remove(place).1.map(|value| value.to_string());
            Some(Explained { key, value, origin: written.origin(key.name, 0) })
        });
        ExplainedSite { origin: written.start(), keys: keys.collect() }
    });
    explained.collect()
}

fn values(section: &Section) -> Vec<(&'static str, Option<Value>)> {
    let Section { hosts, is_default, statics, application, env_file, mounts, rules } = section;
    let Application {
        app,
        chdir,
        venv,
        env: _,
        isolation,
        workers,
        workers_given: _,
        threads,
        threads_given: _,
        preload,
    } = application;
    let values = [
        ("host", Some(Value::Array(hosts.iter().map(|host| text(&host.to_string())).collect()))),
        ("default", Some(Value::Boolean(*is_default))),
        ("app", app_text(app).map(Value::String)),
        ("chdir", Some(path(chdir))),
        ("venv", venv.as_deref().map(path)),
        ("env_file", env_file.as_deref().map(path)),
        ("isolation", Some(text(isolation.as_str()))),
        ("workers", Some(count(workers.get() as u64))),
        ("threads", Some(count(threads.get() as u64))),
        ("preload", Some(Value::Boolean(*preload))),
        ("static", Some(Value::Array(statics.iter().map(static_text).collect()))),
        ("mount", Some(Value::Array(mounts.iter().map(mount_text).collect()))),
    ];
    values.into_iter().chain(rule_values(rules)).collect()
}
