//! What both kinds of charts are drawn with: text, lines, boxes, and colours that fit a light page and a dark one.

use std::fmt::{self, Write};

/// A picture that grows.
#[derive(Debug)]
pub(super) struct Picture {
    width: f64,
    height: f64,
    body: String,
}

/// Where a text stands from its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Picture {
    /// Of this size in pixels.
    pub(super) fn new(width: f64, height: f64) -> Self {
        Self { width, height, body: String::new() }
    }

    /// A text whose baseline begins, ends or has its middle at the point.
    pub(super) fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, class: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = Escaped(text);
        self.add(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" class=\"{class}\">{text}</text>"
        ));
    }

    /// A line from one point to another.
    pub(super) fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), class: &str) {
        self.add(format_args!("<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" class=\"{class}\"/>"));
    }

    /// A box with its upper left corner, its size, and what a pointer is told.
    pub(super) fn bar(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), class: &str, hint: &str) {
        let hint = Escaped(hint);
        self.add(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"2\" class=\"{class}\">\
             <title>{hint}</title></rect>"
        ));
    }

    /// A line through points, with a dot on each.
    pub(super) fn path(&mut self, points: &[(f64, f64)], color: &str) {
        let list = points.iter().fold(String::new(), |mut list, (x, y)| {
            let _ = write!(list, "{x:.1},{y:.1} ");
            list
        });
        self.add(format_args!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>",
            list.trim_end()
        ));
        for (x, y) in points {
            self.add(format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{color}\"/>"));
        }
    }

    /// The file.
    pub(super) fn finish(self) -> String {
        let Self { width, height, body } = self;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
             height=\"{height:.0}\" role=\"img\">\n<style>{STYLE}</style>\n{body}</svg>\n"
        )
    }

    fn add(&mut self, element: fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = writeln!(self.body, "{element}");
    }
}

/// A picture in a page has no page to take its colours from, and knows only whether that is dark.
const STYLE: &str = "
text { font: 12px system-ui, sans-serif; fill: #24292f; }
.title { font-size: 15px; font-weight: 600; }
.quiet { fill: #6e7781; }
.axis { stroke: #8c959f66; }
.spread { stroke: #24292f; stroke-width: 1.5; }
.ours { fill: #d4572a; }
.theirs { fill: #6b8cae; }
.doubtful { opacity: 0.35; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; } .quiet { fill: #9198a1; } .spread { stroke: #e6edf3; }
}
";

/// Text between elements.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                // XML has no other control characters (XML 1.0 §2.2).
                other if other.is_control() && !matches!(other, '\n' | '\t') => f.write_char(' ')?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// A round number that is at least as large: 1, 2, 2.5 or 5 times a power of ten.
pub(super) fn ceiling(number: f64) -> f64 {
    if number <= 0.0 || !number.is_finite() {
        return 1.0;
    }
    let power = 10_f64.powf(number.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0];
    steps.into_iter().map(|step| step * power).find(|round| *round >= number * 0.999_999).unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_can_not_break_the_picture() {
        let mut picture = Picture::new(100.0, 50.0);
        picture.text((1.0, 2.0), Anchor::Middle, "title", "a <b> & \"c\"\u{1b}[0m");
        let svg = picture.finish();
        assert!(svg.contains(">a &lt;b&gt; &amp; &quot;c&quot; [0m</text>"), "{svg}");
        assert!(svg.starts_with("<svg xmlns=") && svg.ends_with("</svg>\n"));
    }

    #[test]
    fn an_axis_ends_at_a_round_number() {
        let ends = [0.3, 1.0, 1.2, 2.2, 4.0, 99.0, 107_068.0, 0.0, f64::NAN].map(ceiling);
        assert_eq!(ends[..2], [0.5, 1.0]);
        assert_eq!(ends[2..5], [2.0, 2.5, 5.0]);
        assert_eq!(ends[5..], [100.0, 200_000.0, 1.0, 1.0]);
    }
}
