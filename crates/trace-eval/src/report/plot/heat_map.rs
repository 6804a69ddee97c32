//! One distance a bit, header by header.

use super::canvas::{Anchor, Canvas};
use super::{Legend, Plot, file_name};
use crate::report::HeaderStrip;
use crate::report::number::short;

/// Size of a heat map. Units: pixels.
const WIDTH: f64 = 1120.0;
const LEFT: f64 = 96.0;
const ROW: f64 = 24.0;
/// Width of a letter of a name, roughly; names of fields stand on edge.
const LETTER: f64 = 6.0;
/// Widest that one bit is drawn, so that short headers are not stretched.
const WIDEST: f64 = 11.0;
/// Narrowest field whose name is written, in pixels.
const NAMED: f64 = 9.0;

/// Synthetic against real above real against real; opacity is the square root of the distance, which
/// spreads the small ones.
pub(in crate::report) fn heat_map(h: &HeaderStrip) -> Plot {
    let bits: usize = h.fields.iter().map(|f| f.synthetic.len()).sum();
    let bit = ((WIDTH - LEFT - 8.0) / bits.max(1) as f64).min(WIDEST);
    let prefix = format!("{}_", h.header);
    let name = |field: &str| field.strip_prefix(&prefix).unwrap_or(field).to_owned();
    let longest = h.fields.iter().map(|f| name(&f.field).chars().count()).max().unwrap_or(0);
    let mut canvas = Canvas::new(WIDTH, 2.0 * ROW + 12.0 + LETTER * longest as f64);
    for (row, words) in ["synthetic", "real against real"].into_iter().enumerate() {
        let y = row as f64 * ROW + 16.0;
        canvas.text(Anchor::End, (LEFT - 6.0, y), words);
    }
    let mut x = LEFT;
    for f in &h.fields {
        let width = bit * f.synthetic.len() as f64;
        for (row, values) in [&f.synthetic, &f.noise_floor].into_iter().enumerate() {
            let y = row as f64 * ROW;
            let mut at = x;
            // One rectangle a run of equal colours.
            for run in values.chunk_by(|a, b| level(*a) == level(*b)) {
                let w = bit * run.len() as f64;
                if level(run[0]) > 0 {
                    canvas.cell("hot", [at, y, w, ROW - 1.0], shade(run[0]), "");
                }
                at += w;
            }
        }
        let mean = |v: &[f64]| (!v.is_empty()).then(|| v.iter().sum::<f64>() / v.len() as f64);
        let words = format!(
            "{}, {} bits: synthetic {}, real against real {}",
            f.field,
            f.synthetic.len(),
            short(mean(&f.synthetic)),
            short(mean(&f.noise_floor))
        );
        canvas.cell("frame", [x, 0.0, width, 2.0 * ROW - 1.0], 0.0, &words);
        if width >= NAMED {
            let place = (x + width / 2.0 + 3.5, 2.0 * ROW + 5.0);
            canvas.turned(-90.0, Anchor::End, place, &name(&f.field));
        }
        x += width;
    }
    Plot {
        name: file_name(&format!("heat map {}", h.header)),
        title: format!("{}: Jensen-Shannon distance of each bit", h.header),
        legend: Legend::new(),
        canvas,
    }
}

/// One of 51 shades.
pub(super) fn level(distance: f64) -> u32 {
    (distance.clamp(0.0, 1.0).sqrt() * 50.0).round() as u32
}

pub(super) fn shade(distance: f64) -> f64 {
    f64::from(level(distance)) / 50.0
}
