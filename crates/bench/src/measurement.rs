//! What is measured: quantities with their units, samples of several rounds, and what is shown of them.

use std::collections::BTreeMap;

use serde::Serialize;

/// A quantity. The order is that of a table's columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Metric {
    /// Answered requests, or connections, a second.
    Throughput,
    /// Of the throughput of the same server in quiet, in percent.
    ThroughputKept,
    /// Half of the requests took at most as long, in microseconds.
    LatencyP50,
    /// 90 of 100 requests.
    LatencyP90,
    /// 99 of 100 requests.
    LatencyP99,
    /// 999 of 1,000 requests.
    LatencyP999,
    /// User and system time of all the server's processes for a request, in microseconds.
    CpuPerRequest,
    /// Proportional set size of all the server's processes, in bytes.
    Memory,
    /// What a worker more takes, in bytes.
    MemoryPerWorker,
    /// What an idle connection takes, in bytes.
    MemoryPerConnection,
    /// Connections that were answered again after they had been idle.
    ConnectionsHeld,
    /// From the start of the first process to the first right answer, in seconds.
    StartUp,
}

/// Whether more or less is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Better {
    More,
    Less,
}

impl Metric {
    /// A table's heading, with the unit that [`Metric::shown`] uses.
    pub(crate) fn heading(self) -> &'static str {
        match self {
            Self::Throughput => "per second",
            Self::ThroughputKept => "% of quiet",
            Self::LatencyP50 => "p50 ms",
            Self::LatencyP90 => "p90 ms",
            Self::LatencyP99 => "p99 ms",
            Self::LatencyP999 => "p99.9 ms",
            Self::CpuPerRequest => "CPU µs/request",
            Self::Memory => "PSS MiB",
            Self::MemoryPerWorker => "MiB/worker",
            Self::MemoryPerConnection => "bytes/connection",
            Self::ConnectionsHeld => "held",
            Self::StartUp => "start ms",
        }
    }

    /// A chart's heading.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Throughput => "per second, more is better",
            Self::ThroughputKept => "% of the throughput in quiet, more is better",
            Self::LatencyP50 => "median latency in ms, less is better",
            Self::LatencyP90 => "90th percentile in ms, less is better",
            Self::LatencyP99 => "99th percentile in ms, less is better",
            Self::LatencyP999 => "99.9th percentile in ms, less is better",
            Self::CpuPerRequest => "CPU µs per request, less is better",
            Self::Memory => "memory (PSS) in MiB, less is better",
            Self::MemoryPerWorker => "memory of one more worker in MiB, less is better",
            Self::MemoryPerConnection => "bytes of memory per connection, less is better",
            Self::ConnectionsHeld => "connections held, more is better",
            Self::StartUp => "ms to the first answer, less is better",
        }
    }

    /// The unit of a sample.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::Throughput => "1/s",
            Self::ThroughputKept => "%",
            Self::LatencyP50 | Self::LatencyP90 | Self::LatencyP99 | Self::LatencyP999 | Self::CpuPerRequest => "us",
            Self::Memory | Self::MemoryPerWorker | Self::MemoryPerConnection => "bytes",
            Self::ConnectionsHeld => "1",
            Self::StartUp => "s",
        }
    }

    pub(crate) fn better(self) -> Better {
        match self {
            Self::Throughput | Self::ThroughputKept | Self::ConnectionsHeld => Better::More,
            _ => Better::Less,
        }
    }

    /// A sample in the unit that tables and charts have.
    pub(crate) fn scaled(self, sample: f64) -> f64 {
        match self {
            Self::LatencyP50 | Self::LatencyP90 | Self::LatencyP99 | Self::LatencyP999 => sample / 1e3,
            Self::Memory | Self::MemoryPerWorker => sample / f64::from(1 << 20),
            Self::StartUp => sample * 1e3,
            _ => sample,
        }
    }

    /// A sample as a table shows it.
    pub(crate) fn shown(self, sample: f64) -> String {
        significant(self.scaled(sample))
    }
}

/// Three digits or all before the point, in groups of three.
fn significant(number: f64) -> String {
    let places = match number.abs() {
        size if size < 0.995 => 3,
        size if size < 9.95 => 2,
        size if size < 99.95 => 1,
        _ => 0,
    };
    let text = format!("{:.places$}", number.abs());
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let sign = if number < 0.0 { "-" } else { "" };
    if fraction.is_empty() { format!("{sign}{grouped}") } else { format!("{sign}{grouped}.{fraction}") }
}

