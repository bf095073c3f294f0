//! An application that turns out, while it serves, not to run in interpreters of their own: `tests/apps/wsgi/lazy.py`.

use std::{fs, thread};

use crate::{
    harness::{Server, serve, stack, virtual_environment},
    isolation::{IN_MAIN, auto_tries_the_application},
};

fn server(arguments: &[&str]) -> Server {
    let venv = virtual_environment().to_str().unwrap();
    serve("lazy", &["--venv", venv, "--workers", "2", "--threads", "4"]).arguments(arguments).server()
}

fn pid(server: &Server, target: &str) -> u32 {
    server.get(target).expect(200).header("x-pid").unwrap().parse().unwrap()
}

const EXPLAINED: &str = "a request imported what does not support sub-interpreters";

#[test]
fn a_request_that_needs_processes_gets_them_and_none_fails_on_the_way() {
    if !auto_tries_the_application() {
        return;
    }
    let server = server(&["--isolation", "auto"]);
    let parent = server.process().pids()[0];
    assert_eq!(pid(&server, "/"), parent, "it begins in interpreters");
    thread::scope(|scope| {
        let get = |target: &'static str| scope.spawn(|| server.get(target).expect(200).text().to_owned());
        // One that is in flight while the application moves, and more than there are threads that fail.
        let slow = get("/slow");
        let hashes: Vec<_> = (0..16).map(|number| get(if number % 2 == 0 { "/hash" } else { "/framework" })).collect();
        let plain: Vec<_> = (0..16).map(|_| get("/")).collect();
        for hash in hashes {
            assert!(["True", "5.0.0"].contains(&hash.join().unwrap().as_str()));
        }
        for plain in plain {
            assert_eq!(plain.join().unwrap(), "plain");
        }
        assert_eq!(slow.join().unwrap(), "slow");
    });
    let line = server.wait_for_line(EXPLAINED);
    assert!(
        line.contains("STACK0318") && line.contains("bcrypt 5.0.0") && line.contains("isolation=processes"),
        "{line}"
    );
    server.wait_for_line("the application has moved to worker processes");
    for _ in 0..8 {
        assert_ne!(pid(&server, "/"), parent, "nothing runs in interpreters any more");
    }
    let finished = server.stop();
    assert_eq!(finished.stderr().matches(EXPLAINED).count(), 1, "once is enough");
}

#[test]
fn what_a_package_can_do_without_moves_the_application_too_but_is_answered_at_once() {
    if !auto_tries_the_application() {
        return;
    }
    let server = server(&["--isolation", "auto"]);
    assert_eq!(server.get("/optional").expect(200).text(), "without");
    server.wait_for_line("the application has moved to worker processes");
    assert_eq!(server.get("/optional").expect(200).text(), "with");
    server.stop();
}

#[test]
fn a_request_that_may_have_had_effects_is_not_run_twice() {
    if !auto_tries_the_application() {
        return;
    }
    let server = server(&["--isolation", "auto"]);
    let mut connection = server.connect();
    connection.request("POST", "/hash", &[], b"").expect(500);
    server.wait_for_line("the application has moved to worker processes");
    connection.request("POST", "/hash", &[], b"").expect(200);
    server.stop();
}

#[test]
fn who_insists_on_interpreters_keeps_them_and_is_told_once() {
    if !auto_tries_the_application() {
        return;
    }
    let server = server(&["--isolation", "interpreters"]);
    for _ in 0..4 {
        server.get("/hash").expect(500);
        assert!(server.get("/framework").expect(500).text().contains("an error page"));
    }
    let line = server.wait_for_line(EXPLAINED);
    assert!(line.contains("bcrypt 5.0.0") && line.contains("use isolation=processes or auto"), "{line}");
    assert_eq!(server.stop().stderr().matches(EXPLAINED).count(), 1);
}

#[test]
fn a_stop_does_not_wait_for_an_import_that_the_move_began() {
    if !auto_tries_the_application() {
        return;
    }
    let venv = virtual_environment().to_str().unwrap();
    let source = format!(
        "{IN_MAIN}
import time
if in_main:
    print('importing in a process', flush=True)
    time.sleep(600)

def application(environ, start_response):
    if environ['PATH_INFO'] == '/hash':
        import bcrypt
    start_response('200 OK', [])
    return [b'fine']
"
    );
    let arguments = ["serve", "--isolation", "auto", "--venv", venv, "--app", "app", "--grace-period", "1"];
    let server = stack(arguments).file("app.py", &source).server();
    let mut waiting = server.connect();
    waiting.send("GET /hash HTTP/1.1\r\nHost: a\r\n\r\n");
    server.wait_for_line("importing in a process");
    assert_eq!(server.get("/").expect(200).text(), "fine", "the interpreters go on meanwhile");
    server.stop();
}

/// An application of which all imports but two run this: the first is the probe's, the second the first worker's.
fn growing(others: &str) -> Server {
    let source = format!(
        "
import os, pathlib, time
folder = pathlib.Path('imports')
folder.mkdir(exist_ok=True)
for number in range(1, 100):
    try:
        (folder / str(number)).mkdir()
        break
    except FileExistsError:
        pass
if number > 2:
    {others}

def application(environ, start_response):
    start_response('200 OK', [('X-Pid', str(os.getpid()))])
    return [b'fine']
"
    );
    stack(["serve", "--isolation", "auto", "--workers", "2", "--app", "app"]).file("app.py", &source).server()
}

#[test]
fn a_server_answers_with_its_first_worker() {
    const LOADED: &str = "all workers have loaded the application";
    if !auto_tries_the_application() {
        return;
    }
    let server = growing("while not pathlib.Path('go').exists(): time.sleep(0.01)");
    assert_eq!(server.get("/").expect(200).text(), "fine");
    assert!(!server.process().lines().iter().any(|line| line.text.contains(LOADED)));
    fs::write(server.process().directory().join("go"), "").unwrap();
    server.wait_for_line(LOADED);
    assert_eq!(server.get("/").expect(200).text(), "fine");
    server.stop();
}

#[test]
fn a_stop_does_not_wait_for_the_other_workers() {
    if !auto_tries_the_application() {
        return;
    }
    let server = growing("time.sleep(600)");
    assert_eq!(server.get("/").expect(200).text(), "fine");
    server.stop().never_says(&["STACK0214"]);
}

#[test]
fn a_worker_that_can_not_load_what_another_could_moves_the_application() {
    if !auto_tries_the_application() {
        return;
    }
    let server = growing("if number == 3: raise ImportError('only once in a process')");
    assert_eq!(server.get("/").expect(200).text(), "fine");
    let line = server.wait_for_line("STACK0348");
    assert!(line.contains("isolation=processes"), "{line}");
    server.wait_for_line("ImportError: only once in a process");
    server.wait_for_line("the application has moved to worker processes");
    assert_ne!(pid(&server, "/"), server.process().pids()[0]);
    server.stop();
}

#[test]
fn a_server_that_lacks_workers_asks_for_another_one() {
    if !auto_tries_the_application() {
        return;
    }
    let server = growing("raise OSError('the database is gone')");
    assert_eq!(server.get("/").expect(200).text(), "fine");
    server.wait_for_line("STACK0319");
    server.wait_for_line("not all of its workers could load the application");
    assert_eq!(server.get("/").expect(200).text(), "fine", "it serves on as it is");
    server.stop();
}
