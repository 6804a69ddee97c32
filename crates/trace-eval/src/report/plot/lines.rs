//! Values over steps, places and shares.

use super::axes::Axes;
use super::{Legend, Plot, file_name};
use crate::config::{Classifier, View};
use crate::report::number::short;
use crate::report::{Curve, Points, PositionRow, Report, Scenario};
use crate::utility::MixingRow;

/// Most points of a line: a plot is a few hundred pixels wide.
const MOST_POINTS: usize = 600;

/// A curve over steps: every point faint, the running mean strong. `None` without a finite point.
pub(in crate::report) fn curve(c: &Curve) -> Option<Plot> {
    let points: Vec<(f64, f64)> =
        c.points.iter().filter(|(x, y)| x.is_finite() && y.is_finite()).copied().collect();
    let (first, last) = (points.first()?, points.last()?);
    let mut ys: Vec<f64> = points.iter().map(|p| p.1).collect();
    ys.sort_by(f64::total_cmp);
    // A few high first losses would flatten the rest: cut at the 98th percentile, floor at 0.
    let high = ys[(ys.len() * 98).div_euclid(100).min(ys.len() - 1)] * 1.1;
    let low = ys[0].min(0.0);
    let axes = Axes { x: (first.0, last.0), y: (low, if high > low { high } else { low + 1.0 }) };
    let window = (points.len() >> 5).max(1);
    let smooth: Vec<(f64, f64)> = (0..points.len())
        .map(|i| {
            let around = &points[i.saturating_sub(window)..(i + window + 1).min(points.len())];
            (points[i].0, around.iter().map(|p| p.1).sum::<f64>() / around.len() as f64)
        })
        .collect();
    let mut canvas = axes.canvas("step", "");
    for (class, points) in [("line faint synthetic", &points), ("line strong synthetic", &smooth)] {
        let step = points.len().div_ceil(MOST_POINTS).max(1);
        let thinned = points.iter().step_by(step).chain(points.last());
        let line: Vec<(f64, f64)> = thinned.map(|(x, y)| axes.at(*x, *y)).collect();
        canvas.path(class, &line, false);
    }
    let (name, title) = (file_name(&format!("curve {}", c.name)), c.name.clone());
    Some(Plot { name, title, legend: Legend::new(), canvas })
}

/// One of the values beside each other.
type Value = fn(&Points) -> Option<f64>;

/// Distances by place in the capture, in at most about 128 steps: the mean of each.
pub(in crate::report) fn positions(rows: &[PositionRow]) -> Plot {
    let step = rows.len().div_ceil(128).max(1);
    let lines: [(&str, &str, Value); 3] = [
        ("wrong", "wrong class", |p| p.wrong_class),
        ("real", "real against real", |p| p.noise_floor),
        ("synthetic", "synthetic", |p| p.synthetic),
    ];
    let line = |value: Value| -> Vec<(f64, f64)> {
        rows.chunks(step)
            .filter_map(|part| {
                let of: Vec<f64> = part.iter().filter_map(|r| value(&r.js_distance)).collect();
                let mean = of.iter().sum::<f64>() / of.len() as f64;
                (!of.is_empty()).then(|| (part[0].packet as f64, mean))
            })
            .collect()
    };
    let values = lines.map(|(class, words, value)| (class, words, line(value)));
    let most = values.iter().flat_map(|l| &l.2).map(|p| p.1).fold(0.0, f64::max);
    let axes =
        Axes { x: (0.0, rows.len() as f64), y: (0.0, if most > 0.0 { most * 1.05 } else { 1.0 }) };
    let mut canvas = axes.canvas("packet", "JS distance");
    for (class, _, points) in &values {
        let line: Vec<(f64, f64)> = points.iter().map(|(x, y)| axes.at(*x, *y)).collect();
        canvas.path(&format!("line {class}"), &line, false);
    }
    let title = "Distance of field values by place in the capture".to_owned();
    let legend =
        lines.iter().rev().map(|(class, words, _)| (*class, (*words).to_owned())).collect();
    Plot { name: "positions".to_owned(), title, legend, canvas }
}

/// The mixing curves of a category in one view: a line a classifier with its interval, and its real →
/// real dashed across. `None` where there are none.
pub(in crate::report) fn mixing(report: &Report, category: &str, view: View) -> Option<Plot> {
    let study = report.study.as_ref()?;
    let rows: Vec<&MixingRow> =
        study.mixing.iter().filter(|m| m.category == category && m.view == view).collect();
    let mut classifiers: Vec<Classifier> = rows.iter().map(|m| m.classifier).collect();
    classifiers.sort_unstable();
    classifiers.dedup();
    let of_report = |scenario: Scenario, classifier: Classifier| {
        let same = |u: &&crate::report::UtilityRow| {
            u.category == category
                && u.view == view
                && u.scenario == scenario
                && u.classifier == classifier
        };
        report.utility.iter().find(same).map(|u| u.accuracy.mean)
    };
    let chance = report.utility.iter().find(|u| u.category == category).map(|u| u.chance);
    let shares = || rows.iter().map(|m| m.synthetic_share);
    let (low, high) = (shares().reduce(f64::min)?, shares().reduce(f64::max).unwrap_or(1.0));
    // With one share alone there is still a place to draw it.
    let axes = Axes { x: (low.min(0.1), high.max(0.9)), y: (0.0, 1.0) };
    let mut canvas = axes.canvas("share of training captures that are synthetic", "accuracy");
    let across = |y: f64| [axes.at(axes.x.0, y), axes.at(axes.x.1, y)];
    let mut legend = Legend::new();
    for classifier in classifiers {
        let class = series(classifier);
        let mut points: Vec<&&MixingRow> =
            rows.iter().filter(|m| m.classifier == classifier).collect();
        points.sort_by(|a, b| a.synthetic_share.total_cmp(&b.synthetic_share));
        let at = |m: &MixingRow, y: f64| axes.at(m.synthetic_share, y);
        let upper = points.iter().map(|m| at(m, m.accuracy.high));
        let lower = points.iter().rev().map(|m| at(m, m.accuracy.low));
        let band: Vec<(f64, f64)> = upper.chain(lower).collect();
        canvas.path(&format!("band {class}"), &band, true);
        let line: Vec<(f64, f64)> = points.iter().map(|m| at(m, m.accuracy.mean)).collect();
        canvas.path(&format!("line strong {class}"), &line, false);
        for m in points {
            let words = format!(
                "{}, {:.0} % synthetic: {}",
                classifier.name(),
                100.0 * m.synthetic_share,
                short(Some(m.accuracy.mean))
            );
            canvas.dot(&format!("dot {class}"), at(m, m.accuracy.mean), 2.5, &words);
        }
        if let Some(ceiling) = of_report(Scenario::RealReal, classifier) {
            canvas.path(&format!("line dashed {class}"), &across(ceiling), false);
        }
        legend.push((class, classifier.name().to_owned()));
    }
    if let Some(chance) = chance {
        canvas.path("line dashed real", &across(chance), false);
        legend.push(("real", "guessing".to_owned()));
    }
    Some(Plot {
        name: file_name(&format!("mixing {category} {}", view.name())),
        title: format!("{category}: {}", view.name()),
        legend,
        canvas,
    })
}

/// The colour of a classifier.
const fn series(classifier: Classifier) -> &'static str {
    match classifier {
        Classifier::Tree => "series-1",
        Classifier::Forest => "series-2",
        Classifier::Svm => "series-3",
        Classifier::Boosting => "series-4",
        Classifier::Nearest => "series-5",
    }
}
