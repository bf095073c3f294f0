//! The table of raw requests (`crates/reference/requests`) against the executable: what is good is seen by the application
//! as the table says, what is bad is refused, and nobody sees it. A row is told to have failed with all the others that did.

mod judge;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use stack_reference::{Limits, Part, Row, table};

use crate::harness::{Authority, Connection, Server, Stack, serve};

/// Rows that are tried at the same time.
const LANES: usize = 16;

/// A server whose limits are those of the table.
fn recording(arguments: &[&str]) -> Stack {
    let max_body_size = Limits::TABLE.body.to_string();
    let stack = serve("recording", &["--threads", "4", "--access-log", "off", "--max-body-size", &max_body_size]);
    stack.arguments(arguments)
}

/// Tries all rows, each on a connection of its own, and insists that all hold.
fn assert_all_hold(server: &Server, rows: &[Row], connect: impl Fn() -> Connection + Sync) {
    let ask = |target: &str| connect().get(target).expect(200);
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // The client panics where it can not make sense of an answer: that is this row's failure.
                    let outcome = catch_unwind(AssertUnwindSafe(|| judge::try_row(server, row, connect(), &ask)));
                    let what = match outcome {
                        Ok(Ok(())) => continue,
                        Ok(Err(what)) => what,
                        Err(_) => "an answer that can not be read".to_owned(),
                    };
                    wrong.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{}: {what}", row.name));
                }
            });
        }
    });
    let mut wrong = wrong.into_inner().unwrap_or_else(PoisonError::into_inner);
    wrong.sort();
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

/// The same row, its bytes sent one by one.
fn in_single_bytes(row: Row) -> Row {
    let single = |part| match part {
        Part::Bytes(bytes) => bytes.into_iter().map(|byte| Part::Bytes(vec![byte])).collect(),
        other => vec![other],
    };
    Row { parts: row.parts.into_iter().flat_map(single).collect(), ..row }
}

#[test]
fn every_row_of_the_table_holds() {
    let server = recording(&[]).server();
    assert_all_hold(&server, &table(), || server.connect());
    server.stop();
}

#[test]
fn every_row_holds_when_it_arrives_in_single_bytes() {
    let server = recording(&[]).server();
    let rows = table().into_iter().filter(|row| row.bytes().len() < 400).map(in_single_bytes);
    assert_all_hold(&server, &rows.collect::<Vec<_>>(), || server.connect());
    server.stop();
}

#[test]
fn every_row_holds_over_tls() {
    let authority = Authority::new("root");
    let pair = authority.sign("site", &["localhost"]);
    let stack = recording(&["--tls-cert", "site.pem", "--tls-key", "site.key"]);
    let server = stack.file("site.pem", &pair.certificate).file("site.key", &pair.key).server();
    let trust = authority.client(None);
    assert_all_hold(&server, &table(), || Connection::tls(server.address(), "localhost", &trust).unwrap());
    server.stop();
}
