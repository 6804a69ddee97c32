//! Two distributions over each other.

use super::axes::Axes;
use super::{Legend, Plot, file_name};
use crate::report::Distribution;

/// Real and synthetic shares, bin by bin.
pub(in crate::report) fn distribution(d: &Distribution) -> Plot {
    let most = d.real.iter().chain(&d.synthetic).copied().fold(0.0, f64::max);
    let end = d.from + d.width * d.real.len() as f64;
    let axes = Axes { x: (d.from, end), y: (0.0, if most > 0.0 { most * 1.05 } else { 1.0 }) };
    let mut canvas = axes.canvas(&d.unit, "share");
    for (class, shares) in [("area real", &d.real), ("area synthetic", &d.synthetic)] {
        let mut points = vec![axes.at(d.from, 0.0)];
        for (i, share) in shares.iter().enumerate() {
            points.push(axes.at(d.from + d.width * i as f64, *share));
            points.push(axes.at(d.from + d.width * (i + 1) as f64, *share));
        }
        points.push(axes.at(end, 0.0));
        canvas.path(class, &points, false);
    }
    Plot {
        name: file_name(&format!("distribution {}", d.name)),
        title: d.name.clone(),
        legend: legend(),
        canvas,
    }
}

fn legend() -> Legend {
    vec![("real", "real".to_owned()), ("synthetic", "synthetic".to_owned())]
}
