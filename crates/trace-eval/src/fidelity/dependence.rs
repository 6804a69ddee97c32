//! What fields say about each other.

use super::References;
use super::reference::mean;
use crate::config::EvalConfig;
use crate::distance::{ValueCounts, mutual_information};
use crate::features::{ABSENT, FieldColumns, field_columns, is_leak_prone};
use crate::report::{Better, DependenceRow, Points, Score};
use crate::sample::Pool;
use rayon::prelude::*;

/// Categories that the values of a field are sorted into: absent, and up to 15 intervals that hold
/// about equally many real packets.
const CATEGORIES: usize = 16;

/// Difference of the mutual information of every pair of fields; `None` where fewer than two fields
/// vary in real captures.
pub(crate) fn dependence(
    pool: &Pool<'_>,
    references: &References,
    config: &EvalConfig,
) -> Option<(Score, Vec<DependenceRow>)> {
    let columns: Vec<FieldColumns> =
        pool.samples.par_iter().map(|s| field_columns(&s.matrix, config.packets)).collect();
    let (names, codes) = codes(&columns, pool.held_out.end);
    if names.len() < 2 {
        return None;
    }
    let bits = |first: usize, second: usize, of: &[usize]| {
        let mut joint = vec![0_u64; CATEGORIES * CATEGORIES];
        for sample in of {
            let (a, b) = (&codes[first][*sample], &codes[second][*sample]);
            for (a, b) in a.iter().zip(b) {
                joint[usize::from(*a) * CATEGORIES + usize::from(*b)] += 1;
            }
        }
        mutual_information(&joint, CATEGORIES)
    };
    let pairs: Vec<(usize, usize)> =
        (0..names.len()).flat_map(|i| (i + 1..names.len()).map(move |j| (i, j))).collect();
    let rows: Vec<DependenceRow> = pairs
        .into_par_iter()
        .map(|(i, j)| {
            let found = references.compare(&[], |a, b| {
                let real = bits(i, j, a)?;
                // Independent fields say nothing about each other: nothing has to be drawn.
                let other = if b.is_empty() { 0.0 } else { bits(i, j, b)? };
                Some((real - other).abs())
            });
            DependenceRow {
                first: names[i].clone(),
                second: names[j].clone(),
                real_bits: bits(i, j, &references.real).unwrap_or(0.0),
                synthetic_bits: bits(i, j, &references.synthetic).unwrap_or(0.0),
                difference: found.points(|d| *d),
            }
        })
        .collect();
    let of = |value: fn(&Points) -> Option<f64>| mean(rows.iter().map(|r| value(&r.difference)));
    let points = Points {
        synthetic: of(|p| p.synthetic),
        noise_floor: of(|p| p.noise_floor),
        wrong_class: of(|p| p.wrong_class),
        random: of(|p| p.random),
    };
    let score = Score::new(
        "Fields together",
        "mutual information of two fields, difference in bits",
        "Mean over pairs of header fields that vary in real captures, without leak-prone ones, of the \
         difference of their mutual information; values in up to 15 intervals that hold equally many real \
         packets. Sees values that are right alone and wrong together. Floor: two halves of the real \
         captures; random: independent fields.",
        Better::Lower,
        points,
    );
    Some((score, rows))
}

/// Names of the fields that vary in the first `real` samples, and their categories:
/// `codes[field][sample][row]`.
fn codes(columns: &[FieldColumns], real: usize) -> (Vec<String>, Vec<Vec<Vec<u8>>>) {
    let fields = &columns[0].fields;
    (0..fields.len())
        .filter(|f| !is_leak_prone(fields[*f]))
        .filter_map(|f| {
            let of_real = columns[..real].iter().flat_map(|c| c.columns[f].iter().copied());
            let counts: ValueCounts = of_real.collect();
            if counts.iter().len() < 2 {
                return None;
            }
            let edges = edges(&counts);
            let code = |v: &u64| match *v {
                ABSENT => 0,
                v => 1 + edges.iter().filter(|e| **e <= v).count() as u8,
            };
            let of_sample = |c: &FieldColumns| c.columns[f].iter().map(code).collect();
            Some((fields[f].name.to_owned(), columns.iter().map(of_sample).collect()))
        })
        .unzip()
}

/// Lower bounds of all intervals but the first; every value has its own where there are few.
fn edges(counts: &ValueCounts) -> Vec<u64> {
    let present = counts.total() - counts.count(ABSENT);
    let intervals = CATEGORIES as u64 - 1;
    let values: Vec<u64> = counts.iter().map(|c| c.0).filter(|v| *v != ABSENT).collect();
    if values.len() < CATEGORIES {
        return values.into_iter().skip(1).collect();
    }
    let (mut seen, mut edges) = (0_u64, Vec::new());
    for (value, count) in counts.iter().filter(|(v, _)| *v != ABSENT) {
        // This value starts an interval where the ones before fill at least the next share.
        if seen * intervals >= (edges.len() as u64 + 1) * present && edges.len() + 2 < CATEGORIES {
            edges.push(value);
        }
        seen += count;
    }
    edges
}
