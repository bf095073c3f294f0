//! Before a run: limits, installation, CPUs, and what is served.

use std::{fs, io::Write, path::Path};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::tell;
use crate::{
    Error,
    arguments::Plan,
    install::Installer,
    measure::Bench,
    peer::{Need, Peer, Programs},
    process::{Cpus, Starter, stay_on},
    report::Absence,
    scenario::{Protocol, Scenario},
    site::Site,
};

/// Files that a server or a load generator has open besides connections.
const OTHER_FILES: u64 = 500;

/// Installs what the plan needs. A peer that can not be installed is absent, unless it was asked for by name.
pub(super) fn prepare(
    plan: &Plan,
    home: &Path,
    starter: Starter,
    progress: &mut dyn Write,
) -> Result<(Bench, Vec<&'static Peer>, Vec<Absence>), Error> {
    let apps = Path::new(env!("CARGO_MANIFEST_DIR")).join("apps");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new(".")).to_owned();
    let installer = Installer { home: home.to_owned(), root, apps: apps.clone(), starter: starter.clone() };
    tell(progress, "installing what is missing");
    raise_file_limit(&plan.scenarios)?;
    let wrk = installer.program("wrk", "wrk")?;
    let is_http2 = plan.scenarios.iter().any(|scenario| scenario.protocol == Protocol::Http2);
    let h2load = if is_http2 { Some(installer.program("h2load", "nghttp2-client")?) } else { None };
    let mut programs = Programs { stack: None, nginx: None, environment: installer.environment()? };
    let (mut peers, mut absent) = (Vec::new(), Vec::new());
    for peer in &plan.peers {
        match install(peer, plan, &installer, &mut programs) {
            Ok(()) => peers.push(*peer),
            Err(error @ Error::Interrupted) => return Err(error),
            Err(error) if plan.are_peers_named || peer.is_stack() => return Err(error),
            Err(error) => {
                tell(progress, &format!("{} is left out: {error}", peer.name));
                absent.push(Absence { name: peer.name, why: error.to_string() });
            }
        }
    }
    let cpus = Cpus::available()?;
    let (server_cpus, load_cpus, server_cpu_count, load_threads) = split(&cpus, plan.pin)?;
    stay_on(&load_cpus)?;
    let site = Site::make(&apps, &programs.environment, &starter)?;
    let bench = Bench {
        site,
        programs,
        wrk,
        h2load,
        starter,
        server_cpus,
        load_cpus,
        server_cpu_count,
        load_threads,
        workers: plan.workers.unwrap_or(server_cpu_count),
        threads: plan.threads,
        backlog: longest_backlog(),
        seconds: plan.seconds,
        warm_up: plan.warm_up,
    };
    Ok((bench, peers, absent))
}

fn install(peer: &Peer, plan: &Plan, installer: &Installer, programs: &mut Programs) -> Result<(), Error> {
    for need in peer.needs {
        match need {
            Need::Stack if programs.stack.is_none() => programs.stack = Some(installer.stack(plan.stack.as_deref())?),
            Need::Nginx if programs.nginx.is_none() => programs.nginx = Some(installer.program("nginx", "nginx")?),
            Need::Stack | Need::Nginx => {}
            Need::Package(name) => installer.compiled(&programs.environment, name)?,
        }
    }
    Ok(())
}

/// The servers' CPUs, the load's, how many the servers have, and how many threads the load has.
fn split(cpus: &[usize], pin: bool) -> Result<(Cpus, Cpus, usize, usize), Error> {
    if !pin {
        return Ok((Cpus::All, Cpus::All, cpus.len(), (cpus.len() / 2).max(1)));
    }
    let [first, others @ ..] = cpus else { return Err(Error::Usage("there is no CPU".to_owned())) };
    if others.is_empty() {
        return Err(Error::Usage("--pin needs two CPUs, and there is one".to_owned()));
    }
    Ok((Cpus::Only(vec![*first]), Cpus::Only(others.to_vec()), 1, others.len()))
}

/// The kernel shortens a longer one; uWSGI refuses to ask for it.
fn longest_backlog() -> usize {
    let limit = fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap_or_default();
    limit.trim().parse().unwrap_or(128)
}

/// Connections are files, and a child has its parent's limit.
fn raise_file_limit(scenarios: &[Scenario]) -> Result<(), Error> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
        .map_err(|error| Error::system("the limit of open files can not be raised")(error.into()))?;
    let most = scenarios.iter().map(|scenario| scenario.kind.connections()).max().unwrap_or_default() as u64;
    match maximum {
        Some(maximum) if maximum < most + OTHER_FILES => Err(Error::Missing {
            what: format!("room for {most} connections"),
            hint: format!(
                "the hard limit of open files is {maximum}: raise it (`ulimit -Hn`), or leave such scenarios out"
            ),
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pinned_servers_have_one_cpu_and_the_load_the_others() {
        let split = split(&[2, 5, 7], true).unwrap();
        assert_eq!(split, (Cpus::Only(vec![2]), Cpus::Only(vec![5, 7]), 1, 2));
    }

    #[test]
    fn without_pins_all_have_all() {
        assert_eq!(split(&[0, 1], false).unwrap(), (Cpus::All, Cpus::All, 2, 1));
        assert_eq!(split(&[0], false).unwrap(), (Cpus::All, Cpus::All, 1, 1));
    }

    #[test]
    fn a_single_cpu_can_not_be_shared_out() {
        assert!(matches!(split(&[0], true), Err(Error::Usage(_))));
    }
}
