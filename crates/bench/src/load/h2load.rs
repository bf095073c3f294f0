//! h2load: HTTP/2 over TLS. Its percentiles are those of its log, a line for each request.

use std::{path::Path, process::Command};

use super::{Latency, Outcome, counted};
use crate::{Error, measurement::percentile};

/// Requests that each connection has in flight.
const STREAMS: usize = 8;

/// What h2load is to do.
#[derive(Clone, Debug)]
pub(crate) struct H2load<'a> {
    pub(crate) url: &'a str,
    /// Requests in flight; a connection has [`STREAMS`] of them.
    pub(crate) connections: usize,
    pub(crate) threads: usize,
    pub(crate) seconds: u64,
    /// Where it writes a line for each request.
    pub(crate) log: &'a Path,
    /// What the body of an answer has in bytes.
    pub(crate) body_size: usize,
}

impl H2load<'_> {
    pub(crate) fn arguments(&self, command: &mut Command) {
        let connections = (self.connections / STREAMS).max(1);
        command
            .args(["--threads", &self.threads.clamp(1, connections).to_string()])
            .args(["--clients", &connections.to_string()])
            .args(["--max-concurrent-streams", &STREAMS.to_string()])
            .args(["--duration", &self.seconds.to_string()])
            .arg(format!("--log-file={}", self.log.display()))
            .arg(self.url);
    }

    /// What it came to: from what it printed and what it logged.
    pub(crate) fn outcome(&self, output: &str, log: &str) -> Result<Outcome, Error> {
        let unreadable = || Error::Unreadable { source_name: "h2load", detail: output.trim().to_owned() };
        let summary = Summary::parse(output).ok_or_else(unreadable)?;
        let mut latencies: Vec<u64> = log.lines().filter_map(micros_of_success).collect();
        latencies.sort_unstable();
        let at = |share| percentile(&latencies, share).unwrap_or_default();
        let latency = Latency { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999) };
        let mut problems = counted(&[
            (summary.failed, "failed requests"),
            (summary.timeout, "timeouts"),
            (summary.unwanted, "statuses other than 2xx"),
        ]);
        if !summary.is_http2 {
            problems.push("it does not speak HTTP/2".to_owned());
        }
        if summary.successes == 0 {
            problems.push(format!("no answer in {} s", self.seconds));
        }
        // Data of the requests that the end cut off may be there as well, but never less.
        if summary.data < summary.successes * self.body_size as u64 {
            let Summary { data, successes, .. } = summary;
            problems.push(format!("{data} bytes of data for {successes} bodies of {}", self.body_size));
        }
        #[expect(clippy::cast_precision_loss, reason = "a number of seconds")]
        let seconds = self.seconds as f64;
        Ok(Outcome { requests: summary.successes, seconds, latency, problems })
    }
}

/// What is read of its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Summary {
    successes: u64,
    failed: u64,
    timeout: u64,
    /// 3xx, 4xx and 5xx.
    unwanted: u64,
    /// Bytes of bodies.
    data: u64,
    is_http2: bool,
}

impl Summary {
    fn parse(output: &str) -> Option<Self> {
        let line = |start: &str| output.lines().find_map(|line| line.strip_prefix(start));
        let (requests, statuses) = (line("requests: ")?, line("status codes: ")?);
        let data = line("traffic: ")?.split(", ").find(|part| part.ends_with(" data"))?;
        let data = data.split_once('(')?.1.split_once(')')?.0.parse().ok()?;
        let not_2xx = ["3xx", "4xx", "5xx"].map(|class| before(statuses, class));
        Some(Self {
            successes: before(statuses, "2xx")?,
            failed: before(requests, "failed")?,
            timeout: before(requests, "timeout")?,
            unwanted: not_2xx.into_iter().sum::<Option<u64>>()?,
            data,
            is_http2: line("Application protocol: ").is_some_and(|protocol| protocol == "h2"),
        })
    }
}

/// The number before this word in a list like `12 total, 3 done`.
fn before(list: &str, word: &str) -> Option<u64> {
    list.split(", ").find_map(|part| part.strip_suffix(word)?.trim().parse().ok())
}

/// The third field of a line of the log: start, status, duration, in microseconds.
fn micros_of_success(line: &str) -> Option<u64> {
    let mut fields = line.split('\t');
    let status: u16 = fields.nth(1)?.parse().ok()?;
    if (200..300).contains(&status) { fields.next()?.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "starting benchmark...
TLS Protocol: TLSv1.3
Application protocol: h2
progress: 100% of clients started

finished in 2.01s, 1500.00 req/s, 90.10KB/s
requests: 3004 total, 3020 started, 3000 done, 3000 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 3000 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 180.21KB (184535) total, 70.31KB (72000) headers (space savings 51.02%), 38.09KB (39000) data
                     min         max         mean         sd        +/- sd
time for request:       21us      6.40ms       153us       393us    99.60%
";

    fn h2load() -> H2load<'static> {
        let (url, log) = ("https://127.0.0.1:1/", Path::new("log"));
        H2load { url, connections: 64, threads: 1, seconds: 2, log, body_size: 13 }
    }

    #[test]
    fn output_and_log_are_read() {
        let log = "1795285072046280\t200\t100\n1795285072046281\t200\t300\n1795285072046282\t200\t200\n\
                   1795285072046283\t503\t9999\n";
        let outcome = h2load().outcome(OUTPUT, log).unwrap();
        assert_eq!((outcome.requests, outcome.latency.p50, outcome.latency.p999), (3000, 200, 300));
        assert!((outcome.throughput() - 1500.0).abs() < 1e-9);
        assert_eq!(outcome.problems, Vec::<String>::new());
    }

    #[test]
    fn what_went_wrong_is_told() {
        let output = OUTPUT
            .replace("0 failed, 0 errored, 0 timeout", "5 failed, 3 errored, 2 timeout")
            .replace("0 5xx", "7 5xx")
            .replace("protocol: h2", "protocol: http/1.1")
            .replace("(39000) data", "(38000) data");
        let problems = h2load().outcome(&output, "").unwrap().problems;
        assert_eq!(
            problems,
            [
                "5 failed requests",
                "2 timeouts",
                "7 statuses other than 2xx",
                "it does not speak HTTP/2",
                "38000 bytes of data for 3000 bodies of 13",
            ]
        );
    }

    #[test]
    fn an_output_without_a_summary_is_shown() {
        let error = h2load().outcome("Could not connect to 127.0.0.1\n", "").unwrap_err();
        assert!(error.to_string().contains("Could not connect"), "{error}");
    }
}