/// What one round found out about one server.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sample {
    /// Each in its [`Metric::unit`].
    pub(crate) values: Vec<(Metric, f64)>,
    /// What went wrong, in words. Values beside a problem are not to be trusted.
    pub(crate) problems: Vec<String>,
}

impl Sample {
    /// A sample of a server that could not be measured.
    pub(crate) fn problem(text: impl Into<String>) -> Self {
        Self { values: Vec::new(), problems: vec![text.into()] }
    }
}

/// All samples of one server in one scenario.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measurement {
    samples: BTreeMap<Metric, Vec<f64>>,
    problems: Vec<String>,
}

impl Measurement {
    pub(crate) fn add(&mut self, sample: Sample) {
        for (metric, value) in sample.values {
            self.samples.entry(metric).or_default().push(value);
        }
        for problem in sample.problems {
            if !self.problems.contains(&problem) {
                self.problems.push(problem);
            }
        }
    }

    pub(crate) fn summaries(&self) -> BTreeMap<Metric, Summary> {
        self.samples.iter().filter_map(|(metric, samples)| Some((*metric, Summary::of(*metric, samples)?))).collect()
    }

    pub(crate) fn problems(&self) -> &[String] {
        &self.problems
    }
}

/// The middle and the ends of several samples.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Summary {
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    /// In the order of the rounds.
    pub(crate) samples: Vec<f64>,
}

impl Summary {
    fn of(metric: Metric, samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median =
            if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) };
        Some(Self { unit: metric.unit(), better: metric.better(), median, min, max, samples: samples.to_vec() })
    }
}

/// The value that this share (of 1) of the sorted values does not exceed, by nearest rank.
pub(crate) fn percentile(sorted: &[u64], share: f64) -> Option<u64> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a rank of some millions of values"
    )]
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

/// A count as a number to calculate with.
#[expect(clippy::cast_precision_loss, reason = "counts of a benchmark stay below 2^52")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(samples: &[f64]) -> (f64, f64, f64) {
        let summary = Summary::of(Metric::Throughput, samples).unwrap();
        (summary.median, summary.min, summary.max)
    }

    #[test]
    fn the_median_is_the_middle_or_between_two() {
        assert_eq!(summary(&[3.0, 1.0, 2.0]), (2.0, 1.0, 3.0));
        assert_eq!(summary(&[4.0, 1.0, 2.0, 9.0]), (3.0, 1.0, 9.0));
        assert_eq!(summary(&[7.0]), (7.0, 7.0, 7.0));
        assert_eq!(Summary::of(Metric::Throughput, &[]), None);
    }

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let values: Vec<u64> = (1..=200).collect();
        assert_eq!(percentile(&values, 0.5), Some(100));
        assert_eq!(percentile(&values, 0.99), Some(198));
        assert_eq!(percentile(&values, 0.999), Some(200));
        assert_eq!(percentile(&[5], 0.5), Some(5));
        assert_eq!(percentile(&[], 0.5), None);
    }

    #[test]
    fn numbers_have_three_digits_or_all_before_the_point() {
        let shown: Vec<_> =
            [0.012_34, 1.234, 12.34, 123.4, 1234.5, 1_234_567.0, -2048.0].map(significant).into_iter().collect();
        assert_eq!(shown, ["0.012", "1.23", "12.3", "123", "1,234", "1,234,567", "-2,048"]);
    }

    #[test]
    fn a_sample_is_shown_in_the_unit_of_its_heading() {
        assert_eq!(Metric::LatencyP99.shown(1500.0), "1.50");
        assert_eq!(Metric::Memory.shown(f64::from(3 << 20)), "3.00");
        assert_eq!(Metric::StartUp.shown(0.25), "250");
        assert_eq!(Metric::CpuPerRequest.shown(11.44), "11.4");
    }

    #[test]
    fn a_problem_is_told_once() {
        let mut measurement = Measurement::default();
        measurement.add(Sample::problem("3 timeouts"));
        measurement.add(Sample::problem("3 timeouts"));
        assert_eq!(measurement.problems(), ["3 timeouts"]);
        assert!(measurement.summaries().is_empty());
    }
}
