//! What is asked about extension modules. The extensions are CPython's own, copied into packages that were made by hand.

use std::{fs, path::Path};

use stack_interp::{Interpreter, Object, Python};
use stack_wsgi::{
    LoadError, StartError,
    inspect::{self, Package, Trial},
};

use crate::harness::{App, can_run, main_interpreter};

/// A folder with `refusing` (distribution `Refusing-Binary`), whose extension module supports no sub-interpreter, `loading`,
/// whose one does, and `twinned`, which has a twin; `None` where CPython's own test modules are not installed.
fn site() -> Option<tempfile::TempDir> {
    let folder = tempfile::tempdir().unwrap();
    let find = |module: &str| {
        let origin = |py: Python<'_>| {
            let spec = Object::import(py, "importlib.util").ok()?;
            let spec = spec.call_method(py, "find_spec", &[&Object::str(py, module).ok()?]).ok()?;
            Some(spec.attr_named(py, "origin").ok()?.display(py))
        };
        main_interpreter().run(origin).ok()?.filter(|file| Path::new(file).exists())
    };
    for (package, module, distribution) in [
        ("refusing", "_testsinglephase", "Refusing-Binary"),
        ("loading", "_heapq", "loading"),
        ("twinned", "_testsinglephase", "twinned"),
    ] {
        let file = format!("{package}/{module}.so");
        fs::create_dir(folder.path().join(package)).unwrap();
        fs::copy(find(module)?, folder.path().join(&file)).unwrap();
        fs::write(folder.path().join(package).join("__init__.py"), "").unwrap();
        let info = folder.path().join(format!("{package}-1.2.dist-info"));
        fs::create_dir(&info).unwrap();
        fs::write(info.join("METADATA"), format!("Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n"))
            .unwrap();
        fs::write(info.join("RECORD"), format!("{package}/__init__.py,,\n{file},sha256=x,1\n")).unwrap();
    }
    fs::write(folder.path().join("twinned/_testsinglephase.py"), "").unwrap();
    Some(folder)
}

fn in_interpreter<R>(folder: &Path, body: impl FnOnce(Python<'_>) -> R) -> R {
    let body = |py: Python<'_>, _: &stack_interp::InterpreterHandle| {
        let path = Object::import(py, "sys").unwrap().attr_named(py, "path").unwrap();
        let folder = Object::str(py, folder.to_str().unwrap()).unwrap();
        path.call_method(py, "insert", &[&Object::int(py, 0).unwrap(), &folder]).unwrap();
        body(py)
    };
    Interpreter::run(main_interpreter(), body).unwrap().0
}

fn load_error(folder: &Path, source: &str) -> LoadError {
    let source = format!("import sys\nsys.path.insert(0, {:?})\n{source}", folder.to_str().unwrap());
    match App::start(&source, 1).err().expect("the application does not load") {
        StartError::Load(error) => error,
        other => panic!("{other}"),
    }
}

