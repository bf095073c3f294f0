//! What a run found out: as a table, as JSON, and as charts.

mod bars;
mod curves;
mod svg;
mod table;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde::Serialize;

use crate::{
    Error,
    machine::Machine,
    measurement::{Measurement, Metric, Summary},
    run::write,
    scenario::{Curve, Kind, Scenario},
};

/// All of a run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) settings: Settings,
    pub(crate) peers: Vec<PeerFacts>,
    /// Peers that could not be installed.
    pub(crate) absent: Vec<Absence>,
    pub(crate) scenarios: Vec<ScenarioReport>,
}

/// What holds for all scenarios.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Settings {
    pub(crate) rounds: usize,
    /// Of each load.
    pub(crate) seconds: u64,
    pub(crate) workers: usize,
    /// Of each worker.
    pub(crate) threads: usize,
    pub(crate) pinned: bool,
    pub(crate) python: String,
    pub(crate) load_generators: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct PeerFacts {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) version: String,
}

/// A peer that was not measured, and why.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Absence {
    pub(crate) name: &'static str,
    pub(crate) why: String,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct ScenarioReport {
    pub(crate) name: String,
    pub(crate) title: String,
    /// Fewer than in the settings where the time was over.
    pub(crate) rounds: usize,
    /// Connections at a time.
    pub(crate) connections: usize,
    /// `connections` or `workers`, and how many, where it is a point of a curve.
    pub(crate) point: Option<(&'static str, usize)>,
    pub(crate) rows: Vec<Row>,
    /// Peers that lack something for it.
    pub(crate) absent: Vec<Absence>,
    /// What charts show of it.
    #[serde(skip)]
    pub(crate) charted: Vec<Metric>,
}

/// One peer in one scenario.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) peer: &'static str,
    pub(crate) metrics: BTreeMap<Metric, Summary>,
    /// Empty where every request was answered rightly.
    pub(crate) problems: Vec<String>,
    /// What was started, in a shell's words.
    pub(crate) commands: BTreeSet<String>,
}

impl Row {
    pub(crate) fn new(peer: &'static str, measurement: &Measurement, commands: BTreeSet<String>) -> Self {
        Self { peer, metrics: measurement.summaries(), problems: measurement.problems().to_vec(), commands }
    }
}

impl ScenarioReport {
    pub(crate) fn new(scenario: &Scenario, rounds: usize, rows: Vec<Row>, absent: Vec<Absence>) -> Self {
        Self {
            name: scenario.name.clone(),
            title: scenario.title.clone(),
            rounds,
            connections: scenario.kind.connections(),
            point: scenario.point.map(|point| (point.curve.name(), point.at)),
            rows,
            absent,
            charted: charted(scenario.kind),
        }
    }
}

/// What matters most in a scenario of this kind.
fn charted(kind: Kind) -> Vec<Metric> {
    match kind {
        Kind::Load { .. } | Kind::NewConnections { .. } => {
            vec![Metric::Throughput, Metric::CpuPerRequest, Metric::LatencyP99, Metric::Memory]
        }
        Kind::Idle { .. } => vec![Metric::MemoryPerConnection, Metric::ConnectionsHeld],
        Kind::SlowClients { .. } => vec![Metric::ThroughputKept, Metric::Throughput, Metric::LatencyP99],
        Kind::StartUp => vec![Metric::StartUp, Metric::Memory],
        Kind::Memory { .. } => vec![Metric::Memory, Metric::MemoryPerWorker],
    }
}

impl Report {
    /// Writes `report.md`, `report.json`, a chart for each scenario and one for each curve.
    pub(crate) fn write(&self, out: &Path) -> Result<(), Error> {
        write(&out.join("report.md"), &self.text())?;
        let json = serde_json::to_string_pretty(self).expect("a report is plain data");
        write(&out.join("report.json"), &(json + "\n"))?;
        for scenario in self.scenarios.iter().filter(|scenario| scenario.point.is_none()) {
            write(&out.join(format!("{}.svg", scenario.name)), &bars::chart(scenario))?;
        }
        for curve in [Curve::Connections, Curve::Workers] {
            if let Some(chart) = curves::chart(curve.name(), &self.scenarios) {
                write(&out.join(format!("{}.svg", curve.name())), &chart)?;
            }
        }
        Ok(())
    }

    /// As Markdown that can be read as it is.
    pub(crate) fn text(&self) -> String {
        table::text(self)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{measurement::Sample, scenario};

    /// A row with two rounds.
    pub(super) fn row(peer: &'static str, rates: [f64; 2], problem: Option<&str>) -> Row {
        let mut measurement = Measurement::default();
        for rate in rates {
            let values = vec![(Metric::Throughput, rate), (Metric::CpuPerRequest, 1e6 / rate)];
            measurement.add(Sample { values, problems: problem.map(str::to_owned).into_iter().collect() });
        }
        Row::new(peer, &measurement, BTreeSet::from([format!("{peer} --serve")]))
    }

    pub(super) fn report(name: &str, rows: Vec<Row>) -> ScenarioReport {
        let mut all = scenario::all().into_iter().chain(scenario::scaling());
        let absent = vec![Absence { name: "nginx", why: "runs no applications".to_owned() }];
        ScenarioReport::new(&all.find(|scenario| scenario.name == name).unwrap(), 2, rows, absent)
    }

    pub(super) fn whole() -> Report {
        let rows = vec![row("stack", [1000.0, 3000.0], None), row("bjoern", [500.0, 500.0], Some("2 timeouts"))];
        let machine = Machine {
            cpu_model: "A CPU".to_owned(),
            cpus: 2,
            memory: 8 << 30,
            kernel: "Linux 6.1 x86_64".to_owned(),
            load_at_start: 0.1,
        };
        let settings = Settings {
            rounds: 2,
            seconds: 5,
            workers: 2,
            threads: 4,
            pinned: false,
            python: "Python 3.13.0".to_owned(),
            load_generators: vec!["wrk 4.1.0".to_owned()],
        };
        let peers = vec![PeerFacts { name: "stack", about: "stack", version: "stack 0.1.0".to_owned() }];
        let absent = vec![Absence { name: "uwsgi", why: "no compiler\n    details".to_owned() }];
        let points = ["workers-1", "workers-4"].map(|name| report(name, vec![row("stack", [100.0, 110.0], None)]));
        let scenarios = [report("hello", rows)].into_iter().chain(points).collect();
        Report { machine, settings, peers, absent, scenarios }
    }

    #[test]
    fn a_report_is_a_table_json_and_charts() {
        let folder = tempfile::tempdir().unwrap();
        whole().write(folder.path()).unwrap();
        let names = std::fs::read_dir(folder.path()).unwrap().flatten().map(|entry| entry.file_name());
        let names: BTreeSet<_> = names.map(|name| name.into_string().unwrap()).collect();
        let expected = ["hello.svg", "report.json", "report.md", "workers.svg"].map(str::to_owned);
        assert_eq!(names, BTreeSet::from(expected));
    }

    #[test]
    fn json_has_every_sample_with_its_unit() {
        let json = serde_json::to_value(whole()).unwrap();
        let throughput = &json["scenarios"][0]["rows"][0]["metrics"]["throughput"];
        assert_eq!(throughput["samples"], serde_json::json!([1000.0, 3000.0]));
        assert_eq!((&throughput["median"], &throughput["unit"]), (&2000.0.into(), &"1/s".into()));
        assert_eq!(json["scenarios"][0]["rows"][1]["problems"], serde_json::json!(["2 timeouts"]));
        assert_eq!(json["scenarios"][1]["point"], serde_json::json!(["workers", 1]));
    }
}
