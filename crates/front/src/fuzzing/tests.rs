//! The front's reading of requests against another one: over the table of raw requests, and over what a mutator makes of it.

use stack_reference::{Limits, Mutator, Row, agree, table};

use super::*;

/// Requests that are made of those of the table.
const MUTATED: usize = 3000;

pub(super) fn talk() -> Talk {
    Talk::new(&[("max_body_size", "16384"), ("body_buffer_size", "16384")])
}

fn disagreement(talk: &Talk, pieces: &[&[u8]]) -> Option<String> {
    let Heard { asked, statuses } = talk.converse(pieces);
    let asked: Vec<_> = asked.into_iter().map(as_reference).collect();
    let bytes = pieces.concat();
    let what = agree(&bytes, &Limits::TABLE, &asked, &statuses).err()?;
    Some(format!("{:?}: {what}", String::from_utf8_lossy(&bytes[..bytes.len().min(2000)])))
}

fn as_reference(asked: Asked) -> stack_reference::Asked {
    let Asked { method, target, minor, fields, body } = asked;
    stack_reference::Asked { method, target, minor, fields, body }
}

/// Cut at places that are easy to get wrong: anywhere.
fn pieces<'a>(mutator: &mut Mutator, bytes: &'a [u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() && pieces.len() < 8 {
        let (piece, behind) = rest.split_at(1 + mutator.below(rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    pieces.push(rest);
    pieces
}

#[test]
fn both_readings_of_the_table_agree() {
    let talk = talk();
    let wrong: Vec<_> = table().iter().filter_map(|row| disagreement(&talk, &[&row.bytes()])).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn both_readings_agree_in_single_bytes() {
    let talk = talk();
    let rows = table().into_iter().map(|row| row.bytes()).filter(|bytes| bytes.len() < 300);
    let wrong: Vec<_> = rows.filter_map(|bytes| disagreement(&talk, &bytes.chunks(1).collect::<Vec<_>>())).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn both_readings_of_mutated_requests_agree() {
    let talk = talk();
    let rows: Vec<_> = table().iter().map(Row::bytes).filter(|bytes| bytes.len() < 2000).collect();
    let mut mutator = Mutator::new(20);
    let mut wrong = Vec::new();
    for number in 0..MUTATED {
        let mut bytes = rows[number % rows.len()].clone();
        let other = &rows[mutator.below(rows.len())];
        mutator.mutate(&mut bytes, other);
        wrong.extend(disagreement(&talk, &pieces(&mut mutator, &bytes)));
    }
    assert!(wrong.is_empty(), "{} of {MUTATED}:\n{}", wrong.len(), wrong.join("\n"));
}
