//! Tries one row.

use std::io;

use serde_json::{Value, json};
use stack_reference::{Outcome, Part, Row, Seen};

use crate::harness::{Connection, Response, Server};

/// Sent behind each row. It is answered where the connection goes on, and must not be where it does not.
const PROBE: &[u8] = b"GET /probe HTTP/1.1\r\nHost: probe\r\n\r\n";

/// What is wrong with how the server treats it, if anything. `ask` sends a request on a connection of its own.
pub(super) fn try_row(
    server: &Server,
    row: &Row,
    mut connection: Connection,
    ask: &impl Fn(&str) -> Response,
) -> Result<(), String> {
    let port = connection.port();
    send(server, row, &mut connection)?;
    let last = row.outcomes.last().expect("a row has an outcome");
    for outcome in &row.outcomes {
        answer(outcome, &mut connection).map_err(|what| format!("{what}, not {outcome:?}"))?;
    }
    let goes_on = row.is_good() && !row.closes;
    if goes_on {
        connection.send(PROBE);
        let response = connection.response("GET").map_err(|error| format!("the next request: {error}"))?;
        if response.status != 200 {
            return Err(format!("the next request: {}", response.status));
        }
    } else {
        // A probe behind a request that never ends would be the rest of it.
        if *last == Outcome::Cut {
            connection.shut_down_sending();
        }
        let rest = connection.rest();
        // A text that goes with the status is none of another response.
        if rest.windows(7).any(|window| window == b"HTTP/1.") && *last != Outcome::Cut {
            return Err(format!("goes on: {}", String::from_utf8_lossy(&rest)));
        }
    }
    let recorded = ask(&format!("/recorded/{port}")).json();
    let seen = row.outcomes.iter().filter_map(|outcome| match outcome {
        Outcome::Seen(seen) => Some(as_json(seen)),
        Outcome::Answered(_) | Outcome::Refused(_) | Outcome::Cut => None,
    });
    let expected: Vec<Value> = seen.chain(goes_on.then(probe)).collect();
    if recorded == Value::Array(expected.clone()) {
        return Ok(());
    }
    Err(format!("the application saw {recorded}\n    and not {}", Value::Array(expected)))
}

fn send(server: &Server, row: &Row, connection: &mut Connection) -> Result<(), String> {
    let is_alone = (row.is_good() && !row.closes) || row.outcomes.last() == Some(&Outcome::Cut);
    for (index, part) in row.parts.iter().enumerate() {
        match part {
            // In one call with the last of the row, so that it is there before the row is refused.
            Part::Bytes(bytes) if index + 1 == row.parts.len() && !is_alone => connection.send([bytes, PROBE].concat()),
            Part::Bytes(bytes) => connection.send(bytes),
            Part::Read => server.wait_until_read(connection.port()),
            Part::Interim(status) => {
                let interim = connection.response_head().map_err(|error| format!("interim response: {error}"))?;
                if interim.status != *status {
                    return Err(format!("{} for an interim response", interim.status));
                }
            }
        }
    }
    Ok(())
}

/// Reads what comes for one request.
fn answer(outcome: &Outcome, connection: &mut Connection) -> Result<(), String> {
    match outcome {
        Outcome::Seen(seen) => {
            let response = final_response(connection, &seen.method).map_err(|error| error.to_string())?;
            if response.status == 200 { Ok(()) } else { Err(response.status.to_string()) }
        }
        Outcome::Answered(status) => {
            let response = final_response(connection, "OPTIONS").map_err(|error| error.to_string())?;
            if response.status == *status { Ok(()) } else { Err(response.status.to_string()) }
        }
        Outcome::Refused(statuses) => {
            let head = connection.response_head().map_err(|error| error.to_string())?;
            if !statuses.contains(&head.status) {
                return Err(head.status.to_string());
            }
            if head.closes() { Ok(()) } else { Err(format!("{} without Connection: close", head.status)) }
        }
        // Whether it is answered or not: the connection's end is what counts.
        Outcome::Cut => Ok(()),
    }
}

/// The response behind the interim ones (RFC 9110 §15.2).
fn final_response(connection: &mut Connection, method: &str) -> io::Result<Response> {
    loop {
        let response = connection.response(method)?;
        if response.status >= 200 {
            return Ok(response);
        }
    }
}

fn probe() -> Value {
    json!({
        "method": "GET", "target": "/probe", "protocol": "HTTP/1.1", "path": "/probe", "query": "",
        "content_type": null, "content_length": null, "fields": {"HTTP_HOST": "probe"}, "body": "",
    })
}

/// As `tests/apps/wsgi/recording.py` tells it.
fn as_json(seen: &Seen) -> Value {
    let Seen { method, target, protocol, path, query, content_type, content_length, fields, body } = seen;
    let text = |bytes: &[u8]| bytes.iter().copied().map(char::from).collect::<String>();
    let optional = |bytes: &Option<Vec<u8>>| bytes.as_deref().map(text);
    let fields = fields.iter().map(|(name, value)| (name.clone(), Value::from(text(value))));
    json!({
        "method": method, "target": text(target), "protocol": protocol, "path": text(path), "query": text(query),
        "content_type": optional(content_type), "content_length": optional(content_length),
        "fields": fields.collect::<serde_json::Map<_, _>>(), "body": text(body),
    })
}
