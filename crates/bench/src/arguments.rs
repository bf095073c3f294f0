//! The command line, and what a run is to do.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::{
    Error,
    peer::Peer,
    scenario::{self, Scenario},
};

/// What `--quick` may take, the installation not counted.
const QUICK: Duration = Duration::from_secs(110);

/// What was asked for.
#[derive(Debug)]
pub enum Asked {
    /// `--list`.
    List,
    /// To be the peer that does nothing ([`crate::serve_floor`]).
    Floor {
        /// On 127.0.0.1.
        port: u16,
        /// How many serve.
        threads: usize,
        /// Connections that the kernel may keep waiting.
        backlog: usize,
    },
    /// A run.
    Run(Box<Plan>),
}

/// What a run does.
#[derive(Debug)]
pub struct Plan {
    pub(crate) scenarios: Vec<Scenario>,
    pub(crate) peers: Vec<&'static Peer>,
    /// After that no other round is begun, each scenario having its share. The first round always is.
    pub(crate) limit: Option<Duration>,
    /// Whether the peers were named: then one that is missing is an error.
    pub(crate) are_peers_named: bool,
    pub(crate) rounds: usize,
    /// How long a load lasts in each round.
    pub(crate) seconds: u64,
    pub(crate) warm_up: u64,
    pub(crate) workers: Option<usize>,
    pub(crate) threads: usize,
    /// The servers on one CPU, the load on the others.
    pub(crate) pin: bool,
    pub(crate) out: Option<PathBuf>,
    pub(crate) stack: Option<PathBuf>,
}

/// Reads the command line. An error of it, and a wish for help, is clap's.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Result<Asked, Error>, clap::Error> {
    Ok(asked(&command().try_get_matches_from(arguments)?))
}

