//! A chart of what grows: connections or workers to the right, in equal steps; a line for each peer.

use super::{
    ScenarioReport,
    svg::{Anchor, Picture, ceiling},
};
use crate::measurement::Metric;

const PANEL: (f64, f64) = (330.0, 240.0);
const LEFT: f64 = 64.0;
const TOP: f64 = 64.0;
const LEGEND: f64 = 150.0;
const TICKS: usize = 4;
const METRICS: [Metric; 2] = [Metric::Throughput, Metric::CpuPerRequest];
/// Ours first, then colours that are told apart by the colour-blind as well.
const COLORS: [&str; 10] =
    ["#d4572a", "#e8a33d", "#0072b2", "#56b4e9", "#009e73", "#8fbc5a", "#7b5ea7", "#cc79a7", "#8c6d46", "#7f8790"];

/// The chart of the scenarios that are points of this curve; none if there are none.
pub(super) fn chart(curve: &str, scenarios: &[ScenarioReport]) -> Option<String> {
    let points: Vec<(usize, &ScenarioReport)> = scenarios
        .iter()
        .filter_map(|scenario| scenario.point.filter(|(name, _)| *name == curve).map(|(_, at)| (at, scenario)))
        .collect();
    let mut peers: Vec<&'static str> = Vec::new();
    for row in points.iter().flat_map(|(_, scenario)| &scenario.rows) {
        if !peers.contains(&row.peer) {
            peers.push(row.peer);
        }
    }
    if points.is_empty() {
        return None;
    }
    let (width, height) = PANEL;
    let mut picture = Picture::new(2.0 * (LEFT + width + 20.0) + LEGEND, TOP + height + 48.0);
    picture.text((8.0, 22.0), Anchor::Start, "title", &format!("Hello world, more and more {curve}"));
    for (index, metric) in METRICS.into_iter().enumerate() {
        panel(&mut picture, LEFT + float(index) * (width + LEFT + 20.0), metric, curve, &points, &peers);
    }
    let left = 2.0 * (LEFT + width + 20.0);
    for (index, peer) in peers.iter().enumerate() {
        let y = TOP + float(index) * 20.0;
        picture.path(&[(left, y), (left + 18.0, y)], COLORS[index % COLORS.len()]);
        picture.text((left + 26.0, y + 4.0), Anchor::Start, "", peer);
    }
    Some(picture.finish())
}

fn panel(
    picture: &mut Picture,
    left: f64,
    metric: Metric,
    curve: &str,
    points: &[(usize, &ScenarioReport)],
    peers: &[&'static str],
) {
    let (width, height) = PANEL;
    let value = |scenario: &ScenarioReport, peer: &str| {
        let row = scenario.rows.iter().find(|row| row.peer == peer)?;
        // What was not answered rightly is no point of a curve.
        let summary = row.metrics.get(&metric).filter(|_| row.problems.is_empty())?;
        Some(metric.scaled(summary.median))
    };
    let values = points.iter().flat_map(|(_, scenario)| peers.iter().filter_map(|peer| value(scenario, peer)));
    let most = ceiling(values.fold(0.0, f64::max));
    let x = |index: usize| left + width * (float(index) + 0.5) / float(points.len());
    let y = |value: f64| TOP + height * (1.0 - value / most);
    picture.text((left, TOP - 14.0), Anchor::Start, "quiet", metric.title());
    for tick in 0..=TICKS {
        let at = most * float(tick) / float(TICKS);
        picture.line((left, y(at)), (left + width, y(at)), "axis");
        picture.text((left - 8.0, y(at) + 4.0), Anchor::End, "quiet", &short(at));
    }
    for (index, (at, _)) in points.iter().enumerate() {
        picture.text((x(index), TOP + height + 18.0), Anchor::Middle, "quiet", &at.to_string());
    }
    picture.text((left + width / 2.0, TOP + height + 38.0), Anchor::Middle, "quiet", curve);
    for (index, peer) in peers.iter().enumerate() {
        let seen =
            points.iter().enumerate().filter_map(|(place, (_, scenario))| Some((x(place), y(value(scenario, peer)?))));
        picture.path(&seen.collect::<Vec<_>>(), COLORS[index % COLORS.len()]);
    }
}

/// `25k` for 25,000.
fn short(number: f64) -> String {
    if number >= 1000.0 { format!("{}k", trimmed(number / 1000.0)) } else { trimmed(number) }
}

fn trimmed(number: f64) -> String {
    format!("{number:.2}").trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[expect(clippy::cast_precision_loss, reason = "a number of points")]
fn float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{report, row},
        *,
    };

    fn points(problem: Option<&str>) -> Vec<ScenarioReport> {
        let rows = |rate| vec![row("stack", [rate, rate], None), row("bjoern", [rate / 2.0, rate / 2.0], problem)];
        vec![report("hello", rows(9.0)), report("workers-1", rows(500.0)), report("workers-2", rows(1000.0))]
    }

    #[test]
    fn each_point_stands_at_its_value() {
        let svg = chart("workers", &points(None)).unwrap();
        // 500 and 1,000 of 1,000, at the first and the third quarter of the panel.
        assert!(svg.contains("points=\"146.5,184.0 311.5,64.0\""), "{svg}");
        assert!(svg.contains("points=\"146.5,244.0 311.5,184.0\""), "{svg}");
        assert!(svg.contains(">1k</text>") && svg.contains(">250</text>"), "{svg}");
    }

    #[test]
    fn what_was_not_answered_is_no_point() {
        let svg = chart("workers", &points(Some("3 timeouts"))).unwrap();
        assert!(svg.contains("points=\"\""), "{svg}");
    }

    #[test]
    fn without_a_point_there_is_no_chart() {
        assert_eq!(chart("connections", &points(None)), None);
    }
}
