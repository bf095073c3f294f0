//! Health checks: always answered, by the front alone.

use std::{fs, sync::mpsc};

use stack_bridge::{Job, WorkerId};
use stack_config::{AccessLog, Config, Endpoint};
use stack_front::Stop;

use crate::{
    client::Client,
    server::{Server, echo, holding, loopback, static_root, wait_until},
};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

fn with_health(config: &mut Config) {
    config.clients.health.path = Some("/-/health".into());
    config.clients.health.admin_bind = vec![Endpoint::plain(loopback())];
}

fn admin(server: &Server) -> Client {
    Client::connect(server.admin.unwrap())
}

#[test]
fn health_and_files_do_not_wait_behind_the_application() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("a.txt"), "file").unwrap();
    let (application, job, _release) = holding();
    let server = Server::with(
        |config| {
            with_health(config);
            config.limits.queue_size = 1;
            config.statics = vec![static_root(Some("/static"), directory.path())];
        },
        application,
    );
    let mut running = server.client();
    running.send(GET);
    let held = job.recv().unwrap();
    let mut waiting = server.client();
    waiting.send(GET);
    wait_until("the queue full", || server.queues[0].depth().queued == 1);
    assert_eq!(server.client().get("/").status, 503);

    for path in ["/-/health/live", "/-/health/ready", "/-/health/startup"] {
        let response = server.client().get(path);
        assert_eq!((response.status, response.text()), (200, "{\"status\":\"ok\"}"), "{path}");
        assert_eq!(response.field("cache-control"), Some("no-store"));
        assert_eq!(admin(&server).get(path).status, 200, "{path}");
    }
    assert_eq!(server.client().get("/static/a.txt").text(), "file");
    echo(held);
    assert_eq!(running.response().status, 200);
}

#[test]
fn the_admin_listener_answers_when_no_client_can_connect_any_more() {
    let (application, _job, _release) = holding();
    let server = Server::with(
        |config| {
            with_health(config);
            config.limits.max_connections = std::num::NonZero::new(1).unwrap();
        },
        application,
    );
    let mut only = server.client();
    only.send(GET);
    wait_until("the only place taken", || server.snapshot().in_flight == 1);
    let mut outside = server.client();
    outside.send(GET);
    for path in ["/-/health/live", "/-/health/ready"] {
        assert_eq!(admin(&server).get(path).status, 200, "{path}");
    }
    assert_eq!(server.snapshot().connections, 1);
}

#[test]
fn the_admin_listener_knows_nothing_of_the_application() {
    let server = Server::with(with_health, echo);
    let mut client = admin(&server);
    assert_eq!(client.get("/").status, 404);
    assert_eq!(client.get("/-/health/other").status, 404);
    assert_eq!(
        client.send("POST /-/health/live HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n").response().status,
        405
    );
    client.send("HEAD /-/health/live HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(client.response_to("HEAD").status, 200);
    let metrics = client.get("/metrics");
    assert!(metrics.field("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    assert!(metrics.text().contains("\nstack_requests_total 0\n"), "{}", metrics.text());
    assert_eq!(server.snapshot().requests, 0);
}

#[test]
fn without_a_path_the_application_has_all_of_them() {
    let server = Server::with(|config| config.clients.health.admin_bind = vec![Endpoint::plain(loopback())], echo);
    assert_eq!(server.client().get("/-/health/live").text(), "GET /-/health/live  ");
    assert_eq!(admin(&server).get("/-/health/live").status, 200);
}

#[test]
fn a_server_without_workers_is_not_ready() {
    let server = Server::start(with_health);
    let response = server.client().get("/-/health/ready");
    assert_eq!(response.status, 503);
    assert_eq!(response.text(), "{\"status\":\"unavailable\",\"reasons\":[\"no_worker\"]}");
    server.worker(echo);
    wait_until("ready", || server.client().get("/-/health/ready").status == 200);
    server.queues[0].retire(WorkerId(7));
    assert_eq!(admin(&server).get("/-/health/ready").status, 503);
    assert_eq!(admin(&server).get("/-/health/live").status, 200);
}

#[test]
fn a_server_that_is_told_to_stop_is_not_ready_at_once() {
    let (jobs, job) = mpsc::channel::<Job>();
    let mut server = Server::with(with_health, move |job| jobs.send(job).unwrap());
    let mut busy = server.client();
    busy.send(GET);
    let held = job.recv().unwrap();
    assert_eq!(admin(&server).get("/-/health/ready").status, 200);
    server.order(Stop::Draining);
    let response = admin(&server).get("/-/health/ready");
    assert_eq!((response.status, response.text()), (503, "{\"status\":\"unavailable\",\"reasons\":[\"stopping\"]}"));
    assert_eq!(admin(&server).get("/-/health/live").status, 200);
    echo(held);
    assert_eq!(busy.response().status, 200);
    let _ = server.drained();
    assert_eq!(admin(&server).get("/-/health/ready").status, 503, "it answers to the very end");
}

#[test]
fn health_checks_are_not_logged() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    let mut server = Server::with(
        |config| {
            with_health(config);
            config.log.access = AccessLog::File(path.clone());
        },
        echo,
    );
    let mut client = server.client();
    for path in ["/-/health/live", "/one", "/-/health/ready"] {
        client.get(path);
    }
    server.order(Stop::Draining);
    let _ = server.drained();
    let log = fs::read_to_string(path).unwrap();
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(log.contains("GET /one "), "{log}");
}

#[test]
fn security_fields_are_added_where_they_are_missing() {
    let server = Server::with(
        |config| config.clients.security_headers = true,
        |job| {
            let fields: &[_] = if &job.request.path[..] == b"/own" { &[("x-frame-options", "DENY")] } else { &[] };
            let mut responder = job.responder;
            let head = Some((crate::server::head(200, fields), stack_bridge::Flow::Buffered));
            let _ = responder.push(&mut stack_bridge::Push { head, block: b"", last: true, may_wait: false });
        },
    );
    let mut client = server.client();
    let plain = client.get("/");
    assert_eq!(plain.field("x-frame-options"), Some("SAMEORIGIN"));
    assert_eq!(plain.field("x-content-type-options"), Some("nosniff"));
    assert_eq!(plain.field("cross-origin-opener-policy"), None, "only over TLS");
    assert_eq!(client.get("/own").field("x-frame-options"), Some("DENY"));
    let without = Server::with(|_| {}, echo).client().get("/");
    assert_eq!(without.field("x-content-type-options"), None);
}
