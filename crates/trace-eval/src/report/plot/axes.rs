//! Axes with round numbers.

use super::canvas::{Anchor, Canvas};
use crate::report::number::short;

/// Size of a plot in the page's grid. Units: pixels.
const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 200.0;
const LEFT: f64 = 44.0;
const RIGHT: f64 = 10.0;
const BOTTOM: f64 = 36.0;
const TOP: f64 = 20.0;

/// The ranges of a plot.
pub(super) struct Axes {
    pub(super) x: (f64, f64),
    pub(super) y: (f64, f64),
}

impl Axes {
    /// A canvas with both axes, their numbers and what they count.
    pub(super) fn canvas(&self, x_label: &str, y_label: &str) -> Canvas {
        let mut canvas = self.without_x(y_label);
        for x in ticks(self.x, 6) {
            let (at, _) = self.at(x, self.y.0);
            canvas.text(Anchor::Middle, (at, HEIGHT - BOTTOM + 14.0), &tick(x));
        }
        canvas.text_as("label", Anchor::End, (WIDTH - RIGHT, HEIGHT - 6.0), x_label);
        canvas
    }

    /// A canvas with the vertical axis alone.
    fn without_x(&self, y_label: &str) -> Canvas {
        let marks: Vec<(f64, f64)> = ticks(self.y, 4).into_iter().map(|y| (y, y)).collect();
        self.with_marks(y_label, &marks)
    }

    /// A canvas with a vertical axis on which `marks` stand: where, and which number.
    pub(super) fn with_marks(&self, y_label: &str, marks: &[(f64, f64)]) -> Canvas {
        let mut canvas = Canvas::new(WIDTH, HEIGHT);
        for (y, number) in marks {
            let (left, at) = self.at(self.x.0, *y);
            canvas.line("grid", (left, at), (WIDTH - RIGHT, at));
            canvas.text(Anchor::End, (left - 5.0, at + 3.5), &tick(*number));
        }
        canvas.text_as("label", Anchor::Start, (4.0, TOP - 8.0), y_label);
        canvas
    }

    /// Where a point lies on the canvas.
    pub(super) fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let part = |v: f64, (low, high): (f64, f64)| {
            if high > low { ((v - low) / (high - low)).clamp(0.0, 1.0) } else { 0.5 }
        };
        (
            LEFT + part(x, self.x) * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - part(y, self.y) * (HEIGHT - BOTTOM - TOP),
        )
    }

    /// Height of the line under the numbers of the horizontal axis.
    pub(super) fn below() -> f64 {
        HEIGHT - BOTTOM + 14.0
    }
}

/// A round number without the zeros that it does not need.
pub(super) fn tick(v: f64) -> String {
    let text = short(Some(v));
    if text.contains('e') || !text.contains('.') {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Round numbers inside a range, about `wanted` of them.
fn ticks((low, high): (f64, f64), wanted: u32) -> Vec<f64> {
    let span = high - low;
    if span.is_nan() || span <= 0.0 || !span.is_finite() {
        return Vec::new();
    }
    let rough = span / f64::from(wanted);
    let power = 10_f64.powf(rough.log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|s| *s >= rough).unwrap_or(rough);
    let mut at = (low / step).ceil();
    let mut out = Vec::new();
    while at * step <= high + step * 1e-9 && out.len() < 20 {
        out.push(if at == 0.0 { 0.0 } else { at * step });
        at += 1.0;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(ticks((0.0, 10.0), 5), vec![0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(ticks((-6.0, 1.0), 4), vec![-6.0, -4.0, -2.0, 0.0]);
        assert!(ticks((3.0, 3.0), 4).is_empty());
        assert!(ticks((0.0, f64::NAN), 4).is_empty());
        assert_eq!([0.3, 1.5, 20.0, 100.0, -4.0].map(tick), ["0.3", "1.5", "20", "100", "-4"]);
    }
}
