//! Where the server listens.

use std::{
    net::{Ipv4Addr, TcpListener},
    os::unix::net::UnixListener,
};

use crate::harness::{Connection, Server, eventually, serve};

#[test]
fn several_listeners_serve_the_same_application() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.sock");
    let unix = format!("unix:{}", path.display());
    let server = Server::start("hello", &["--bind", "127.0.0.1:0", "--bind", "127.0.0.1:0", "--bind", &unix]);
    assert_eq!(server.listeners().len(), 3, "{:?}", server.listeners());
    for listener in server.listeners() {
        let mut connection = match listener.strip_prefix("unix:") {
            Some(path) => Connection::unix(path.as_ref()),
            None => Connection::tcp(listener.parse().unwrap()),
        };
        assert_eq!(connection.get("/").expect(200).text(), "hello\n", "{listener}");
    }
    server.stop();
    assert!(!path.exists(), "the socket's file is removed at the end");
}

#[test]
fn a_socket_file_left_by_a_killed_server_is_taken_over() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "what a killed server leaves");
    let server = Server::start("hello", &["--bind", &format!("unix:{}", path.display())]);
    assert_eq!(Connection::unix(&path).get("/").expect(200).text(), "hello\n");
    server.stop();
}

#[test]
fn a_socket_file_in_use_is_not_taken() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.sock");
    let _owner = UnixListener::bind(&path).unwrap();
    let unix = format!("unix:{}", path.display());
    serve("hello", &["--bind", &unix]).run().expect(1).says(&[path.to_str().unwrap(), "in use"]);
    assert!(path.exists());
}

#[test]
fn an_inherited_socket_is_used() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    // A child has the standard descriptors from here, and the others from a shell.
    let server = serve("hello", &["--bind", "fd://3", "--workers", "1", "--threads", "2"])
        .through_shell("exec 3<&0; exec \"$0\" \"$@\" </dev/null")
        .stdin(listener)
        .server_with(1);
    assert_eq!(server.address(), address);
    assert_eq!(server.get("/").expect(200).text(), "hello\n");
    server.stop();
}

#[test]
fn the_variable_port_opens_the_server_to_the_network() {
    let server = serve("hello", &[]).env("PORT", "0").server_with(1);
    assert!(server.address().ip().is_unspecified(), "{}", server.address());
    assert_eq!(server.get("/").expect(200).text(), "hello\n");
    server.stop();
}

#[test]
fn a_name_is_resolved() {
    let server = Server::start("hello", &["--bind", "localhost:0"]);
    assert!(server.address().ip().is_loopback());
    assert_eq!(server.get("/").expect(200).text(), "hello\n");
}

#[test]
fn connections_beyond_the_limit_wait_and_are_served_later() {
    let server = Server::start("hello", &["--max-connections", "2"]);
    let (mut first, second) = (server.connect(), server.connect());
    first.get("/").expect(200);
    let mut third = server.connect();
    third.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    drop((first, second));
    eventually("the third is answered", || third.has_input().then_some(()));
    third.response("GET").unwrap().expect(200);
}
