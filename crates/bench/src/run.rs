//! A run: what is missing is installed, then scenario after scenario is measured in alternating rounds.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{
    Error,
    arguments::Plan,
    install::Installer,
    interrupt::Interrupt,
    machine::Machine,
    measure::{Bench, Case, duration},
    measurement::{Measurement, Metric, Sample},
    peer::{Need, Peer, Programs},
    process::{Cpus, Starter, make_folder, stay_on},
    report::{Absence, PeerFacts, Report, Row, ScenarioReport, Settings},
    scenario::{Kind, Protocol, Scenario},
    site::Site,
    versions,
};

/// Files that a server or a load generator has open besides connections.
const OTHER_FILES: u64 = 500;

/// Runs a plan and writes its report; gives the table, and where the files are.
///
/// What happens is told to `progress`, a line at a time.
pub fn run(plan: &Plan, interrupt: &Interrupt, progress: &mut dyn Write) -> Result<(String, PathBuf), Error> {
    let home = home()?;
    let out = plan.out.clone().unwrap_or_else(|| home.clone());
    make_folder(&out)?;
    let logs = tempfile::tempdir().map_err(Error::system("there is no folder for temporary files"))?;
    let starter = Starter { interrupt: interrupt.clone(), logs: logs.path().to_owned() };
    let machine = Machine::look(Cpus::available()?.len());
    let (bench, peers, absent) = prepare(plan, &home, starter, progress)?;
    let versions = versions::of(&bench, &peers)?;
    let python = versions::python(&bench)?;
    tell(progress, &estimate(plan, &peers));
    let mut scenarios = Vec::new();
    let begun = Instant::now();
    for (index, scenario) in plan.scenarios.iter().enumerate() {
        let share =
            plan.limit.map(|limit| share(limit.saturating_sub(begun.elapsed()), &plan.scenarios[index..], &peers));
        let rounds = Rounds { wanted: plan.rounds, begun: Instant::now(), limit: share };
        scenarios.push(measure(rounds, &bench, scenario, &peers, progress)?);
    }
    let settings = Settings {
        rounds: plan.rounds,
        seconds: plan.seconds,
        workers: bench.workers,
        threads: bench.threads,
        pinned: plan.pin,
        python,
        load_generators: versions::of_generators(&bench)?,
    };
    let facts =
        peers.iter().zip(versions).map(|(peer, version)| PeerFacts { name: peer.name, about: peer.about, version });
    let report = Report { machine, settings, peers: facts.collect(), absent, scenarios };
    report.write(&out)?;
    Ok((report.text(), out))
}

/// What is installed, and made, stays below the target directory: it goes with `cargo clean`.
fn home() -> Result<PathBuf, Error> {
    let executable = env::current_exe().map_err(Error::system("this program's path can not be told"))?;
    let target = executable.parent().and_then(Path::parent).unwrap_or(Path::new("target"));
    let home = target.join("bench");
    make_folder(&home)?;
    Ok(home)
}

