//! A peer that runs: started, answering rightly, and stopped with all its processes.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use rustix::process::Pid;

use crate::{
    Error,
    accounting::{self, Usage},
    client::{self, Endpoint},
    peer::{Peer, Setting},
    process::{Cpus, Process, Starter},
    scenario::Protocol,
    site::Expectation,
};

/// How long a start may take. Many workers that import Django need some of it.
const PATIENCE: Duration = Duration::from_mins(2);
/// How exactly a start is timed.
const TICK: Duration = Duration::from_millis(1);

/// The processes of one peer for one scenario.
#[derive(Debug)]
pub(crate) struct Server {
    processes: Vec<Process>,
    pub(crate) endpoint: Endpoint,
    pub(crate) port: u16,
    /// What a right answer has in bytes, head and body.
    pub(crate) answer_size: usize,
    /// From the start of the first process to the first right answer.
    pub(crate) start_up: Duration,
}

impl Server {
    /// Starts it and waits until it answers rightly.
    pub(crate) fn start(
        peer: &Peer,
        setting: &Setting<'_>,
        expected: &Expectation,
        starter: &Starter,
        cpus: &Cpus,
    ) -> Result<Self, Error> {
        let commands = (peer.commands)(setting)?;
        let endpoint = setting.site.endpoint(setting.port, setting.scenario.protocol);
        let started = Instant::now();
        let mut processes = Vec::new();
        for (number, command) in commands.into_iter().enumerate() {
            let name = format!("{}-{}-{}-{number}", setting.scenario.name, peer.name, setting.port);
            processes.push(starter.start(&name, command, cpus)?);
        }
        wait(peer, &mut processes, &endpoint, expected, starter)?;
        let start_up = started.elapsed();
        // An answer after which the connection stays has another head.
        let answer_size = client::check(&endpoint, &expected.request, &expected.body).map_err(|reason| {
            let log = processes.iter().map(Process::output).collect();
            Error::Start { peer: peer.name.to_owned(), reason, log }
        })?;
        Ok(Self { processes, endpoint, port: setting.port, answer_size, start_up })
    }

    /// What is asked, as a URL.
    pub(crate) fn url(&self, path: &str, protocol: Protocol) -> String {
        let scheme = if protocol.is_tls() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) fn commands(&self) -> Vec<String> {
        self.processes.iter().map(|process| process.command().to_owned()).collect()
    }

    /// What its processes have taken.
    pub(crate) fn usage(&self) -> Result<Usage, Error> {
        accounting::usage(&self.pids())
    }

    /// CPU time alone.
    pub(crate) fn cpu(&self) -> Result<Duration, Error> {
        accounting::cpu(&self.pids())
    }

    pub(crate) fn stop(self) -> Result<(), Error> {
        // The one in front first: it would complain.
        self.processes.into_iter().rev().try_for_each(Process::stop)
    }

    fn pids(&self) -> Vec<Pid> {
        self.processes.iter().map(Process::pid).collect()
    }
}

/// Waits for the first right answer.
fn wait(
    peer: &Peer,
    processes: &mut [Process],
    endpoint: &Endpoint,
    expected: &Expectation,
    starter: &Starter,
) -> Result<(), Error> {
    let deadline = Instant::now() + PATIENCE;
    let failed = |reason: String, processes: &[Process]| Error::Start {
        peer: peer.name.to_owned(),
        reason,
        log: processes.iter().map(Process::output).collect(),
    };
    loop {
        let Err(seen) = client::check(endpoint, &expected.last_request, &expected.body) else { return Ok(()) };
        for index in 0..processes.len() {
            if let Some(status) = processes[index].ended()? {
                starter.interrupt.check()?;
                return Err(failed(format!("it ended with {status}"), processes));
            }
        }
        if Instant::now() > deadline {
            let reason = format!("no right answer in {} s; at last {seen}", PATIENCE.as_secs());
            return Err(failed(reason, processes));
        }
        starter.interrupt.pause(TICK)?;
    }
}

/// A port of 127.0.0.1 that nobody listens on. Somebody else may take it before it is used, which the start would say.
pub(crate) fn free_port() -> Result<u16, Error> {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    Ok(listener.map_err(Error::system("there is no free port"))?.port())
}
