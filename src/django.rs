//! The directories of Django projects, served by the front.

use std::path::{Path, PathBuf};

use stack_config::{Config, Layout};
use stack_front::Front;
use stack_wsgi::{DirectoryKind, ProjectDirectory};

use crate::start::Plan;

/// Why a directory is left to the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// The project has a view for it.
    HasRoute,
    /// It holds files that only the application may send, or the other way round.
    Internal,
    /// The application's own code is in it.
    Code,
    /// Its URL is no path that could be matched.
    Prefix,
}

impl Left {
    fn reason(self) -> &'static str {
        match self {
            Self::HasRoute => "the project has a route for it",
            Self::Internal => "it holds files that only the application may send",
            Self::Code => "the application's code is in it",
            Self::Prefix => "its URL is no plain path",
        }
    }
}

/// Has the front serve what the applications have named and what may be served, wherever they are mounted, and says so; what is
/// left to an application is said too. A prefix that the configuration gives to something else is passed over.
pub(crate) fn serve<'a>(
    front: &mut Front,
    config: &Config,
    applications: impl Iterator<Item = (&'a Plan, &'a [ProjectDirectory])>,
) {
    let layout = config.layout();
    for (place, (plan, directories)) in applications.enumerate() {
        for found in directories {
            let setting = match found.kind {
                DirectoryKind::Static => "STATIC_ROOT",
                DirectoryKind::Media => "MEDIA_ROOT",
            };
            let directory = found.directory.display().to_string();
            for (site, mount) in places(&layout, place) {
                let prefix = if found.is_relative { format!("{mount}{}", found.prefix) } else { found.prefix.clone() };
                if let Some(left) = left(config, plan, found) {
                    let reason = left.reason();
                    tracing::info!(
                        prefix,
                        directory,
                        setting,
                        reason,
                        "directory of the Django project left to the application"
                    );
                    continue;
                }
                let is_of_users = found.kind == DirectoryKind::Media;
                if front.serve_directory(site, &prefix, found.directory.clone(), is_of_users) {
                    tracing::info!(prefix, directory, setting, "static files of the Django project");
                }
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

fn left(config: &Config, plan: &Plan, found: &ProjectDirectory) -> Option<Left> {
    let ProjectDirectory { kind: _, prefix, is_relative: _, directory, has_route } = found;
    let internal = config.files.internal.iter().map(|root| root.directory.as_path());
    let mut private = internal.chain(config.files.sendfile.iter().map(PathBuf::as_path));
    let overlaps = |other: &Path| directory.starts_with(other) || other.starts_with(directory);
    // What Django names has its links resolved.
    let code = plan.settings.chdir.canonicalize().unwrap_or_else(|_| plan.settings.chdir.clone());
    let is_plain = |segment: &str| !matches!(segment, "" | "." | "..");
    if *has_route {
        Some(Left::HasRoute)
    } else if private.any(overlaps) {
        Some(Left::Internal)
    } else if code.starts_with(directory) {
        Some(Left::Code)
    } else if !prefix[1..].split('/').all(is_plain) || prefix.contains(['?', '#', '\\', '%']) || !prefix.is_ascii() {
        Some(Left::Prefix)
    } else {
        None
    }
}
