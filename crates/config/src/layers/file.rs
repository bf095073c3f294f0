//! The TOML file: its values, and the line of each.

mod tables;

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
    error::{Problem, Reason, SiteReason},
    keys::{self, Key, site},
    origin::Origin,
};

/// The name of the sections that are sites.
const SITE: &str = "site";

/// Lines of values: by key, and by place in an array.
type Lines = BTreeMap<(&'static str, usize), usize>;

/// The file, read and searched for unknown keys.
#[derive(Debug)]
pub(crate) struct File {
    /// As it was named, for messages.
    path: PathBuf,
    /// Where its relative paths begin, absolute.
    pub(crate) directory: PathBuf,
    pub(crate) values: Dict,
    lines: Lines,
    /// The `[[site]]` sections, in order.
    pub(crate) sites: Vec<SiteSection>,
}

/// A `[[site]]` section of the file.
#[derive(Debug)]
pub(crate) struct SiteSection {
    pub(crate) values: Dict,
    path: PathBuf,
    /// Where it begins.
    line: usize,
    lines: Lines,
}

impl SiteSection {
    /// Where the value of `key` is, or the one at `index` of its array; where the section begins, if it has none.
    pub(crate) fn origin(&self, key: &str, index: usize) -> Origin {
        Origin::File { path: self.path.clone(), line: line_of_value(&self.lines, key, index).unwrap_or(self.line) }
    }

    /// Where the section begins.
    pub(crate) fn start(&self) -> Origin {
        Origin::File { path: self.path.clone(), line: self.line }
    }
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
        let mut file =
            Self { path: path.to_path_buf(), directory, values: Dict::new(), lines: Lines::new(), sites: Vec::new() };
        let mut reader = Reader { path, text: &text, problems };
        match DeTable::parse(&text) {
            Ok(table) => reader.read(&mut file, table.get_ref()),
            Err(error) => {
                reader.syntax_error(&error);
                reader.rescue(&mut file);
            }
        }
        Ok(file)
    }

    /// Where the value of `key` is, or the one at `index` of its array.
    pub(crate) fn origin(&self, key: &str, index: usize) -> Origin {
        let line = line_of_value(&self.lines, key, index).unwrap_or(1);
        Origin::File { path: self.path.clone(), line }
    }
}

fn line_of_value(lines: &Lines, key: &str, index: usize) -> Option<usize> {
    lines.iter().find(|((name, at), _)| *name == key && *at == index).map(|(_, line)| *line)
}

