//! As many training samples of every class as of the largest.

use crate::{Error, Result};
use nprint_codec::TernaryMatrix;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, RngCore};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

/// The training samples with those of smaller classes repeated (in random order, each as often as
/// the others, or once more) until all classes are as large as the largest.
///
/// # Example
/// ```
/// use rand::SeedableRng;
/// use trace_eval::classify::duplicate;
/// let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
/// let train = duplicate(&[0, 0, 0, 1], &[0, 1, 2, 3], &mut rng);
/// assert_eq!(train, vec![0, 1, 2, 3, 3, 3]);
/// ```
///
/// # Panics
/// When a training sample has no label, as slices do.
pub fn duplicate(labels: &[usize], train: &[usize], rng: &mut ChaCha8Rng) -> Vec<usize> {
    let mut out = train.to_vec();
    for_each_gap(labels, train, |members, missing| {
        let mut order = members.to_vec();
        order.shuffle(rng);
        out.extend(order.iter().cycle().take(missing));
    });
    out
}

/// New samples for the smaller classes, so that all become as large as the largest: each is made from
/// a training sample and one of its nearest `neighbours` in the same class, cell by cell, taking
/// either's with equal chance. A class of one sample yields copies of it. Returns the new samples and
/// their classes.
///
/// Where both agree a cell is kept, so constant fields and vacant rows stay; a shorter neighbour's
/// missing rows count as vacant, and the rows are those of the first.
///
/// # Errors
/// [`Error::Setting`] for no neighbours, [`Error::OutOfRange`] for bad indices,
/// [`Error::ColumnCount`] where matrices differ in width.
///
/// # Source
/// Chawla et al., "SMOTE: Synthetic Minority Over-sampling Technique", JAIR 2002, with the choice of
/// either value that its SMOTE-N variant implies for nominal features.
pub fn ternary_smote(
    matrices: &[&TernaryMatrix],
    labels: &[usize],
    train: &[usize],
    neighbours: usize,
    rng: &mut ChaCha8Rng,
) -> Result<(Vec<TernaryMatrix>, Vec<usize>)> {
    if neighbours == 0 {
        let (setting, value) = ("neighbours", 0.0);
        return Err(Error::Setting { setting, value, expected: "at least 1" });
    }
    let count = matrices.len().min(labels.len());
    if let Some(bad) = train.iter().find(|s| **s >= count) {
        return Err(Error::OutOfRange { what: "sample", index: *bad, count });
    }
    let width = |s: &usize| matrices[*s].columns();
    if let Some((a, b)) = train.first().zip(train.iter().find(|s| width(s) != width(&train[0]))) {
        return Err(Error::ColumnCount { left: width(a), right: width(b) });
    }
    let (mut made, mut classes) = (Vec::new(), Vec::new());
    for_each_gap(labels, train, |members, missing| {
        let near: Vec<Vec<usize>> = members
            .iter()
            .map(|a| {
                let mut others: Vec<(u64, usize)> = members
                    .iter()
                    .filter(|b| *b != a)
                    .map(|b| (differing_cells(matrices[*a], matrices[*b]), *b))
                    .collect();
                others.sort_unstable();
                others.into_iter().take(neighbours).map(|o| o.1).collect()
            })
            .collect();
        let mut order: Vec<usize> = (0..members.len()).collect();
        order.shuffle(rng);
        for at in order.iter().cycle().take(missing) {
            let first = matrices[members[*at]];
            let second = near[*at].choose(rng).map_or(first, |s| matrices[*s]);
            made.push(crossed(first, second, rng));
            classes.push(labels[members[*at]]);
        }
    });
    Ok((made, classes))
}

/// Calls `fill` for every class that is smaller than the largest, with its samples and how many it
/// lacks.
fn for_each_gap(labels: &[usize], train: &[usize], mut fill: impl FnMut(&[usize], usize)) {
    let mut by_class: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for s in train {
        by_class.entry(labels[*s]).or_default().push(*s);
    }
    let largest = by_class.values().map(Vec::len).max().unwrap_or(0);
    for members in by_class.values().filter(|m| m.len() < largest) {
        fill(members, largest - members.len());
    }
}

