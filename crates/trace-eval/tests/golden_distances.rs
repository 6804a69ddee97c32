//! Distances against NumPy and SciPy (`tests/golden/metrics`).

mod common;

use common::{files_like, metrics_folder, read_npy, read_table};
use std::collections::BTreeMap;
use trace_eval::distance::{ColumnCounts, MatrixDistances, Planes, column_distances, compare};

const TOLERANCE: f64 = 1e-12;

fn planes(name: &str) -> Planes<'static> {
    let array = read_npy(&metrics_folder().join(format!("{name}.npy")));
    Planes::from_cells(array.columns, &array.cells).expect("ternary cells")
}

fn measure(d: &MatrixDistances, column: &str) -> Option<f64> {
    match column {
        "jsdist_flat" => d.js_distance_flat,
        "jsdiv_flat" => d.js_divergence_flat,
        "tvd_flat" => d.total_variation_flat,
        "hellinger_flat" => d.hellinger_flat,
        "wasserstein_flat" => d.wasserstein_flat,
        "jsdist_col_mean" => d.js_distance_column_mean,
        "jsdiv_col_mean" => d.js_divergence_column_mean,
        "tvd_col_mean" => d.total_variation_column_mean,
        "hellinger_col_mean" => d.hellinger_column_mean,
        "wasserstein_col_mean" => d.wasserstein_column_mean,
        "jsdist_mass01_2" => d.js_distance_mass,
        "hamming" => d.hamming,
        "jsdist_col_mean_nopad" => d.js_distance_column_mean_no_padding,
        "tvd_col_mean_nopad" => d.total_variation_column_mean_no_padding,
        "hellinger_col_mean_nopad" => d.hellinger_column_mean_no_padding,
        other => panic!("pairs.tsv has a column {other} that no measure answers to"),
    }
}

#[test]
fn golden_pairs() {
    let table = read_table(&metrics_folder().join("pairs.tsv"));
    let mut matrices: BTreeMap<String, Planes<'static>> = BTreeMap::new();
    let (mut checked, mut largest) = (0, 0.0_f64);
    for row in &table.rows {
        for name in &row[..2] {
            matrices.entry(name.clone()).or_insert_with(|| planes(name));
        }
        let found = compare(&matrices[&row[0]], &matrices[&row[1]]).expect("equal columns");
        for (column, expected) in table.header.iter().zip(row).skip(2) {
            let value = measure(&found, column);
            let place = format!("{} against {}: {column}", row[0], row[1]);
            if expected == "NA" {
                assert_eq!(value, None, "{place}");
            } else {
                let expected: f64 = expected.parse().expect("a number");
                let value = value.unwrap_or_else(|| panic!("{place}: not defined"));
                let error = (value - expected).abs();
                assert!(error <= TOLERANCE, "{place}: {value} instead of {expected}");
                largest = largest.max(error);
            }
            checked += 1;
        }
    }
    assert!(checked > 0, "pairs.tsv has no rows");
    eprintln!("golden_pairs: {checked} values, largest error {largest:e}");
}

/// Files `percol_A_B.csv`: every split of the name at `_` into two names of matrices is tried.
#[test]
fn golden_columns() {
    let folder = metrics_folder();
    let mut checked = 0;
    for (names, path) in files_like(&folder, "percol_", ".csv") {
        let (a, b) = names
            .match_indices('_')
            .map(|(at, _)| (&names[..at], &names[at + 1..]))
            .find(|(a, b)| [a, b].iter().all(|n| folder.join(format!("{n}.npy")).exists()))
            .unwrap_or_else(|| panic!("{}: names no two matrices", path.display()));
        let (p, q) = (ColumnCounts::of(&planes(a)), ColumnCounts::of(&planes(b)));
        let found = column_distances(&p, &q).expect("equal columns").expect("rows");
        let table = read_table(&path);
        let columns = table.numbers("col");
        for (name, values) in [
            ("jsdist", &found.js_distance),
            ("tvd", &found.total_variation),
            ("hellinger", &found.hellinger),
            ("wasserstein", &found.wasserstein),
        ] {
            for (column, expected) in columns.iter().zip(table.numbers(name)) {
                let value = values[*column as usize];
                assert!(
                    (value - expected).abs() <= TOLERANCE,
                    "{name} of column {column}: {value} instead of {expected}"
                );
                checked += 1;
            }
        }
    }
    assert!(checked > 0, "no percol_*.csv");
}
