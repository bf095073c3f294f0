//! One measurement: a scenario, a peer, a round.

mod idle;
mod slow;

use std::{fs, path::PathBuf, time::Duration};

use crate::{
    Error, client,
    install::Program,
    load::{Outcome, h2load::H2load, handshakes::Handshakes, wrk::Wrk},
    measurement::{Metric, Sample, float},
    peer::{Peer, Programs, Setting},
    process::{Cpus, Starter},
    scenario::{Kind, Protocol, Scenario, Target},
    server::{Server, free_port},
    site::{Expectation, Site},
};

/// How much longer than it was told to a load generator may take.
const SLACK: Duration = Duration::from_secs(30);
/// Nobody has to have a shorter backlog: most defaults are about as long.
const LEAST_BACKLOG: usize = 2048;
/// Of the load before memory is looked at.
const CONNECTIONS_BEFORE_MEMORY: usize = 16;

/// What all measurements of a run have in common.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) site: Site,
    pub(crate) programs: Programs,
    pub(crate) wrk: Program,
    pub(crate) h2load: Option<Program>,
    pub(crate) starter: Starter,
    pub(crate) server_cpus: Cpus,
    pub(crate) load_cpus: Cpus,
    /// How many of each there are.
    pub(crate) server_cpu_count: usize,
    pub(crate) load_threads: usize,
    pub(crate) workers: usize,
    pub(crate) threads: usize,
    /// The longest that the kernel grants.
    pub(crate) backlog: usize,
    /// How long a load lasts.
    pub(crate) seconds: u64,
    /// How long it lasts before, and every body is checked.
    pub(crate) warm_up: u64,
}

/// A scenario with what its answers have to be.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) scenario: Scenario,
    pub(crate) expected: Expectation,
}

impl Bench {
    pub(crate) fn case(&self, scenario: Scenario) -> Result<Case, Error> {
        let expected = self.site.expect(&scenario, &self.programs.environment, &self.starter)?;
        Ok(Case { scenario, expected })
    }

    /// Starts a peer with as many workers as the scenario wants, and some more.
    pub(crate) fn server(&self, case: &Case, peer: &Peer, more_workers: usize) -> Result<Server, Error> {
        let scenario = &case.scenario;
        let wanted = if let Kind::Memory { .. } = scenario.kind { Some(1) } else { scenario.workers };
        let port = free_port()?;
        let setting = Setting {
            scenario,
            site: &self.site,
            programs: &self.programs,
            port,
            workers: wanted.unwrap_or(self.workers) + more_workers,
            threads: self.threads,
            cpus: self.server_cpu_count,
            backlog: self.backlog.min(scenario.kind.connections().max(LEAST_BACKLOG)),
            folder: self.site.server_folder(&format!("{}-{port}", peer.name))?,
        };
        Server::start(peer, &setting, &case.expected, &self.starter, &self.server_cpus)
    }

    /// A load before the measurement, in which every body is compared: what it found wrong.
    pub(crate) fn warm_up(&self, case: &Case, server: &Server) -> Result<Vec<String>, Error> {
        let Kind::Load { connections } = case.scenario.kind else { return Ok(Vec::new()) };
        let load = match case.scenario.protocol {
            Protocol::Http2 => self.h2load(case, server, connections, self.warm_up)?,
            Protocol::Http | Protocol::Https => self.wrk(case, server, connections, self.warm_up, true)?,
        };
        let mut problems: Vec<_> =
            load.problems.into_iter().map(|problem| format!("{problem} in the warm-up")).collect();
        // What the load has left waiting in a backlog is not to be served in the measured time: this answer comes behind it.
        if let Err(seen) = client::check(&server.endpoint, &case.expected.last_request, &case.expected.body) {
            problems.push(format!("after the warm-up: {seen}"));
        }
        Ok(problems)
    }

    /// Measures a server that has been started before.
    pub(crate) fn sample(&self, case: &Case, server: &Server) -> Result<Sample, Error> {
        let seconds = self.seconds;
        match case.scenario.kind {
            Kind::Load { connections } if case.scenario.protocol == Protocol::Http2 => {
                self.loaded(case, server, || self.h2load(case, server, connections, seconds))
            }
            Kind::Load { connections } => {
                self.loaded(case, server, || self.wrk(case, server, connections, seconds, false))
            }
            Kind::NewConnections { clients } => self.loaded(case, server, || {
                let (request, expected) = (&case.expected.last_request, case.expected.body.as_slice());
                let time = Duration::from_secs(seconds);
                let load = Handshakes { endpoint: &server.endpoint, request, expected, clients, time };
                let outcome = load.run(&self.starter.interrupt);
                self.starter.interrupt.check().map(|()| outcome)
            }),
            Kind::Idle { connections } => idle::sample(self, case, server, connections),
            Kind::SlowClients { clients, connections } => slow::sample(self, case, server, clients, connections),
            Kind::StartUp => {
                let usage = server.usage()?;
                let values =
                    vec![(Metric::StartUp, server.start_up.as_secs_f64()), (Metric::Memory, float(usage.memory))];
                Ok(Sample { values, problems: Vec::new() })
            }
            // So that what the first requests make is there in every worker.
            Kind::Memory { .. } => {
                let problems = self.wrk(case, server, CONNECTIONS_BEFORE_MEMORY, self.warm_up, true)?.problems;
                Ok(Sample { values: vec![(Metric::Memory, float(server.usage()?.memory))], problems })
            }
        }
    }

