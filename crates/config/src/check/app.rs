//! `app`: `module`, `module:callable`, `module:factory()`, `module:a.b`; and whether it is preloaded.

use super::noting::Check;
use crate::{AppSource, AppSpec, Callable, Isolation, error::Reason, raw::Written};

impl Check<'_> {
    pub(super) fn app(&mut self, app: Option<Written>) -> Option<AppSource> {
        self.optional("app", app, |_, text| match text {
            "none" => Ok(AppSource::None),
            text => parse(text).map(AppSource::Named),
        })
    }

    pub(super) fn preload(&mut self, value: &Written, isolation: Isolation) -> bool {
        let preload = self.switch("preload", value);
        if preload && matches!(isolation, Isolation::Interpreters | Isolation::Threads) {
            self.report(Self::key("preload"), 0, value, Reason::PreloadIsolation(isolation.as_str()));
        }
        preload
    }
}

pub(super) fn parse(text: &str) -> Result<AppSpec, Reason> {
    let (module, callable) = match text.split_once(':') {
        Some((module, callable)) => (module, Some(callable)),
        None => (text, None),
    };
    if let Some(module) = module_of_file(module) {
        let module = callable.map_or_else(|| module.clone(), |callable| format!("{module}:{callable}"));
        return Err(Reason::AppIsFile { module });
    }
    dotted_name(module)?;
    Ok(AppSpec { module: module.to_owned(), callable: callable.map(parse_callable).transpose()? })
}

fn parse_callable(text: &str) -> Result<Callable, Reason> {
    let (path, factory) = match text.split_once('(') {
        Some((path, ")")) => (path, true),
        Some((path, arguments)) if arguments.ends_with(')') && dotted_name(path).is_ok() => {
            return Err(Reason::AppArguments);
        }
        _ => (text, false),
    };
    dotted_name(path)?;
    Ok(Callable { path: path.to_owned(), factory })
}

/// The module in a file like `app.py`, `./dir/app.py` or `dir/app`.
fn module_of_file(written: &str) -> Option<String> {
    let stem = written.strip_suffix(".py");
    if stem.is_none() && !written.contains('/') {
        return None;
    }
    let path = stem.unwrap_or(written).trim_start_matches("./").trim_matches('/');
    Some(path.trim_end_matches("/__init__").replace('/', "."))
}

fn dotted_name(text: &str) -> Result<(), Reason> {
    match text.split('.').find(|part| !is_identifier(part)) {
        Some("") | None if text.is_empty() || text.contains("..") || text.starts_with('.') || text.ends_with('.') => {
            Err(Reason::AppName { part: text.to_owned() })
        }
        Some(part) => Err(Reason::AppName { part: part.to_owned() }),
        None => Ok(()),
    }
}

/// Near enough to a Python identifier: an import decides the rest.
fn is_identifier(text: &str) -> bool {
    let begins = text.starts_with(|c: char| c.is_alphabetic() || c == '_');
    begins && text.chars().all(|c| c.is_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> (String, Option<(String, bool)>) {
        let AppSpec { module, callable } = parse(text).unwrap();
        (module, callable.map(|Callable { path, factory }| (path, factory)))
    }

    #[test]
    fn a_module_may_have_a_callable_a_factory_or_a_path_of_attributes() {
        assert_eq!(named("app"), ("app".into(), None));
        assert_eq!(named("shop.wsgi"), ("shop.wsgi".into(), None));
        assert_eq!(named("shop.wsgi:application"), ("shop.wsgi".into(), Some(("application".into(), false))));
        assert_eq!(named("app:create_app()"), ("app".into(), Some(("create_app".into(), true))));
        assert_eq!(named("app:web.wsgi_app"), ("app".into(), Some(("web.wsgi_app".into(), false))));
        assert_eq!(named("größe:_app2"), ("größe".into(), Some(("_app2".into(), false))));
    }

    #[test]
    fn a_file_is_refused_with_its_module_as_hint() {
        for (written, hint) in [
            ("app.py", "write app,"),
            ("dir/app.py", "write dir.app,"),
            ("./dir/app.py:app", "write dir.app:app,"),
            ("shop/wsgi", "write shop.wsgi,"),
            ("shop/__init__.py", "write shop,"),
        ] {
            let reason = parse(written).unwrap_err();
            assert!(reason.hint().unwrap().starts_with(hint), "{written}: {:?}", reason.hint());
        }
    }

    #[test]
    fn what_python_can_not_import_is_refused() {
        for (written, part) in [
            ("my-app", "my-app"),
            ("shop.2wsgi:app", "2wsgi"),
            ("app:", ""),
            (":app", ""),
            ("app:web..app", "web..app"),
            (".app", ".app"),
            ("app:create_app(", "create_app("),
            ("app:a:b", "a:b"),
            ("app app", "app app"),
        ] {
            let reason = parse(written).unwrap_err();
            assert!(matches!(&reason, Reason::AppName { part: found } if found == part), "{written}: {reason}");
        }
    }

    #[test]
    fn a_factory_takes_no_arguments() {
        assert!(matches!(parse("app:create_app('prod')"), Err(Reason::AppArguments)));
    }
}
