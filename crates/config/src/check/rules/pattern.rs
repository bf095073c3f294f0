//! Which paths a rule is for: `/path`, `/prefix/*`, `~ REGEX`.

use crate::{PathPattern, error::SiteReason};

/// Reads a pattern; gives the number of its groups, too.
pub(super) fn parse(text: &str) -> Result<(PathPattern, usize), SiteReason> {
    let text = text.trim();
    if let Some(regex) = text.strip_prefix('~') {
        let (regex, ignores_case) = regex.strip_prefix('*').map_or((regex, false), |regex| (regex, true));
        let regex = regex.trim_start();
        let regex = if ignores_case { format!("(?i){regex}") } else { regex.to_owned() };
        let compiled = regex::bytes::Regex::new(&regex).map_err(|error| SiteReason::Regex(in_a_line(&error)))?;
        return Ok((PathPattern::Regex(regex), compiled.captures_len() - 1));
    }
    if let Some(prefix) = text.strip_suffix("/*") {
        if !prefix.is_empty() {
            plain(prefix)?;
        }
        return Ok((PathPattern::Below(prefix.to_owned()), 1));
    }
    if text != "/" {
        plain(text.strip_suffix('/').unwrap_or(text))?;
    }
    Ok((PathPattern::Exact(text.to_owned()), 0))
}

/// A path that routing can see: decoded, without dot segments, each slash alone, none at its end.
pub(super) fn plain(path: &str) -> Result<(), SiteReason> {
    let refused = |hint| Err(SiteReason::PathPattern { path: path.to_owned(), hint });
    let Some(names) = path.strip_prefix('/') else {
        return refused("a path begins with /, a regular expression with ~");
    };
    if names.contains('*') {
        return refused("a * stands for all that is behind a slash, at the end; else write ~ and a regular expression");
    }
    if names.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        return refused("requests are compared without dot segments and doubled slashes");
    }
    if names.contains(['?', '#', '\0']) || names.contains(char::is_control) {
        return refused("a path has no query and no fragment");
    }
    let is_encoded =
        |at: usize| names.as_bytes().get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
    if names.match_indices('%').any(|(at, _)| is_encoded(at)) {
        return refused("write it as it is after percent-decoding");
    }
    Ok(())
}

/// The parser draws where it is wrong; the last line says what.
fn in_a_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let line = text.lines().last().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}
