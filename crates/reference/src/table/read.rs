//! Reads the text of a table.

use super::{Outcome, Part, Row, Seen, TableError, escape::unescape};

/// Reads the rows of one file.
pub fn parse(file: &str, text: &str) -> Result<Vec<Row>, TableError> {
    let mut rows: Vec<Row> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let outcome = if let Some(name) = line.strip_prefix("## ") {
            rows.push(Row {
                name: name.to_owned(),
                reason: String::new(),
                parts: Vec::new(),
                outcomes: Vec::new(),
                closes: false,
            });
            Ok(())
        } else {
            match rows.last_mut() {
                // Before the first row stands what the file is about.
                None => {
                    if line.is_empty() || line.starts_with("# ") {
                        Ok(())
                    } else {
                        Err("no row has begun")
                    }
                }
                Some(row) => read_line(row, line),
            }
        };
        outcome.map_err(|what| TableError { file: file.to_owned(), line: index + 1, what })?;
    }
    let incomplete = rows.iter().find(|row| row.parts.is_empty() || row.outcomes.is_empty() || row.reason.is_empty());
    match incomplete {
        None => Ok(rows.into_iter().map(complete).collect()),
        Some(row) => {
            let line = text.lines().position(|line| line == format!("## {}", row.name)).unwrap_or(0) + 1;
            Err(TableError {
                file: file.to_owned(),
                line,
                what: "a row without a reason, without bytes or without an outcome",
            })
        }
    }
}

fn read_line(row: &mut Row, line: &str) -> Result<(), &'static str> {
    if line.trim_end() != line {
        return Err("white space at the end needs an escape");
    }
    let (mark, rest) = line.split_at_checked(1).unwrap_or(("", ""));
    let text = rest.strip_prefix(' ').unwrap_or(rest);
    match mark {
        "" => Ok(()),
        "#" => {
            if !row.reason.is_empty() {
                row.reason.push(' ');
            }
            row.reason.push_str(text);
            Ok(())
        }
        ">" => match rest.strip_prefix('*') {
            None => send(row, [unescape(text, 1)?, b"\r\n".to_vec()].concat()),
            Some(repeated) => {
                let (times, line) = repeated.split_once(' ').ok_or(">* is >*N LINE")?;
                let times: usize = times.parse().map_err(|_| ">* is >*N LINE")?;
                for number in 1..=times {
                    send(row, [unescape(line, number)?, b"\r\n".to_vec()].concat())?;
                }
                Ok(())
            }
        },
        "|" => send(row, unescape(text, 1)?),
        "~" if text.is_empty() => add_part(row, Part::Read),
        "~" => add_part(row, Part::Interim(text.parse().map_err(|_| "~ waits for a status")?)),
        "<" => match text.strip_prefix("  ") {
            Some(variable) => read_variable(row, variable),
            None => read_outcome(row, text),
        },
        _ => Err("a line begins with #, >, |, ~ or <"),
    }
}

fn send(row: &mut Row, bytes: Vec<u8>) -> Result<(), &'static str> {
    add_part(row, Part::Bytes(bytes))
}

fn add_part(row: &mut Row, part: Part) -> Result<(), &'static str> {
    if !row.outcomes.is_empty() {
        return Err("what is sent stands before what comes of it");
    }
    match (row.parts.last_mut(), part) {
        (Some(Part::Bytes(last)), Part::Bytes(bytes)) => last.extend(bytes),
        (_, part) => row.parts.push(part),
    }
    Ok(())
}

fn read_outcome(row: &mut Row, text: &str) -> Result<(), &'static str> {
    if row.closes || matches!(row.outcomes.last(), Some(Outcome::Refused(_) | Outcome::Cut)) {
        return Err("nothing comes after the end of the connection");
    }
    let words = words(text);
    let status = |word: &&str| word.parse().map_err(|_| "not a status");
    let outcome = match words[..] {
        ["closes"] => {
            row.closes = true;
            return Ok(());
        }
        ["cut"] => Outcome::Cut,
        ["answered", word] => Outcome::Answered(status(&word)?),
        [method, target, protocol] if protocol.starts_with("HTTP/") => seen(method, target, protocol)?,
        _ => Outcome::Refused(words.iter().map(status).collect::<Result<_, _>>()?),
    };
    row.outcomes.push(outcome);
    Ok(())
}

/// Splits at spaces that are not inside of `\(N x TEXT)`.
fn words(text: &str) -> Vec<&str> {
    let mut is_repeated = false;
    let at_space = move |letter: char| {
        is_repeated = if is_repeated { letter != ')' } else { letter == '(' };
        letter == ' ' && !is_repeated
    };
    text.split(at_space).collect()
}

fn seen(method: &str, target: &str, protocol: &str) -> Result<Outcome, &'static str> {
    let method = String::from_utf8(unescape(method, 1)?).map_err(|_| "a method is ASCII")?;
    let target = unescape(target, 1)?;
    let mut halves = target.splitn(2, |&byte| byte == b'?');
    let path = halves.next().unwrap_or_default().to_vec();
    let query = halves.next().unwrap_or_default().to_vec();
    Ok(Outcome::Seen(Seen {
        method,
        protocol: protocol.to_owned(),
        path,
        query,
        content_type: None,
        content_length: None,
        fields: vec![("HTTP_HOST".to_owned(), b"a".to_vec())],
        body: Vec::new(),
        target,
    }))
}

fn read_variable(row: &mut Row, text: &str) -> Result<(), &'static str> {
    let Some(Outcome::Seen(seen)) = row.outcomes.last_mut() else {
        return Err("a variable belongs to a request that is seen");
    };
    let name = words(text)[0];
    let text = text[name.len()..].strip_prefix(' ').unwrap_or("");
    let name = String::from_utf8(unescape(name, 1)?).map_err(|_| "a name is ASCII")?;
    let value = unescape(text, 1)?;
    match name.as_str() {
        "PATH_INFO" => seen.path = value,
        "QUERY_STRING" => seen.query = value,
        "CONTENT_TYPE" => seen.content_type = Some(value),
        "CONTENT_LENGTH" => seen.content_length = Some(value),
        "body" => seen.body = value,
        _ if name.starts_with("HTTP_") => {
            seen.fields.retain(|(known, _)| *known != name);
            if text != "-" {
                seen.fields.push((name, value));
            }
        }
        _ => return Err("not a variable that the table knows"),
    }
    Ok(())
}

/// Adds what goes without saying.
fn complete(mut row: Row) -> Row {
    for outcome in &mut row.outcomes {
        if let Outcome::Seen(seen) = outcome {
            if !seen.body.is_empty() && seen.content_length.is_none() {
                seen.content_length = Some(seen.body.len().to_string().into_bytes());
            }
            seen.fields.sort();
        }
    }
    row
}
