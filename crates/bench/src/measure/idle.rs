//! Idle keep-alive connections: what each takes, and whether they are still good.

use std::time::Duration;

use super::{Bench, Case};
use crate::{
    Error,
    client::{self, Connection},
    measurement::{Metric, Sample, float},
    server::Server,
};

/// Connections that come and go first, so that what is allocated once does not count.
const BEFORE: usize = 500;
/// Longer than a server keeps a connection ready for its next request.
pub(super) const REST: Duration = Duration::from_secs(3);
/// After so many that were refused in a row no more are tried.
const GIVE_UP: usize = 3;

pub(super) fn sample(bench: &Bench, case: &Case, server: &Server, connections: usize) -> Result<Sample, Error> {
    drop(hold(bench, case, server, BEFORE)?);
    bench.starter.interrupt.pause(REST)?;
    let before = server.usage()?.memory;
    let mut held = hold(bench, case, server, connections)?;
    bench.starter.interrupt.pause(REST)?;
    let after = server.usage()?.memory;
    let opened = held.len();
    let other = client::check(&server.endpoint, &case.expected.last_request, &case.expected.body);
    let answered = held.iter_mut().filter_map(|connection| {
        bench.starter.interrupt.check().ok()?;
        let response = connection.exchange(&case.expected.request).ok()?;
        response.problem(&case.expected.body).is_none().then_some(())
    });
    let answered = answered.count();
    bench.starter.interrupt.check()?;
    let mut problems = Vec::new();
    if answered < connections {
        problems.push(format!("{opened} of {connections} connections were opened and {answered} held"));
    }
    if let Err(seen) = other {
        problems.push(format!("another client beside them: {seen}"));
    }
    let mut values = vec![(Metric::Memory, float(after)), (Metric::ConnectionsHeld, float(answered as u64))];
    // What some of them take says nothing of all.
    if answered == connections {
        let each = (float(after) - float(before)) / float(connections as u64);
        values.push((Metric::MemoryPerConnection, each));
    }
    Ok(Sample { values, problems })
}

/// Opens connections that have a right answer each. There are fewer where the server refuses them.
fn hold(bench: &Bench, case: &Case, server: &Server, number: usize) -> Result<Vec<Connection>, Error> {
    let (mut held, mut refused) = (Vec::with_capacity(number), 0);
    while held.len() < number && refused < GIVE_UP {
        bench.starter.interrupt.check()?;
        let connection = Connection::open(&server.endpoint).ok().and_then(|mut connection| {
            let response = connection.exchange(&case.expected.request).ok()?;
            (response.problem(&case.expected.body).is_none() && !response.closes).then_some(connection)
        });
        match connection {
            Some(connection) => {
                held.push(connection);
                refused = 0;
            }
            None => refused += 1,
        }
    }
    Ok(held)
}
