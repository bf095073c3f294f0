//! The end: told by signals, in several ways.

use rustix::process::Signal;

use crate::harness::{Gate, Server, eventually};

#[test]
fn a_drain_delay_keeps_accepting_while_readiness_fails() {
    let server = Server::start("hello", &["--drain-delay", "1h", "--health-path", "/-/health"]);
    server.get("/-/health/ready").expect(200);
    server.signal(Signal::TERM);
    eventually("not ready", || (server.get("/-/health/ready").status == 503).then_some(()));
    assert_eq!(server.get("/").expect(200).text(), "hello\n");
    // The second one does not wait, and nothing is lost by that.
    server.signal(Signal::TERM);
    server.finished().says(&["stopping soon", "stopping at once"]);
}

#[test]
fn a_drain_delay_ends() {
    let server = Server::start("hello", &["--drain-delay", "100ms"]);
    server.get("/").expect(200);
    server.stop().says(&["stopping soon", "no new connections"]);
}

#[test]
fn sigquit_ends_at_once() {
    let gate = Gate::new();
    let server = Server::start("gated", &["--grace-period", "1h"]);
    let mut running = server.connect();
    running.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", gate.target("/")));
    let held = gate.entered();
    server.signal(Signal::QUIT);
    server.finished().expect(1).says(&["cut_off=1"]);
    drop(held);
    let idle = Server::start("hello", &[]);
    idle.signal(Signal::QUIT);
    idle.finished().expect(0);
}

#[test]
fn a_stop_during_a_reload_ends_both_servers() {
    let gate = Gate::new();
    let server = super::server_of(&super::versioned("one")).server();
    let waiting = format!("import socket\nsocket.create_connection(('127.0.0.1', {})).recv(1)\n", gate.port());
    super::change(&server, &format!("{waiting}{}", super::versioned("another")));
    server.signal(Signal::HUP);
    let _held = gate.entered();
    server.stop();
}

#[test]
fn as_process_1_it_waits_for_orphans_and_passes_the_exit_code_on() {
    let namespace = "exec unshare --pid --fork --mount-proc --kill-child=TERM \"$0\" \"$@\"";
    let allowed = std::process::Command::new("sh").args(["-c", namespace, "true"]).output();
    if !allowed.is_ok_and(|done| done.status.success()) {
        eprintln!("skipped: no PID namespace may be made here");
        return;
    }
    // Its child leaves a child behind, which becomes one of process 1.
    let orphans = "import subprocess\nsubprocess.run(['sh', '-c', 'sleep 0.01 & exit'])\n";
    let text = format!(
        "{orphans}import os\ndef application(environ, start_response):\n    if environ['QUERY_STRING']:\n        {}\n    \
         start_response('200 OK', [])\n    \
         return [b'%d %d' % (os.getppid(), sum(map(is_zombie, filter(str.isdigit, os.listdir('/proc')))))]\n\
         def is_zombie(pid):\n    \
         try:\n        \
         with open(f'/proc/{{pid}}/stat') as stat: return stat.read().rpartition(')')[2].split()[0] == 'Z'\n    \
         except (FileNotFoundError, ProcessLookupError):\n        \
         return False\n",
        orphans.replace('\n', "; ").trim_end_matches("; ")
    );
    let stack = super::server_of(&text).arguments(["--isolation", "threads"]);
    let server = stack.default("--bind", "127.0.0.1:0").arguments(["--workers", "1", "--threads", "1"]);
    let server = server.through_shell(namespace).server_with(1);
    for _ in 0..10 {
        server.get("/?orphan").expect(200);
    }
    eventually("nowhere is a zombie", || {
        let told = server.get("/").expect(200).text().to_owned();
        let (parent, zombies) = told.split_once(' ').unwrap();
        assert_eq!(parent, "1", "the server is the child of process 1");
        (zombies == "0").then_some(())
    });
    // unshare takes the code of what it has started for its own.
    let supervisor = server.process().all_pids()[1];
    super::kill(supervisor, Signal::TERM);
    server.finished().expect(0);
}
