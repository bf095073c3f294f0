//! Importing the application.

use std::{ffi::OsString, os::unix::ffi::OsStrExt};

use stack_config::{AppSpec, Callable};
use stack_interp::{Exception, Object, Python, Raised};

use crate::refused::{self, Refused};

const NO_ARGUMENTS: &str = "no arguments";
/// The callables tried where the user named none.
const DEFAULT_CALLABLES: [&str; 2] = ["application", "app"];

/// Why the application could not be loaded.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LoadError {
    /// The module itself is not there.
    #[error("no module named '{module}'{}; sys.path is:{}", parent_note(.module, .missing), list(.sys_path))]
    ModuleNotFound {
        /// The module that was named.
        module: String,
        /// The part of its dotted name that is missing.
        missing: String,
        /// Where Python looked.
        sys_path: Vec<String>,
    },
    /// Its code raised.
    #[error("importing '{module}' raised {}: {}\n{}", .exception.kind, .exception.message, .exception.traceback.trim_end())]
    ImportRaised {
        /// The module that was named.
        module: String,
        /// What it raised.
        exception: Box<Exception>,
    },
    /// Its code, or the factory's, raised because this interpreter refused extension modules that it needs.
    #[error("{}\n{}", refused::explained(.refused), .exception.traceback.trim_end())]
    Refused {
        /// The module that was named.
        module: String,
        /// Whose extension modules they are.
        refused: Vec<Refused>,
        /// What it raised.
        exception: Box<Exception>,
    },
    /// There is no such name in it.
    #[error("the module '{module}' has no '{callable}'{}", candidates(.module, .names))]
    CallableMissing {
        /// The module that was named.
        module: String,
        /// What was looked for.
        callable: String,
        /// What is there and could be called.
        names: Vec<String>,
    },
    /// It is a function that does not take two arguments.
    #[error("'{module}:{callable}' takes {parameters}, but a WSGI application is called with environ and start_response{}", factory_note(.module, .callable, .parameters))]
    OtherParameters {
        /// The module that was named.
        module: String,
        /// The name in it.
        callable: String,
        /// What it takes: `no arguments`, `1 argument`.
        parameters: String,
    },
    /// The name is there, but can not be called.
    #[error(
        "'{module}:{callable}' is {kind}, not a callable; a WSGI application is called with environ and start_response"
    )]
    NotCallable {
        /// The module that was named.
        module: String,
        /// The name in it.
        callable: String,
        /// What it is instead: a type, with its article.
        kind: String,
    },
    /// The factory raised.
    #[error("the factory '{module}:{callable}()' raised {}: {}\n{}", .exception.kind, .exception.message, .exception.traceback.trim_end())]
    FactoryRaised {
        /// The module that was named.
        module: String,
        /// The factory.
        callable: String,
        /// What it raised.
        exception: Box<Exception>,
    },
    /// The interpreter could not be prepared.
    #[error("preparing the interpreter raised {0}")]
    Prepare(Box<Exception>),
}

fn list(lines: &[String]) -> String {
    lines.iter().fold(String::new(), |list, line| list + "\n    " + if line.is_empty() { "''" } else { line })
}

fn parent_note(module: &str, missing: &str) -> String {
    if module == missing { String::new() } else { format!(" (there is no '{missing}')") }
}

fn factory_note(module: &str, callable: &str, parameters: &str) -> String {
    let is_factory = parameters == NO_ARGUMENTS && !callable.ends_with("()");
    if is_factory { format!("; if it makes the application, write {module}:{callable}()") } else { String::new() }
}

fn candidates(module: &str, names: &[String]) -> String {
    let Some(first) = names.first() else { return ", nor any other callable".into() };
    format!("; callables in it: {} (write {module}:{first})", names.join(", "))
}

