//! A running `stack serve`.

use std::{fs, net::SocketAddr, path::PathBuf};

use rustix::process::Signal;

use super::{
    Connection, Finished, Process, Response, eventually,
    process::{Line, Stack},
    stack, tests_path,
};

/// A server that has told its addresses.
pub(crate) struct Server {
    process: Process,
    listeners: Vec<String>,
}

/// `stack serve` with an application of `tests/apps/wsgi`, one worker with two threads unless `arguments` say more.
pub(crate) fn serve(app: &str, arguments: &[&str]) -> Stack {
    stack(["serve"]).arguments(arguments).default("--chdir", tests_path("apps/wsgi")).default("--app", app)
}

impl Stack {
    /// Starts a server on a free port, unless listeners are named, and waits until it has told all its addresses.
    pub(crate) fn server(self) -> Server {
        let stack = self.default("--bind", "127.0.0.1:0");
        let listeners = stack.count("--bind");
        stack.server_with(listeners)
    }

    /// Starts a server and waits until it has told as many addresses.
    pub(crate) fn server_with(self, expected: usize) -> Server {
        let process = self.default("--workers", "1").default("--threads", "2").start();
        let listeners = process.wait_for("the addresses of all listeners", |lines| {
            let found: Vec<_> = lines.iter().flat_map(addresses).collect();
            (found.len() >= expected).then_some(found)
        });
        Server { process, listeners }
    }
}

/// The addresses that a start-up line names: `http://HOST:PORT`, the same with `https`, or `unix:PATH`.
fn addresses(line: &Line) -> Vec<String> {
    let words = line.text.split(|separator: char| separator.is_whitespace() || "\"',()=".contains(separator));
    let known = words.filter_map(|word| match word.strip_prefix("http://").or_else(|| word.strip_prefix("https://")) {
        Some(address) => Some(address.trim_end_matches('/').to_owned()),
        None => word.starts_with("unix:").then(|| word.to_owned()),
    });
    known.collect()
}

impl Server {
    /// Starts an application of `tests/apps/wsgi`.
    pub(crate) fn start(app: &str, arguments: &[&str]) -> Self {
        serve(app, arguments).server()
    }

    /// The addresses as they were told.
    pub(crate) fn listeners(&self) -> &[String] {
        &self.listeners
    }

    /// The first TCP address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.listeners.iter().find_map(|listener| listener.parse().ok()).expect("a TCP listener")
    }

    /// All TCP addresses, in the order they were asked for.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|listener| listener.parse().ok()).collect()
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::tcp(self.address())
    }

    /// One request on a connection of its own.
    pub(crate) fn get(&self, target: &str) -> Response {
        self.connect().get(target)
    }

    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    pub(crate) fn wait_for_line(&self, part: &str) -> String {
        self.process.wait_for_line(part)
    }

    /// Sends SIGTERM, waits for the end and insists on a clean one.
    pub(crate) fn stop(self) -> Finished {
        self.process.signal(Signal::TERM);
        self.process.finished().expect(0)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits for the end of a server that has been told to stop.
    pub(crate) fn finished(self) -> Finished {
        self.process.finished()
    }

    /// Waits until the server has closed its end of the connection from our `port`: it has seen that the client left.
    pub(crate) fn wait_until_left(&self, port: u16) {
        let server = self.address().port();
        eventually("the server closes its end", || (!holds_connection(server, port)).then_some(()));
    }

    /// Waits until the server has read everything that came on the connection from our `port`.
    pub(crate) fn wait_until_read(&self, port: u16) {
        let server = self.address().port();
        eventually("the server reads what was sent", || (unread(server, port) == Some(0)).then_some(()));
    }

    /// The most resident memory, in bytes, since the start or the last reset.
    pub(crate) fn peak_memory(&self) -> u64 {
        self.sum_of_memory("VmHWM:")
    }

    /// Resident memory in bytes, now.
    pub(crate) fn memory(&self) -> u64 {
        self.sum_of_memory("VmRSS:")
    }

    /// Forgets the peak so far.
    pub(crate) fn reset_peak_memory(&self) {
        for pid in self.process.pids() {
            fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("our own process");
        }
    }

    /// Threads of all processes.
    pub(crate) fn threads(&self) -> usize {
        let tasks = |pid| fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
        self.process.pids().into_iter().map(tasks).sum()
    }

    /// What each process holds that is in no file, in bytes; the first is the one that was started.
    pub(crate) fn anonymous_memory(&self) -> Vec<u64> {
        self.process.all_pids().into_iter().map(|pid| memory_of(pid, "RssAnon:")).collect()
    }

    fn sum_of_memory(&self, field: &str) -> u64 {
        self.process.pids().into_iter().map(|pid| memory_of(pid, field)).sum()
    }
}

/// A field of a process's status, in bytes; 0 of one that has ended.
fn memory_of(pid: u32, field: &str) -> u64 {
    let status = fs::read_to_string(PathBuf::from(format!("/proc/{pid}/status"))).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or("0 kB");
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of kB");
    kibibytes * 1024
}

/// Whether the server at one port of 127.0.0.1 holds the connection from the other.
fn holds_connection(server: u16, client: u16) -> bool {
    // ESTABLISHED and CLOSE_WAIT; in all other states the process has closed, and the kernel does the rest.
    const HELD: [&str; 2] = ["01", "08"];
    row_of_connection(server, client).is_some_and(|columns| HELD.contains(&columns[3].as_str()))
}

/// Bytes that have arrived and that the server has not read.
fn unread(server: u16, client: u16) -> Option<u64> {
    let columns = row_of_connection(server, client)?;
    let (_, received) = columns[4].split_once(':').expect("the queues of both directions");
    Some(u64::from_str_radix(received, 16).expect("hexadecimal"))
}

/// What the kernel knows of the server's end of a connection.
fn row_of_connection(server: u16, client: u16) -> Option<Vec<String>> {
    let table = fs::read_to_string("/proc/net/tcp").expect("Linux");
    let rows = table.lines().skip(1).map(|row| row.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    rows.filter(|columns| columns.len() > 4).find(|columns| {
        columns[1].ends_with(&format!(":{server:04X}")) && columns[2].ends_with(&format!(":{client:04X}"))
    })
}
