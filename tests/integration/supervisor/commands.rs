//! `stack status`, `stack reload`, `stack stop`.

use std::{fs, os::unix::fs::PermissionsExt};

use rustix::process::Signal;

use super::{change, kill, runs, server_of, versioned};
use crate::harness::{Finished, Gate, Server, eventually, stack};

/// Runs a command where the server was started.
fn ask(server: &Server, arguments: &[&str]) -> Finished {
    let directory = server.process().directory();
    stack(arguments).current_dir(directory).env("XDG_RUNTIME_DIR", directory).run()
}

fn status(server: &Server) -> serde_json::Value {
    serde_json::from_str(&ask(server, &["status", "--json"]).expect(0).stdout()).unwrap()
}

#[test]
fn the_status_tells_of_generations_and_of_the_server() {
    let server = server_of(&versioned("one")).server();
    server.get("/").expect(200);
    let status = status(&server);
    let told = &status["status"];
    assert_eq!((&status["ok"], &told["state"]), (&true.into(), &"serving".into()), "{status}");
    let [generation] = told["generations"].as_array().unwrap().as_slice() else { panic!("{status}") };
    assert_eq!((&generation["number"], &generation["state"]), (&1.into(), &"serving".into()));
    assert_eq!(generation["pid"], server.process().server_pid());
    assert_eq!(told["addresses"][0], format!("http://{}", server.address()));
    assert_eq!((&told["server"]["requests"], &told["restarts"]), (&1.into(), &0.into()), "{status}");
    let text = ask(&server, &["status"]).expect(0).stdout();
    assert!(text.contains("generation   1 serving") && text.contains("reloads      0, failed 0"), "{text}");
    server.stop();
}

#[test]
fn a_reload_answers_when_the_new_server_serves() {
    let server = server_of(&versioned("one")).server();
    change(&server, &versioned("another"));
    let text = ask(&server, &["reload"]).expect(0).stdout();
    assert!(text.starts_with("reloaded: generation 2 serves (pid "), "{text}");
    assert_eq!(server.get("/").expect(200).text(), "another");
    // Nor does the one before get a connection in its last moments.
    for length in 1..5 {
        // Python takes a source of the same second and the same size for the one it has compiled.
        let code = "x".repeat(length);
        change(&server, &versioned(&code));
        ask(&server, &["reload"]).expect(0);
        assert_eq!(server.get("/").expect(200).text(), code);
    }
    assert_eq!(status(&server)["status"]["reloads"], 5);
    server.stop();
}

#[test]
fn a_reload_that_fails_prints_the_new_server_s_error() {
    let server = server_of(&versioned("one")).server();
    for (text, error) in [
        ("raise RuntimeError('not today')\n", "RuntimeError: not today"),
        ("def application(\n", "SyntaxError"),
        ("import sys\nsys.exit(3)\n", "SystemExit"),
        ("import os\nos._exit(3)\n", "exit code 3"),
        ("application = 7\n", "not a callable"),
    ] {
        change(&server, text);
        ask(&server, &["reload"]).expect(1).says(&[error]);
        assert_eq!(server.get("/").expect(200).text(), "one");
    }
    let status = status(&server);
    assert_eq!(status["status"]["failed_reloads"], 5, "{status}");
    assert!(status["status"]["reload_error"].as_str().is_some_and(|error| error.contains("callable")), "{status}");
    // Who asks reads the same configuration, and sees what is wrong with it.
    let file = server.process().directory().join("stack.toml");
    fs::write(&file, "nonsense = 1\n").unwrap();
    ask(&server, &["reload"]).expect(64).says(&["nonsense"]);
    fs::write(&file, "threads = 3\n").unwrap();
    change(&server, &versioned("another"));
    ask(&server, &["reload"]).expect(0);
    assert_eq!(server.get("/").expect(200).text(), "another");
    server.stop();
}

