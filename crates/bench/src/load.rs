//! What loads a server: wrk for HTTP/1.1, h2load for HTTP/2, and clients of our own where each request is a new connection, since
//! wrk resumes its TLS sessions and would measure no handshakes.

pub(crate) mod h2load;
pub(crate) mod handshakes;
pub(crate) mod wrk;

use crate::measurement::{Metric, float};

/// What a load came to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outcome {
    /// Right answers.
    pub(crate) requests: u64,
    /// How long it took.
    pub(crate) seconds: f64,
    pub(crate) latency: Latency,
    /// What went wrong, in words; empty if every request was answered rightly.
    pub(crate) problems: Vec<String>,
}

/// Percentiles in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Latency {
    pub(crate) p50: u64,
    pub(crate) p90: u64,
    pub(crate) p99: u64,
    pub(crate) p999: u64,
}

impl Outcome {
    /// Right answers a second.
    pub(crate) fn throughput(&self) -> f64 {
        if self.seconds > 0.0 { float(self.requests) / self.seconds } else { 0.0 }
    }

    pub(crate) fn values(&self) -> Vec<(Metric, f64)> {
        let mut values = vec![(Metric::Throughput, self.throughput())];
        // Nobody waited for what was not answered.
        if self.requests > 0 {
            let Latency { p50, p90, p99, p999 } = self.latency;
            let percentiles = [
                (Metric::LatencyP50, p50),
                (Metric::LatencyP90, p90),
                (Metric::LatencyP99, p99),
                (Metric::LatencyP999, p999),
            ];
            values.extend(percentiles.map(|(metric, micros)| (metric, float(micros))));
        }
        values
    }
}

/// `3 timeouts`, for those that there are.
fn counted(counts: &[(u64, &str)]) -> Vec<String> {
    counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect()
}
