//! The report as Markdown, with columns that are aligned for a terminal as well.

use std::{collections::BTreeSet, fmt::Write};

use super::{Report, ScenarioReport, Settings};
use crate::measurement::{Metric, Summary};

pub(super) fn text(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = facts(report, &mut text);
    for scenario in &report.scenarios {
        let _ = one(scenario, report.settings.rounds, &mut text);
    }
    text
}

fn facts(report: &Report, text: &mut String) -> std::fmt::Result {
    let Settings { rounds, seconds, workers, threads, pinned, python, load_generators } = &report.settings;
    let pinned = if *pinned { "; servers on one CPU, load on the others" } else { "; servers and load share the CPUs" };
    writeln!(text, "{}", report.machine.sentence())?;
    writeln!(text)?;
    writeln!(text, "{python}; {workers} workers of {threads} threads{pinned}")?;
    writeln!(
        text,
        "Medians of {rounds} alternating rounds of {seconds} s (least–most), {}",
        load_generators.join(", ")
    )?;
    if report.machine.is_busy() {
        writeln!(text)?;
        writeln!(text, "**The machine was not quiet when this began: the figures say little.**")?;
    }
    writeln!(text)?;
    for peer in &report.peers {
        writeln!(text, "- {}: {} ({})", peer.name, peer.about, peer.version)?;
    }
    for absent in &report.absent {
        writeln!(text, "- {}: not measured, it could not be installed (report.json says why)", absent.name)?;
    }
    Ok(())
}

fn one(scenario: &ScenarioReport, rounds: usize, text: &mut String) -> std::fmt::Result {
    let fewer =
        if scenario.rounds < rounds { format!(" ({} of {rounds} rounds)", scenario.rounds) } else { String::new() };
    writeln!(text, "\n## {}: {}{fewer}\n", scenario.name, scenario.title)?;
    let metrics: BTreeSet<Metric> = scenario.rows.iter().flat_map(|row| row.metrics.keys().copied()).collect();
    let heading = [String::new()].into_iter().chain(metrics.iter().map(|metric| metric.heading().to_owned()));
    let mut lines: Vec<Vec<String>> = vec![heading.collect()];
    for row in &scenario.rows {
        let mark = if row.problems.is_empty() { "" } else { " !" };
        let cell = |metric| row.metrics.get(metric).map_or(String::new(), |summary| cell(*metric, summary));
        lines.push([format!("{}{mark}", row.peer)].into_iter().chain(metrics.iter().map(cell)).collect());
    }
    aligned(&lines, text)?;
    let problems = scenario.rows.iter().filter(|row| !row.problems.is_empty());
    for (index, row) in problems.enumerate() {
        let blank = if index == 0 { "\n" } else { "" };
        let problems: Vec<_> = row.problems.iter().map(|problem| first_line(problem)).collect();
        writeln!(text, "{blank}! {}: {}", row.peer, problems.join("; "))?;
    }
    Ok(())
}

/// The median, with the least and the most of what matters most.
fn cell(metric: Metric, summary: &Summary) -> String {
    let median = metric.shown(summary.median);
    let is_spread_shown = !matches!(
        metric,
        Metric::LatencyP50 | Metric::LatencyP90 | Metric::LatencyP99 | Metric::LatencyP999 | Metric::Memory
    );
    if is_spread_shown && summary.samples.len() > 1 {
        format!("{median} ({}–{})", metric.shown(summary.min), metric.shown(summary.max))
    } else {
        median
    }
}

fn aligned(lines: &[Vec<String>], text: &mut String) -> std::fmt::Result {
    let columns = lines.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default().max(2))
        .collect();
    for (number, line) in lines.iter().enumerate() {
        for (index, (cell, width)) in line.iter().zip(&widths).enumerate() {
            if index == 0 { write!(text, "| {cell:<width$} |")? } else { write!(text, " {cell:>width$} |")? }
        }
        writeln!(text)?;
        if number == 0 {
            for (index, width) in widths.iter().enumerate() {
                let (start, rule) = (if index == 0 { "| " } else { " " }, "-".repeat(width - 1));
                let end = if index == 0 { "-" } else { ":" };
                write!(text, "{start}{rule}{end} |")?;
            }
            writeln!(text)?;
        }
    }
    Ok(())
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{super::tests::whole, *};

    #[test]
    fn a_table_has_medians_with_their_spread() {
        let text = text(&whole());
        assert!(text.contains("| stack    | 2,000 (1,000–3,000) |"), "{text}");
        assert!(text.contains("| -------- | ------------------: |"), "{text}");
    }

    #[test]
    fn rounds_that_were_left_out_are_told() {
        let mut report = whole();
        report.settings.rounds = 3;
        assert!(text(&report).contains("\n## hello: Hello world (2 of 3 rounds)\n"));
    }

    #[test]
    fn a_row_with_a_problem_is_marked_and_explained() {
        let text = text(&whole());
        assert!(text.contains("| bjoern ! |"), "{text}");
        assert!(text.contains("\n! bjoern: 2 timeouts\n"), "{text}");
    }

    #[test]
    fn what_was_not_measured_is_said_in_a_line() {
        assert!(text(&whole()).contains("- uwsgi: not measured, it could not be installed "));
    }

    #[test]
    fn a_busy_machine_is_told() {
        let mut report = whole();
        assert!(!text(&report).contains("not quiet"));
        report.machine.load_at_start = 1.5;
        assert!(text(&report).contains("The machine was not quiet"));
    }
}