#[test]
fn status_and_stop_need_no_sound_configuration() {
    let file = "control_socket = 'here.sock'\nthreads = 2\n";
    for (broken, problem) in [
        (format!("{file}nonsense = 1\nqueue_size = -1\n"), "2 problems in the configuration"),
        (format!("{file}workers = = 1\n"), "stack.toml:3:11"),
        ("control_socket = 'here.sock\nthreads = 2\n".to_owned(), "stack.toml:1"),
    ] {
        let server = server_of(&versioned("one")).file("stack.toml", file).server();
        let path = server.process().directory().join("stack.toml");
        fs::write(&path, &broken).unwrap();
        // Where even that line can not be read it has to be named.
        let named: &[&str] = if problem == "stack.toml:1" { &["--control-socket", "here.sock"] } else { &[] };
        let asked = |command: &[&'static str]| ask(&server, &[command, named].concat());
        let status = asked(&["status", "--json"]).expect(0).says(&[problem, "does not matter to this command"]);
        let status: serde_json::Value = serde_json::from_str(&status.stdout()).unwrap();
        assert_eq!(status["status"]["state"], "serving");
        asked(&["reload"]).expect(64).says(&[problem]).never_says(&["does not matter"]);
        asked(&["stop", "--threads", "none"]).expect(64);
        server.get("/").expect(200);
        assert_eq!(asked(&["stop"]).expect(0).says(&[problem]).stdout(), "stopped\n");
        server.finished().expect(0);
    }
}

#[test]
fn a_stop_answers_when_the_last_request_is_done() {
    let gate = Gate::new();
    let server = Server::start("gated", &["--threads", "1"]);
    let mut running = server.connect();
    running.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", gate.target("/")));
    let held = gate.entered();
    let directory = server.process().directory();
    let stopping = stack(["stop"]).current_dir(directory).env("XDG_RUNTIME_DIR", directory).start();
    server.wait_for_line("reason=\"stack stop\"");
    held.release();
    running.response("GET").unwrap().expect(200);
    assert_eq!(stopping.finished().expect(0).stdout(), "stopped\n");
    server.finished().expect(0);
}

#[test]
fn a_stop_at_once_cuts_off_what_is_in_flight() {
    let gate = Gate::new();
    let server = Server::start("gated", &["--threads", "1"]);
    let mut running = server.connect();
    running.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", gate.target("/")));
    let held = gate.entered();
    assert_eq!(ask(&server, &["stop", "--now"]).expect(0).stdout(), "stopped, 1 requests were cut off\n");
    assert!(running.response("GET").is_err());
    server.finished().expect(1);
    drop(held);
}

#[test]
fn the_control_socket_is_its_owner_s_and_goes_with_the_server() {
    let server = server_of(&versioned("one")).arguments(["--control-socket", "here.sock"]).server();
    let path = server.process().directory().join("here.sock");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    ask(&server, &["status"]).expect(1).says(&["no server was found"]);
    ask(&server, &["status", "--control-socket", "here.sock"]).expect(0);
    // A second server can not have it.
    let second = server_of(&versioned("one")).arguments(["--bind", "127.0.0.1:0", "--control-socket"]);
    second.arguments([&path]).run().expect(1).says(&["no control socket", "is in use"]);
    server.stop();
    assert!(!path.exists());
}

#[test]
fn a_control_socket_that_a_killed_supervisor_left_is_taken_over() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let server = server_of(&versioned("one")).arguments(["--control-socket"]).arguments([&path]).server();
    let pid = server.process().server_pid();
    server.signal(Signal::KILL);
    eventually("the server's end", || (!runs(pid)).then_some(()));
    assert!(path.exists());
    let next = server_of(&versioned("one")).arguments(["--control-socket"]).arguments([&path]).server();
    kill(next.process().server_pid(), Signal::KILL);
    next.get("/").expect(200);
    next.stop();
}

#[test]
fn nobody_is_asked_where_there_is_no_control_socket() {
    stack(["status"]).run().expect(1).says(&["no server was found"]);
    stack(["reload", "--control-socket", "off"]).run().expect(1).says(&["there is no control socket"]);
}
