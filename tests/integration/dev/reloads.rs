//! What is saved is served.

use rustix::process::Signal;

use super::{dev_of, reloads, reloads_next_for_the_application, save, versioned, wait_for_text};
use crate::harness::{Gate, eventually, tests_path};

#[test]
fn a_saved_file_is_served_and_one_line_says_so() {
    let server = dev_of(&versioned("one")).server();
    assert_eq!(server.get("/").expect(200).text(), "one");
    save(&server, "changing.py", &versioned("another"));
    wait_for_text(&server, "another");
    let line = server.wait_for_line("reloaded changed=changing.py took_ms=");
    assert!(line.contains(" INFO "), "{line}");
    let lines = server.stop().lines;
    let of_reload = ["taken over", "generation", "stopped", "reload: "];
    let told: Vec<_> = lines.iter().filter(|line| of_reload.iter().any(|part| line.text.contains(part))).collect();
    assert_eq!(told.len(), 1, "but for the end of the last one nothing is said: {told:?}");
}

#[test]
fn serve_under_the_profile_dev_is_the_same() {
    let server = crate::harness::stack(["serve", "--profile", "dev", "--app", "changing"])
        .file("changing.py", &versioned("one"))
        .server();
    reloads_next_for_the_application(&server, "another");
    server.stop();
}

#[test]
fn code_that_does_not_import_leaves_the_old_code_and_the_next_save_mends_it() {
    let server = dev_of(&versioned("one")).server();
    save(&server, "changing.py", "raise RuntimeError('not today')\n");
    let line = server.wait_for_line("STACK0702");
    assert!(line.contains("changed=changing.py"), "{line}");
    server.wait_for_line("RuntimeError: not today");
    assert_eq!(server.get("/").expect(200).text(), "one");
    save(&server, "changing.py", &versioned("another"));
    wait_for_text(&server, "another");
    let failures = server.process().lines().iter().filter(|line| line.text.contains("STACK0702")).count();
    assert_eq!(failures, 1, "what does not import is tried once");
    server.stop();
}

#[test]
fn what_is_saved_while_another_server_starts_is_served() {
    let gate = Gate::new();
    let waiting = format!("import socket\nsocket.create_connection(('127.0.0.1', {})).recv(1)\n", gate.port());
    let server = dev_of(&versioned("one")).server();
    save(&server, "changing.py", &format!("{waiting}{}", versioned("half")));
    let _held = gate.entered();
    save(&server, "changing.py", &versioned("another"));
    wait_for_text(&server, "another");
    server.stop();
}

#[test]
fn a_stop_in_the_middle_of_it_all_is_a_clean_one() {
    let gate = Gate::new();
    let waiting = |text: &str| {
        format!("import socket\nsocket.create_connection(('127.0.0.1', {})).recv(1)\n{}", gate.port(), versioned(text))
    };
    let server = dev_of(&versioned("one")).server();
    save(&server, "changing.py", &waiting("half"));
    let _first = gate.entered();
    save(&server, "changing.py", &waiting("another half"));
    let _second = gate.entered();
    server.stop();
}

#[test]
fn an_import_that_does_not_end_is_left_at_the_next_save() {
    let gate = Gate::new();
    let waiting = format!("import socket\nsocket.create_connection(('127.0.0.1', {})).recv(1)\n", gate.port());
    let process = dev_of(&format!("{waiting}{}", versioned("half"))).default("--bind", "127.0.0.1:0").start();
    let _held = gate.entered();
    std::fs::write(process.directory().join("changing.py"), versioned("another")).unwrap();
    process.wait_for_line("listening");
    process.signal(Signal::TERM);
    process.finished().expect(0);
}

#[test]
fn a_request_in_flight_delays_nothing_and_is_finished() {
    let gate = Gate::new();
    let apps = tests_path("apps/wsgi");
    let held = format!(
        "import sys\nsys.path.append({apps:?})\nimport gate\n{}",
        versioned("one")
            .replace("    start_response", "    if environ['QUERY_STRING']: gate.wait(environ)\n    start_response")
    );
    let server = dev_of(&held).arguments(["--grace-period", "30s"]).server();
    let mut running = server.connect();
    running.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", gate.target("/")));
    let held = gate.entered();
    save(&server, "changing.py", &versioned("another"));
    wait_for_text(&server, "another");
    save(&server, "changing.py", &versioned("third"));
    wait_for_text(&server, "third");
    held.release();
    assert_eq!(running.response("GET").unwrap().expect(200).text(), "one");
    server.stop();
}

#[test]
fn a_kept_connection_never_shows_the_old_code_again() {
    let server = dev_of(&versioned("one")).server();
    let mut kept = server.connect();
    assert_eq!(kept.get("/").expect(200).text(), "one");
    save(&server, "changing.py", &versioned("another"));
    kept.assert_closed();
    assert_eq!(server.get("/").expect(200).text(), "another");
    server.stop();
}

#[test]
fn a_changed_configuration_is_in_force() {
    let header = |value: &str| format!("header = ['X-Version: {value}']\n");
    let server = dev_of(&versioned("one")).file("stack.toml", &header("1")).server();
    assert_eq!(server.get("/").expect(200).header("x-version"), Some("1"));
    save(&server, "stack.toml", &header("2"));
    eventually("the new value", || (server.get("/").header("x-version") == Some("2")).then_some(()));
    save(&server, "stack.toml", "header = 5\n");
    server.wait_for_line("STACK0702");
    assert_eq!(server.get("/").expect(200).header("x-version"), Some("2"));
    save(&server, "stack.toml", &header("3"));
    eventually("the mended value", || (server.get("/").header("x-version") == Some("3")).then_some(()));
    server.stop();
}

#[test]
fn a_changed_environment_file_is_in_force() {
    let text = versioned("one").replace("[b'one']", "[os.environ['COLOUR'].encode()]");
    let text = format!("import os\n{}", text.replace(", ('Content-Length', '3')", ""));
    let server = dev_of(&text).file(".env", "COLOUR=red\n").arguments(["--env-file", ".env"]).server();
    assert_eq!(server.get("/").expect(200).text(), "red");
    save(&server, ".env", "COLOUR=green\n");
    wait_for_text(&server, "green");
    assert_eq!(reloads(&server).len(), 1);
    server.stop();
}

#[test]
fn the_end_leaves_nothing_behind() {
    let server = dev_of(&versioned("one")).in_own_group().server();
    let mut listening = server.connect();
    super::listen(&mut listening);
    let before = server.process().server_pid();
    reloads_next_for_the_application(&server, "another");
    eventually("the end of the server before", || (!runs(before)).then_some(()));
    let mut listening = server.connect();
    super::listen(&mut listening);
    let pids = server.process().all_pids();
    assert!(pids.len() > 1, "{pids:?}");
    // As a terminal does for ctrl-C.
    server.process().signal_group(Signal::INT);
    assert_eq!(super::event(&mut listening), None);
    server.finished().expect(0);
    eventually("the end of all processes", || pids.iter().all(|pid| !runs(*pid)).then_some(()));
}

fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}
