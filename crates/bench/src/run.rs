//! A run: what is missing is installed, then scenario after scenario is measured in alternating rounds.

mod prepare;
mod rounds;

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    time::Instant,
};

use self::rounds::{Rounds, measure, share};
use crate::{
    Error,
    arguments::Plan,
    interrupt::Interrupt,
    machine::Machine,
    measure::{Bench, duration},
    peer::Peer,
    process::{Cpus, Starter, make_folder},
    report::{Absence, PeerFacts, Report, Settings},
    versions,
};

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
    let (bench, peers, absent) = prepare::prepare(plan, &home, starter, progress)?;
    let mut report = empty(plan, &bench, &peers, machine, absent)?;
    tell(progress, &estimate(plan, &peers));
    let begun = Instant::now();
    for (index, scenario) in plan.scenarios.iter().enumerate() {
        let share =
            plan.limit.map(|limit| share(limit.saturating_sub(begun.elapsed()), &plan.scenarios[index..], &peers));
        let rounds = Rounds { wanted: plan.rounds, begun: Instant::now(), limit: share };
        report.scenarios.push(measure(rounds, &bench, scenario, &peers, progress)?);
        // What was found out is not lost with a run that is interrupted.
        report.write(&out)?;
    }
    Ok((report.text(), out))
}

/// A report without scenarios.
fn empty(
    plan: &Plan,
    bench: &Bench,
    peers: &[&'static Peer],
    machine: Machine,
    absent: Vec<Absence>,
) -> Result<Report, Error> {
    let settings = Settings {
        rounds: plan.rounds,
        seconds: plan.seconds,
        workers: bench.workers,
        threads: bench.threads,
        pinned: plan.pin,
        python: versions::python(bench)?,
        load_generators: versions::of_generators(bench)?,
    };
    let facts = peers.iter().zip(versions::of(bench, peers)?).map(|(peer, version)| PeerFacts {
        name: peer.name,
        about: peer.about,
        version,
    });
    Ok(Report { machine, settings, peers: facts.collect(), absent, scenarios: Vec::new() })
}

/// What is installed, and made, stays below the target directory: it goes with `cargo clean`.
pub(crate) fn home() -> Result<PathBuf, Error> {
    let executable = env::current_exe().map_err(Error::system("this program's path can not be told"))?;
    let target = executable.parent().and_then(Path::parent).unwrap_or(Path::new("target"));
    let home = target.join("bench");
    make_folder(&home)?;
    Ok(home)
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
    format!("{samples} measurements, about {} min", seconds.div_ceil(60))
}

/// If nobody hears it, the run goes on.
pub(crate) fn tell(progress: &mut dyn Write, what: &str) {
    let _ = writeln!(progress, "{}", what.trim_end());
    let _ = progress.flush();
}

/// Writes a file of the report.
pub(crate) fn write(path: &Path, content: &str) -> Result<(), Error> {
    fs::write(path, content).map_err(Error::file(path))
}