/// Takes tables apart.
struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn read(&mut self, file: &mut File, table: &DeTable<'_>) {
        for (name, value) in table {
            let line = self.line(name.span().start);
            match name.get_ref().as_ref() {
                SITE => self.sites(file, value, line),
                name => self.entry(name, value, line, keys::find(name), (&mut file.values, &mut file.lines), |name| {
                    Key::nearest(name).map(|key| key.name)
                }),
            }
        }
    }

    /// Takes from a file that is no TOML what finds the server that runs: who wants to stop that need not mend the file first.
    fn rescue(&mut self, file: &mut File) {
        let (table, _errors) = DeTable::parse_recoverable(self.text);
        let key = keys::find("control_socket").expect("in the table");
        let found = table.get_ref().iter().find(|(name, _)| name.get_ref().as_ref() == key.name);
        if let Some((name, value)) = found {
            let line = self.line(name.span().start);
            self.entry(key.name, value, line, Some(key), (&mut file.values, &mut file.lines), |_| None);
        }
    }

    fn sites(&mut self, file: &mut File, value: &Spanned<DeValue<'_>>, line: usize) {
        let DeValue::Array(sections) = value.get_ref() else {
            return self.report(line, SITE, SiteReason::NotSections.into());
        };
        for section in sections {
            let line = self.line(section.span().start);
            let DeValue::Table(table) = section.get_ref() else {
                self.report(line, SITE, SiteReason::NotSections.into());
                continue;
            };
            let mut site =
                SiteSection { values: Dict::new(), path: self.path.to_path_buf(), line, lines: Lines::new() };
            for (name, value) in table {
                let line = self.line(name.span().start);
                let name = name.get_ref().as_ref();
                let nearest = |name: &str| site::nearest(name).map(|key| key.name);
                match keys::find(name) {
                    Some(_) if site::find(name).is_none() => {
                        self.report(line, name, SiteReason::NotInSite.into());
                    }
                    _ => {
                        let into = (&mut site.values, &mut site.lines);
                        self.entry(name, value, line, site::find(name), into, nearest);
                    }
                }
            }
            file.sites.push(site);
        }
    }

    /// Takes over one `name = value`.
    fn entry(
        &mut self,
        name: &str,
        value: &Spanned<DeValue<'_>>,
        line: usize,
        key: Option<&'static Key>,
        (values, lines): (&mut Dict, &mut Lines),
        nearest: impl Fn(&str) -> Option<&'static str>,
    ) {
        let Some(key) = key else {
            return self.report(line, name, unknown(nearest(name), value.get_ref()));
        };
        if !key.in_file {
            return self.report(line, name, Reason::NotInFile);
        }
        match self.value(key, value, lines) {
            Ok(value) => {
                values.insert(name.to_owned(), value);
            }
            Err((offset, reason)) => self.report(self.line(offset), name, reason),
        }
    }

    /// Takes over the value of a key and notes its lines, or says what form it has in place of the right one.
    fn value(
        &mut self,
        key: &'static Key,
        value: &Spanned<DeValue<'_>>,
        lines: &mut Lines,
    ) -> Result<Value, (usize, Reason)> {
        let start = value.span().start;
        lines.insert((key.name, 0), self.line(start));
        if !key.repeatable {
            return scalar(value.get_ref()).ok_or_else(|| (start, form("one value", value.get_ref())));
        }
        let mut texts = Vec::new();
        match value.get_ref() {
            DeValue::Array(array) => {
                for element in array {
                    tables::texts(key, element, "text", &mut texts)?;
                }
            }
            DeValue::Table(_) => tables::texts(key, value, "text or an array of texts", &mut texts)?,
            single => {
                return scalar(single).ok_or_else(|| (start, form("text or an array of texts", single)));
            }
        }
        for (index, (offset, _)) in texts.iter().enumerate() {
            lines.insert((key.name, index), self.line(*offset));
        }
        Ok(texts.into_iter().map(|(_, value)| value).collect::<Vec<_>>().into())
    }

    fn line(&self, offset: usize) -> usize {
        line_of(self.text, offset)
    }

    fn report(&mut self, line: usize, name: &str, reason: Reason) {
        let origin = Origin::File { path: self.path.to_path_buf(), line };
        self.problems.push(Problem::with_name(origin, name, reason));
    }

    fn syntax_error(&mut self, error: &toml::de::Error) {
        let offset = error.span().map_or(self.text.len(), |span| span.start.min(self.text.len()));
        let before = self.text.get(..offset).unwrap_or(self.text);
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let message = error.message().replace('\n', "; ");
        self.report(self.line(offset), "", Reason::Syntax { column, message });
    }
}

fn unknown(nearest: Option<&str>, value: &DeValue<'_>) -> Reason {
    match nearest {
        Some(name) => Reason::UnknownKey { nearest: Some(name.to_owned()) },
        None if value.is_table() => Reason::Table,
        // Only one key has a list of tables and nothing else.
        None if is_list_of_tables(value) => Reason::UnknownKey { nearest: Some("[[site]]".to_owned()) },
        None => Reason::UnknownKey { nearest: None },
    }
}

fn is_list_of_tables(value: &DeValue<'_>) -> bool {
    matches!(value, DeValue::Array(array) if array.iter().next().is_some_and(|first| first.get_ref().is_table()))
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
                "stack.toml:1: `threads`: an array in place of one value\n    hint: write a single one",
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
    fn a_file_with_a_syntax_error_still_names_the_control_socket() {
        let (file, problems) = read("app = \"app\"\nworkers = = 4\ncontrol_socket = \"a.sock\"\n");
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(file.values.keys().collect::<Vec<_>>(), ["control_socket"]);
        assert_eq!(file.origin("control_socket", 0).to_string(), "stack.toml:3");
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
