//! What the counts are beside the baseline.

use std::{collections::BTreeMap, path::Path};

use super::{
    Benchmark,
    baseline::{Baseline, Toolchain},
};

/// Counts beside a baseline.
#[derive(Debug)]
pub(super) struct Comparison {
    rows: Vec<Row>,
    /// In the baseline, and nowhere else.
    gone: Vec<String>,
    /// Why it does not hold for all of them.
    others: Vec<Other>,
}

/// One benchmark.
#[derive(Debug, PartialEq)]
struct Row {
    name: String,
    instructions: u64,
    /// In per cent.
    tolerance: f64,
    verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    /// The baseline has this.
    Compared(u64),
    /// The baseline does not have it.
    New,
    /// The baseline holds for something else.
    NotCompared,
}

/// What is another one than the baseline was made with.
#[derive(Debug)]
struct Other {
    what: &'static str,
    used: String,
    known: String,
}

/// How to make these counts the baseline.
const ACCEPT: &str = "run `cargo bench-counts --accept` and commit crates/bench/counts.json";

impl Comparison {
    /// `whole`: all benchmarks that there are were counted.
    pub(super) fn new(
        baseline: &Baseline,
        used: &Toolchain,
        benchmarks: &[Benchmark],
        counts: &BTreeMap<String, u64>,
        whole: bool,
    ) -> Self {
        let known = &baseline.counted_with;
        let (is_other_rust, is_other_python) = (used.rust != known.rust, used.python != known.python);
        let is_compared = |benchmark: &Benchmark| !(is_other_rust || is_other_python && benchmark.runs_python);
        let row = |benchmark: &Benchmark| {
            let verdict = match baseline.instructions.get(&benchmark.name) {
                _ if !is_compared(benchmark) => Verdict::NotCompared,
                Some(&before) => Verdict::Compared(before),
                None => Verdict::New,
            };
            let instructions = counts.get(&benchmark.name).copied().unwrap_or_default();
            let tolerance = baseline.tolerance(&benchmark.name);
            Row { name: benchmark.name.clone(), instructions, tolerance, verdict }
        };
        let is_gone = |name: &&String| whole && benchmarks.iter().all(|benchmark| benchmark.name != **name);
        let is_all_compared = benchmarks.iter().all(is_compared);
        let other = |is_other: bool, what, used: &str, known: &str| {
            is_other.then(|| Other { what, used: used.to_owned(), known: known.to_owned() })
        };
        Self {
            rows: benchmarks.iter().map(row).collect(),
            gone: baseline.instructions.keys().filter(is_gone).cloned().collect(),
            others: [
                other(is_other_rust, "compiler", &used.rust, &known.rust),
                other(is_other_python && !is_all_compared, "Python", &used.python, &known.python),
            ]
            .into_iter()
            .flatten()
            .collect(),
        }
    }

    /// A line for each benchmark.
    pub(super) fn table(&self) -> String {
        let mut lines = vec![[String::new(), "instructions".into(), "baseline".into(), "difference".into()]];
        lines.extend(self.rows.iter().map(|row| {
            let (before, difference) = match row.verdict {
                Verdict::Compared(before) => (grouped(before), format!("{:+.2} %", percent(row.instructions, before))),
                Verdict::New => ("none".to_owned(), String::new()),
                Verdict::NotCompared => ("not compared".to_owned(), String::new()),
            };
            [row.name.clone(), grouped(row.instructions), before, difference]
        }));
        aligned(&lines)
    }

    /// What is no failure, and is to be known.
    pub(super) fn remarks(&self) -> Vec<String> {
        let mut remarks: Vec<_> = self.not_compared().into_iter().collect();
        let fewer: Vec<_> = self.outside(|difference, tolerance| difference < -tolerance).collect();
        if !fewer.is_empty() {
            let names = fewer.join("\n    ");
            remarks
                .push(format!("fewer instructions than in the baseline; to hold on to that, {ACCEPT}:\n    {names}"));
        }
        remarks
    }

