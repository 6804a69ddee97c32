//! All measures between two ternary matrices.

use super::bins::{Bins, hellinger, js_distance, js_divergence, total_variation, wasserstein};
use super::{ColumnCounts, Planes};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Every measure between two matrices; `None` where it is not defined (an empty histogram, or
/// matrices of different heights for the cell-by-cell ones).
///
/// # Layout
/// `*_flat`: the histogram of all cells together. `*_column_mean`: the mean over columns of the
/// measure on that column's histogram (the primary form). `*_no_padding`: the same after rows
/// without any present cell are taken out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MatrixDistances {
    /// Jensen-Shannon distance, flat.
    pub js_distance_flat: Option<f64>,
    /// Jensen-Shannon divergence, flat.
    pub js_divergence_flat: Option<f64>,
    /// Total variation, flat.
    pub total_variation_flat: Option<f64>,
    /// Hellinger distance, flat.
    pub hellinger_flat: Option<f64>,
    /// Wasserstein-1, flat.
    pub wasserstein_flat: Option<f64>,
    /// Jensen-Shannon distance, mean over columns.
    pub js_distance_column_mean: Option<f64>,
    /// Jensen-Shannon divergence, mean over columns.
    pub js_divergence_column_mean: Option<f64>,
    /// Total variation, mean over columns.
    pub total_variation_column_mean: Option<f64>,
    /// Hellinger distance, mean over columns.
    pub hellinger_column_mean: Option<f64>,
    /// Wasserstein-1, mean over columns.
    pub wasserstein_column_mean: Option<f64>,
    /// Jensen-Shannon distance, mean over columns, without padding rows.
    pub js_distance_column_mean_no_padding: Option<f64>,
    /// Total variation, mean over columns, without padding rows.
    pub total_variation_column_mean_no_padding: Option<f64>,
    /// Hellinger distance, mean over columns, without padding rows.
    pub hellinger_column_mean_no_padding: Option<f64>,
    /// Jensen-Shannon distance of the cells read as mass (`value + 1`), position by position.
    pub js_distance_mass: Option<f64>,
    /// Share of cells that differ.
    pub hamming: Option<f64>,
}

/// The measures of each column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColumnDistances {
    /// Jensen-Shannon distance.
    pub js_distance: Vec<f64>,
    /// Total variation.
    pub total_variation: Vec<f64>,
    /// Hellinger distance.
    pub hellinger: Vec<f64>,
    /// Wasserstein-1.
    pub wasserstein: Vec<f64>,
}

/// Every measure between two matrices of the same columns.
///
/// # Errors
/// [`Error::ColumnCount`] where the number of columns differs.
///
/// # Example
/// ```
/// use trace_eval::distance::{Planes, compare};
/// let a = Planes::from_cells(2, &[0, 1, 0, 1])?;
/// let b = Planes::from_cells(2, &[0, 0, 0, 1])?;
/// let d = compare(&a, &b)?;
/// assert_eq!(d.total_variation_column_mean, Some(0.25));
/// assert_eq!(d.hamming, Some(0.25));
/// # Ok::<(), trace_eval::Error>(())
/// ```
pub fn compare(a: &Planes<'_>, b: &Planes<'_>) -> Result<MatrixDistances> {
    let (p, q) = (ColumnCounts::of(a), ColumnCounts::of(b));
    same_columns(p.columns(), q.columns())?;
    let (flat_p, flat_q) = (p.flat(), q.flat());
    let (bare_p, bare_q) = (p.without_padding(), q.without_padding());
    Ok(MatrixDistances {
        js_distance_flat: js_distance(&flat_p, &flat_q),
        js_divergence_flat: js_divergence(&flat_p, &flat_q),
        total_variation_flat: total_variation(&flat_p, &flat_q),
        hellinger_flat: hellinger(&flat_p, &flat_q),
        wasserstein_flat: wasserstein(&flat_p, &flat_q),
        js_distance_column_mean: column_mean(&p, &q, js_distance),
        js_divergence_column_mean: column_mean(&p, &q, js_divergence),
        total_variation_column_mean: column_mean(&p, &q, total_variation),
        hellinger_column_mean: column_mean(&p, &q, hellinger),
        wasserstein_column_mean: column_mean(&p, &q, wasserstein),
        js_distance_column_mean_no_padding: column_mean(&bare_p, &bare_q, js_distance),
        total_variation_column_mean_no_padding: column_mean(&bare_p, &bare_q, total_variation),
        hellinger_column_mean_no_padding: column_mean(&bare_p, &bare_q, hellinger),
        js_distance_mass: js_distance_of_mass(a, b),
        hamming: hamming(a, b),
    })
}

