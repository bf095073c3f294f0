//! What a service manager passes on and hears.

use std::{net::TcpListener, os::unix::net::UnixDatagram};

use rustix::process::Signal;

use super::{change, server_of, versioned};
use crate::harness::{LIMIT, eventually};

/// Waits for a message that contains `part`.
fn hear(manager: &UnixDatagram, part: &str) -> String {
    let mut buffer = [0; 1024];
    loop {
        let length = manager.recv(&mut buffer).unwrap_or_else(|error| panic!("never heard {part}: {error}"));
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if text.contains(part) {
            return text;
        }
    }
}

#[test]
fn a_service_manager_hears_of_each_stage() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(LIMIT)).unwrap();
    let server = server_of(&versioned("one")).env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000").server();
    let ready = hear(&manager, "READY=1");
    assert!(ready.contains(&format!("STATUS=serving on http://{}", server.address())), "{ready}");
    hear(&manager, "WATCHDOG=1");
    server.signal(Signal::HUP);
    let reloading = hear(&manager, "RELOADING=1");
    let usec = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
    assert!(usec.is_some_and(|usec| usec.parse::<u64>().is_ok()), "{reloading}");
    hear(&manager, "READY=1");
    change(&server, "raise RuntimeError\n");
    server.signal(Signal::HUP);
    hear(&manager, "RELOADING=1");
    // What is reloading for ever is stopped by systemd.
    hear(&manager, "READY=1\nSTATUS=reload failed");
    server.signal(Signal::TERM);
    hear(&manager, "STOPPING=1");
    server.finished().expect(0);
}

#[test]
fn a_server_that_hangs_gives_no_sign_of_life() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(LIMIT)).unwrap();
    let server = server_of(&versioned("one")).env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000").server();
    hear(&manager, "WATCHDOG=1");
    super::kill(server.process().server_pid(), Signal::STOP);
    // What waits in the socket may be many; the time that an answer counts for has to pass once; then there is silence for as
    // long as one likes.
    manager.set_read_timeout(Some(std::time::Duration::from_secs(1))).unwrap();
    let mut buffer = [0; 64];
    let heard = (0..50).take_while(|_| manager.recv(&mut buffer).is_ok()).count();
    assert!(heard < 50, "{heard} signs of life of a server that was stopped");
    super::kill(server.process().server_pid(), Signal::CONT);
    manager.set_read_timeout(Some(LIMIT)).unwrap();
    hear(&manager, "WATCHDOG=1");
    server.stop();
}

#[test]
fn sockets_that_are_passed_on_are_used_without_further_configuration() {
    for arguments in [&[][..], &["--bind", "fd://web"]] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = server_of(&versioned("one"))
            .arguments(arguments)
            .arguments(["--workers", "1"])
            .through_shell(
                "exec 3<&0; export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web; exec \"$0\" \"$@\" </dev/null",
            )
            .stdin(listener)
            .server_with(1);
        assert_eq!(server.address(), address);
        assert_eq!(server.get("/").expect(200).text(), "one");
        change(&server, &versioned("another"));
        server.signal(Signal::HUP);
        eventually("the new code", || (server.get("/").expect(200).text() == "another").then_some(()));
        server.stop();
    }
}

#[test]
fn sockets_that_are_meant_for_another_process_are_not_used() {
    let server = server_of(&versioned("one")).env("LISTEN_PID", "1").env("LISTEN_FDS", "1").server();
    server.get("/").expect(200);
    server.stop();
}
