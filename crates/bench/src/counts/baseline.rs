//! The counts that are committed, and what they hold for.

use std::{collections::BTreeMap, fs, io, path::Path};

use serde::{Deserialize, Serialize};

use crate::Error;

/// In a baseline that has none yet. From run to run counts differ by 0.05 % at most. But a change in one function makes the
/// compiler inline otherwise in others, which has been seen to make 1.2 % of one that had nothing to do with it, and 6 % of one
/// that is mostly small functions.
const TOLERANCE_PERCENT: f64 = 2.0;

/// What counts depend on beside the code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Toolchain {
    /// The compiler, and what it compiles for.
    pub(super) rust: String,
    /// Version and build of the Python that is linked.
    pub(super) python: String,
}

/// The file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Baseline {
    pub(super) counted_with: Toolchain,
    /// By how much a count may be greater.
    pub(super) tolerance_percent: f64,
    /// The same of single benchmarks, by their names: those that the compiler makes more of from one change to the next.
    #[serde(default)]
    pub(super) other_tolerances_percent: BTreeMap<String, f64>,
    /// Of one time, by the benchmarks' names.
    pub(super) instructions: BTreeMap<String, u64>,
}

impl Baseline {
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        Self::find(path)?.ok_or_else(|| Error::Missing {
            what: path.display().to_string(),
            hint: "`cargo bench-counts --accept` writes it".to_owned(),
        })
    }

    /// `None` where there is no file.
    fn find(path: &Path) -> Result<Option<Self>, Error> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::file(path)(error)),
        };
        let read = serde_json::from_str(&text).map_err(|error| Error::Content {
            path: path.to_owned(),
            reason: format!(
                "{error}; take it from the repository again, or remove it and run `cargo bench-counts --accept`"
            ),
        })?;
        Ok(Some(read))
    }

    /// The baseline with these counts; those that were not counted stay if these are only `some`.
    pub(super) fn accepted(
        path: &Path,
        toolchain: Toolchain,
        counts: BTreeMap<String, u64>,
        some: bool,
    ) -> Result<Self, Error> {
        let before = Self::find(path)?;
        let (tolerance_percent, other_tolerances_percent) =
            before.as_ref().map_or((TOLERANCE_PERCENT, BTreeMap::new()), |before| {
                (before.tolerance_percent, before.other_tolerances_percent.clone())
            });
        let mut instructions = BTreeMap::new();
        if let Some(before) = before.filter(|_| some) {
            if before.counted_with != toolchain {
                return Err(Error::Usage(
                    "the other counts of the baseline were made with another compiler or Python: accept all, without --only"
                        .to_owned(),
                ));
            }
            instructions = before.instructions;
        }
        instructions.extend(counts);
        Ok(Self { counted_with: toolchain, tolerance_percent, other_tolerances_percent, instructions })
    }

    /// That of one benchmark.
    pub(super) fn tolerance(&self, name: &str) -> f64 {
        self.other_tolerances_percent.get(name).copied().unwrap_or(self.tolerance_percent)
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(self).expect("texts and numbers") + "\n";
        fs::write(path, text).map_err(Error::file(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toolchain(rust: &str) -> Toolchain {
        Toolchain { rust: rust.to_owned(), python: "CPython 3.13.0".to_owned() }
    }

    fn counts(counts: &[(&str, u64)]) -> BTreeMap<String, u64> {
        counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    #[test]
    fn what_was_accepted_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("counts.json");
        assert!(matches!(Baseline::read(&path), Err(Error::Missing { .. })));
        let first = Baseline::accepted(&path, toolchain("1.95"), counts(&[("a", 10), ("b", 20)]), false).unwrap();
        first.write(&path).unwrap();
        assert_eq!(Baseline::read(&path).unwrap(), first);
        let some = Baseline::accepted(&path, toolchain("1.95"), counts(&[("b", 21)]), true).unwrap();
        assert_eq!(some.instructions, counts(&[("a", 10), ("b", 21)]));
        let all = Baseline::accepted(&path, toolchain("1.96"), counts(&[("b", 21)]), false).unwrap();
        assert_eq!(all.instructions, counts(&[("b", 21)]));
    }

    #[test]
    fn some_counts_of_another_compiler_are_not_mixed_in() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("counts.json");
        Baseline::accepted(&path, toolchain("1.95"), counts(&[("a", 10)]), false).unwrap().write(&path).unwrap();
        let mixed = Baseline::accepted(&path, toolchain("1.96"), counts(&[("a", 11)]), true);
        assert!(matches!(mixed, Err(Error::Usage(_))), "{mixed:?}");
    }

    #[test]
    fn a_file_that_is_no_baseline_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("counts.json");
        fs::write(&path, "{\"instructions\": {}}").unwrap();
        let text = Baseline::read(&path).unwrap_err().to_string();
        assert!(text.contains("counts.json: missing field") && text.contains("--accept"), "{text}");
    }
}
