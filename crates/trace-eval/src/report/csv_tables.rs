//! The tables as CSV files.

use super::Report;
use crate::{Error, Result};
use std::path::{Path, PathBuf};

fn cell(v: Option<f64>) -> String {
    v.map(|v| v.to_string()).unwrap_or_default()
}

pub(super) fn write(report: &Report, folder: &Path) -> Result<Vec<PathBuf>> {
    let scores = report.scores.iter().map(|s| {
        let numbers = [s.synthetic, s.noise_floor, s.wrong_class, s.random].map(cell);
        [vec![s.group.clone(), s.metric.clone()], numbers.to_vec()].concat()
    });
    let pairs = report.pairs.iter().map(|p| {
        let numbers = [
            p.js_distance,
            p.total_variation,
            p.hellinger,
            p.hamming,
            p.same_length,
            p.same_direction,
        ];
        [vec![p.synthetic.clone(), p.parent.clone()], numbers.map(cell).to_vec()].concat()
    });
    let utility = report.utility.iter().map(|u| {
        let (a, f) = (u.accuracy, u.macro_f1);
        let names = [u.category.as_str(), u.view.name(), u.classifier.name(), u.scenario.name()];
        let numbers = [a.mean, a.low, a.high, f.mean, f.low, f.high, u.chance];
        let counts = [u.classes, u.tested, u.runs];
        let names = names.iter().map(|n| (*n).to_owned());
        let numbers = numbers.iter().map(ToString::to_string);
        names.chain(numbers).chain(counts.iter().map(ToString::to_string)).collect()
    });
    let compliance = report.compliance.iter().map(|r| {
        let counts = [r.real, r.synthetic, r.shuffled];
        let numbers = counts.iter().flat_map(|c| [c.checked.to_string(), c.broken.to_string()]);
        [r.rule.clone(), r.source.clone()].into_iter().chain(numbers).collect()
    });
    let columns = report.headers.iter().flat_map(|h| &h.fields).flat_map(|f| {
        f.synthetic.iter().enumerate().map(|(bit, v)| {
            let floor = f.noise_floor.get(bit).map(ToString::to_string).unwrap_or_default();
            vec![format!("{}_{bit}", f.field), v.to_string(), floor]
        })
    });
    Ok(vec![
        table(
            &folder.join("scores.csv"),
            &["group", "metric", "synthetic", "noise_floor", "wrong_class", "random"],
            scores,
        )?,
        table(
            &folder.join("pairs.csv"),
            &[
                "synthetic",
                "parent",
                "js_distance",
                "total_variation",
                "hellinger",
                "hamming",
                "same_length",
                "same_direction",
            ],
            pairs,
        )?,
        table(
            &folder.join("utility.csv"),
            &[
                "category",
                "view",
                "classifier",
                "scenario",
                "accuracy_mean",
                "accuracy_low",
                "accuracy_high",
                "macro_f1_mean",
                "macro_f1_low",
                "macro_f1_high",
                "chance",
                "classes",
                "tested",
                "runs",
            ],
            utility,
        )?,
        table(
            &folder.join("compliance.csv"),
            &[
                "rule",
                "source",
                "real_checked",
                "real_broken",
                "synthetic_checked",
                "synthetic_broken",
                "shuffled_checked",
                "shuffled_broken",
            ],
            compliance,
        )?,
        table(
            &folder.join("columns.csv"),
            &["column", "js_distance", "js_distance_noise_floor"],
            columns,
        )?,
    ])
}

fn table(path: &Path, header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Result<PathBuf> {
    let error = |source| Error::Csv { path: path.to_owned(), source };
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(header).map_err(error)?;
    for row in rows {
        writer.write_record(row).map_err(error)?;
    }
    let bytes = writer.into_inner().map_err(|e| error(e.into_error().into()))?;
    super::replace(path, &bytes)
        .map_err(|source| Error::Write { path: path.to_owned(), source })?;
    Ok(path.to_owned())
}
