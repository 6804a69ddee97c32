//! Every plot of a report.

use super::{Plot, confusion, curve, distribution, heat_map, mixing, positions, violin};
use crate::config::View;
use crate::report::{Extras, Report};

/// The plots of the page, in its order.
pub(in crate::report) fn all(report: &Report, extras: &Extras) -> Vec<Plot> {
    let mut out: Vec<Plot> = report.spreads.iter().map(violin).collect();
    out.extend(report.distributions.iter().map(distribution));
    out.extend(report.headers.iter().map(heat_map));
    if !report.positions.is_empty() {
        out.push(positions(&report.positions));
    }
    out.extend(report.confusions.iter().map(confusion));
    out.extend(report.mixed().into_iter().filter_map(|(c, view)| mixing(report, c, view)));
    out.extend(extras.curves.iter().filter_map(curve));
    // Labels and curves may have names that differ in nothing but signs.
    for i in 1..out.len() {
        let alike = (0..i).filter(|j| out[*j].name == out[i].name).count();
        if alike > 0 {
            out[i].name = format!("{}-n{}", out[i].name, i + 1);
        }
    }
    out
}

impl Report {
    /// The categories and views that have mixing curves.
    pub(in crate::report) fn mixed(&self) -> Vec<(&str, View)> {
        let mut found: Vec<(&str, View)> = Vec::new();
        for row in self.study.iter().flat_map(|s| &s.mixing) {
            if !found.contains(&(row.category.as_str(), row.view)) {
                found.push((&row.category, row.view));
            }
        }
        found
    }
}
