//! What the sites come to: which of them there are, and which applications stand behind them.

use super::{AppSource, Application, Config, Host, Mount, Rules, Section, StaticRoot};

/// Name of the site that the top-level keys make.
const TOP_LEVEL: &str = "default";

/// All sites and all applications, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The sites: that of the top-level keys, if they make one, then those of the file.
    pub sites: Vec<Site>,
    /// The applications, in the order in which the sites name them.
    pub applications: Vec<Served>,
    /// The top level's rules, whose fields and pages are those of errors that no site is there for.
    pub rules: Rules,
}

/// One site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its first host, or `default`.
    pub name: String,
    /// The names it serves.
    pub hosts: Vec<Host>,
    /// Whether it serves what no site names.
    pub is_default: bool,
    /// Static roots, longest prefix first.
    pub statics: Vec<StaticRoot>,
    /// The application at its root, by its place in [`Layout::applications`].
    pub application: Option<usize>,
    /// Prefixes of applications, and their places.
    pub mounts: Vec<(String, usize)>,
    /// What else happens to its requests and responses.
    pub rules: Rules,
}

/// An application and where it is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// How it runs.
    pub application: Application,
    /// Site and mount of each place that it is served at: `example.com/shop`.
    pub at: Vec<String>,
}

impl Config {
    /// What the sites come to.
    pub fn layout(&self) -> Layout {
        let mut layout = Layout { sites: Vec::new(), applications: Vec::new(), rules: self.sites.rules.clone() };
        if self.has_top_level_site() {
            let section = Section {
                hosts: Vec::new(),
                is_default: true,
                statics: self.statics.clone(),
                application: self.application(),
                env_file: None,
                mounts: self.sites.mounts.clone(),
                rules: self.sites.rules.clone(),
            };
            layout.add(section);
        }
        self.sites.sections.iter().cloned().for_each(|section| layout.add(section));
        layout
    }

    /// The application of the top-level keys.
    fn application(&self) -> Application {
        Application {
            app: self.app.clone(),
            chdir: self.chdir.clone(),
            venv: self.venv.clone(),
            env: self.env.clone(),
            isolation: self.isolation,
            workers: self.workers,
            workers_given: self.workers_given,
            threads: self.threads,
            threads_given: self.threads_given,
            preload: self.preload,
        }
    }

    /// Whether the top-level keys make a site of their own.
    pub(crate) fn has_top_level_site(&self) -> bool {
        let Rules { canonical_host, redirects, rewrites: _, returns, .. } = &self.sites.rules;
        self.app != AppSource::None
            || !self.statics.is_empty()
            || !self.sites.mounts.is_empty()
            || !redirects.is_empty()
            || !returns.is_empty()
            || canonical_host.is_some()
    }
}

impl Site {
    /// Whether nothing that is configured has this prefix, so that a directory which an application names may: no static root
    /// has it or one around it, unless an application is mounted in between, and no application is mounted right there.
    pub fn leaves_free(&self, prefix: &str) -> bool {
        let roots = self.statics.iter().filter_map(|root| root.prefix.as_deref()).map(|owned| (owned, true));
        let owners = roots.chain(self.mounts.iter().map(|(mount, _)| (mount.as_str(), false)));
        let around = owners.filter(|(owned, _)| {
            prefix.strip_prefix(owned).is_some_and(|below| below.is_empty() || below.starts_with('/'))
        });
        match around.max_by_key(|(owned, _)| owned.len()) {
            Some((owned, is_root)) => !is_root && owned.len() < prefix.len(),
            None => true,
        }
    }
}

impl Layout {
    fn add(&mut self, section: Section) {
        let Section { hosts, is_default, statics, application, env_file: _, mounts, rules } = section;
        let name = hosts.first().map_or_else(|| TOP_LEVEL.to_owned(), ToString::to_string);
        let at_root = (application.app != AppSource::None).then(|| self.place(application.clone(), name.clone()));
        let mounts = mounts.into_iter().map(|Mount { prefix, app }| {
            let mounted = Application { app: AppSource::Named(app), ..application.clone() };
            let place = self.place(mounted, format!("{name}{prefix}"));
            (prefix, place)
        });
        let mounts = mounts.collect();
        self.sites.push(Site { name, hosts, is_default, statics, application: at_root, mounts, rules });
    }

    /// The application's place; one that is there already is served at one place more.
    fn place(&mut self, application: Application, at: String) -> usize {
        if let Some(place) = self.applications.iter().position(|served| served.application == application) {
            self.applications[place].at.push(at);
            return place;
        }
        self.applications.push(Served { application, at: vec![at] });
        self.applications.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_configured_goes_before_what_an_application_names() {
        let root = |prefix: &str| StaticRoot { prefix: Some(prefix.into()), directory: "/".into() };
        let site = Site {
            name: String::new(),
            hosts: Vec::new(),
            is_default: true,
            statics: vec![root("/static"), root("/a"), StaticRoot { prefix: None, directory: "/".into() }],
            application: Some(0),
            mounts: vec![("/shop".into(), 0), ("/a/b".into(), 0)],
            rules: Rules::default(),
        };
        for (prefix, is_free) in [
            ("/static", false),
            ("/static/x", false),
            ("/staticx", true),
            ("/media", true),
            ("/shop", false),
            ("/shop/static", true),
            ("/a/x", false),
            ("/a/b", false),
            ("/a/b/static", true),
        ] {
            assert_eq!(site.leaves_free(prefix), is_free, "{prefix}");
        }
    }
}
