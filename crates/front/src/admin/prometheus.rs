//! The counters in Prometheus' text format.

use std::fmt::Write as _;

use stack_bridge::Depth;

use crate::{Lineage, Snapshot};

pub(super) fn text(snapshot: &Snapshot, depth: Depth) -> String {
    let Snapshot {
        lineage: Lineage { generation, ended, unresponsive, reloads, worn },
        connections,
        parked,
        in_flight,
        requests,
        ready,
        direct,
        refused,
        shed,
        denied,
        rate_limited,
        denied_connections,
        crowded_connections,
        foreign_connections,
    } = *snapshot;
    let Depth { queued, running, idle } = depth;
    let mut out = String::new();
    let mut family = |name: &str, kind: &str, help: &str, samples: &[(&str, u64)]| {
        // Writing to a string does not fail.
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in samples {
            let _ = writeln!(out, "{name}{labels} {value}");
        }
    };
    family(
        "stack_generation",
        "gauge",
        "Servers that the supervisor has started, this one included.",
        &[("", generation)],
    );
    family(
        "stack_restarts_total",
        "counter",
        "Those of them in the place of one that was gone, by cause.",
        &[("{cause=\"ended\"}", ended), ("{cause=\"unresponsive\"}", unresponsive)],
    );
    family(
        "stack_reloads_total",
        "counter",
        "Those of them that took over from one that served, by cause.",
        &[("{cause=\"asked\"}", reloads), ("{cause=\"worn\"}", worn)],
    );
    family("stack_connections", "gauge", "Open connections, idle ones included.", &[("", connections)]);
    family("stack_connections_parked", "gauge", "Those of them that wait for a request.", &[("", parked)]);
    family("stack_requests_in_flight", "gauge", "Requests that are being answered.", &[("", in_flight)]);
    family("stack_requests_total", "counter", "Requests whose head has been read.", &[("", requests)]);
    family("stack_requests_ready_total", "counter", "Those of them answered with a file at once.", &[("", ready)]);
    family(
        "stack_requests_direct_total",
        "counter",
        "Those of them that nothing held up on their way.",
        &[("", direct)],
    );
    family(
        "stack_requests_refused_total",
        "counter",
        "Requests that were refused, by cause.",
        &[
            ("{cause=\"queue_full\"}", refused),
            ("{cause=\"queue_slow\"}", shed),
            ("{cause=\"rate_limit\"}", rate_limited),
            ("{cause=\"denied\"}", denied),
        ],
    );
    family(
        "stack_connections_refused_total",
        "counter",
        "Connections that were closed unheard, by cause.",
        &[
            ("{cause=\"denied\"}", denied_connections),
            ("{cause=\"per_address\"}", crowded_connections),
            ("{cause=\"proxy_protocol\"}", foreign_connections),
        ],
    );
    family("stack_queue_jobs", "gauge", "Requests that wait for a thread.", &[("", queued as u64)]);
    family(
        "stack_threads",
        "gauge",
        "Threads of the application, by state.",
        &[("{state=\"running\"}", running as u64), ("{state=\"idle\"}", idle as u64)],
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_is_described_once_and_has_values() {
        let snapshot = Snapshot { requests: 7, shed: 3, ..Snapshot::default() };
        let text = text(&snapshot, Depth { queued: 2, running: 1, idle: 0 });
        let names: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        let mut unique = names.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(names.len(), unique.len());
        for line in
            ["stack_requests_total 7", "stack_requests_refused_total{cause=\"queue_slow\"} 3", "stack_queue_jobs 2"]
        {
            assert!(text.lines().any(|known| known == line), "{line} in {text}");
        }
        assert!(text.ends_with('\n'));
    }
}
