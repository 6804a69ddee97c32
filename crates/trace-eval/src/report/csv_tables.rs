//! The tables as CSV files.

use super::{Points, Report};
use crate::{Error, Result};
use std::path::{Path, PathBuf};

fn cell(v: Option<f64>) -> String {
    v.map(|v| v.to_string()).unwrap_or_default()
}

/// Names of the four columns of [`points`], after `prefix`.
fn point_names(prefix: &str) -> [String; 4] {
    ["synthetic", "noise_floor", "wrong_class", "random"].map(|n| format!("{prefix}{n}"))
}

fn points(p: &Points) -> [String; 4] {
    [p.synthetic, p.noise_floor, p.wrong_class, p.random].map(cell)
}

/// A table whose names are made.
fn wide(
    path: &Path,
    first: &[&str],
    prefixes: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
) -> Result<PathBuf> {
    let first = first.iter().map(|n| (*n).to_owned());
    let names: Vec<String> = first.chain(prefixes.iter().flat_map(|p| point_names(p))).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    table(path, &names, rows)
}

/// The tables of values with their reference points, of connections and of privacy.
fn write_rows(report: &Report, folder: &Path) -> Result<Vec<PathBuf>> {
    let fields = report.fields.iter().map(|f| {
        let numbers = [&f.js_distance, &f.total_variation, &f.hellinger].map(points).concat();
        [vec![f.field.clone(), f.leak_prone.to_string()], numbers].concat()
    });
    let positions = report
        .positions
        .iter()
        .map(|p| [vec![p.packet.to_string()], points(&p.js_distance).to_vec()].concat());
    let flows = report.flow_features.iter().map(|f| {
        let numbers = [&f.kolmogorov_smirnov, &f.wasserstein].map(points).concat();
        [vec![f.family.clone(), f.feature.clone()], numbers].concat()
    });
    let dependences = report.dependences.iter().map(|d| {
        let bits = [d.real_bits.to_string(), d.synthetic_bits.to_string()];
        let names = [d.first.clone(), d.second.clone()];
        [names.to_vec(), bits.to_vec(), points(&d.difference).to_vec()].concat()
    });
    let connections = report.connections.iter().map(|c| {
        let counts = [c.real, c.synthetic, c.shuffled].map(|n| n.to_string());
        [vec![c.kind.clone(), c.name.clone()], counts.to_vec()].concat()
    });
    let closest = report.closest.iter().map(|c| {
        let numbers = [c.distance.to_string(), cell(c.ratio), c.is_parent.to_string()];
        [vec![c.synthetic.clone(), c.real.clone()], numbers.to_vec()].concat()
    });
    let identifiers = report.identifiers.iter().map(|i| {
        vec![i.kind.clone(), i.identifier.clone(), i.real.to_string(), i.synthetic.to_string()]
    });
    let distances = ["js_distance_", "total_variation_", "hellinger_"];
    Ok(vec![
        wide(&folder.join("fields.csv"), &["field", "leak_prone"], &distances, fields)?,
        wide(&folder.join("positions.csv"), &["packet"], &["js_distance_"], positions)?,
        wide(
            &folder.join("flow_features.csv"),
            &["family", "feature"],
            &["kolmogorov_smirnov_", "wasserstein_"],
            flows,
        )?,
        wide(
            &folder.join("dependences.csv"),
            &["first", "second", "real_bits", "synthetic_bits"],
            &["difference_"],
            dependences,
        )?,
        table(
            &folder.join("connections.csv"),
            &["kind", "name", "real", "synthetic", "shuffled"],
            connections,
        )?,
        table(
            &folder.join("closest.csv"),
            &["synthetic", "real", "distance", "ratio", "is_parent"],
            closest,
        )?,
        table(
            &folder.join("identifiers.csv"),
            &["kind", "identifier", "real_captures", "synthetic_captures"],
            identifiers,
        )?,
    ])
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
    let mut paths = vec![
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
    ];
    paths.extend(write_rows(report, folder)?);
    Ok(paths)
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
