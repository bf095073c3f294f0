//! A new connection for each request: connect, greet, ask, read all, close. Every answer is checked.

use std::{
    io, thread,
    time::{Duration, Instant},
};

use super::{Latency, Outcome, counted};
use crate::{
    client::{Connection, Endpoint, Request},
    interrupt::Interrupt,
    measurement::percentile,
};

/// What the clients do.
#[derive(Clone, Debug)]
pub(crate) struct Handshakes<'a> {
    pub(crate) endpoint: &'a Endpoint,
    /// With `Connection: close`.
    pub(crate) request: &'a Request,
    pub(crate) expected: &'a [u8],
    /// At a time, each in a thread.
    pub(crate) clients: usize,
    pub(crate) time: Duration,
}

/// What one client has seen.
#[derive(Debug, Default)]
struct Seen {
    /// Of right answers, in microseconds, with the connection's begin.
    latencies: Vec<u64>,
    refused: u64,
    failed: u64,
    wrong: u64,
}

impl Handshakes<'_> {
    pub(crate) fn run(&self, interrupt: &Interrupt) -> Outcome {
        let started = Instant::now();
        let deadline = started + self.time;
        let seen: Vec<Seen> = thread::scope(|scope| {
            let client = || self.client(deadline, interrupt);
            let clients: Vec<_> = (0..self.clients).map(|_| scope.spawn(client)).collect();
            clients.into_iter().map(|client| client.join().expect("a client does not panic")).collect()
        });
        outcome(seen, started.elapsed())
    }

    fn client(&self, deadline: Instant, interrupt: &Interrupt) -> Seen {
        let mut seen = Seen::default();
        while Instant::now() < deadline && interrupt.check().is_ok() {
            let begun = Instant::now();
            let connection = match Connection::open(self.endpoint) {
                Ok(connection) => connection,
                Err(error) => {
                    seen.refused += 1;
                    // One that refuses at once is not to be asked a million times.
                    let pause = if error.kind() == io::ErrorKind::ConnectionRefused { 10 } else { 1 };
                    if interrupt.pause(Duration::from_millis(pause)).is_err() {
                        break;
                    }
                    continue;
                }
            };
            self.ask(connection, begun, &mut seen);
        }
        seen
    }

    fn ask(&self, mut connection: Connection, begun: Instant, seen: &mut Seen) {
        match connection.exchange(self.request) {
            Ok(response) if response.problem(self.expected).is_none() => {
                seen.latencies.push(begun.elapsed().as_micros().try_into().unwrap_or(u64::MAX));
            }
            Ok(_) => seen.wrong += 1,
            Err(_) => seen.failed += 1,
        }
    }
}

fn outcome(seen: Vec<Seen>, time: Duration) -> Outcome {
    let sum = |count: fn(&Seen) -> u64| seen.iter().map(count).sum::<u64>();
    let mut problems = counted(&[
        (sum(|seen| seen.refused), "connections refused"),
        (sum(|seen| seen.failed), "connections that broke"),
        (sum(|seen| seen.wrong), "wrong answers"),
    ]);
    let mut latencies: Vec<u64> = seen.into_iter().flat_map(|seen| seen.latencies).collect();
    latencies.sort_unstable();
    if latencies.is_empty() {
        problems.push(format!("no answer in {:.0} s", time.as_secs_f64()));
    }
    let at = |share| percentile(&latencies, share).unwrap_or_default();
    let latency = Latency { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999) };
    Outcome { requests: latencies.len() as u64, seconds: time.as_secs_f64(), latency, problems }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Write},
        net::TcpListener,
    };

    use super::*;

    #[test]
    fn every_answer_is_checked_and_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = Endpoint { address: listener.local_addr().unwrap(), tls: None };
        // Every fourth answer has another body. It ends with the test.
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let mut stream = stream.unwrap();
                let lines = BufReader::new(&stream).lines().map_while(Result::ok);
                lines.take_while(|line| !line.is_empty()).for_each(drop);
                let body = if number % 4 == 3 { "wrong" } else { "right" };
                // A client that leaves is no matter.
                let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n{body}");
            }
        });
        let request = Request::new("/", None, false);
        let time = Duration::from_millis(200);
        let load = Handshakes { endpoint: &endpoint, request: &request, expected: b"right", clients: 4, time };
        let outcome = load.run(&Interrupt::default());
        assert!(outcome.requests > 3, "{outcome:?}");
        assert!(outcome.latency.p50 > 0 && outcome.latency.p50 <= outcome.latency.p999, "{outcome:?}");
        assert_eq!(outcome.problems.len(), 1, "{outcome:?}");
        assert!(outcome.problems[0].ends_with(" wrong answers"), "{outcome:?}");
    }

    #[test]
    fn nobody_there_is_a_problem() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = Endpoint { address: listener.local_addr().unwrap(), tls: None };
        drop(listener);
        let request = Request::new("/", None, false);
        let time = Duration::from_millis(20);
        let load = Handshakes { endpoint: &endpoint, request: &request, expected: b"right", clients: 2, time };
        let outcome = load.run(&Interrupt::default());
        assert_eq!(outcome.requests, 0);
        assert!(outcome.problems[0].ends_with(" connections refused"), "{outcome:?}");
    }
}