/// The measures of each column; `None` where a matrix has no rows.
///
/// # Errors
/// [`Error::ColumnCount`] where the number of columns differs.
pub fn column_distances(p: &ColumnCounts, q: &ColumnCounts) -> Result<Option<ColumnDistances>> {
    same_columns(p.columns(), q.columns())?;
    let each = |measure: fn(&Bins, &Bins) -> Option<f64>| -> Option<Vec<f64>> {
        (0..p.columns()).map(|c| measure(&p.bins(c), &q.bins(c))).collect()
    };
    Ok((|| {
        Some(ColumnDistances {
            js_distance: each(js_distance)?,
            total_variation: each(total_variation)?,
            hellinger: each(hellinger)?,
            wasserstein: each(wasserstein)?,
        })
    })())
}

/// The primary measure: Jensen-Shannon distance, mean over columns; `None` where a matrix has no
/// rows.
///
/// # Errors
/// [`Error::ColumnCount`] where the number of columns differs.
pub fn mean_js_distance(p: &ColumnCounts, q: &ColumnCounts) -> Result<Option<f64>> {
    same_columns(p.columns(), q.columns())?;
    Ok(column_mean(p, q, js_distance))
}

/// Share of cells that differ; `None` where the shapes differ or there is no cell.
pub fn hamming(a: &Planes<'_>, b: &Planes<'_>) -> Option<f64> {
    let joint = joint_counts(a, b)?;
    let all: u64 = joint.iter().flatten().sum();
    let equal = joint[0][0] + joint[1][1] + joint[2][2];
    (all > 0).then(|| (all - equal) as f64 / all as f64)
}

/// Jensen-Shannon distance of the two flattened matrices read as mass: `value + 1` at each
/// position, scaled to sum 1. Positional and kept for comparison with earlier work only; `None`
/// where the shapes differ or a matrix has no mass.
pub fn js_distance_of_mass(a: &Planes<'_>, b: &Planes<'_>) -> Option<f64> {
    let joint = joint_counts(a, b)?;
    let mass = |weight: fn(usize, usize) -> usize| -> u64 {
        (0..9).map(|i| weight(i % 3, i.div_euclid(3)) as u64 * joint[i % 3][i.div_euclid(3)]).sum()
    };
    let (mass_a, mass_b) = (mass(|i, _| i), mass(|_, j| j));
    if mass_a == 0 || mass_b == 0 {
        return None;
    }
    let mut sum = 0.0;
    for (i, row) in joint.iter().enumerate() {
        for (j, count) in row.iter().enumerate() {
            if i as u64 * mass_b != j as u64 * mass_a {
                let (p, q) = (i as f64 / mass_a as f64, j as f64 / mass_b as f64);
                let middle = f64::midpoint(p, q);
                let term = |x: f64| if x > 0.0 { x * (x / middle).ln() } else { 0.0 };
                sum += *count as f64 * (term(p) + term(q));
            }
        }
    }
    Some((sum / (2.0 * std::f64::consts::LN_2)).clamp(0.0, 1.0).sqrt())
}

fn same_columns(left: usize, right: usize) -> Result<()> {
    if left == right { Ok(()) } else { Err(Error::ColumnCount { left, right }) }
}

fn column_mean(
    p: &ColumnCounts,
    q: &ColumnCounts,
    measure: fn(&Bins, &Bins) -> Option<f64>,
) -> Option<f64> {
    let columns = p.columns();
    let sum: Option<f64> = (0..columns).map(|c| measure(&p.bins(c), &q.bins(c))).sum();
    sum.filter(|_| columns > 0).map(|s| s / columns as f64)
}

/// How often a cell of `a` (-1, 0, 1: first index) meets a cell of `b` (second index).
fn joint_counts(a: &Planes<'_>, b: &Planes<'_>) -> Option<[[u64; 3]; 3]> {
    if a.rows() != b.rows() || a.columns() != b.columns() {
        return None;
    }
    let mut joint = [[0_u64; 3]; 3];
    let words = a.present().iter().zip(a.value()).zip(b.present().iter().zip(b.value()));
    for ((pa, va), (pb, vb)) in words {
        let (zero_a, zero_b) = (pa & !va, pb & !vb);
        let count = |w: u64| u64::from(w.count_ones());
        joint[1][0] += count(zero_a & !pb);
        joint[2][0] += count(va & !pb);
        joint[0][1] += count(!pa & zero_b);
        joint[0][2] += count(!pa & vb);
        joint[1][1] += count(zero_a & zero_b);
        joint[1][2] += count(zero_a & vb);
        joint[2][1] += count(va & zero_b);
        joint[2][2] += count(va & vb);
    }
    // Bits past the width are 0 in all planes, so vacant-and-vacant is what is left.
    let counted: u64 = joint.iter().flatten().sum();
    joint[0][0] = (a.rows() * a.columns()) as u64 - counted;
    Some(joint)
}
