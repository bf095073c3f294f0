//! The TOML file: its values, and the line of each.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use figment::value::{Dict, Value};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    error::{Problem, Reason},
    keys::{self, Key},
    origin::Origin,
};

/// The file, read and searched for unknown keys.
#[derive(Debug)]
pub(crate) struct File {
    /// As it was named, for messages.
    path: PathBuf,
    /// Where its relative paths begin, absolute.
    pub(crate) directory: PathBuf,
    pub(crate) values: Dict,
    /// By key, and by place in an array.
    lines: BTreeMap<(&'static str, usize), usize>,
}

impl File {
    /// Reads `path`, which is relative to `current_dir`. What is wrong with the file as such is the error; what is wrong
    /// with one of its keys goes to `problems`, and the key is left out.
    pub(crate) fn read(path: &Path, current_dir: &Path, problems: &mut Vec<Problem>) -> Result<Self, Reason> {
        let absolute = current_dir.join(path);
        let text = fs::read_to_string(&absolute).map_err(|error| Reason::Path {
            what: "can not read",
            path: absolute.clone(),
            error,
        })?;
        let directory = absolute.parent().unwrap_or(current_dir).to_path_buf();
        let mut file = Self { path: path.to_path_buf(), directory, values: Dict::new(), lines: BTreeMap::new() };
        match DeTable::parse(&text) {
            Ok(table) => file.fill(table.get_ref(), &text, problems),
            Err(error) => problems.push(file.syntax_error(&error, &text)),
        }
        Ok(file)
    }

    /// Where the value of `key` is, or the one at `index` of its array.
    pub(crate) fn origin(&self, key: &str, index: usize) -> Origin {
        let line = self.lines.iter().find(|((name, at), _)| *name == key && *at == index).map_or(1, |(_, line)| *line);
        self.at(line)
    }

    fn at(&self, line: usize) -> Origin {
        Origin::File { path: self.path.clone(), line }
    }

    fn fill(&mut self, table: &DeTable<'_>, text: &str, problems: &mut Vec<Problem>) {
        for (name, value) in table {
            let name_origin = self.at(line_of(text, name.span().start));
            let name = name.get_ref().as_ref();
            let Some(key) = keys::find(name) else {
                problems.push(Problem::with_name(name_origin, name, unknown(name, value.get_ref())));
                continue;
            };
            if !key.in_file {
                problems.push(Problem::with_name(name_origin, name, Reason::NotInFile));
                continue;
            }
            match self.value(key, value, text) {
                Ok(value) => {
                    self.values.insert(name.to_owned(), value);
                }
                Err((offset, reason)) => {
                    problems.push(Problem::with_name(self.at(line_of(text, offset)), name, reason));
                }
            }
        }
    }

    /// Takes over the value of a key and notes its lines, or says what form it has in place of the right one.
    fn value(&mut self, key: &'static Key, value: &Spanned<DeValue<'_>>, text: &str) -> Result<Value, (usize, Reason)> {
        let start = value.span().start;
        self.lines.insert((key.name, 0), line_of(text, start));
        let DeValue::Array(array) = value.get_ref() else {
            let wanted = if key.repeatable { "text or an array of texts" } else { "one value" };
            return scalar(value.get_ref()).ok_or((start, form(wanted, value.get_ref())));
        };
        if !key.repeatable {
            return Err((start, form("one value", value.get_ref())));
        }
        let mut values = Vec::with_capacity(array.len());
        for (index, element) in array.iter().enumerate() {
            let start = element.span().start;
            self.lines.insert((key.name, index), line_of(text, start));
            values.push(scalar(element.get_ref()).ok_or((start, form("text", element.get_ref())))?);
        }
        Ok(values.into())
    }

    fn syntax_error(&self, error: &toml::de::Error, text: &str) -> Problem {
        let offset = error.span().map_or(text.len(), |span| span.start.min(text.len()));
        let before = text.get(..offset).unwrap_or(text);
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let message = error.message().replace('\n', "; ");
        Problem::with_name(self.at(line_of(text, offset)), "", Reason::Syntax { column, message })
    }
}

fn unknown(name: &str, value: &DeValue<'_>) -> Reason {
    match Key::nearest(name) {
        Some(key) => Reason::UnknownKey { nearest: Some(key.name.to_owned()) },
        None if value.is_table() => Reason::Table,
        None => Reason::UnknownKey { nearest: None },
    }
}

fn form(wanted: &'static str, found: &DeValue<'_>) -> Reason {
    let found = match found {
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
        DeValue::Datetime(_) => "a date without quotes",
        DeValue::String(_) | DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) => "a value",
    };
    Reason::Form { wanted, found }
}

