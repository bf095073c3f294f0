//! From the import of an application to its end.

use std::{
    ffi::OsString,
    num::NonZeroUsize,
    os::unix::ffi::OsStringExt,
    path::Path,
    time::{Duration, Instant},
};

use stack_bridge::WorkerState;
use stack_config::Callable;
use stack_wsgi::{LoadError, Permission, Place, PoolSettings, StartError};

use crate::harness::{App, can_run, get, limits, read};

/// An application whose second import waits for a word, and fails if there is anything to it.
fn second_waits_in(folder: &Path) -> String {
    let folder = folder.to_str().unwrap();
    format!(
        "
import pathlib, time
folder = pathlib.Path({folder:?})
try:
    (folder / 'first').mkdir()
except FileExistsError:
    word = folder / 'word'
    (folder / 'second').mkdir()
    while not word.exists():
        time.sleep(0.01)
    if word.read_text():
        raise RuntimeError(word.read_text())
def application(environ, start_response):
    start_response('200 OK', [])
    return [b'app']
"
    )
}

const MINUTE: Duration = Duration::from_mins(1);

fn wait_for(path: &Path) {
    let begun = Instant::now();
    while !path.exists() {
        assert!(begun.elapsed() < MINUTE, "never there: {}", path.display());
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

fn in_two_early(settings: &mut PoolSettings) {
    settings.place = Place::OwnInterpreters(NonZeroUsize::new(2).unwrap());
    settings.opens_early = true;
}

tests! {
    callables_are_found_by_name_default_and_factory {
        let source = "
def app(environ, start_response):
    start_response('200 OK', [])
    return [b'app']
class make:
    nested = staticmethod(app)
def factory(): return app
";
        let named = |path: &str, factory| Some(Callable { path: path.into(), factory });
        for callable in [None, named("app", false), named("make.nested", false), named("factory", true)] {
            let app = App::load(source, "application_under_test", callable, 1).unwrap();
            assert_eq!(app.get("/").text(), "app");
            app.stop();
        }
    }

    an_application_that_can_not_be_loaded_says_why {
        let named = |path: &str, factory| Some(Callable { path: path.into(), factory });
        let error = |source: &str, module: &str, callable| match App::load(source, module, callable, 1).err().unwrap() {
            StartError::Load(error) => error,
            other => panic!("{other}"),
        };
        let module = "application_under_test";
        let missing = error("", "no_such_module.wsgi", None);
        assert!(matches!(&missing, LoadError::ModuleNotFound { missing, sys_path, .. } if missing == "no_such_module" && !sys_path.is_empty()), "{missing}");
        let inside = error("import no_such_module", module, None);
        assert!(matches!(&inside, LoadError::ImportRaised { .. }), "{inside}");
        let text = inside.to_string();
        assert!(text.contains("ModuleNotFoundError") && text.contains("application_under_test.py\", line 1") && !text.contains("importlib"), "{text}");
        let syntax = error("def broken(:\n", module, None).to_string();
        assert!(syntax.contains("SyntaxError") && syntax.contains("def broken(:"), "{syntax}");
        let callable = error("def wsgi(): pass\ndef _private(): pass", module, None).to_string();
        assert!(callable.contains("no 'application' or 'app'") && callable.contains("callables in it: wsgi (write application_under_test:wsgi)"), "{callable}");
        let kind = error("app = 3", module, None).to_string();
        assert!(kind.contains("is of type int, not a callable"), "{kind}");
        let forgotten = error("def make(): pass", module, named("make", false)).to_string();
        assert!(forgotten.contains("takes no arguments") && forgotten.contains("write application_under_test:make()"), "{forgotten}");
        let factory = error("def make(): raise ValueError('no settings')", module, named("make", true)).to_string();
        assert!(factory.contains("'application_under_test:make()' raised ValueError: no settings"), "{factory}");
        let made = error("def make(): pass", module, named("make", true)).to_string();
        assert!(made.contains("make()' is None, not a callable"), "{made}");
    }

    a_pool_may_be_there_with_its_first_worker {
        for (word, is_loaded) in [("", true), ("broken", false)] {
            let folder = tempfile::tempdir().unwrap();
            let mut app = App::start_with(&second_waits_in(folder.path()), 1, in_two_early).unwrap();
            let rest = app.take_rest().unwrap();
            assert!(app.take_rest().is_none());
            assert_eq!(app.get("/").text(), "app");
            let is_begun = |states: &[WorkerState]| states.iter().filter(|state| **state == WorkerState::Ready).count() == 1;
            assert!(is_begun(&app.pool().states()));
            std::fs::write(folder.path().join("word"), word).unwrap();
            match rest.wait(MINUTE) {
                Ok(()) => {
                    assert!(is_loaded);
                    app.wait_for_states(&[WorkerState::Ready; 2]);
                }
                Err(error) => assert!(!is_loaded && error.to_string().contains("RuntimeError: broken"), "{error}"),
            }
            app.assert_alive("/");
            app.stop();
        }
    }

    a_stop_does_not_wait_for_a_worker_that_loads {
        let folder = tempfile::tempdir().unwrap();
        let mut app = App::start_with(&second_waits_in(folder.path()), 1, in_two_early).unwrap();
        let rest = app.take_rest().unwrap();
        wait_for(&folder.path().join("second"));
        let begun = Instant::now();
        assert_eq!(app.stop_within(MINUTE), 0);
        assert!(begun.elapsed() < MINUTE);
        // No other test could load anything before.
        std::fs::write(folder.path().join("word"), "").unwrap();
        rest.wait(MINUTE).unwrap();
    }

    a_worker_that_does_not_load_in_time_is_told_of {
        let folder = tempfile::tempdir().unwrap();
        let mut app = App::start_with(&second_waits_in(folder.path()), 1, in_two_early).unwrap();
        let error = app.take_rest().unwrap().wait(Duration::from_millis(1)).unwrap_err();
        assert!(matches!(error, StartError::TooLong(_)), "{error}");
        wait_for(&folder.path().join("second"));
        std::fs::write(folder.path().join("word"), "").unwrap();
        app.wait_for_states(&[WorkerState::Ready; 2]);
        app.stop();
    }

    workers_that_were_begun_early_import_nothing_before_they_may {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("imported");
        let source = format!("
import pathlib
pathlib.Path({mark:?}).touch()
def application(environ, start_response):
    start_response('200 OK', [])
    return [b'app']
");
        let start = |is_given| {
            let (decision, permission) = Permission::pending();
            if is_given { decision.give() } else { drop(decision) }
            App::start_with(&source, 1, |settings| settings.permission = Some(permission))
        };
        assert!(matches!(start(false).err(), Some(StartError::NotWanted)));
        assert!(!mark.exists());
        let app = start(true).unwrap();
        assert_eq!(app.get("/").text(), "app");
        assert!(mark.exists());
        app.stop();
    }

    an_application_does_not_get_the_variables_that_another_one_has_set {
        let tell = "
import os
os.environb.setdefault(b'STACK_TEST_OF_IMPORT', NAME)
def app(environ, start_response):
    start_response('200 OK', [])
    names = b'STACK_TEST_OF_IMPORT', b'STACK_TEST_CHANGED'
    return [b', '.join(os.environb.get(name, b'none') for name in names)]
";
        let load = |name: &str, fresh: Option<&[(OsString, OsString)]>| {
            let source = format!("NAME = b'{name}'{tell}");
            App::load_beside_others(&source, "application_under_test", None, 1, fresh.map(Into::into)).unwrap()
        };
        let mut fresh: Vec<_> = std::env::vars_os().collect();
        fresh.push(("STACK_TEST_CHANGED".into(), OsString::from_vec(b"at the start \xff".to_vec())));
        let first = load("first", None);
        assert_eq!(first.get("/").body, b"first, none");
        let unaware = load("unaware", None);
        assert_eq!(unaware.get("/").body, b"first, none", "this is what it is about");
        let second = load("second", Some(&fresh));
        assert_eq!(second.get("/").body, b"second, at the start \xff");
        assert_eq!(first.get("/").body, b"first, none", "each has its own os.environ");
        for app in [first, unaware, second] {
            app.stop();
        }
    }

    the_end_runs_atexit_handlers_after_the_last_request {
        let app = App::plain("
import atexit, os
path = os.path.join(os.path.dirname(__file__), 'end')
def note():
    with open(path, 'w') as file: file.write('atexit ran')
atexit.register(note)
def application(environ, start_response):
    start_response('200 OK', [])
    return [b'ok']
");
        app.assert_alive("/");
        let folder = app.stop();
        assert_eq!(std::fs::read_to_string(folder.path().join("end")).unwrap(), "atexit ran");
    }

    a_stop_does_not_wait_longer_than_it_may {
        let app = App::plain("
import threading
def application(environ, start_response):
    threading.Event().wait(3)
    start_response('200 OK', [])
    return [b'late']
");
        let _reply = app.push(get("/"), limits(1 << 20));
        let before = Instant::now();
        assert_eq!(app.stop_within(Duration::from_millis(50)), 1);
        assert!(before.elapsed() < Duration::from_secs(2));
    }

    requests_run_on_several_threads_at_once {
        let app = App::validated("
import threading
both = threading.Barrier(2, timeout=20)
def app(environ, start_response):
    both.wait()
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [threading.current_thread().name.encode()]
");
        let replies = [app.push(get("/"), limits(1 << 20)), app.push(get("/"), limits(1 << 20))];
        let mut names = replies.map(|reply| read(reply).text().to_owned());
        names.sort();
        assert_eq!(names, ["worker-0.0", "worker-0.1"]);
        app.stop();
    }
}
