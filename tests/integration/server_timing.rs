//! `Server-Timing`: how long a response took, told to its client.

use std::time::Duration;

use crate::harness::{Response, Server, tests_path};

fn serve(arguments: &[&str]) -> Server {
    let files = format!("/files={}", tests_path("apps/wsgi").display());
    Server::start("failing", &[&["--static", files.as_str()], arguments].concat())
}

fn fields(response: &Response) -> Vec<&str> {
    response.header_values("server-timing")
}

/// Names and milliseconds.
fn metrics(field: &str) -> Vec<(&str, f64)> {
    let metric = |metric| {
        let (name, duration) = str::split_once(metric, ";dur=").unwrap_or_else(|| panic!("no duration: {metric}"));
        (name, duration.parse().unwrap_or_else(|_| panic!("no number: {metric}")))
    };
    field.split(", ").map(metric).collect()
}

fn names(field: &str) -> Vec<&str> {
    metrics(field).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn development_tells_the_times_of_every_response() {
    let server = serve(&["--profile", "dev"]);
    let response = server.get("/").expect(200);
    let found = fields(&response);
    assert_eq!((found.len(), found[0]), (2, "db;dur=1.5"), "the application's own stays");
    assert_eq!(names(found[1]), ["queue", "app", "total"]);
    let [(_, queue), (_, app), (_, total)] = metrics(found[1])[..] else { panic!("{found:?}") };
    assert!(queue >= 0.0 && app > 0.0 && queue + app <= total + 0.01, "{found:?}");
    for (target, status) in [("/stream", 200), ("/cause", 500)] {
        let response = server.get(target).expect(status);
        assert_eq!(names(fields(&response)[0]), ["queue", "app", "total"], "{target}");
    }
    // The second one would be ready in memory.
    let mut connection = server.connect();
    for _ in 0..3 {
        let response = connection.get("/files/three-bytes.txt").expect(200);
        assert_eq!(names(fields(&response)[0]), ["total"]);
    }
    assert_eq!(names(fields(&server.get("/files/missing").expect(404))[0]), ["total"]);
    server.stop();
}

#[test]
fn the_time_of_the_application_is_in_app() {
    let server = Server::start("slow", &["--server-timing"]);
    let response = server.get("/?seconds=0.3");
    let field = fields(&response)[0].to_owned();
    let (_, app) = metrics(&field)[1];
    assert!(app >= Duration::from_millis(250).as_secs_f64() * 1000.0, "{field}");
    server.stop();
}

#[test]
fn production_tells_none_unless_it_is_asked_to() {
    let server = serve(&[]);
    assert_eq!(fields(&server.get("/").expect(200)), ["db;dur=1.5"]);
    assert!(fields(&server.get("/files/three-bytes.txt").expect(200)).is_empty());
    server.stop();
    let server = serve(&["--server-timing"]);
    assert_eq!(names(fields(&server.get("/stream").expect(200))[0]), ["queue", "app", "total"]);
    server.stop();
    let server = serve(&["--server-timing", "--header=-Server-Timing"]);
    assert!(fields(&server.get("/").expect(200)).is_empty(), "a site's rule has the last word");
    server.stop();
}
