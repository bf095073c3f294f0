use std::collections::BTreeMap;

use super::*;
use crate::{Conversation, End, Limits, conversation};

#[test]
fn rows_are_read() {
    let text = "# About.\n\n## one\n# Why,\n# and why else.\n> GET /\\x41\\(2 x b) HTTP/1.1\n~\n>*2 X-\\#: y\\s\n>\n| abc\n\
                < GET /Abb?q HTTP/1.1\n<   HTTP_HOST -\n<   HTTP_X_1 y\n<   HTTP_X_2 y\n<   body abc\n< 400 413\n";
    let rows = parse("x.txt", text).unwrap();
    assert_eq!(rows[0].reason, "Why, and why else.");
    assert_eq!(rows[0].parts[0], Part::Bytes(b"GET /Abb HTTP/1.1\r\n".to_vec()));
    assert_eq!(rows[0].parts[1..], [Part::Read, Part::Bytes(b"X-1: y \r\nX-2: y \r\n\r\nabc".to_vec())]);
    let Outcome::Seen(seen) = &rows[0].outcomes[0] else { panic!("{rows:?}") };
    assert_eq!((seen.path.as_slice(), seen.query.as_slice()), (&b"/Abb"[..], &b"q"[..]));
    assert_eq!(seen.content_length.as_deref(), Some(&b"3"[..]));
    assert_eq!(seen.fields.len(), 2);
    assert_eq!(rows[0].outcomes[1], Outcome::Refused(vec![400, 413]));
}

#[test]
fn what_can_not_be_read_is_named_by_its_line() {
    for (text, line) in [
        ("> GET", 1),
        ("## a\n> x \n< 400\n", 2),
        ("## a\n> \\q\n< 400\n", 2),
        ("## a\n> caf\u{e9}\n< 400\n", 2),
        ("## a\n# b\n> x\n< 400\n> y\n", 5),
        ("## a\n# b\n> x\n< 400\n< 400\n", 5),
        ("## a\n# b\n> x\n", 1),
        ("## a\n> x\n< 400\n", 1),
    ] {
        assert_eq!(parse("x.txt", text).map_err(|error| error.line), Err(line), "{text:?}");
    }
}

#[test]
fn the_table_is_as_large_as_it_claims() {
    let rows = table();
    let good = rows.iter().filter(|row| row.is_good()).count();
    assert!(rows.len() - good >= 220, "{} bad rows", rows.len() - good);
    assert!(good >= 110, "{good} good rows");
    let mut names = BTreeMap::<_, usize>::new();
    for row in &rows {
        *names.entry(&row.name).or_default() += 1;
    }
    names.retain(|_, times| *times > 1);
    assert!(names.is_empty(), "names that stand twice: {names:?}");
}

#[test]
fn the_parser_agrees_with_every_row() {
    let wrong: Vec<_> =
        table().iter().filter_map(|row| disagreement(row).map(|what| format!("{}: {what}", row.name))).collect();
    assert!(wrong.is_empty(), "{} rows:\n{}", wrong.len(), wrong.join("\n"));
}

fn disagreement(row: &Row) -> Option<String> {
    let Conversation { requests, end } = conversation(&row.bytes(), &Limits::TABLE);
    let expected = row.outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Seen(_) | Outcome::Answered(_)));
    if expected.clone().count() != requests.len() {
        return Some(format!("{} requests, then {end:?}", requests.len()));
    }
    for (request, outcome) in requests.iter().zip(expected) {
        if let Outcome::Seen(seen) = outcome
            && request.seen() != *seen
        {
            return Some(format!("{:?}\nis not {seen:?}", request.seen()));
        }
    }
    let agrees = match (row.outcomes.last().unwrap(), &end) {
        (Outcome::Refused(statuses), End::Refused(status)) => statuses.contains(status),
        (Outcome::Cut, End::Cut) => true,
        (Outcome::Seen(_) | Outcome::Answered(_), End::Open) => !row.closes,
        (Outcome::Seen(_) | Outcome::Answered(_), End::Closed) => row.closes,
        _ => false,
    };
    if agrees { None } else { Some(format!("ends with {end:?}")) }
}