fn scalar(value: &DeValue<'_>) -> Option<Value> {
    Some(match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) => Value::from(number),
            Err(_) => Value::from(integer.as_str()),
        },
        DeValue::Float(float) => Value::from(float.as_str()),
        DeValue::Boolean(boolean) => Value::from(*boolean),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => return None,
    })
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Errors;

    fn read(text: &str) -> (File, Vec<String>) {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("stack.toml"), text).unwrap();
        let mut problems = Vec::new();
        let file = File::read(Path::new("stack.toml"), directory.path(), &mut problems).unwrap();
        let errors = Errors::sorted(problems);
        (file, errors.problems().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_value_has_the_line_it_stands_on() {
        let (file, problems) = read("# comment\r\n\r\nworkers = 4\r\n\r\napp = \"\"\"\r\napp\"\"\"\r\n");
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(file.origin("workers", 0).to_string(), "stack.toml:3");
        assert_eq!(file.origin("app", 0).to_string(), "stack.toml:5");
    }

    #[test]
    fn every_value_of_an_array_has_its_own_line() {
        let (file, problems) = read("bind = [\n  # first\n  \":8000\",\n\n  \":8001\", \":8002\",\n]\nstatic = []\n");
        assert!(problems.is_empty(), "{problems:?}");
        let lines: Vec<_> = (0..3).map(|index| file.origin("bind", index).to_string()).collect();
        assert_eq!(lines, ["stack.toml:3", "stack.toml:5", "stack.toml:5"]);
        assert_eq!(file.origin("static", 0).to_string(), "stack.toml:7");
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_the_nearest_key() {
        let (_, problems) = read("\n\nworker = 4\n");
        assert_eq!(problems, ["stack.toml:3: `worker`: no such key\n    hint: did you mean `workers`?"]);
    }

    #[test]
    fn a_table_is_refused_with_its_line() {
        let (_, problems) = read("app = \"app\"\n\n[server]\nworkers = 4\n");
        assert!(
            problems[0].starts_with("stack.toml:3: `server`: a table; keys stand at the top level"),
            "{problems:?}"
        );
    }

    #[test]
    fn a_value_of_the_wrong_form_is_named_with_its_own_line() {
        let (file, problems) =
            read("threads = [\n 1 ]\nbind = [\n  \":1\",\n  { port = 1 },\n]\nstatic = 1979-05-27\n");
        assert_eq!(
            problems,
            [
                "stack.toml:1: `threads`: an array in place of one value\n    hint: only these take several values: bind, static, trusted_proxies, allow, deny, admin_bind",
                "stack.toml:5: `bind`: a table in place of text\n    hint: write text in quotes or a number",
                "stack.toml:7: `static`: a date without quotes in place of text or an array of texts\n    \
                 hint: write text in quotes or a number",
            ]
        );
        assert!(file.values.is_empty());
    }

    #[test]
    fn a_syntax_error_has_line_and_column() {
        let (_, problems) = read("app = \"app\"\nworkers = = 4\n");
        assert!(problems[0].starts_with("stack.toml:2:11: "), "{problems:?}");
        let (_, problems) = read("app = \"a\"\nthreads = 1\napp = \"b\"\n");
        assert!(problems[0].starts_with("stack.toml:3:"), "{problems:?}");
    }

    #[test]
    fn the_file_can_not_name_another_file() {
        let (_, problems) = read("config = \"other.toml\"\n");
        assert!(problems[0].starts_with("stack.toml:1: `config`: not to be set in the file"), "{problems:?}");
    }

    #[test]
    fn a_file_that_can_not_be_read_is_an_error() {
        let reason = File::read(Path::new("nowhere.toml"), Path::new("/work"), &mut Vec::new()).unwrap_err();
        assert!(reason.to_string().starts_with("can not read /work/nowhere.toml: "), "{reason}");
    }
}