    fn not_compared(&self) -> Option<String> {
        let count = self.rows.iter().filter(|row| row.verdict == Verdict::NotCompared).count();
        let names: Vec<_> = self.others.iter().map(|other| format!("another {}", other.what)).collect();
        let sides = self.others.iter().map(|Other { what: _, used, known }| format!("    {used}, and not {known}\n"));
        (count > 0).then(|| {
            format!(
                "{count} of {} benchmarks are NOT COMPARED: the baseline was counted with {}. Here it is\n{}\
                 To compare, use the baseline's; or, where this is to be the project's, {ACCEPT}.",
                self.rows.len(),
                names.join(" and "),
                sides.collect::<String>()
            )
        })
    }

    /// Why the counts can not stay as they are, if so.
    pub(super) fn failure(&self, profiles: &Path) -> Option<String> {
        let mut reasons = Vec::new();
        let more: Vec<_> = self.outside(|difference, tolerance| difference > tolerance).collect();
        if !more.is_empty() {
            reasons.push(format!(
                "more instructions than the baseline allows:\n    {}\n\
                 Where they are spent: callgrind_annotate {}/NAME.out. If they are worth it, {ACCEPT}.",
                more.join("\n    "),
                profiles.display()
            ));
        }
        let new: Vec<_> = self.rows.iter().filter(|row| row.verdict == Verdict::New).map(|row| &row.name[..]).collect();
        if !new.is_empty() {
            reasons.push(format!("the baseline does not have {}: {ACCEPT}", new.join(", ")));
        }
        if !self.gone.is_empty() {
            reasons.push(format!("the baseline has {}, which is gone: {ACCEPT}", self.gone.join(", ")));
        }
        (!reasons.is_empty()).then(|| reasons.join("\n"))
    }

    /// A sentence for each benchmark whose difference, in per cent, is beyond the tolerance.
    fn outside(&self, is_outside: impl Fn(f64, f64) -> bool) -> impl Iterator<Item = String> {
        self.rows.iter().filter_map(move |Row { name, instructions, tolerance, verdict }| {
            let Verdict::Compared(before) = *verdict else { return None };
            let difference = percent(*instructions, before);
            is_outside(difference, *tolerance).then(|| {
                format!(
                    "{name}: {} instead of {} ({difference:+.2} %, tolerated are {tolerance} %)",
                    grouped(*instructions),
                    grouped(before),
                )
            })
        })
    }
}

