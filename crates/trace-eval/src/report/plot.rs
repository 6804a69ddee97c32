//! Plots as inline SVG; colours come from the page, so they follow light and dark.

use super::number::{escape, short};
use super::{Better, Curve, Distribution, Points, PositionRow, Score};
use std::fmt::Write as _;

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 190.0;
const LEFT: f64 = 44.0;
const BOTTOM: f64 = 24.0;
const TOP: f64 = 10.0;

struct Axes {
    x: (f64, f64),
    y: (f64, f64),
}

impl Axes {
    fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let part = |v: f64, (low, high): (f64, f64)| {
            if high > low { (v - low) / (high - low) } else { 0.5 }
        };
        (
            LEFT + part(x, self.x) * (WIDTH - LEFT - 8.0),
            HEIGHT - BOTTOM - part(y, self.y) * (HEIGHT - BOTTOM - TOP),
        )
    }

    fn frame(&self, out: &mut String, x_label: &str) {
        for y in ticks(self.y, 4) {
            let (left, at) = self.at(self.x.0, y);
            let right = WIDTH - 8.0;
            let _ = write!(
                out,
                "<line class=grid x1={left:.1} y1={at:.1} x2={right:.1} y2={at:.1} />\
                 <text class=tick x={:.1} y={:.1} text-anchor=end>{}</text>",
                left - 5.0,
                at + 3.5,
                tick(y)
            );
        }
        for x in ticks(self.x, 6) {
            let (at, _) = self.at(x, self.y.0);
            let _ = write!(
                out,
                "<text class=tick x={at:.1} y={:.1} text-anchor=middle>{}</text>",
                HEIGHT - 9.0,
                tick(x)
            );
        }
        let _ = write!(
            out,
            "<text class=tick x={:.1} y={:.1} text-anchor=end>{}</text>",
            WIDTH - 8.0,
            TOP + 2.0,
            escape(x_label)
        );
    }
}

