//! Who is let in, and how often.

use std::{
    num::{NonZeroU32, NonZeroU64},
    time::Duration,
};

use stack_config::{RateKey, RateLimit};

use crate::{
    client::Client,
    server::{Server, echo, holding, network, wait_until},
};

pub(crate) fn rate(requests: u32, key: RateKey) -> RateLimit {
    let requests = NonZeroU32::new(requests).unwrap();
    // So long that no test sees a bucket gain anything.
    RateLimit { requests, period: Duration::from_hours(1), burst: requests, key }
}

#[test]
fn a_peer_that_is_denied_is_closed_unheard() {
    let server = Server::with(|config| config.clients.deny = vec![network("127.0.0.2", 32)], echo);
    assert!(Client::connect_from("127.0.0.2", server.address).is_closed());
    assert_eq!(server.client().get("/").status, 200);
    assert_eq!((server.snapshot().denied_connections, server.snapshot().requests), (1, 1));
}

#[test]
fn where_some_are_allowed_all_others_are_not() {
    let server = Server::with(|config| config.clients.allow = vec![network("127.0.0.2", 32)], echo);
    assert_eq!(Client::connect_from("127.0.0.2", server.address).get("/").status, 200);
    assert!(server.client().is_closed());
}

#[test]
fn a_client_behind_a_proxy_that_is_denied_is_answered_with_403_and_its_proxy_stays() {
    let server = Server::with(
        |config| {
            config.clients.trusted_proxies = vec![network("127.0.0.1", 32)];
            config.clients.deny = vec![network("192.0.2.0", 24)];
        },
        echo,
    );
    let mut proxy = server.client();
    for (client, status) in [("192.0.2.1", 403), ("198.51.100.1", 200), ("192.0.2.2", 403)] {
        proxy.send(format!("GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: {client}\r\n\r\n"));
        assert_eq!(proxy.response().status, status, "{client}");
    }
    assert_eq!(server.snapshot().denied, 2);
}

#[test]
fn an_address_has_only_so_many_connections() {
    let server = Server::with(|config| config.clients.max_connections_per_address = NonZeroU32::new(2), echo);
    let mut open = [server.client(), server.client()];
    for client in &mut open {
        assert_eq!(client.get("/").status, 200);
    }
    assert!(server.client().is_closed());
    assert_eq!(Client::connect_from("127.0.0.2", server.address).get("/").status, 200);
    drop(open);
    wait_until("the places free", || server.snapshot().connections == 0);
    assert_eq!(server.client().get("/").status, 200);
    assert_eq!(server.snapshot().crowded_connections, 1);
}

#[test]
fn a_client_over_its_rate_is_told_when_to_come_back() {
    let server = Server::with(
        |config| {
            config.clients.rate_limit = Some(rate(3, RateKey::Address));
            config.clients.health.path = Some("/-/health".into());
        },
        echo,
    );
    let mut client = server.client();
    for _ in 0..3 {
        assert_eq!(client.get("/").status, 200);
    }
    let response = client.get("/");
    assert_eq!((response.status, response.text()), (429, "Too many requests\n"));
    let seconds: u64 = response.field("retry-after").unwrap().parse().unwrap();
    assert!((1100..=1200).contains(&seconds), "{seconds}");
    assert_eq!(client.get("/-/health/live").status, 200, "health checks do not count");
    assert_eq!(Client::connect_from("127.0.0.2", server.address).get("/").status, 200);
    assert_eq!(server.snapshot().rate_limited, 1);
}

#[test]
fn requests_may_count_by_a_field() {
    let server =
        Server::with(|config| config.clients.rate_limit = Some(rate(1, RateKey::Header("x-api-key".into()))), echo);
    let mut client = server.client();
    let mut get = |field: &str| client.send(format!("GET / HTTP/1.1\r\nhost: a\r\n{field}\r\n")).response().status;
    assert_eq!(get("X-Api-Key: a\r\n"), 200);
    assert_eq!(get("X-Api-Key: a\r\n"), 429);
    assert_eq!(get("X-Api-Key: b\r\n"), 200);
    assert_eq!(get(""), 200);
    assert_eq!(get(""), 429);
}

#[test]
fn the_last_request_of_a_connection_is_told_so() {
    let server = Server::with(|config| config.clients.keepalive_requests = NonZeroU64::new(2), echo);
    let mut client = server.client();
    assert_eq!(client.get("/").field("connection"), None);
    assert_eq!(client.get("/").field("connection"), Some("close"));
    assert!(client.is_closed());
}

#[test]
fn where_all_wait_too_long_new_requests_are_refused_though_there_is_room() {
    let (application, job, _release) = holding();
    let server = Server::with(
        |config| {
            config.clients.queue_target = Some(Duration::from_millis(1));
            config.limits.queue_size = usize::MAX;
        },
        application,
    );
    // The thread holds one job, and all others wait.
    let mut clients = Vec::new();
    let mut running = server.client();
    running.send("GET /running HTTP/1.1\r\nhost: a\r\n\r\n");
    let held = job.recv().unwrap();
    while server.snapshot().shed == 0 {
        let before = server.snapshot().requests;
        let mut client = server.client();
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        wait_until("the request is there", || {
            let queued = server.queues[0].depth().queued;
            server.snapshot().requests > before && (queued > clients.len() || server.snapshot().shed > 0)
        });
        clients.push(client);
        assert!(clients.len() < 90, "none was refused");
    }
    let refused = clients.last_mut().unwrap().response();
    assert_eq!((refused.status, refused.field("retry-after")), (503, Some("1")));
    assert_eq!(server.snapshot().refused, 0, "the queue was not full");
    echo(held);
    assert_eq!(running.response().status, 200);
}
