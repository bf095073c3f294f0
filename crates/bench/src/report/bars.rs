//! A chart of one scenario: for each quantity a panel, in it a bar for each peer, its spread across the end.

use super::{
    Row, ScenarioReport,
    svg::{Anchor, Picture},
};
use crate::measurement::Metric;

const LABELS: f64 = 130.0;
const PANEL: f64 = 250.0;
/// For the number behind the longest bar.
const NUMBER: f64 = 70.0;
const ROW: f64 = 22.0;
const TOP: f64 = 64.0;

pub(super) fn chart(scenario: &ScenarioReport) -> String {
    let has = |metric: &Metric| scenario.rows.iter().any(|row| row.metrics.contains_key(metric));
    let metrics: Vec<Metric> = scenario.charted.iter().copied().filter(has).collect();
    let (rows, panels) = (float(scenario.rows.len()), float(metrics.len()));
    let mut picture = Picture::new(LABELS + panels.max(1.0) * PANEL, TOP + rows * ROW + 12.0);
    picture.text((8.0, 22.0), Anchor::Start, "title", &scenario.title);
    for (index, row) in scenario.rows.iter().enumerate() {
        let y = TOP + float(index) * ROW + 15.0;
        picture.text((LABELS - 8.0, y), Anchor::End, "", row.peer);
    }
    for (index, metric) in metrics.into_iter().enumerate() {
        panel(&mut picture, LABELS + float(index) * PANEL, metric, &scenario.rows);
    }
    picture.finish()
}

fn panel(picture: &mut Picture, left: f64, metric: Metric, rows: &[Row]) {
    picture.text((left, TOP - 12.0), Anchor::Start, "quiet", metric.title());
    picture.line((left, TOP), (left, TOP + float(rows.len()) * ROW), "axis");
    let most = rows.iter().filter_map(|row| row.metrics.get(&metric)).map(|summary| summary.max).fold(0.0, f64::max);
    let room = PANEL - NUMBER;
    let length = |value: f64| if most > 0.0 { (value / most * room).clamp(0.0, room) } else { 0.0 };
    for (index, row) in rows.iter().enumerate() {
        let top = TOP + float(index) * ROW + 3.0;
        let Some(summary) = row.metrics.get(&metric) else {
            picture.text((left + 6.0, top + 12.0), Anchor::Start, "quiet", "–");
            continue;
        };
        let whose = if row.peer.starts_with("stack") { "ours" } else { "theirs" };
        let class = if row.problems.is_empty() { whose.to_owned() } else { format!("{whose} doubtful") };
        let range = format!("{} to {}", metric.shown(summary.min), metric.shown(summary.max));
        let hint = [range].iter().chain(&row.problems).cloned().collect::<Vec<_>>().join("; ");
        picture.bar((left, top), (length(summary.median), ROW - 6.0), &class, &hint);
        let middle = top + (ROW - 6.0) / 2.0;
        picture.line((left + length(summary.min), middle), (left + length(summary.max), middle), "spread");
        let mark = if row.problems.is_empty() { "" } else { " !" };
        let number = format!("{}{mark}", metric.shown(summary.median));
        let behind = left + length(summary.max.max(summary.median)) + 6.0;
        picture.text((behind, top + 12.0), Anchor::Start, "", &number);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a number of rows")]
fn float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{report, row},
        *,
    };

    #[test]
    fn the_longest_bar_fills_its_panel_and_others_are_in_proportion() {
        let rows = vec![row("stack", [2000.0, 2000.0], None), row("bjoern", [500.0, 500.0], None)];
        let svg = chart(&report("hello", rows));
        assert!(svg.contains("<rect x=\"130.0\" y=\"67.0\" width=\"180.0\""), "{svg}");
        assert!(svg.contains("<rect x=\"130.0\" y=\"89.0\" width=\"45.0\""), "{svg}");
        assert!(svg.contains(">Hello world</text>") && svg.contains(">2,000</text>"), "{svg}");
    }

    #[test]
    fn a_doubtful_bar_says_why() {
        let svg = chart(&report("hello", vec![row("bjoern", [500.0, 500.0], Some("2 timeouts"))]));
        assert!(svg.contains("class=\"theirs doubtful\"><title>500 to 500; 2 timeouts</title>"), "{svg}");
        assert!(svg.contains(">500 !</text>"), "{svg}");
    }

    #[test]
    fn a_scenario_without_a_value_is_a_chart_without_a_bar() {
        let svg =
            chart(&report("hello", vec![Row::new("stack", &crate::measurement::Measurement::default(), [].into())]));
        assert!(!svg.contains("<rect") && svg.contains(">stack</text>"), "{svg}");
    }
}