/// Installs what the plan needs. A peer that can not be installed is absent, unless it was asked for by name.
fn prepare(
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

/// How many rounds a scenario has.
#[derive(Clone, Copy, Debug)]
struct Rounds {
    wanted: usize,
    begun: Instant,
    limit: Option<Duration>,
}

impl Rounds {
    /// Whether there is another one, after so many: not if it would end after the limit, being as long as the others.
    fn has_another(&self, done: usize, now: Instant) -> bool {
        let mean = (now - self.begun) / u32::try_from(done.max(1)).unwrap_or(u32::MAX);
        let fits = self.limit.is_none_or(|limit| now + mean <= self.begun + limit);
        done < self.wanted && (done == 0 || fits)
    }
}

/// A scenario with all peers that can do it, round after round.
fn measure(
    rounds: Rounds,
    bench: &Bench,
    scenario: &Scenario,
    peers: &[&'static Peer],
    progress: &mut dyn Write,
) -> Result<ScenarioReport, Error> {
    let case = bench.case(scenario.clone())?;
    let able: Vec<_> = peers.iter().copied().filter(|peer| peer.lacks(scenario).is_none()).collect();
    let mut rows: BTreeMap<_, _> = able.iter().map(|peer| (peer.name, Turns::default())).collect();
    let mut round = 0;
    while rounds.has_another(round, Instant::now()) {
        // Each peer comes after each other one once in a while.
        let mut order = able.clone();
        order.rotate_left(round % able.len().max(1));
        for peer in order {
            let turns = rows.get_mut(peer.name).expect("each peer has its row");
            if turns.has_failed {
                continue;
            }
            let sample = turns.take(bench, &case, peer)?;
            tell(progress, &line(scenario, round + 1, rounds.wanted, peer, &sample));
            turns.measurement.add(sample);
        }
        round += 1;
    }
    let mut finished = Vec::new();
    for peer in able {
        let turns = rows.remove(peer.name).expect("each peer has its row");
        finished.push(Row::new(peer.name, &turns.measurement, turns.commands));
    }
    let missing = peers.iter().filter_map(|peer| {
        let why = peer.lacks(scenario)?.to_owned();
        Some(Absence { name: peer.name, why })
    });
    Ok(ScenarioReport::new(scenario, round, finished, missing.collect()))
}

/// What a peer has done in a scenario so far.
#[derive(Debug, Default)]
struct Turns {
    measurement: Measurement,
    commands: BTreeSet<String>,
    /// It is not asked again.
    has_failed: bool,
}

impl Turns {
    /// One round. Whatever goes wrong with a server is said in its row; only an interrupt ends the run.
    fn take(&mut self, bench: &Bench, case: &Case, peer: &Peer) -> Result<Sample, Error> {
        match self.measure(bench, case, peer) {
            Err(Error::Interrupted) => Err(Error::Interrupted),
            Err(error) => {
                bench.starter.interrupt.check()?;
                self.has_failed = true;
                Ok(Sample::problem(error.to_string()))
            }
            sample => sample,
        }
    }

    fn measure(&mut self, bench: &Bench, case: &Case, peer: &Peer) -> Result<Sample, Error> {
        if let Kind::Memory { more } = case.scenario.kind {
            return bench.memory(case, peer, more);
        }
        // A server of its own for each sample: what others share with it would not count as its memory.
        let server = bench.server(case, peer, 0)?;
        self.commands.extend(server.commands());
        let problems = bench.warm_up(case, &server)?;
        let mut sample = bench.sample(case, &server)?;
        sample.problems.extend(problems);
        server.stop()?;
        Ok(sample)
    }
}

/// What the first of the scenarios that are left may take of the time that is left: as its peers are of all.
fn share(left: Duration, scenarios: &[Scenario], peers: &[&Peer]) -> Duration {
    let able = |scenario: &Scenario| peers.iter().filter(|peer| peer.lacks(scenario).is_none()).count();
    let all: usize = scenarios.iter().map(able).sum();
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    left * count(scenarios.first().map_or(0, able)) / count(all.max(1))
}

/// How much there is to do.
fn estimate(plan: &Plan, peers: &[&Peer]) -> String {
    let rounds = plan.rounds as u64;
    let (mut samples, mut seconds) = (0, 0);
    for scenario in &plan.scenarios {
        let able = peers.iter().filter(|peer| peer.lacks(scenario).is_none()).count() as u64;
        samples += able * rounds;
        seconds += able * rounds * duration(scenario.kind, plan.seconds, plan.warm_up);
    }
    format!("{samples} measurements, about {} minutes", seconds.div_ceil(60))
}

fn line(scenario: &Scenario, round: usize, rounds: usize, peer: &Peer, sample: &Sample) -> String {
    let wanted =
        [Metric::Throughput, Metric::MemoryPerConnection, Metric::MemoryPerWorker, Metric::StartUp, Metric::Memory];
    let value = |metric| sample.values.iter().find(|(found, _)| *found == metric);
    let shown = wanted
        .into_iter()
        .find_map(value)
        .map(|(metric, value)| format!("{} {}", metric.shown(*value), metric.heading()));
    let problems = sample.problems.join("; ");
    let problem = problems.lines().next().unwrap_or_default();
    format!("{:<20} {round}/{rounds}  {:<16} {}  {problem}", scenario.name, peer.name, shown.unwrap_or_default())
}

/// If nobody hears it, the run goes on.
fn tell(progress: &mut dyn Write, what: &str) {
    let _ = writeln!(progress, "{}", what.trim_end());
    let _ = progress.flush();
}

/// Writes a file of the report.
pub(crate) fn write(path: &Path, content: &str) -> Result<(), Error> {
    fs::write(path, content).map_err(Error::file(path))
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
    fn a_round_that_would_end_too_late_is_not_begun() {
        let begun = Instant::now();
        let rounds = |limit| Rounds { wanted: 3, begun, limit };
        let after = |seconds| begun + Duration::from_secs(seconds);
        let short = rounds(Some(Duration::from_secs(30)));
        // The first one always is; a second one that takes 10 s as well ends in time, after 16 s it does not.
        assert!(short.has_another(0, after(99)));
        assert!(short.has_another(1, after(10)) && !short.has_another(1, after(16)));
        assert!(rounds(None).has_another(2, after(999)) && !rounds(None).has_another(3, after(1)));
    }

    #[test]
    fn the_time_that_is_left_is_shared_by_peers() {
        let peers: Vec<_> = Peer::all().into_iter().filter(|peer| ["stack", "bjoern"].contains(&peer.name)).collect();
        let named = |name: &str| crate::scenario::all().into_iter().find(|scenario| scenario.name == name).unwrap();
        // bjoern serves no files.
        let scenarios = [named("hello"), named("static-1k")];
        let seconds = Duration::from_secs;
        assert_eq!(share(seconds(60), &scenarios, &peers), seconds(40));
        assert_eq!(share(seconds(20), &scenarios[1..], &peers), seconds(20));
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
