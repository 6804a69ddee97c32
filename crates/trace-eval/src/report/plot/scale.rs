//! A score between its reference points, on one line.

use crate::report::number::short;
use crate::report::{Better, Score};
use std::fmt::Write as _;

/// The line of a row of the table of scores; square-root scale for distances.
pub(in crate::report) fn scale(s: &Score) -> String {
    let marks = [
        ("random", s.random),
        ("wrong", s.wrong_class),
        ("real", s.noise_floor),
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
                    "<circle class=\"key {class}\" cx={x:.1} cy=9 r=5><title>synthetic {}</title></circle>",
                    short(value)
                )
            } else {
                write!(
                    out,
                    "<rect class=\"key {class}\" x={:.1} y=2 width=3 height=14><title>{class} {}</title></rect>",
                    x - 1.5,
                    short(value)
                )
            };
        }
    }
    out.push_str("</svg>");
    out
}
