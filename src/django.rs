//! The directories of Django projects, served by the front.

use std::{
    collections::HashSet,
    fmt,
    path::{Path, PathBuf},
};

use stack_config::{Config, Layout};
use stack_front::Front;
use stack_wsgi::{DirectoryKind, ProjectDirectory};

use crate::start::Plan;

/// A directory at one of the places of its application, and what becomes of it.
#[derive(Debug)]
pub(crate) struct Decided {
    /// The place of its site in the layout.
    pub(crate) site: usize,
    /// What its URLs begin with there.
    pub(crate) prefix: String,
    pub(crate) directory: PathBuf,
    kind: DirectoryKind,
    /// `None`: it is served.
    pub(crate) left: Option<Left>,
}

/// Why a directory is left to the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// The project has a view for it.
    HasRoute,
    /// It holds files that only the application may send, or the other way round.
    Internal,
    /// The application's own code is in it.
    Code,
    /// Its URL is no path that could be matched.
    Prefix,
    /// This directory for uploads is in it, or around it, or is the same.
    Uploads(PathBuf),
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HasRoute => f.write_str("the project has a route for it"),
            Self::Internal => f.write_str("it holds files that only the application may send"),
            Self::Code => f.write_str("the application's code is in it"),
            Self::Prefix => f.write_str("its URL is no plain path"),
            Self::Uploads(directory) => write!(
                f,
                "it overlaps with MEDIA_ROOT ({}), and what users upload must not be served as the site's own; give STATIC_ROOT \
                 and MEDIA_ROOT directories of which none is in the other",
                directory.display()
            ),
        }
    }
}

impl Decided {
    /// The name of the setting.
    pub(crate) fn setting(&self) -> &'static str {
        match self.kind {
            DirectoryKind::Static => "STATIC_ROOT",
            DirectoryKind::Media => "MEDIA_ROOT",
        }
    }
}

/// What becomes of the directories that the applications have named, wherever they are mounted. A prefix that the
/// configuration gives to something else is passed over.
pub(crate) fn decide(config: &Config, applications: &[(&Plan, &[ProjectDirectory])]) -> Vec<Decided> {
    let layout = config.layout();
    let all = applications.iter().flat_map(|(_, directories)| directories.iter());
    let uploads: Vec<_> = all.filter(|it| it.kind == DirectoryKind::Media).map(|it| it.directory.as_path()).collect();
    let (mut decided, mut taken) = (Vec::new(), HashSet::new());
    for (place, (plan, directories)) in applications.iter().enumerate() {
        for found in *directories {
            let Some(url) = &found.prefix else { continue };
            for (site, mount) in places(&layout, place) {
                let prefix = if found.is_relative { format!("{mount}{url}") } else { url.clone() };
                if !layout.sites[site].leaves_free(&prefix) || taken.contains(&(site, prefix.clone())) {
                    continue;
                }
                let left = left(config, plan, found, url, &uploads);
                if left.is_none() {
                    taken.insert((site, prefix.clone()));
                }
                decided.push(Decided { site, prefix, directory: found.directory.clone(), kind: found.kind, left });
            }
        }
    }
    decided
}

/// Has the front serve what is to be served, and says so; what is left to an application is said too.
pub(crate) fn serve(front: &mut Front, decided: Vec<Decided>) {
    for it in decided {
        let (setting, directory, is_of_users) = (it.setting(), it.directory.display(), it.kind == DirectoryKind::Media);
        let Decided { site, prefix, directory: path, kind: _, left } = &it;
        match left {
            None => {
                tracing::info!(prefix, %directory, setting, "static files of the Django project");
                front.serve_directory(*site, prefix, path.clone(), is_of_users);
            }
            Some(reason @ Left::Uploads(_)) => {
                tracing::warn!(
                    code = "STACK0150",
                    prefix,
                    %directory,
                    setting,
                    %reason,
                    "directory of the Django project left to the application"
                );
            }
            Some(reason) => {
                tracing::info!(
                    prefix,
                    %directory,
                    setting,
                    %reason,
                    "directory of the Django project left to the application"
                );
            }
        }
    }
}

/// The sites at which an application is served, and the prefix that it has there.
fn places(layout: &Layout, application: usize) -> Vec<(usize, String)> {
    let of_site = |(place, site): (usize, &'_ stack_config::Site)| {
        let at_root = (site.application == Some(application)).then_some((place, String::new()));
        let mounted = site.mounts.iter().filter(|(_, mounted)| *mounted == application);
        at_root.into_iter().chain(mounted.map(|(prefix, _)| (place, prefix.clone()))).collect::<Vec<_>>()
    };
    layout.sites.iter().enumerate().flat_map(of_site).collect()
}

fn left(config: &Config, plan: &Plan, found: &ProjectDirectory, url: &str, uploads: &[&Path]) -> Option<Left> {
    let ProjectDirectory { kind, prefix: _, is_relative: _, directory, has_route } = found;
    let internal = config.files.internal.iter().map(|root| root.directory.as_path());
    let mut private = internal.chain(config.files.sendfile.iter().map(PathBuf::as_path));
    let overlaps = |other: &Path| directory.starts_with(other) || other.starts_with(directory);
    // What Django names has its links resolved.
    let code = plan.settings.chdir.canonicalize().unwrap_or_else(|_| plan.settings.chdir.clone());
    let is_plain = |segment: &str| !matches!(segment, "" | "." | "..");
    let overlapping = uploads.iter().find(|it| *kind == DirectoryKind::Static && overlaps(it));
    if *has_route {
        Some(Left::HasRoute)
    } else if private.any(overlaps) {
        Some(Left::Internal)
    } else if code.starts_with(directory) {
        Some(Left::Code)
    } else if !url[1..].split('/').all(is_plain) || url.contains(['?', '#', '\\', '%']) || !url.is_ascii() {
        Some(Left::Prefix)
    } else {
        overlapping.map(|uploads| Left::Uploads(uploads.to_path_buf()))
    }
}