fn tick(v: f64) -> String {
    if v.fract().abs() < 1e-9 && v.abs() < 1e7 { format!("{v:.0}") } else { short(Some(v)) }
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

fn open(out: &mut String, label: &str) {
    let _ = write!(
        out,
        "<svg class=plot viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=img aria-label=\"{}\">",
        escape(label)
    );
}

/// Two distributions over each other.
pub(super) fn distribution(d: &Distribution) -> String {
    let most = d.real.iter().chain(&d.synthetic).copied().fold(0.0, f64::max);
    let end = d.from + d.width * d.real.len() as f64;
    let axes = Axes { x: (d.from, end), y: (0.0, most * 1.05) };
    let mut out = String::new();
    open(&mut out, &d.name);
    axes.frame(&mut out, &format!("{} → share of packets ↑", d.unit));
    for (class, shares) in [("real", &d.real), ("synthetic", &d.synthetic)] {
        let mut path = String::new();
        let (x, y) = axes.at(d.from, 0.0);
        let _ = write!(path, "M{x:.1} {y:.1}");
        for (i, share) in shares.iter().enumerate() {
            let (left, y) = axes.at(d.from + d.width * i as f64, *share);
            let (right, _) = axes.at(d.from + d.width * (i + 1) as f64, *share);
            let _ = write!(path, "L{left:.1} {y:.1}H{right:.1}");
        }
        let (x, y) = axes.at(end, 0.0);
        let _ = write!(path, "L{x:.1} {y:.1}");
        let _ = write!(out, "<path class=\"area {class}\" d=\"{path}\" />");
    }
    out.push_str("</svg>");
    out
}

/// A curve over steps: every point faint, the running mean strong.
pub(super) fn curve(c: &Curve) -> String {
    let points: Vec<(f64, f64)> =
        c.points.iter().filter(|(x, y)| x.is_finite() && y.is_finite()).copied().collect();
    if points.is_empty() {
        return "<p class=quiet>no points</p>".to_owned();
    }
    let bound = |f: fn(&(f64, f64)) -> f64, pick: fn(f64, f64) -> f64| {
        points.iter().map(f).reduce(pick).unwrap_or(0.0)
    };
    let mut ys: Vec<f64> = points.iter().map(|p| p.1).collect();
    ys.sort_by(f64::total_cmp);
    // A few high first losses would flatten the rest: cut at the 98th percentile, floor at 0.
    let high = ys[(ys.len() * 98).div_euclid(100).min(ys.len() - 1)] * 1.1;
    let low = ys[0].min(0.0);
    let axes = Axes {
        x: (bound(|p| p.0, f64::min), bound(|p| p.0, f64::max)),
        y: (low, if high > low { high } else { low + 1.0 }),
    };
    let window = (points.len() >> 5).max(1);
    let smooth: Vec<(f64, f64)> = (0..points.len())
        .map(|i| {
            let around = &points[i.saturating_sub(window)..(i + window + 1).min(points.len())];
            (points[i].0, around.iter().map(|p| p.1).sum::<f64>() / around.len() as f64)
        })
        .collect();
    let mut out = String::new();
    open(&mut out, &c.name);
    axes.frame(&mut out, "step →");
    for (class, points) in [("faint", &points), ("strong", &smooth)] {
        // At most about 600 vertices.
        let step = points.len().div_ceil(600).max(1);
        let mut path = String::new();
        for (x, y) in points.iter().step_by(step).chain(points.last()) {
            let (x, y) = axes.at(*x, y.min(axes.y.1));
            let _ = write!(path, "{}{x:.1} {y:.1}", if path.is_empty() { 'M' } else { 'L' });
        }
        let _ = write!(out, "<path class=\"line {class}\" d=\"{path}\" />");
    }
    out.push_str("</svg>");
    out
}

/// One of the values beside each other.
type Value = fn(&Points) -> Option<f64>;

/// Distances by place in the capture, in at most about 128 steps: the mean of each.
pub(super) fn positions(rows: &[PositionRow]) -> String {
    let step = rows.len().div_ceil(128).max(1);
    let lines: [(&str, Value); 3] =
        [("wrong", |p| p.wrong_class), ("floor", |p| p.noise_floor), ("strong", |p| p.synthetic)];
    let line = |value: Value| -> Vec<(f64, f64)> {
        rows.chunks(step)
            .filter_map(|part| {
                let of: Vec<f64> = part.iter().filter_map(|r| value(&r.js_distance)).collect();
                let mean = of.iter().sum::<f64>() / of.len() as f64;
                (!of.is_empty()).then(|| (part[0].packet as f64, mean))
            })
            .collect()
    };
    let lines = lines.map(|(class, value)| (class, line(value)));
    let most = lines.iter().flat_map(|l| &l.1).map(|p| p.1).fold(0.0, f64::max);
    let axes =
        Axes { x: (0.0, rows.len() as f64), y: (0.0, if most > 0.0 { most * 1.05 } else { 1.0 }) };
    let mut out = String::new();
    open(&mut out, "Jensen-Shannon distance by place");
    axes.frame(&mut out, "packet →");
    for (class, points) in lines {
        let mut path = String::new();
        for (x, y) in points {
            let (x, y) = axes.at(x, y);
            let _ = write!(path, "{}{x:.1} {y:.1}", if path.is_empty() { 'M' } else { 'L' });
        }
        let _ = write!(out, "<path class=\"line {class}\" d=\"{path}\" />");
    }
    out.push_str("</svg>");
    out
}

/// A score between its reference points, on one line; square-root scale for distances.
pub(super) fn scale(s: &Score) -> String {
    let marks = [
        ("random", s.random),
        ("wrong", s.wrong_class),
        ("floor", s.noise_floor),
        ("synthetic", s.synthetic),
    ];
    let known: Vec<f64> = marks.iter().filter_map(|m| m.1).filter(|v| v.is_finite()).collect();
    let low = known.iter().copied().fold(f64::INFINITY, f64::min).min(0.0);
    let high = known.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if known.is_empty() || high <= low {
        return String::new();
    }
    let mut out = String::from(
        "<svg class=scale viewBox=\"0 0 220 18\"><line x1=6 y1=9 x2=214 y2=9 class=grid />",
    );
    for (class, value) in marks {
        if let Some(v) = value {
            // Distances crowd near 0, where the question is decided: a square root spreads them.
            let part = (v - low) / (high - low);
            let part = if s.better == Better::Lower { part.sqrt() } else { part };
            let x = 6.0 + 208.0 * part;
            let _ = if class == "synthetic" {
                write!(
                    out,
                    "<circle class=mark-{class} cx={x:.1} cy=9 r=5><title>synthetic {}</title></circle>",
                    short(value)
                )
            } else {
                write!(
                    out,
                    "<rect class=mark-{class} x={:.1} y=2 width=3 height=14><title>{class} {}</title></rect>",
                    x - 1.5,
                    short(value)
                )
            };
        }
    }
    out.push_str("</svg>");
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
    }
}
