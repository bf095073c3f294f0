//! A scenario, round after round: how many there are, and each peer's turns.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    time::{Duration, Instant},
};

use super::tell;
use crate::{
    Error,
    measure::{Bench, Case},
    measurement::{Measurement, Metric, Sample},
    peer::Peer,
    report::{Absence, Row, ScenarioReport},
    scenario::{Kind, Scenario},
};

/// How many rounds a scenario has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rounds {
    pub(super) wanted: usize,
    pub(super) begun: Instant,
    pub(super) limit: Option<Duration>,
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
pub(super) fn measure(
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
        // Nobody is always the first, or the last.
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
pub(super) fn share(left: Duration, scenarios: &[Scenario], peers: &[&Peer]) -> Duration {
    let able = |scenario: &Scenario| peers.iter().filter(|peer| peer.lacks(scenario).is_none()).count();
    let all: usize = scenarios.iter().map(able).sum();
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    left * count(scenarios.first().map_or(0, able)) / count(all.max(1))
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