/// Puts `directory` first on `sys.path` and the variables into `os.environ`.
pub(crate) fn prepare(py: Python<'_>, directory: &str, env: &[(String, String)]) -> Result<(), LoadError> {
    let run = || {
        let path = Object::import(py, "sys")?.attr_named(py, "path")?;
        path.call_method(py, "insert", &[&Object::int(py, 0)?, &Object::str(py, directory)?])?;
        if !env.is_empty() {
            let environ = Object::import(py, "os")?.attr_named(py, "environ")?;
            for (name, value) in env {
                environ.call_method(py, "__setitem__", &[&Object::str(py, name)?, &Object::str(py, value)?])?;
            }
        }
        Ok(())
    };
    run().map_err(|raised: Raised<'_>| LoadError::Prepare(Box::new(raised.into_exception(py))))
}

/// Makes `os.environ` what it was at the start of the server. Another application's import may have set variables since
/// (`DJANGO_SETTINGS_MODULE`), which a new interpreter reads from the process.
pub(crate) fn refresh_environ(py: Python<'_>, fresh: &[(OsString, OsString)]) -> Result<(), LoadError> {
    let run = || {
        let environ = Object::import(py, "os")?.attr_named(py, "environb")?;
        // A copy: what is iterated over must not change.
        let names = environ.call_method(py, "copy", &[])?;
        for name in names.items(py)? {
            let name = name?;
            let is_fresh = |text: &[u8]| fresh.iter().any(|(known, _)| known.as_bytes() == text);
            if name.as_bytes().is_some_and(|text| !is_fresh(text)) {
                environ.call_method(py, "pop", &[&name, &Object::none(py)])?;
            }
        }
        for (name, value) in fresh {
            let (name, value) = (Object::bytes(py, name.as_bytes())?, Object::bytes(py, value.as_bytes())?);
            // Setting a variable of the process is not free of danger beside code that reads it.
            if environ.call_method(py, "get", &[&name])?.as_bytes() != value.as_bytes() {
                environ.call_method(py, "__setitem__", &[&name, &value])?;
            }
        }
        Ok(())
    };
    run().map_err(|raised: Raised<'_>| LoadError::Prepare(Box::new(raised.into_exception(py))))
}

/// Imports the module and finds the callable, which a factory makes.
pub(crate) fn load<'py>(py: Python<'py>, spec: &AppSpec) -> Result<Object<'py>, LoadError> {
    let module = Object::import(py, &spec.module).map_err(|raised| import_error(py, &spec.module, raised))?;
    match &spec.callable {
        Some(callable) => named(py, &spec.module, &module, callable),
        None => default(py, &spec.module, &module),
    }
}

fn import_error<'py>(py: Python<'py>, module: &str, raised: Raised<'py>) -> LoadError {
    let exception = Box::new(raised.into_exception(py));
    let module = module.to_owned();
    let refused = refused::blamed(py, &exception);
    if !refused.is_empty() {
        return LoadError::Refused { module, refused, exception };
    }
    match &exception.module {
        // The module named, or a package above it; anything else is an import inside the application.
        Some(missing) if module == *missing || module.starts_with(&format!("{missing}.")) => {
            let path = Object::import(py, "sys").and_then(|sys| sys.attr_named(py, "path"));
            let sys_path = path.map(|path| path.strings(py)).unwrap_or_default();
            LoadError::ModuleNotFound { missing: missing.clone(), module, sys_path }
        }
        _ => LoadError::ImportRaised { module, exception },
    }
}

fn factory_error<'py>(py: Python<'py>, module: &str, callable: &str, raised: Raised<'py>) -> LoadError {
    let exception = Box::new(raised.into_exception(py));
    let refused = refused::blamed(py, &exception);
    if refused.is_empty() {
        LoadError::FactoryRaised { module: module.into(), callable: callable.into(), exception }
    } else {
        LoadError::Refused { module: module.into(), refused, exception }
    }
}

fn default<'py>(py: Python<'py>, module: &str, object: &Object<'py>) -> Result<Object<'py>, LoadError> {
    let present = DEFAULT_CALLABLES.into_iter().find_map(|name| Some((name, object.attr_named(py, name).ok()?)));
    match present {
        Some((name, value)) => checked(py, module, name, value),
        None => Err(missing(py, module, object, &DEFAULT_CALLABLES.join("' or '"))),
    }
}

fn named<'py>(
    py: Python<'py>,
    module: &str,
    object: &Object<'py>,
    callable: &Callable,
) -> Result<Object<'py>, LoadError> {
    let mut value = object.clone();
    for name in callable.path.split('.') {
        value = value.attr_named(py, name).map_err(|_| missing(py, module, object, &callable.path))?;
    }
    if !callable.factory {
        return checked(py, module, &callable.path, value);
    }
    if !value.is_callable() {
        return Err(not_callable(py, module, &callable.path, &value));
    }
    let made = value.call(py, &[]).map_err(|raised| factory_error(py, module, &callable.path, raised))?;
    checked(py, module, &format!("{}()", callable.path), made)
}

fn checked<'py>(py: Python<'py>, module: &str, callable: &str, value: Object<'py>) -> Result<Object<'py>, LoadError> {
    if !value.is_callable() {
        return Err(not_callable(py, module, callable, &value));
    }
    // A plain function tells what it takes; of anything else only a call can tell.
    let most = py.positional_parameters(&value).ok().flatten();
    match most {
        Some(most) if most < 2 => {
            let parameters = if most == 0 { NO_ARGUMENTS.into() } else { "1 argument".to_owned() };
            Err(LoadError::OtherParameters { module: module.into(), callable: callable.into(), parameters })
        }
        _ => Ok(value),
    }
}

fn not_callable<'py>(py: Python<'py>, module: &str, callable: &str, value: &Object<'py>) -> LoadError {
    let kind = if value.is_none() { "None".to_owned() } else { format!("of type {}", value.type_name(py)) };
    LoadError::NotCallable { module: module.into(), callable: callable.into(), kind }
}

fn missing<'py>(py: Python<'py>, module: &str, object: &Object<'py>, callable: &str) -> LoadError {
    let names = py.callables(object).unwrap_or_default();
    LoadError::CallableMissing { module: module.into(), callable: callable.into(), names }
}
