//! The directories of a Django project, served by the front.

use std::path::{Path, PathBuf};

use stack_config::Config;
use stack_front::Front;
use stack_wsgi::{DirectoryKind, ProjectDirectory};

/// Why a directory is left to the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// The user has said what is served there.
    Configured,
    /// The project has a view for it.
    HasRoute,
    /// It holds files that only the application may send, or the other way round.
    Internal,
    /// The application's own code is in it.
    Code,
    /// Its URL is no path that could be matched.
    Prefix,
}

/// Has the front serve what may be served, and says so; what is left to the application is said too.
pub(crate) fn serve(front: &mut Front, config: &Config, directories: &[ProjectDirectory]) {
    for found in directories {
        let ProjectDirectory { kind, prefix, directory, has_route: _ } = found;
        let setting = match kind {
            DirectoryKind::Static => "STATIC_ROOT",
            DirectoryKind::Media => "MEDIA_ROOT",
        };
        let directory_text = directory.display().to_string();
        match left(config, found) {
            None => {
                front.serve_directory(prefix.clone(), directory.clone(), *kind == DirectoryKind::Media);
                tracing::info!(prefix, directory = directory_text, setting, "static files of the Django project");
            }
            Some(Left::Configured) => {}
            Some(why) => {
                let reason = match why {
                    Left::HasRoute => "the project has a route for it",
                    Left::Internal => "it holds files that only the application may send",
                    Left::Code => "the application's code is in it",
                    Left::Configured | Left::Prefix => "its URL is no plain path",
                };
                tracing::info!(
                    prefix,
                    directory = directory_text,
                    setting,
                    reason,
                    "directory of the Django project left to the application"
                );
            }
        }
    }
}

fn left(config: &Config, found: &ProjectDirectory) -> Option<Left> {
    let ProjectDirectory { kind: _, prefix, directory, has_route } = found;
    let is_taken =
        |other: &str| prefix.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let mut taken = config.statics.iter().filter_map(|root| root.prefix.as_deref());
    let internal = config.files.internal.iter().map(|root| root.directory.as_path());
    let mut private = internal.chain(config.files.sendfile.iter().map(PathBuf::as_path));
    let overlaps = |other: &Path| directory.starts_with(other) || other.starts_with(directory);
    let is_plain = |segment: &str| !matches!(segment, "" | "." | "..");
    if taken.any(is_taken) {
        Some(Left::Configured)
    } else if *has_route {
        Some(Left::HasRoute)
    } else if private.any(overlaps) {
        Some(Left::Internal)
    } else if config.chdir.starts_with(directory) {
        Some(Left::Code)
    } else if !prefix[1..].split('/').all(is_plain) || prefix.contains(['?', '#', '\\', '%']) || !prefix.is_ascii() {
        Some(Left::Prefix)
    } else {
        None
    }
}