/// Counts without anything beside them.
pub(super) fn table(counts: &BTreeMap<String, u64>) -> String {
    let heading = [String::new(), "instructions".into()];
    let rows = counts.iter().map(|(name, count)| [name.clone(), grouped(*count)]);
    aligned(&[heading].into_iter().chain(rows).collect::<Vec<_>>())
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 instructions")]
fn percent(now: u64, before: u64) -> f64 {
    (now as f64 - before as f64) * 100.0 / (before.max(1) as f64)
}

/// 1,234,567
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

/// Names on the left, figures on the right.
fn aligned<const N: usize>(lines: &[[String; N]]) -> String {
    let width = |column: usize| lines.iter().map(|line| line[column].len()).max().unwrap_or_default();
    let line = |line: &[String; N]| {
        let cells = line.iter().enumerate().map(|(column, cell)| match column {
            0 => format!("{cell:<width$}", width = width(0)),
            _ => format!("{cell:>width$}", width = width(column)),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    lines.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toolchain(rust: &str, python: &str) -> Toolchain {
        Toolchain { rust: rust.to_owned(), python: python.to_owned() }
    }

    /// Of a baseline with 10,000 instructions for each.
    fn compared(used: &Toolchain, dispatch: u64, environ: u64) -> Comparison {
        let instructions = ["dispatch", "environ"].map(|name| (name.to_owned(), 10_000)).into();
        let baseline = Baseline {
            counted_with: toolchain("1.95", "3.13.0"),
            tolerance_percent: 2.0,
            other_tolerances_percent: [("environ".to_owned(), 7.0)].into(),
            instructions,
        };
        let counts = [("dispatch".to_owned(), dispatch), ("environ".to_owned(), environ)].into();
        let benchmark = |name: &str, runs_python| Benchmark { name: name.to_owned(), runs_python };
        Comparison::new(&baseline, used, &[benchmark("dispatch", false), benchmark("environ", true)], &counts, true)
    }

    fn failure(comparison: &Comparison) -> Option<String> {
        comparison.failure(Path::new("profiles"))
    }

    #[test]
    fn what_is_within_the_tolerance_passes() {
        let comparison = compared(&toolchain("1.95", "3.13.0"), 10_200, 9_800);
        assert_eq!(failure(&comparison), None);
        assert!(comparison.remarks().is_empty());
        let table = "          instructions  baseline  difference\n\
                     dispatch        10,200    10,000     +2.00 %\n\
                     environ          9,800    10,000     -2.00 %\n";
        assert_eq!(comparison.table(), table);
    }

    #[test]
    fn what_is_more_fails_and_is_named() {
        let text = failure(&compared(&toolchain("1.95", "3.13.0"), 10_201, 10_000)).unwrap();
        assert!(text.contains("\n    dispatch: 10,201 instead of 10,000 (+2.01 %, tolerated are 2 %)\n"), "{text}");
        assert!(text.contains("callgrind_annotate profiles/NAME.out") && text.contains("--accept"), "{text}");
        assert!(!text.contains("environ"), "{text}");
    }

    #[test]
    fn a_benchmark_may_have_a_tolerance_of_its_own() {
        assert_eq!(failure(&compared(&toolchain("1.95", "3.13.0"), 10_000, 10_700)), None);
        let text = failure(&compared(&toolchain("1.95", "3.13.0"), 10_000, 10_701)).unwrap();
        assert!(text.contains("environ: 10,701 instead of 10,000 (+7.01 %, tolerated are 7 %)"), "{text}");
    }

    #[test]
    fn what_is_fewer_is_worth_a_remark() {
        let comparison = compared(&toolchain("1.95", "3.13.0"), 10_000, 9_000);
        assert_eq!(failure(&comparison), None);
        let remarks = comparison.remarks();
        assert!(remarks[0].contains("environ: 9,000 instead of 10,000 (-10.00 %"), "{remarks:?}");
    }

    #[test]
    fn another_python_leaves_out_what_runs_it() {
        let comparison = compared(&toolchain("1.95", "3.14.2"), 10_000, 20_000);
        assert_eq!(failure(&comparison), None);
        let remarks = comparison.remarks();
        assert!(
            remarks[0].starts_with("1 of 2 benchmarks are NOT COMPARED: the baseline was counted with another Python.")
        );
        assert!(remarks[0].contains("    3.14.2, and not 3.13.0\n"), "{remarks:?}");
        assert!(comparison.table().contains("environ         20,000  not compared\n"), "{}", comparison.table());
        assert!(failure(&compared(&toolchain("1.95", "3.14.2"), 20_000, 20_000)).is_some());
    }

    #[test]
    fn another_compiler_leaves_out_all() {
        let comparison = compared(&toolchain("1.96", "3.13.0"), 20_000, 20_000);
        assert_eq!(failure(&comparison), None);
        let remarks = comparison.remarks();
        assert_eq!(remarks.len(), 1);
        assert!(
            remarks[0].contains("counted with another compiler. Here it is\n    1.96, and not 1.95\n"),
            "{remarks:?}"
        );
        let remarks = compared(&toolchain("1.96", "3.14.2"), 20_000, 20_000).remarks();
        assert!(remarks[0].starts_with("2 of 2 benchmarks are NOT COMPARED"), "{remarks:?}");
        assert!(remarks[0].contains("another compiler and another Python."), "{remarks:?}");
    }

    #[test]
    fn a_baseline_has_what_there_is_and_nothing_else() {
        let instructions = [("gone".to_owned(), 1)].into();
        let used = toolchain("1.95", "3.13.0");
        let baseline = Baseline {
            counted_with: used.clone(),
            tolerance_percent: 2.0,
            other_tolerances_percent: BTreeMap::new(),
            instructions,
        };
        let benchmarks = [Benchmark { name: "new".to_owned(), runs_python: false }];
        let counts = [("new".to_owned(), 1)].into();
        let text = failure(&Comparison::new(&baseline, &used, &benchmarks, &counts, true)).unwrap();
        assert!(text.contains("does not have new") && text.contains("has gone, which is gone"), "{text}");
        // Where only some are counted, the others are not missed.
        let text = failure(&Comparison::new(&baseline, &used, &benchmarks, &counts, false)).unwrap();
        assert!(!text.contains("which is gone"), "{text}");
    }

    #[test]
    fn digits_stand_in_threes() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