tests! {
    an_import_that_a_refusal_ends_names_the_package {
        let Some(site) = site() else { return };
        let module = "refusing._testsinglephase";
        for source in [
            format!("import {module}"),
            // What a package makes of it: an exception of its own with a cause, or one that tells nothing.
            format!("try:\n    import {module}\nexcept ImportError as error:\n    raise RuntimeError('no driver') from error"),
            format!("try:\n    import {module}\nexcept ImportError: pass\nraise ImportError('no driver was found')"),
        ] {
            let error = load_error(site.path(), &source);
            assert!(matches!(&error, LoadError::Refused { refused, .. } if refused.len() == 1), "{error}");
            let text = error.to_string();
            assert!(text.starts_with("Refusing-Binary 1.2 does not support sub-interpreters"), "{text}");
            assert!(text.contains("isolation=processes") && text.contains("application_under_test.py"), "{text}");
        }
        let source = format!("def make():\n    import {module}");
        let source = format!("import sys\nsys.path.insert(0, {:?})\n{source}", site.path().to_str().unwrap());
        let callable = Some(stack_config::Callable { path: "make".into(), factory: true });
        let error = App::load(&source, "application_under_test", callable, 1).err().unwrap();
        assert!(matches!(&error, StartError::Load(LoadError::Refused { .. })), "{error}");
    }

    an_import_that_fails_for_another_reason_blames_no_package {
        let Some(site) = site() else { return };
        let optional = "try:\n    import refusing._testsinglephase\nexcept ImportError: pass\n";
        for source in ["raise ValueError('no settings')", "import a_package_that_nobody_has", "import twinned._testsinglephase\nraise ImportError"] {
            let source = if source.contains("twinned") { source.to_owned() } else { format!("{optional}{source}") };
            let error = load_error(site.path(), &source);
            assert!(matches!(&error, LoadError::ImportRaised { .. }), "{error}");
        }
    }

    a_module_is_found_in_the_package_that_installed_its_file {
        let Some(site) = site() else { return };
        let file = |path: &str| site.path().join(path).to_str().unwrap().to_owned();
        let (refusing, unknown) = (file("refusing/_testsinglephase.so"), file("refusing/not_recorded.so"));
        let standard = "/usr/lib/python3/lib-dynload/_json.so";
        let modules =
            [("refusing._testsinglephase", refusing.as_str()), ("refusing.other", &unknown), ("_json", standard), ("nobody", "/nowhere.so")];
        let found = in_interpreter(site.path(), |py| inspect::packages(py, &modules));
        let expected = Some(Package { name: "Refusing-Binary".into(), version: "1.2".into() });
        assert_eq!(found, [expected.clone(), expected, None, None]);
    }

    broken_metadata_is_passed_over {
        let Some(site) = site() else { return };
        fs::write(site.path().join("loading-1.2.dist-info/METADATA"), b"\xff\xfe").unwrap();
        fs::write(site.path().join("twinned-1.2.dist-info/RECORD"), "\"unfinished").unwrap();
        let file = site.path().join("refusing/_testsinglephase.so");
        let modules = [("refusing._testsinglephase", file.to_str().unwrap())];
        let found = in_interpreter(site.path(), |py| inspect::packages(py, &modules));
        assert_eq!(found[0].as_ref().unwrap().name, "Refusing-Binary");
    }

    each_module_is_tried_by_itself {
        let Some(site) = site() else { return };
        fs::write(site.path().join("loading/broken.so"), "no shared library").unwrap();
        let trial = |module: &str| {
            let file = format!("{}.so", site.path().join(module.replace('.', "/")).display());
            in_interpreter(site.path(), |py| inspect::try_extension(py, module, &file))
        };
        assert_eq!(trial("loading._heapq"), Trial::Loads);
        assert!(matches!(trial("refusing._testsinglephase"), Trial::Refuses(text) if text.contains("does not support")));
        assert!(matches!(trial("twinned._testsinglephase"), Trial::Replaced(twin) if twin.ends_with("twinned/_testsinglephase.py")));
        assert!(matches!(trial("loading.broken"), Trial::Fails(text) if text.contains("ImportError")), "{:?}", trial("loading.broken"));
    }

    an_application_s_extension_modules_are_listed {
        let Some(site) = site() else { return };
        let source = "import loading._heapq, _heapq\ndef app(environ, start_response): pass\n";
        fs::write(site.path().join("listed.py"), source).unwrap();
        let app = stack_config::AppSpec { module: "listed".into(), callable: None };
        let (import, extensions) = in_interpreter(site.path(), |py| {
            (inspect::import(py, &app, site.path().to_str().unwrap(), &[], false), inspect::extensions(py))
        });
        import.outcome.unwrap();
        let known = |module: &str| extensions.iter().find(|extension| extension.module == module).map(|found| found.is_standard);
        assert_eq!(known("loading._heapq"), Some(false));
        assert_ne!(known("_heapq"), Some(false));
    }
}