    /// Memory with one worker, and what each of so many more takes.
    pub(crate) fn memory(&self, case: &Case, peer: &Peer, more: usize) -> Result<Sample, Error> {
        let measure = |more_workers| {
            let server = self.server(case, peer, more_workers)?;
            let sample = self.sample(case, &server)?;
            server.stop()?;
            Ok(sample)
        };
        let (mut one, many) = (measure(0)?, measure(more)?);
        let memory = |sample: &Sample| sample.values.iter().map(|(_, value)| value).sum::<f64>();
        let each = (memory(&many) - memory(&one)) / float(more as u64);
        one.values.push((Metric::MemoryPerWorker, each));
        one.problems.extend(many.problems);
        Ok(one)
    }

    /// A load with the CPU time and the memory that it took, and a checked answer after it.
    fn loaded(
        &self,
        case: &Case,
        server: &Server,
        load: impl FnOnce() -> Result<Outcome, Error>,
    ) -> Result<Sample, Error> {
        let before = server.cpu()?;
        let outcome = load()?;
        let usage = server.usage()?;
        let mut values = outcome.values();
        let cpu = usage.cpu.saturating_sub(before);
        if outcome.requests > 0 {
            values.push((Metric::CpuPerRequest, cpu.as_secs_f64() * 1e6 / float(outcome.requests)));
        }
        values.push((Metric::Memory, float(usage.memory)));
        let mut problems = outcome.problems;
        if let Err(seen) = client::check(&server.endpoint, &case.expected.last_request, &case.expected.body) {
            problems.push(format!("after the load: {seen}"));
        }
        self.starter.interrupt.check()?;
        Ok(Sample { values, problems })
    }

    /// Loads with wrk. With `check` every body is compared.
    fn wrk(
        &self,
        case: &Case,
        server: &Server,
        connections: usize,
        seconds: u64,
        check: bool,
    ) -> Result<Outcome, Error> {
        let (script, echo) = (self.site.apps().join("load.lua"), self.site.echo());
        let seconds = seconds.max(opening(connections));
        let wrk = Wrk {
            url: &server.url(&case.scenario.target.path(), case.scenario.protocol),
            connections,
            threads: self.load_threads,
            seconds,
            script: &script,
            body: if let Target::Echo(_) = case.scenario.target { Some(&echo) } else { None },
            expected: check.then_some(case.expected.path.as_path()),
            size: server.answer_size,
        };
        let mut command = self.wrk.command();
        wrk.arguments(&mut command);
        let limit = Duration::from_secs(seconds) + SLACK;
        wrk.outcome(&self.starter.run("wrk", command, &self.load_cpus, limit)?)
    }

    fn h2load(&self, case: &Case, server: &Server, connections: usize, seconds: u64) -> Result<Outcome, Error> {
        let program = self
            .h2load
            .as_ref()
            .ok_or_else(|| Error::Missing { what: "h2load".to_owned(), hint: "it was not installed".to_owned() })?;
        let log: PathBuf = self.site.scratch("h2load.log");
        let seconds = seconds.max(opening(connections));
        let h2load = H2load {
            url: &server.url(&case.scenario.target.path(), case.scenario.protocol),
            connections,
            threads: self.load_threads,
            seconds,
            log: &log,
            body_size: case.expected.body.len(),
        };
        // It appends.
        let _ = fs::remove_file(&log);
        let mut command = program.command();
        h2load.arguments(&mut command);
        let limit = Duration::from_secs(seconds) + SLACK;
        let output = self.starter.run("h2load", command, &self.load_cpus, limit)?;
        let logged = fs::read_to_string(&log).map_err(Error::file(&log))?;
        h2load.outcome(&output, &logged)
    }
}

/// About how long a sample takes, in seconds, with the server's start and end.
pub(crate) fn duration(kind: Kind, seconds: u64, warm_up: u64) -> u64 {
    match kind {
        Kind::Load { connections } => seconds.max(opening(connections)) + warm_up.max(opening(connections)) + 1,
        Kind::NewConnections { .. } => seconds + 1,
        Kind::Idle { connections } => 2 * idle::REST.as_secs() + opening(connections) + 1,
        Kind::SlowClients { .. } => 2 * seconds + 1,
        Kind::StartUp => 1,
        Kind::Memory { .. } => 2 * (warm_up + 1),
    }
}

/// The least seconds of a load with so many connections: that they are opened should be a small part of it.
fn opening(connections: usize) -> u64 {
    (connections / 1000) as u64
}
