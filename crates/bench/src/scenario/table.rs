//! All scenarios.

use super::{Curve, Kind, Point, Protocol, Scenario, Target};

pub(super) const HELLO: &str = "plain:hello";
const FLASK: &str = "flask_page:application";
const DJANGO: &str = "shelf.wsgi:application";
const CONNECTIONS: usize = 64;
const LOAD: Kind = Kind::Load { connections: CONNECTIONS };
const HELD: usize = 10_000;

/// Those that a run without `--scenario` and `--scaling` has.
pub(crate) fn all() -> Vec<Scenario> {
    use Protocol::{Http, Http2, Https};
    use Target::{Application, Echo, File};
    let new = Kind::NewConnections { clients: 32 };
    let slow = Kind::SlowClients { clients: 200, connections: 16 };
    vec![
        quick(scenario("hello", "Hello world", Application(HELLO), Http, LOAD)),
        quick(scenario("flask", "A Flask page with a template", Application(FLASK), Http, LOAD)),
        scenario("django", "A Django page with SQLite", Application(DJANGO), Http, LOAD),
        scenario("echo", "10 KB sent and sent back", Echo("plain:echo"), Http, LOAD),
        scenario(
            "wait",
            "10 ms of waiting, 256 connections",
            Application("plain:wait"),
            Http,
            Kind::Load { connections: 256 },
        ),
        scenario("burn", "2 ms of computing", Application("plain:burn"), Http, LOAD),
        scenario("large", "100 KB from the application", Application("plain:large"), Http, LOAD),
        quick(scenario("static-1k", "A file of 1 KB", File("1k.bin"), Http, LOAD)),
        scenario("static-100k", "A file of 100 KB", File("100k.bin"), Http, LOAD),
        scenario("static-10m", "A file of 10 MB", File("10m.bin"), Http, LOAD),
        scenario("tls", "Hello world over TLS", Application(HELLO), Https, LOAD),
        scenario("static-1k-tls", "A file of 1 KB over TLS", File("1k.bin"), Https, LOAD),
        scenario("static-100k-tls", "A file of 100 KB over TLS", File("100k.bin"), Https, LOAD),
        scenario("http2", "Hello world over HTTP/2", Application(HELLO), Http2, LOAD),
        scenario("new-connections", "Hello world, each on a new connection", Application(HELLO), Http, new),
        scenario("new-connections-tls", "Hello world, each after a full TLS handshake", Application(HELLO), Https, new),
        scenario(
            "idle",
            "10,000 idle keep-alive connections",
            Application(HELLO),
            Http,
            Kind::Idle { connections: HELD },
        ),
        scenario("slow-clients", "Hello world beside 200 slow clients", Application(HELLO), Http, slow),
        scenario("start-up", "Start-up with a Django project", Application(DJANGO), Http, Kind::StartUp),
        scenario("memory", "Memory with a Django project", Application(DJANGO), Http, Kind::Memory { more: 3 }),
    ]
}

/// Those of `--scaling`: what grows should cost in proportion, and no more for each request.
pub(crate) fn scaling() -> Vec<Scenario> {
    let connections = [1, 64, 1_000, 10_000].map(|connections| {
        let kind = Kind::Load { connections };
        let title = format!("Hello world, connections: {connections}");
        let name = format!("connections-{connections}");
        let point = Some(Point { curve: Curve::Connections, at: connections });
        Scenario { point, ..scenario(&name, &title, Target::Application(HELLO), Protocol::Http, kind) }
    });
    let workers = [1, 2, 4, 8, 16, 64].map(|workers| {
        let title = format!("Hello world, workers: {workers}");
        let name = format!("workers-{workers}");
        let point = Some(Point { curve: Curve::Workers, at: workers });
        let one = scenario(&name, &title, Target::Application(HELLO), Protocol::Http, LOAD);
        Scenario { point, workers: Some(workers), ..one }
    });
    connections.into_iter().chain(workers).collect()
}

fn scenario(name: &str, title: &str, target: Target, protocol: Protocol, kind: Kind) -> Scenario {
    let (name, title) = (name.to_owned(), title.to_owned());
    Scenario { name, title, target, protocol, kind, workers: None, point: None, is_quick: false }
}

fn quick(scenario: Scenario) -> Scenario {
    Scenario { is_quick: true, ..scenario }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_name_is_that_of_one_scenario() {
        let scenarios: Vec<_> = all().into_iter().chain(scaling()).collect();
        let names: BTreeSet<_> = scenarios.iter().map(|scenario| scenario.name.as_str()).collect();
        assert_eq!(names.len(), scenarios.len());
    }

    #[test]
    fn an_echo_is_over_http_1() {
        // h2load is not told to post.
        let mut echoes = all().into_iter().filter(|scenario| matches!(scenario.target, Target::Echo(_)));
        assert!(echoes.all(|scenario| scenario.protocol != Protocol::Http2));
    }
}