fn differing_cells(a: &TernaryMatrix, b: &TernaryMatrix) -> u64 {
    let words = a.present_plane().len().max(b.present_plane().len());
    let word = |plane: &[u64], at: usize| plane.get(at).copied().unwrap_or(0);
    let differ = |at: usize| {
        (word(a.present_plane(), at) ^ word(b.present_plane(), at))
            | (word(a.value_plane(), at) ^ word(b.value_plane(), at))
    };
    (0..words).map(|at| u64::from(differ(at).count_ones())).sum()
}

fn crossed(first: &TernaryMatrix, second: &TernaryMatrix, rng: &mut impl RngCore) -> TernaryMatrix {
    let words = first.layout().words();
    let vacant = vec![0_u64; words];
    let mut out = TernaryMatrix::vacant(first.layout().clone(), first.rows());
    for row in 0..first.rows() {
        let a = first.row(row);
        let (present, value) = if row < second.rows() {
            (second.row(row).present_words(), second.row(row).value_words())
        } else {
            (&vacant[..], &vacant[..])
        };
        let from_first: Vec<u64> = (0..words).map(|_| rng.random()).collect();
        let pick = |a: &[u64], b: &[u64]| -> Vec<u64> {
            a.iter().zip(b).zip(&from_first).map(|((a, b), m)| (a & m) | (b & !m)).collect()
        };
        out.row_mut(row)
            .set_words(&pick(a.present_words(), present), &pick(a.value_words(), value));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use nprint_codec::{Cell, Layout};
    use rand::SeedableRng;

    fn random(rows: usize, rng: &mut ChaCha8Rng) -> TernaryMatrix {
        let mut m = TernaryMatrix::vacant(Layout::reference(), rows);
        for row in 0..rows {
            for column in 0..m.columns() {
                let cell = [Cell::Vacant, Cell::Zero, Cell::One][rng.random_range(0..3)];
                m.row_mut(row).set_cell(column, cell);
            }
        }
        m
    }

    #[test]
    fn made_samples_have_the_cells_of_their_class() {
        let rng = &mut ChaCha8Rng::seed_from_u64(3);
        let matrices: Vec<TernaryMatrix> = (0..9).map(|i| random(1 + i % 3, rng)).collect();
        let all: Vec<&TernaryMatrix> = matrices.iter().collect();
        let labels = [0, 0, 0, 0, 0, 1, 1, 1, 2];
        let train: Vec<usize> = (0..9).collect();
        let (made, classes) = ternary_smote(&all, &labels, &train, 5, rng).expect("samples");
        assert_eq!(classes, vec![1, 1, 2, 2, 2, 2]);
        for (m, class) in made.iter().zip(&classes) {
            let of: Vec<&TernaryMatrix> =
                train.iter().filter(|s| labels[**s] == *class).map(|s| all[*s]).collect();
            let cell = |m: &TernaryMatrix, row: usize, column: usize| {
                if row < m.rows() { m.row(row).cell(column) } else { Cell::Vacant }
            };
            for (row, column) in (0..m.rows()).flat_map(|r| (0..m.columns()).map(move |c| (r, c))) {
                assert!(of.iter().any(|o| cell(o, row, column) == cell(m, row, column)));
            }
            if *class == 2 {
                assert_eq!(m.to_i8(), matrices[8].to_i8());
            } else {
                assert!(of.iter().all(|o| o.to_i8() != m.to_i8()), "a copy");
            }
        }
    }

    #[test]
    fn odd_input_is_an_error_or_nothing() {
        let rng = &mut ChaCha8Rng::seed_from_u64(3);
        let m = random(1, rng);
        assert!(ternary_smote(&[&m], &[0], &[1], 5, rng).is_err());
        assert!(ternary_smote(&[&m], &[0], &[0], 0, rng).is_err());
        assert!(ternary_smote(&[&m], &[0], &[0], 5, rng).expect("one class").0.is_empty());
        assert!(ternary_smote(&[], &[], &[], 5, rng).expect("nothing").0.is_empty());
        assert_eq!(duplicate(&[], &[], rng), Vec::<usize>::new());
    }
}
