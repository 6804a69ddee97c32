//! Violins: where the values of single captures or pairs lie.

use super::axes::Axes;
use super::canvas::Anchor;
use super::{Legend, Plot, file_name};
use crate::report::number::short;
use crate::report::{Spread, SpreadGroup};

/// Heights at which the density is drawn.
const LEVELS: usize = 64;
/// Widest half of a violin, in shares of its place.
const HALF: f64 = 0.42;

/// One violin a group, with quartiles. The vertical axis goes by the square root: random data lies many
/// times farther out than what is to be compared.
pub(in crate::report) fn violin(s: &Spread) -> Plot {
    let groups: Vec<(&SpreadGroup, Vec<f64>)> = s
        .groups
        .iter()
        .map(|g| {
            let roots = g.values.iter().filter(|v| v.is_finite()).map(|v| v.max(0.0).sqrt());
            let mut roots: Vec<f64> = roots.collect();
            roots.sort_by(f64::total_cmp);
            (g, roots)
        })
        .filter(|(_, roots)| !roots.is_empty())
        .collect();
    let most = groups.iter().filter_map(|g| g.1.last()).copied().fold(0.0, f64::max);
    let top = if most > 0.0 { most * 1.06 } else { 1.0 };
    let axes = Axes { x: (0.0, groups.len().max(1) as f64), y: (0.0, top) };
    let mut canvas = axes.with_marks(&s.unit, &marks(top));
    for (place, (group, roots)) in groups.iter().enumerate() {
        let middle = place as f64 + 0.5;
        let class = class_of(&group.name);
        let density = density(roots, top);
        let widest = density.iter().map(|d| d.1).fold(0.0, f64::max);
        let half = |d: f64| if widest > 0.0 { HALF * d / widest } else { 0.0 };
        let right = density.iter().map(|(y, d)| axes.at(middle + half(*d), *y));
        let left = density.iter().rev().map(|(y, d)| axes.at(middle - half(*d), *y));
        let outline: Vec<(f64, f64)> = right.chain(left).collect();
        canvas.path(&format!("area {class}"), &outline, true);
        let [low, median, high] = [0.25, 0.5, 0.75].map(|part| quantile(roots, part));
        canvas.line(&format!("box {class}"), axes.at(middle, low), axes.at(middle, high));
        let [low, number, high] = [low, median, high].map(|root| short(Some(root * root)));
        let words = format!("{}: median {number}, half between {low} and {high}", group.name);
        canvas.dot(&format!("median {class}"), axes.at(middle, median), 4.0, &words);
        let (x, _) = axes.at(middle, 0.0);
        canvas.text(Anchor::Middle, (x, Axes::below()), &group.name);
        let count = format!("{number} (n {})", roots.len());
        canvas.text_as("label", Anchor::Middle, (x, Axes::below() + 13.0), &count);
    }
    Plot {
        name: file_name(&format!("violin {}", s.name)),
        title: s.name.clone(),
        legend: Legend::new(),
        canvas,
    }
}

/// Numbers of one digit at about equal distances, and their square roots, where they stand.
fn marks(top: f64) -> Vec<(f64, f64)> {
    let round = |v: f64| {
        let power = 10_f64.powf(v.log10().floor());
        (v / power).floor() * power
    };
    let parts = [0.2, 0.4, 0.6, 0.8, 1.0].map(|part| round((part * top).powi(2)));
    let numbers = std::iter::once(0.0).chain(parts);
    let mut out: Vec<(f64, f64)> = numbers.map(|v| (v.sqrt(), v)).collect();
    out.dedup_by(|a, b| a.1 - b.1 < 1e-12);
    out
}

/// The value at a place of sorted values, the nearest one.
fn quantile(values: &[f64], part: f64) -> f64 {
    values[(part * (values.len() - 1) as f64).round() as usize]
}

/// The colour of a group, by what it is.
fn class_of(name: &str) -> &'static str {
    match name {
        "synthetic" => "synthetic",
        "real against real" => "real",
        "wrong class" => "wrong",
        _ => "random",
    }
}

/// Gaussian density of sorted values between 0 and `most`, as pairs of value and density.
///
/// # Source
/// Silverman, "Density estimation for statistics and data analysis", 1986, equation 3.31 (width).
fn density(values: &[f64], most: f64) -> Vec<(f64, f64)> {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let deviation = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
    let between = (quantile(values, 0.75) - quantile(values, 0.25)) / 1.34;
    let scale = if between > 0.0 { deviation.min(between) } else { deviation };
    // Equal values are a thin line, not nothing.
    let width = (0.9 * scale * n.powf(-0.2)).max(most / 100.0);
    let (low, high) = (values[0] - 2.0 * width, values[values.len() - 1] + 2.0 * width);
    let (low, high) = (low.max(0.0), high.min(most));
    let level = |i: usize| low + (high - low) * i as f64 / (LEVELS - 1) as f64;
    let at = |y: f64| values.iter().map(|v| (-0.5 * ((y - v) / width).powi(2)).exp()).sum::<f64>();
    (0..LEVELS).map(|i| (level(i), at(level(i)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_have_one_digit_and_their_places() {
        let numbers: Vec<f64> = marks(0.9).into_iter().map(|m| m.1).collect();
        assert_eq!(numbers.len(), 6);
        for (found, expected) in numbers.iter().zip([0.0, 0.03, 0.1, 0.2, 0.5, 0.8]) {
            assert!((found - expected).abs() < 1e-9, "{numbers:?}");
        }
    }

    #[test]
    fn the_density_is_highest_where_values_are() {
        let found = density(&[0.1, 0.5, 0.5, 0.5, 0.9], 1.0);
        let top = found.iter().max_by(|a, b| a.1.total_cmp(&b.1)).expect("levels");
        assert!((top.0 - 0.5).abs() < 0.02, "{top:?}");
        assert!(density(&[0.0, 0.0], 1.0).iter().all(|(y, d)| y.is_finite() && d.is_finite()));
    }
}
