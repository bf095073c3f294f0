//! wrk: as many requests as a server answers, on connections that are kept.

use std::{path::Path, process::Command};

use serde::Deserialize;

use super::{Latency, Outcome, counted};
use crate::{Error, measurement::float};

/// What wrk is to do.
#[derive(Clone, Debug)]
pub(crate) struct Wrk<'a> {
    pub(crate) url: &'a str,
    pub(crate) connections: usize,
    pub(crate) threads: usize,
    /// At least 1: wrk has no shorter times.
    pub(crate) seconds: u64,
    /// The Lua script that says what is sent and prints the result.
    pub(crate) script: &'a Path,
    /// The body of a POST; without one it is a GET.
    pub(crate) body: Option<&'a Path>,
    /// A file with the body that every answer has to have. Without it only bytes are counted.
    pub(crate) expected: Option<&'a Path>,
    /// What an answer has in bytes, head and body.
    pub(crate) size: usize,
}

impl Wrk<'_> {
    pub(crate) fn arguments(&self, command: &mut Command) {
        let none = Path::new("-");
        let method = if self.body.is_some() { "POST" } else { "GET" };
        // A thread without a connection is refused.
        let threads = self.threads.min(self.connections).max(1);
        command
            .args(["--threads", &threads.to_string()])
            .args(["--connections", &self.connections.to_string()])
            .args(["--duration", &format!("{}s", self.seconds)])
            .args(["--timeout", "10s", "--script"])
            .arg(self.script)
            .args([self.url, "--", method])
            .arg(self.body.unwrap_or(none))
            .arg(self.expected.unwrap_or(none));
    }

    pub(crate) fn outcome(&self, output: &str) -> Result<Outcome, Error> {
        let line = output.lines().rev().find(|line| line.starts_with('{')).unwrap_or_default();
        let said: Said = serde_json::from_str(line)
            .map_err(|_| Error::Unreadable { source_name: "wrk", detail: output.trim().to_owned() })?;
        Ok(said.outcome(self.size))
    }
}

/// What the script prints.
#[derive(Clone, Debug, Deserialize)]
struct Said {
    requests: u64,
    bytes: u64,
    duration_us: u64,
    wrong: u64,
    connect: u64,
    read: u64,
    write: u64,
    status: u64,
    timeout: u64,
    p50_us: u64,
    p90_us: u64,
    p99_us: u64,
    p999_us: u64,
}

impl Said {
    fn outcome(self, size: usize) -> Outcome {
        let mut problems = counted(&[
            (self.wrong, "wrong bodies"),
            (self.connect, "connections refused"),
            (self.read, "read errors"),
            (self.write, "write errors"),
            (self.status, "statuses above 399"),
            (self.timeout, "timeouts"),
        ]);
        let requests = self.requests.saturating_sub(self.status);
        let seconds = float(self.duration_us) / 1e6;
        if requests == 0 {
            problems.push(format!("no answer in {seconds:.0} s"));
        }
        // All bytes of an answer have come when it is counted; a head may be some bytes shorter than the one that was measured.
        let expected = float(requests) * float(size as u64);
        if float(self.bytes) < 0.995 * expected {
            problems.push(format!("{} bytes for {requests} answers of {size}", self.bytes));
        }
        let latency = Latency { p50: self.p50_us, p90: self.p90_us, p99: self.p99_us, p999: self.p999_us };
        Outcome { requests, seconds, latency, problems }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = r#"{"p99_us": 900, "requests": 1000, "bytes": 150000, "duration_us": 2000000, "wrong": 0,
        "connect": 0, "read": 0, "write": 0, "status": 0, "timeout": 0, "p50_us": 300, "p90_us": 700, "p999_us": 1200}"#;

    fn wrk() -> Wrk<'static> {
        Wrk {
            url: "http://127.0.0.1:1/",
            connections: 64,
            threads: 2,
            seconds: 5,
            script: Path::new("load.lua"),
            body: None,
            expected: None,
            size: 150,
        }
    }

    fn output(said: &str) -> String {
        format!(
            "Running 2s test @ http://127.0.0.1:1/\n  1 threads\nRequests/sec: 500.0\n{}\n",
            said.replace('\n', " ")
        )
    }

    #[test]
    fn the_line_of_the_script_is_read() {
        let outcome = wrk().outcome(&output(SAID)).unwrap();
        assert_eq!(outcome.requests, 1000);
        assert!((outcome.throughput() - 500.0).abs() < 1e-9);
        assert_eq!(outcome.latency, Latency { p50: 300, p90: 700, p99: 900, p999: 1200 });
        assert_eq!(outcome.problems, Vec::<String>::new());
    }

    #[test]
    fn what_went_wrong_is_told_and_does_not_count() {
        let said = SAID.replace(r#""status": 0"#, r#""status": 40"#).replace(r#""timeout": 0"#, r#""timeout": 3"#);
        let outcome = wrk().outcome(&output(&said)).unwrap();
        assert_eq!(outcome.requests, 960);
        assert_eq!(outcome.problems, ["40 statuses above 399", "3 timeouts"]);
    }

    #[test]
    fn answers_that_are_too_short_are_seen() {
        let outcome = wrk().outcome(&output(&SAID.replace("150000", "137000"))).unwrap();
        assert_eq!(outcome.problems, ["137000 bytes for 1000 answers of 150"]);
    }

    #[test]
    fn a_server_that_answers_nothing_is_a_problem() {
        let said = SAID.replace(r#""requests": 1000"#, r#""requests": 0"#);
        let outcome = wrk().outcome(&output(&said)).unwrap();
        assert_eq!(outcome.problems, ["no answer in 2 s"]);
        assert!(outcome.values().iter().all(|(metric, _)| *metric == crate::measurement::Metric::Throughput));
    }

    #[test]
    fn an_output_without_the_line_is_shown() {
        let error = wrk().outcome("unable to connect to 127.0.0.1:1 Connection refused\n").unwrap_err();
        assert!(error.to_string().contains("unable to connect"), "{error}");
    }

    #[test]
    fn a_single_connection_has_a_single_thread() {
        let mut command = Command::new("wrk");
        Wrk { connections: 1, body: Some(Path::new("body")), ..wrk() }.arguments(&mut command);
        let arguments: Vec<_> = command.get_args().map(|argument| argument.to_str().unwrap()).collect();
        assert_eq!(arguments[..2], ["--threads", "1"]);
        assert_eq!(arguments[arguments.len() - 3..], ["POST", "body", "-"]);
    }
}
