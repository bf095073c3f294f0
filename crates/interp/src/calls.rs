//! A Python stack as text.

use std::fs;

/// As many calls are shown, the innermost of all.
pub(crate) const SHOWN: usize = 50;
/// No source that somebody wrote is larger.
const LARGEST_SOURCE: u64 = 4 << 20;

/// One call of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) file: String,
    pub(crate) line: Option<i64>,
    pub(crate) name: String,
}

/// The calls as a traceback prints them, the innermost last; they come with the innermost first. Their source is read here and
/// not by Python, which might have to import what it takes for that.
pub(crate) fn describe(calls: Vec<Call>) -> String {
    let describe = |Call { file, line, name }| {
        let number = line.map_or_else(|| "?".into(), |line| line.to_string());
        let source = line.and_then(|line| source_line(&file, line)).map(|source| format!("    {source}\n"));
        format!("  File \"{file}\", line {number}, in {name}\n{}", source.unwrap_or_default())
    };
    calls.into_iter().rev().map(describe).collect()
}

fn source_line(file: &str, line: i64) -> Option<String> {
    let facts = fs::metadata(file).ok()?;
    if !facts.is_file() || facts.len() > LARGEST_SOURCE {
        return None;
    }
    let source = fs::read(file).ok()?;
    let line = source.split(|byte| *byte == b'\n').nth(usize::try_from(line).ok()?.checked_sub(1)?)?;
    Some(String::from_utf8_lossy(line).trim().to_owned()).filter(|line| !line.is_empty())
}