fn command() -> Command {
    let count = || value_parser!(u64).range(1..);
    let flag = |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    let option = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    Command::new("bench-peers")
        .bin_name("cargo bench-peers")
        .about("Measures stack beside nginx, gunicorn and others, under the same load in one run")
        .arg(flag("quick", "The most telling scenarios in two minutes, installation not counted"))
        .arg(flag("scaling", "What 1 to 10,000 connections and 1 to 64 workers cost, instead of the scenarios"))
        .arg(option("scenario", "NAME", "Only this one; can be given several times").action(ArgAction::Append))
        .arg(option("peer", "NAME", "Only this one; can be given several times").action(ArgAction::Append))
        .arg(option("rounds", "COUNT", "How often each is measured [default: 5; --quick: 2]").value_parser(count()))
        .arg(option("seconds", "COUNT", "How long each load lasts [default: 5; --quick: 1]").value_parser(count()))
        .arg(
            option("workers", "COUNT", "Workers of each server [default: one for each of its CPUs]")
                .value_parser(count()),
        )
        .arg(option("threads", "COUNT", "Threads of each worker").value_parser(count()).default_value("4"))
        .arg(flag("pin", "Servers run on one CPU, the load on the others"))
        .arg(
            option("out", "DIR", "Where the report and the charts go [default: target/bench]")
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(
            option("stack", "PATH", "The executable to measure [default: the release build, which is made]")
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(flag("list", "Show scenarios and peers, and run nothing"))
        .arg(option("serve-floor", "PORT", "").value_parser(value_parser!(u16)).hide(true))
        .arg(option("backlog", "COUNT", "").value_parser(count()).requires("serve-floor").hide(true))
}

fn asked(matches: &ArgMatches) -> Result<Asked, Error> {
    if matches.get_flag("list") {
        return Ok(Asked::List);
    }
    let is_quick = matches.get_flag("quick");
    let number = |name| matches.get_one::<u64>(name).copied();
    let count = |name| number(name).map(|number| usize::try_from(number).unwrap_or(usize::MAX));
    if let Some(&port) = matches.get_one("serve-floor") {
        let (threads, backlog) = (count("workers").unwrap_or(1), count("backlog").unwrap_or(1024));
        return Ok(Asked::Floor { port, threads, backlog });
    }
    let seconds = number("seconds").unwrap_or(if is_quick { 1 } else { 5 });
    let scenarios = scenarios(matches)?;
    let peers = peers(matches)?;
    if let Some(lonely) = scenarios.iter().find(|scenario| peers.iter().all(|peer| peer.lacks(scenario).is_some())) {
        return Err(Error::Usage(format!("none of these peers can do {}; --list shows who can", lonely.name)));
    }
    Ok(Asked::Run(Box::new(Plan {
        scenarios,
        peers,
        limit: is_quick.then_some(QUICK),
        are_peers_named: matches.contains_id("peer"),
        rounds: count("rounds").unwrap_or(if is_quick { 2 } else { 5 }),
        seconds,
        warm_up: if is_quick { 1 } else { seconds.min(2) },
        workers: count("workers"),
        threads: count("threads").unwrap_or(4),
        pin: matches.get_flag("pin"),
        out: matches.get_one("out").cloned(),
        stack: matches.get_one("stack").cloned(),
    })))
}

fn scenarios(matches: &ArgMatches) -> Result<Vec<Scenario>, Error> {
    let (is_quick, is_scaling) = (matches.get_flag("quick"), matches.get_flag("scaling"));
    let every = || scenario::all().into_iter().chain(scenario::scaling());
    let Some(names) = matches.get_many::<String>("scenario") else {
        let chosen = if is_scaling { scenario::scaling() } else { scenario::all() };
        return Ok(chosen.into_iter().filter(|scenario| scenario.is_quick || is_scaling || !is_quick).collect());
    };
    let find = |name: &String| {
        let known = every().find(|scenario| scenario.name == *name);
        known.ok_or_else(|| unknown("scenario", name, &every().map(|scenario| scenario.name).collect::<Vec<_>>()))
    };
    names.map(find).collect()
}

fn peers(matches: &ArgMatches) -> Result<Vec<&'static Peer>, Error> {
    let is_quick = matches.get_flag("quick");
    let Some(names) = matches.get_many::<String>("peer") else {
        return Ok(Peer::all().into_iter().filter(|peer| peer.is_quick || !is_quick).collect());
    };
    let names: Vec<_> = names.collect();
    let known = || Peer::all().into_iter();
    if let Some(name) = names.iter().find(|name| !known().any(|peer| peer.name == name.as_str())) {
        return Err(unknown("peer", name, &known().map(|peer| peer.name.to_owned()).collect::<Vec<_>>()));
    }
    Ok(known().filter(|peer| names.iter().any(|name| *name == peer.name)).collect())
}

fn unknown(what: &str, name: &str, known: &[String]) -> Error {
    Error::Usage(format!("there is no {what} {name:?}; there are {}", known.join(", ")))
}

/// What `--list` shows.
pub fn list() -> String {
    let mut lines = vec!["Scenarios (* with --quick)".to_owned()];
    for scenario in scenario::all().iter().chain(&scenario::scaling()) {
        let star = if scenario.is_quick { " *" } else { "" };
        lines.push(format!("  {:<22} {}", format!("{}{star}", scenario.name), scenario.title));
    }
    lines.push("\nPeers, and the scenarios that they can not do".to_owned());
    for peer in Peer::all() {
        lines.push(format!("  {:<22} {}", peer.name, peer.about));
        lines.extend(lacking(peer).into_iter().map(|line| format!("  {:<22}   {line}", "")));
    }
    lines.join("\n") + "\n"
}

/// A line for each thing that a peer lacks, with the scenarios that want it.
fn lacking(peer: &Peer) -> Vec<String> {
    let mut wanted: Vec<(&str, Vec<String>)> = Vec::new();
    for scenario in scenario::all() {
        let Some(reason) = peer.lacks(&scenario) else { continue };
        match wanted.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, names)) => names.push(scenario.name),
            None => wanted.push((reason, vec![scenario.name])),
        }
    }
    wanted.into_iter().map(|(reason, names)| format!("{reason}: {}", names.join(", "))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(arguments: &[&str]) -> Result<Plan, Error> {
        let arguments = ["bench-peers"].iter().chain(arguments).map(OsString::from);
        match parse(arguments).unwrap()? {
            Asked::Run(plan) => Ok(*plan),
            other @ (Asked::List | Asked::Floor { .. }) => panic!("{other:?} was not asked for"),
        }
    }

    fn names(plan: &Plan) -> Vec<&str> {
        plan.scenarios.iter().map(|scenario| scenario.name.as_str()).collect()
    }

    #[test]
    fn nothing_said_is_all_but_the_scaling() {
        let plan = plan(&[]).unwrap();
        assert_eq!(plan.scenarios, scenario::all());
        assert_eq!((plan.rounds, plan.seconds, plan.threads, plan.workers), (5, 5, 4, None));
        assert_eq!(plan.peers.len(), Peer::all().len());
    }

    #[test]
    fn quick_is_less_of_everything() {
        let plan = plan(&["--quick"]).unwrap();
        assert_eq!(names(&plan), ["hello", "flask", "static-1k"]);
        assert_eq!((plan.rounds, plan.seconds, plan.warm_up), (2, 1, 1));
    }

    #[test]
    fn what_is_named_is_taken() {
        let plan =
            plan(&["--quick", "--scenario", "idle", "--scenario", "workers-64", "--peer", "granian", "--seconds", "3"]);
        let plan = plan.unwrap();
        assert_eq!(names(&plan), ["idle", "workers-64"]);
        assert_eq!((plan.peers.len(), plan.seconds), (1, 3));
        assert!(plan.are_peers_named);
    }

    #[test]
    fn an_unknown_name_is_told_with_the_known_ones() {
        let text = plan(&["--scenario", "helo"]).unwrap_err().to_string();
        assert!(text.starts_with("there is no scenario \"helo\"; there are hello, flask"), "{text}");
        let text = plan(&["--peer", "apache"]).unwrap_err().to_string();
        assert!(text.starts_with("there is no peer \"apache\"; there are stack, "), "{text}");
    }

    #[test]
    fn a_scenario_that_no_named_peer_can_do_is_refused() {
        let text = plan(&["--scenario", "http2", "--peer", "bjoern"]).unwrap_err().to_string();
        assert!(text.starts_with("none of these peers can do http2"), "{text}");
    }

    #[test]
    fn no_round_is_not_a_number_of_rounds() {
        let arguments = ["bench-peers", "--rounds", "0"].map(OsString::from);
        assert!(parse(arguments).is_err());
    }

    #[test]
    fn the_list_has_all() {
        let text = list();
        assert!(text.contains("hello *") && text.contains("connections-10000") && text.contains("nginx+gunicorn"));
        assert!(text.contains("has no TLS: tls, http2, new-connections-tls"), "{text}");
    }
}
