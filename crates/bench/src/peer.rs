//! The servers: what each can do, what it needs, and how its documentation starts it.
//!
//! All get the same workers and threads, no access log, and room for as many connections as a scenario opens: a limit that is
//! lower than the load would measure the limit.

mod floor;
mod gunicorn;
mod nginx;
mod single;
mod stack;

use std::{path::PathBuf, process::Command};

use crate::{
    Error,
    install::{Environment, Program},
    scenario::{Kind, Protocol, Scenario, Target},
    site::Site,
};

/// A server, or two that work together.
#[derive(Debug)]
pub(crate) struct Peer {
    /// For `--peer` and the tables.
    pub(crate) name: &'static str,
    /// In a few words.
    pub(crate) about: &'static str,
    /// All that has to be there.
    pub(crate) needs: &'static [Need],
    pub(crate) abilities: Abilities,
    /// Whether `--quick` has it.
    pub(crate) is_quick: bool,
    /// What is to be started, in this order.
    pub(crate) commands: fn(&Setting<'_>) -> Result<Vec<Command>, Error>,
}

/// What a peer consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Stack,
    Nginx,
    /// A package of PyPI.
    Package(&'static str),
}

/// What a peer can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Abilities(&'static [Ability]);

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ability {
    Applications,
    /// The answer of the smallest application.
    Hello,
    Files,
    Tls,
    Http2,
    /// Connections that outlive a request.
    KeepAlive,
}

impl Peer {
    /// All of them, in the order of the tables.
    pub(crate) fn all() -> [&'static Self; 11] {
        [
            &stack::INTERPRETERS,
            &stack::PROCESSES,
            &nginx::ALONE,
            &nginx::WITH_GUNICORN,
            &gunicorn::THREADS,
            &gunicorn::SYNC,
            &single::GRANIAN,
            &single::UWSGI,
            &single::BJOERN,
            &single::FASTPYSGI,
            &floor::FLOOR,
        ]
    }

    /// What it lacks for a scenario; `None` if it can take part.
    pub(crate) fn lacks(&self, scenario: &Scenario) -> Option<&'static str> {
        let Abilities(abilities) = self.abilities;
        let can = |ability| abilities.contains(&ability);
        let is_file = matches!(scenario.target, Target::File(_));
        let answers = can(Ability::Applications) || (scenario.target.is_hello() && can(Ability::Hello));
        if is_file && !can(Ability::Files) {
            Some("serves no files")
        } else if !is_file && !answers {
            Some("runs no applications")
        } else if scenario.protocol.is_tls() && !can(Ability::Tls) {
            Some("has no TLS")
        } else if scenario.protocol == Protocol::Http2 && !can(Ability::Http2) {
            Some("has no stable HTTP/2")
        } else if matches!(scenario.kind, Kind::Idle { .. }) && !can(Ability::KeepAlive) {
            Some("keeps no connections")
        } else {
            None
        }
    }

    /// Whether it is this project's.
    pub(crate) fn is_stack(&self) -> bool {
        self.needs.contains(&Need::Stack)
    }
}

/// What was installed. A peer is only started where all that it needs is here.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    pub(crate) stack: Option<Program>,
    pub(crate) nginx: Option<Program>,
    pub(crate) environment: Environment,
}

/// How a server is to be started.
#[derive(Clone, Debug)]
pub(crate) struct Setting<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) site: &'a Site,
    pub(crate) programs: &'a Programs,
    /// On 127.0.0.1.
    pub(crate) port: u16,
    pub(crate) workers: usize,
    /// Of each worker, where there are any.
    pub(crate) threads: usize,
    /// The CPUs that the server has.
    pub(crate) cpus: usize,
    /// Connections that the kernel may keep waiting.
    pub(crate) backlog: usize,
    /// A folder of the server's own.
    pub(crate) folder: PathBuf,
}

impl Setting<'_> {
    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn is_tls(&self) -> bool {
        self.scenario.protocol.is_tls()
    }

    fn application(&self) -> &'static str {
        self.scenario.target.application()
    }

    /// Connections to make room for, with some for the checks.
    fn connections(&self) -> usize {
        self.scenario.kind.connections() + 100
    }

    /// A command in the applications' folder.
    fn command(&self, program: &Program) -> Command {
        let mut command = program.command();
        self.site.prepare(&mut command);
        command
    }

    /// A program of the virtual environment.
    fn python(&self, name: &str) -> Command {
        self.command(&self.programs.environment.program(name))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::scenario;

    #[test]
    fn each_name_is_that_of_one_peer() {
        let names: BTreeSet<_> = Peer::all().iter().map(|peer| peer.name).collect();
        assert_eq!(names.len(), Peer::all().len());
    }

    #[test]
    fn every_scenario_has_stack_and_somebody_beside_it() {
        for scenario in scenario::all().iter().chain(&scenario::scaling()) {
            let able: Vec<_> = Peer::all().into_iter().filter(|peer| peer.lacks(scenario).is_none()).collect();
            assert!(able.iter().any(|peer| peer.is_stack()), "{}", scenario.name);
            assert!(able.iter().any(|peer| !peer.is_stack()), "{}", scenario.name);
        }
    }

    #[test]
    fn what_a_peer_lacks_is_told() {
        let all = scenario::all();
        let lacks = |peer: &Peer, name: &str| peer.lacks(all.iter().find(|scenario| scenario.name == name).unwrap());
        assert_eq!(lacks(&nginx::ALONE, "hello"), Some("runs no applications"));
        assert_eq!(lacks(&gunicorn::THREADS, "static-1k"), Some("serves no files"));
        assert_eq!(lacks(&single::BJOERN, "tls"), Some("has no TLS"));
        assert_eq!(lacks(&single::UWSGI, "http2"), Some("has no stable HTTP/2"));
        assert_eq!(lacks(&gunicorn::SYNC, "idle"), Some("keeps no connections"));
        assert_eq!(lacks(&floor::FLOOR, "flask"), Some("runs no applications"));
        assert_eq!(lacks(&floor::FLOOR, "hello"), None);
        assert_eq!(lacks(&stack::INTERPRETERS, "http2"), None);
    }
}
