//! `stack config`: the configuration that is in force, as a file that would give the same.

use std::fmt::Write;

use stack_config::{Explained, ExplainedSite, Loaded};

use crate::Exit;

/// Longer lines do not move the comments of the others.
const WIDEST: usize = 60;

/// Prints every key with its value and where it is from.
pub(crate) fn run(loaded: &Loaded) -> anyhow::Result<Exit> {
    super::print(render(loaded)?.as_bytes())?;
    Ok(Exit::Success)
}

fn render(loaded: &Loaded) -> Result<String, std::fmt::Error> {
    let explained = loaded.explain();
    let lines: Vec<_> = explained.iter().map(setting).collect();
    let width = lines.iter().map(|line| line.chars().count()).filter(|width| *width <= WIDEST).max().unwrap_or(0);
    let mut text = String::new();
    match loaded.file() {
        Some(file) => writeln!(text, "# File: {}", file.display())?,
        None => writeln!(text, "# File: none")?,
    }
    let mut heading = "";
    for (Explained { key, value, origin }, line) in explained.iter().zip(&lines) {
        if key.heading != heading {
            heading = key.heading;
            writeln!(text, "\n## {heading}")?;
        }
        match value {
            Some(_) => writeln!(text, "{line:width$}  # {origin}")?,
            None => writeln!(text, "{line:width$}  # {}", key.default_text())?,
        }
    }
    for ExplainedSite { origin, keys } in loaded.explain_sites() {
        writeln!(text, "\n{:width$}  # {origin}", "[[site]]")?;
        for explained in keys {
            writeln!(text, "{:width$}  # {}", setting(explained), explained.origin)?;
        }
    }
    Ok(text)
}

/// `key = value`, or a comment where there is no value.
fn setting(Explained { key, value, origin: _ }: &Explained) -> String {
    match value {
        Some(value) => format!("{} = {value}", key.name),
        None => format!("#{} =", key.name),
    }
}

#[cfg(test)]
mod tests {
    use stack_config::Inputs;

    use super::*;

    fn loaded(flags: &[(&str, &str)]) -> Loaded {
        let flags = flags.iter().map(|(key, value)| ((*key).to_owned(), vec![(*value).to_owned()])).collect();
        stack_config::load(Inputs { flags, environment: Vec::new(), current_dir: "/".into() }).unwrap()
    }

    #[test]
    fn every_value_has_its_origin_beside_it() {
        let text = render(&loaded(&[("threads", "7")])).unwrap();
        let line = text.lines().find(|line| line.starts_with("threads = ")).unwrap();
        assert!(line.starts_with("threads = 7 ") && line.ends_with("  # flag --threads"), "{line}");
        let line = text.lines().find(|line| line.contains("app =")).unwrap();
        assert!(line.starts_with("#app = ") && line.ends_with("  # looked for in chdir"), "{line}");
    }

    #[test]
    fn the_comments_stand_in_one_column() {
        let text = render(&loaded(&[])).unwrap();
        let mut columns: Vec<_> = text.lines().filter_map(|line| line.rfind("  # ")).collect();
        columns.dedup();
        assert_eq!(columns.len(), 1, "{text}");
    }
}
