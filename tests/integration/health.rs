//! Health checks, from before the application is there until after it is told to stop.

use std::net::SocketAddr;

use rustix::process::Signal;

use crate::harness::{Connection, Gate, Process, Server, eventually, serve};

const ADMIN: [&str; 4] = ["--admin-bind", "127.0.0.1:0", "--bind", "127.0.0.1:0"];

fn status(address: SocketAddr, path: &str) -> (u16, String) {
    let response = Connection::tcp(address).get(path);
    (response.status, response.text().to_owned())
}

/// The admin listener tells its address before the application is imported.
fn admin_address(process: &Process) -> SocketAddr {
    let line = process.wait_for_line("answering health checks");
    let address = line.split("http://").nth(1).expect("an address").split_whitespace().next().unwrap_or_default();
    address.trim_matches('"').parse().expect("an address")
}

#[test]
fn the_admin_listener_answers_while_the_application_is_imported() {
    let gate = Gate::new();
    let port = gate.target("/").rsplit('=').next().unwrap().to_owned();
    let stack = serve("loading", &[&ADMIN[..], &["--workers", "1"]].concat());
    let process = stack.env("GATE", port).start();
    let admin = admin_address(&process);
    // Under `auto` it is imported more than once.
    let held = gate.entered();
    assert_eq!(status(admin, "/-/health/live").0, 200);
    let starting = "{\"status\":\"unavailable\",\"reasons\":[\"starting\"]}";
    assert_eq!(status(admin, "/-/health/startup"), (503, starting.into()));
    assert_eq!(status(admin, "/-/health/ready"), (503, starting.into()));
    held.release();
    let mut imports = Vec::new();
    eventually("the server has started", || {
        imports.extend(gate.try_entered());
        for held in imports.drain(..) {
            held.release();
        }
        (status(admin, "/-/health/startup").0 == 200).then_some(())
    });
    assert_eq!(status(admin, "/-/health/ready"), (200, "{\"status\":\"ok\"}".into()));
    process.signal(Signal::TERM);
    process.finished().expect(0);
}

#[test]
fn a_server_that_drains_is_alive_and_not_ready() {
    let gate = Gate::new();
    let server = serve("gated", &ADMIN).server_with(2);
    let [admin, address] = [0, 1].map(|index| server.listeners()[index].parse::<SocketAddr>().unwrap());
    eventually("ready", || (status(admin, "/-/health/ready").0 == 200).then_some(()));
    let mut running = Connection::tcp(address);
    running.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", gate.target("/")));
    let held = gate.entered();
    server.signal(Signal::TERM);
    let stopping = "{\"status\":\"unavailable\",\"reasons\":[\"stopping\"]}";
    eventually("not ready", || (status(admin, "/-/health/ready") == (503, stopping.into())).then_some(()));
    assert_eq!(status(admin, "/-/health/live").0, 200);
    held.release();
    running.response("GET").unwrap().expect(200);
    server.finished().expect(0);
}

#[test]
fn health_is_on_every_listener_where_it_has_a_path() {
    let server = Server::start("hello", &["--health-path", "/-/health"]);
    assert_eq!(server.get("/-/health/ready").expect(200).json()["status"], "ok");
    assert_eq!(server.get("/").expect(200).text(), "hello\n");
    let finished = server.stop();
    assert!(!finished.stdout().contains("/-/health"), "{}", finished.stdout());
}

#[test]
fn a_server_whose_workers_have_died_is_not_ready_until_they_are_back() {
    let server = serve("dying", &["--isolation", "processes", "--health-path", "/-/health"]).server();
    assert_eq!(server.get("/-/health/ready").status, 200);
    server.get("/?die=exit").expect(502);
    eventually("ready again", || (server.get("/-/health/ready").status == 200).then_some(()));
    server.stop();
}

#[test]
fn metrics_are_in_prometheus_format() {
    let server = serve("hello", &ADMIN).server_with(2);
    let [admin, address] = [0, 1].map(|index| server.listeners()[index].parse::<SocketAddr>().unwrap());
    for _ in 0..3 {
        Connection::tcp(address).get("/").expect(200);
    }
    let (_, text) = status(admin, "/metrics");
    assert!(text.contains("\nstack_requests_total 3\n"), "{text}");
    assert!(text.contains("\nstack_threads{state=\"idle\"} "), "{text}");
    server.stop();
}

#[test]
fn the_file_of_an_admin_socket_is_removed_at_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("admin.sock");
    let server =
        serve("hello", &["--admin-bind", &format!("unix:{}", path.display()), "--bind", "127.0.0.1:0"]).server_with(2);
    Connection::unix(&path).get("/-/health/live").expect(200);
    server.stop();
    assert!(!path.exists());
}
