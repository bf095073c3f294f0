//! What can be wrong with a configuration, in the words the user reads.
//!
//! A [`Problem`] names the key, the value, where it came from and a way out; [`Errors`] is all problems of one load, so
//! that nobody has to start the server once for each.

mod reason;
mod tls;

use std::fmt;

use crate::{keys::Key, origin::Origin};

pub use reason::{Reason, SiteReason};
pub use tls::TlsReason;

/// Everything that is wrong with a configuration: the file's problems from top to bottom, then the environment's, then
/// those of the flags. Never empty.
#[derive(Debug)]
pub struct Errors(Vec<Problem>);

impl Errors {
    pub(crate) fn sorted(mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| match &problem.origin {
            Origin::Default(_) => (0, 0),
            Origin::File { path: _, line } => (1, *line),
            Origin::Environment(_) => (2, 0),
            Origin::Flag(_) => (3, 0),
        });
        Self(problems)
    }

    /// The problems, one by one.
    pub fn problems(&self) -> &[Problem] {
        &self.0
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

/// One thing that is wrong. It is shown in two lines: what is wrong and where, and a hint.
#[derive(Debug)]
pub struct Problem {
    /// Where it is.
    pub origin: Origin,
    /// What is set there: a key, or what was taken for one; empty for a syntax error.
    pub name: String,
    /// The value; `None` where the name is wrong already.
    pub value: Option<String>,
    /// What is wrong.
    pub reason: Reason,
}

impl Problem {
    pub(crate) fn with_value(origin: Origin, key: &Key, value: impl Into<String>, reason: Reason) -> Self {
        Self { origin, name: key.name.to_owned(), value: Some(value.into()), reason }
    }

    pub(crate) fn with_name(origin: Origin, name: impl Into<String>, reason: Reason) -> Self {
        Self { origin, name: name.into(), value: None, reason }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.origin)?;
        match &self.value {
            Some(value) => write!(f, ": {} = `{value}`: ", self.name)?,
            // Line and column belong together: `stack.toml:12:5`.
            None if matches!(self.reason, Reason::Syntax { .. }) => f.write_str(":")?,
            // A variable's name stands there already.
            None if self.name.is_empty() || self.origin == Origin::Environment(self.name.clone()) => {
                f.write_str(": ")?;
            }
            None => write!(f, ": `{}`: ", self.name)?,
        }
        write!(f, "{}", self.reason)?;
        match self.reason.hint() {
            Some(hint) => write!(f, "\n    hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys;

    #[test]
    fn a_problem_names_place_key_value_and_a_way_out() {
        let origin = Origin::File { path: "stack.toml".into(), line: 12 };
        let key = keys::find("workers").unwrap();
        let problem = Problem::with_value(origin, key, "many", Reason::NotCount { least: 1, most: 100 });
        assert_eq!(
            problem.to_string(),
            "stack.toml:12: workers = `many`: not a whole number\n    hint: write a number from 1 to 100"
        );
    }

    #[test]
    fn all_problems_are_shown_each_on_its_own_lines() {
        let problem = |name: &str| Problem::with_name(Origin::variable(&keys()[0]), name, Reason::Empty);
        let text = Errors(vec![problem("one"), problem("two")]).to_string();
        assert_eq!(text.lines().filter(|line| line.starts_with("environment variable STACK_CONFIG: ")).count(), 2);
    }
}
