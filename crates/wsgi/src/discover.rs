//! Looking for the application when the user named none.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use stack_config::{AppSpec, Callable};

/// What was found, and why it was picked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovered {
    /// The application.
    pub app: AppSpec,
    /// The file that led to it.
    pub because_of: PathBuf,
    /// Variables the application needs and that the environment does not set.
    pub env: Vec<(String, String)>,
}

/// Nothing was found.
#[derive(Debug, thiserror::Error)]
#[error(
    "no application named and none found in {}: looked for manage.py (Django), wsgi.py, app.py and main.py; \
     name it with --app MODULE:CALLABLE",
    directory.display()
)]
pub struct DiscoverError {
    /// Where was looked.
    pub directory: PathBuf,
    /// Why the folder could not be read, if that is so.
    pub source: Option<io::Error>,
}

const SETTINGS: &str = "DJANGO_SETTINGS_MODULE";

/// Looks in `directory`: a Django project's `manage.py`, then `wsgi.py`, `app.py`, `main.py`.
///
/// `settings` is the environment's `DJANGO_SETTINGS_MODULE`, which goes before the one in `manage.py`.
pub fn discover(directory: &Path, settings: Option<String>) -> Result<Discovered, DiscoverError> {
    if let Err(source) = fs::read_dir(directory) {
        return Err(DiscoverError { directory: directory.to_owned(), source: Some(source) });
    }
    if let Some(found) = django(directory, settings) {
        return Ok(found);
    }
    let found = ["wsgi", "app", "main"].into_iter().find_map(|module| {
        let because_of = directory.join(format!("{module}.py"));
        because_of.is_file().then(|| Discovered {
            app: AppSpec { module: module.into(), callable: None },
            because_of,
            env: Vec::new(),
        })
    });
    found.ok_or_else(|| DiscoverError { directory: directory.to_owned(), source: None })
}

fn django(directory: &Path, settings: Option<String>) -> Option<Discovered> {
    let because_of = directory.join("manage.py");
    let source = fs::read_to_string(&because_of).ok()?;
    let set = settings.is_some();
    let settings = settings.or_else(|| default_settings(&source))?;
    let package = settings.rsplit_once('.').map_or(settings.as_str(), |(package, _)| package);
    // `project/settings.py` and `project/settings/production.py` both have their `wsgi.py` in `project/`.
    let with_wsgi =
        ancestors(package).find(|package| directory.join(package.replace('.', "/")).join("wsgi.py").is_file());
    let app = match with_wsgi {
        Some(package) => AppSpec { module: format!("{package}.wsgi"), callable: None },
        None => AppSpec {
            module: "django.core.wsgi".into(),
            callable: Some(Callable { path: "get_wsgi_application".into(), factory: true }),
        },
    };
    let env = if set { Vec::new() } else { vec![(SETTINGS.into(), settings)] };
    Some(Discovered { app, because_of, env })
}

/// `a.b.c`, then `a.b`, then `a`.
fn ancestors(package: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(package), |package| package.rsplit_once('.').map(|(parent, _)| parent))
}

/// The value in `os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")`.
fn default_settings(source: &str) -> Option<String> {
    let (_, after) = source.split_once(SETTINGS)?;
    let mut quoted = after.split(['"', '\'']);
    // Between the name and the value stand the name's closing quote, a comma, and the value's opening quote.
    let value = quoted.nth(2)?;
    let is_module = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_');
    value.split('.').all(is_module).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANAGE: &str =
        "import os\n\ndef main():\n    os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n";

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        folder
    }

    fn app(found: &Discovered) -> String {
        let callable = found.app.callable.as_ref().map(|callable| callable.path.as_str());
        format!("{}:{}", found.app.module, callable.unwrap_or_default())
    }

    #[test]
    fn a_django_project_is_found_by_its_manage_py() {
        let folder = folder(&[("manage.py", MANAGE), ("shop/wsgi.py", ""), ("app.py", "")]);
        let found = discover(folder.path(), None).unwrap();
        assert_eq!(app(&found), "shop.wsgi:");
        assert_eq!(found.env, [("DJANGO_SETTINGS_MODULE".to_owned(), "shop.settings".to_owned())]);
        assert!(found.because_of.ends_with("manage.py"));
    }

    #[test]
    fn split_settings_lead_to_the_projects_wsgi_py() {
        let manage = MANAGE.replace("shop.settings", "shop.settings.local");
        let folder = folder(&[("manage.py", &manage), ("shop/wsgi.py", "")]);
        assert_eq!(app(&discover(folder.path(), None).unwrap()), "shop.wsgi:");
        let found = discover(folder.path(), Some("shop.settings.production".into())).unwrap();
        assert_eq!((app(&found).as_str(), found.env.len()), ("shop.wsgi:", 0));
    }

    #[test]
    fn a_django_project_without_wsgi_py_uses_djangos_factory() {
        let folder = folder(&[("manage.py", MANAGE)]);
        assert_eq!(app(&discover(folder.path(), None).unwrap()), "django.core.wsgi:get_wsgi_application");
    }

    #[test]
    fn a_manage_py_that_is_not_djangos_is_passed_over() {
        let folder = folder(&[("manage.py", "print('hello')"), ("main.py", "")]);
        assert_eq!(app(&discover(folder.path(), None).unwrap()), "main:");
    }

    #[test]
    fn wsgi_goes_before_app_and_that_before_main() {
        let all = folder(&[("main.py", ""), ("app.py", ""), ("wsgi.py", "")]);
        assert_eq!(app(&discover(all.path(), None).unwrap()), "wsgi:");
        let two = folder(&[("main.py", ""), ("app.py", "")]);
        assert_eq!(app(&discover(two.path(), None).unwrap()), "app:");
    }

    #[test]
    fn nothing_found_says_what_was_looked_for() {
        let error = discover(folder(&[]).path(), None).unwrap_err().to_string();
        assert!(error.contains("manage.py") && error.contains("--app"), "{error}");
    }
}
