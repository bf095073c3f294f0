//! `env_file`: variables for the application, in dotenv format.

use std::{
    cell::Cell,
    fs,
    io::{self, Read},
    path::Path,
    rc::Rc,
};

use crate::error::Reason;

/// The variables in the file, in order, without those that are in `environment` already: the real environment wins.
pub(super) fn read(path: &Path, environment: &[(String, String)]) -> Result<Vec<(String, String)>, Reason> {
    let unreadable = |error| Reason::Path { what: "can not read", path: path.to_path_buf(), error };
    let mut text = fs::read_to_string(path).map_err(unreadable)?;
    let refused = |line, message: &str| Reason::EnvFile { path: path.to_path_buf(), line, message: message.to_owned() };
    if let Some(offset) = text.find('\0') {
        return Err(refused(text[..offset].matches('\n').count() + 1, "a zero byte"));
    }
    // dotenvy takes a blank at the end of the last line for an open quote.
    text.push('\n');
    let read = Rc::new(Cell::new(0));
    let lines = Lines { text: text.trim_start_matches('\u{feff}').as_bytes(), read: Rc::clone(&read) };
    let mut variables: Vec<(String, String)> = Vec::new();
    for item in dotenvy::from_read_iter(lines) {
        let (name, value) = item.map_err(|error| match error {
            // The text of the error is all lines of the assignment, and the last one of them is the last one read.
            dotenvy::Error::LineParse(text, _) => {
                let line = (read.get() + 1).saturating_sub(text.lines().count().max(1));
                let unclosed = text.ends_with('\n');
                refused(line, if unclosed { "a quote that is not closed" } else { "not an assignment" })
            }
            dotenvy::Error::Io(error) => unreadable(error),
            error => refused(read.get(), &error.to_string()),
        })?;
        // In a shell the last assignment counts.
        variables.retain(|(known, _)| *known != name);
        variables.push((name, value));
    }
    variables.retain(|(name, _)| !environment.iter().any(|(known, _)| known == name));
    Ok(variables)
}

/// Gives one line for each read, so that the count of lines is right whenever the parser stops.
struct Lines<'a> {
    text: &'a [u8],
    read: Rc<Cell<usize>>,
}

impl Read for Lines<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let line = self.text.iter().position(|byte| *byte == b'\n').map_or(self.text.len(), |end| end + 1);
        let count = line.min(into.len());
        into[..count].copy_from_slice(&self.text[..count]);
        self.text = &self.text[count..];
        if count > 0 && into[count - 1] == b'\n' {
            self.read.set(self.read.get() + 1);
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Setup, problem};

    fn variables(text: &str) -> Vec<(String, String)> {
        Setup::new().with_file(".env", text).flag("env_file", ".env").config().env
    }

    fn refusal(text: &str) -> String {
        problem(&Setup::new().with_file(".env", text).flag("env_file", ".env"))
    }

    #[test]
    fn variables_are_read_in_order() {
        let text = "\u{feff}# comment\nA=1\n\nexport B='two words' # why\nC=\"x\ny\"\nD= ";
        let expected = [("A", "1"), ("B", "two words"), ("C", "x\ny"), ("D", "")];
        assert_eq!(variables(text), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn the_last_assignment_of_a_name_counts() {
        assert_eq!(variables("A=1\nB=2\nA=3\n"), [("B".into(), "2".into()), ("A".into(), "3".into())]);
    }

    #[test]
    fn a_variable_of_the_real_environment_wins() {
        let setup = Setup::new().with_file(".env", "A=file\nB=file\n").flag("env_file", ".env");
        assert_eq!(setup.variable("A", "real").config().env, [("B".into(), "file".into())]);
    }

    #[test]
    fn a_line_that_is_no_assignment_is_named() {
        let text = refusal("A=1\n\n# comment\nthis is not one\nB=2\n");
        assert!(text.contains("/.env:4: not an assignment"), "{text}");
        let text = refusal("A=\"1\n2\n3\"\nB C=2\n");
        assert!(text.contains("/.env:4: not an assignment"), "{text}");
    }

    #[test]
    fn a_quote_that_is_not_closed_is_named_where_it_begins() {
        let text = refusal("A=1\nB=\"open\nC=3\n");
        assert!(text.contains("/.env:2: a quote that is not closed"), "{text}");
    }

    #[test]
    fn a_zero_byte_is_refused_with_its_line() {
        assert!(refusal("A=1\nB=\0\n").contains("/.env:2: a zero byte"));
    }

    #[test]
    fn a_file_that_is_not_there_is_refused() {
        let text = problem(&Setup::new().flag("env_file", "nowhere.env"));
        assert!(text.contains("can not read /") && text.contains("/nowhere.env"), "{text}");
    }
}
