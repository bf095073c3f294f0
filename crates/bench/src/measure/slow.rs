//! Slow clients beside fast ones: does a crowd that sends a byte now and then take the others' throughput?

use std::{
    io::Write,
    net::{SocketAddr, TcpStream},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use super::{Bench, Case};
use crate::{
    Error,
    measurement::{Metric, Sample},
    server::Server,
};

/// How often each slow client sends a byte.
const PACE: Duration = Duration::from_millis(200);

pub(super) fn sample(
    bench: &Bench,
    case: &Case,
    server: &Server,
    clients: usize,
    connections: usize,
) -> Result<Sample, Error> {
    let load = || bench.wrk(case, server, connections, bench.seconds, false);
    let quiet = load()?;
    let crowd = open(server.endpoint.address, clients)?;
    let (stop, stopped) = mpsc::channel();
    let mut sample = thread::scope(|scope| {
        let crowd = scope.spawn(move || drip(crowd, &stopped));
        let sample = bench.loaded(case, server, load);
        drop(stop);
        let gone = crowd.join().expect("the slow clients do not panic");
        sample.map(|mut sample| {
            if gone > 0 {
                sample.problems.push(format!("{gone} of {clients} slow clients were sent away"));
            }
            sample
        })
    })?;
    let loud = sample.values.iter().find(|(metric, _)| *metric == Metric::Throughput).map_or(0.0, |(_, rate)| *rate);
    if quiet.throughput() > 0.0 {
        sample.values.push((Metric::ThroughputKept, 100.0 * loud / quiet.throughput()));
    }
    sample.problems.extend(quiet.problems.into_iter().map(|problem| format!("{problem} in quiet")));
    Ok(sample)
}

fn open(address: SocketAddr, clients: usize) -> Result<Vec<TcpStream>, Error> {
    let connect = || {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        // A server that does not read does not hold up the crowd.
        stream.set_nonblocking(true)?;
        Ok(stream)
    };
    (0..clients).map(|_| connect().map_err(Error::system("a slow client can not connect"))).collect()
}

/// Sends a head that never ends, a byte of it in each turn, until the sender of `stopped` is gone. How many were sent away.
fn drip(mut crowd: Vec<TcpStream>, stopped: &mpsc::Receiver<()>) -> usize {
    let head = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Padding: ".iter().copied().chain(std::iter::repeat(b'x'));
    let clients = crowd.len();
    for byte in head {
        crowd.retain_mut(|client| client.write_all(&[byte]).is_ok());
        if stopped.recv_timeout(PACE) != Err(RecvTimeoutError::Timeout) {
            break;
        }
    }
    clients - crowd.len()
}

#[cfg(test)]
mod tests {
    use std::{io::Read, net::TcpListener};

    use super::*;

    #[test]
    fn slow_clients_send_a_byte_in_each_turn() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let crowd = open(listener.local_addr().unwrap(), 2).unwrap();
        let (stop, stopped) = mpsc::channel();
        let dripping = thread::spawn(move || drip(crowd, &stopped));
        let mut first = [0; 3];
        let mut stream = listener.accept().unwrap().0;
        stream.read_exact(&mut first).unwrap();
        drop(stop);
        assert_eq!(dripping.join().unwrap(), 0);
        assert_eq!(&first, b"GET");
    }

    #[test]
    fn those_that_were_sent_away_are_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let crowd = open(listener.local_addr().unwrap(), 2).unwrap();
        // Closed with a byte unread: a reset, which the client sees with its next byte.
        let leaver = listener.accept().unwrap().0;
        let (stop, stopped) = mpsc::channel();
        let dripping = thread::spawn(move || drip(crowd, &stopped));
        leaver.peek(&mut [0]).unwrap();
        drop(leaver);
        let mut stayer = listener.accept().unwrap().0;
        stayer.read_exact(&mut [0; 4]).unwrap();
        drop(stop);
        assert_eq!(dripping.join().unwrap(), 1);
    }
}
