//! Samples × features, column by column.

use super::cuts::{Cuts, NONE, by_sample};
use super::gram::{Gram, ternary_gram};
use super::transpose::transpose64;
use crate::distance::Planes;
use crate::{Error, Result};
use nprint_codec::TernaryMatrix;

/// Samples × features: ternary columns as bit planes, numeric columns as numbers.
///
/// # Layout
/// A ternary column splits the samples by its *present* plane and by its *value* plane; equal planes
/// of all columns are kept once, as *cuts*: `words = ceil(samples / 64)` words, sample `s` is bit
/// `63 - s % 64` of word `s / 64`. The same cuts stand a second time in sample-major order, so that the
/// classes of 64 cuts can be counted at once. Columns that are equal in all samples are dropped (no
/// tree can split on them, and a linear decision does not change), but they stay in the number of
/// features that a forest draws from. A feature keeps its original number: `row * columns + column`
/// of the ternary matrices.
///
/// # Example
/// ```
/// use trace_eval::classify::FeatureMatrix;
/// use trace_eval::distance::Planes;
/// // three samples, two features; the second is constant
/// let x = FeatureMatrix::from_planes(&Planes::from_cells(2, &[-1, 1, 0, 1, 1, 1])?);
/// assert_eq!((x.samples(), x.features(), x.live_columns()), (3, 2, 1));
/// # Ok::<(), trace_eval::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct FeatureMatrix {
    samples: usize,
    words: usize,
    features: usize,
    /// Original number of each live ternary column.
    ids: Vec<u32>,
    /// Cuts of each live ternary column, present and value; [`NONE`] where that plane is the same in
    /// all samples (then all are present, or none is 1).
    planes: Vec<[u32; 2]>,
    cuts: Cuts,
    /// Live column in which each cut appears first.
    owners: Vec<u32>,
    /// The cuts, sample-major; a multiple of [`LANES`] words a sample.
    cut_rows: Vec<u64>,
    numeric: Vec<NumericColumn>,
    /// What the ternary columns that were dropped add to every inner product.
    constant_products: i64,
}

/// Words of [`FeatureMatrix::cut_rows`] that a search takes at once.
pub(crate) const LANES: usize = 4;

#[derive(Debug, Clone)]
pub(crate) struct NumericColumn {
    pub(crate) id: u32,
    pub(crate) values: Vec<f64>,
    /// Samples by rising value.
    pub(crate) order: Vec<u32>,
}

impl FeatureMatrix {
    /// Each row of `planes` is a sample, each column a feature with values -1, 0, 1.
    pub fn from_planes(planes: &Planes<'_>) -> Self {
        let mut mask = vec![u64::MAX; planes.words()];
        if let Some(last) = mask.last_mut() {
            *last <<= planes.words() * 64 - planes.columns();
        }
        let rows = SampleMajor {
            samples: planes.rows(),
            words: planes.words(),
            present: planes.present().to_vec(),
            value: planes.value().to_vec(),
        };
        rows.into_features(&mask, |bit| bit as u32)
    }

    /// Each matrix is a sample; its features are the cells of the first `rows` rows in the columns
    /// where `keep` is true (all columns past the end of `keep` are left out). Shorter matrices
    /// are padded with vacant rows.
    ///
    /// # Errors
    /// [`Error::ColumnCount`] where the matrices differ in width.
    pub fn from_ternary(matrices: &[&TernaryMatrix], rows: usize, keep: &[bool]) -> Result<Self> {
        let columns = matrices.first().map_or(0, |m| m.columns());
        if let Some(other) = matrices.iter().find(|m| m.columns() != columns) {
            return Err(Error::ColumnCount { left: columns, right: other.columns() });
        }
        let row_words = columns.div_ceil(64);
        let mut row_mask = vec![0_u64; row_words];
        for column in keep.iter().take(columns).enumerate().filter_map(|(c, k)| k.then_some(c)) {
            row_mask[column >> 6] |= 1 << (63 - (column & 63));
        }
        let words = row_words * rows;
        let gather = |plane: fn(&TernaryMatrix) -> &[u64]| {
            let mut out = Vec::with_capacity(words * matrices.len());
            for m in matrices {
                let used = &plane(m)[..words.min(plane(m).len())];
                out.extend(used.iter().zip(row_mask.iter().cycle()).map(|(w, m)| w & m));
                out.resize(out.len() + words - used.len(), 0);
            }
            out
        };
        let samples = SampleMajor {
            samples: matrices.len(),
            words,
            present: gather(TernaryMatrix::present_plane),
            value: gather(TernaryMatrix::value_plane),
        };
        let row_bits = row_words * 64;
        let id = |bit: usize| (bit.div_euclid(row_bits) * columns + bit % row_bits) as u32;
        Ok(samples.into_features(&row_mask.repeat(rows), id))
    }

    /// Numeric features; `names` names them in messages.
    ///
    /// # Errors
    /// [`Error::FeatureCount`] where a sample has another number of features,
    /// [`Error::NotFinite`] for NaN and infinity.
    pub fn from_numbers(names: &[String], samples: &[Vec<f64>]) -> Result<Self> {
        for (sample, row) in samples.iter().enumerate() {
            if row.len() != names.len() {
                return Err(Error::FeatureCount {
                    sample,
                    expected: names.len(),
                    found: row.len(),
                });
            }
            if let Some((name, value)) = names.iter().zip(row).find(|(_, v)| !v.is_finite()) {
                return Err(Error::NotFinite { sample, feature: name.clone(), value: *value });
            }
        }
        let mut numeric = Vec::new();
        for id in 0..names.len() {
            let values: Vec<f64> = samples.iter().map(|row| row[id]).collect();
            if values.iter().any(|v| v.total_cmp(&values[0]).is_ne()) {
                let mut order: Vec<u32> = (0..values.len() as u32).collect();
                order.sort_by(|a, b| values[*a as usize].total_cmp(&values[*b as usize]));
                numeric.push(NumericColumn { id: id as u32, values, order });
            }
        }
        Ok(Self {
            samples: samples.len(),
            words: samples.len().div_ceil(64),
            features: names.len(),
            ids: Vec::new(),
            planes: Vec::new(),
            cuts: Cuts::new(samples.len().div_ceil(64)),
            owners: Vec::new(),
            cut_rows: Vec::new(),
            numeric,
            constant_products: 0,
        })
    }

    /// Number of samples.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Number of features, constant ones included.
    pub fn features(&self) -> usize {
        self.features
    }

    /// Number of columns that are not the same in all samples.
    pub fn live_columns(&self) -> usize {
        self.ids.len() + self.numeric.len()
    }

    /// Number of different ways in which the ternary columns part the samples.
    pub fn distinct_cuts(&self) -> usize {
        self.cut_count()
    }

    /// Inner products of all pairs of samples. Numeric columns are shifted and scaled to mean 0 and
    /// deviation 1 over `train` first (those without deviation count as 0); ternary ones are
    /// taken as -1, 0, 1. This goes through all pairs: keep the result where several fits need it.
    pub fn gram(&self, train: &[usize]) -> Gram {
        let n = self.samples;
        let ternary = ternary_gram(n, &self.planes, &self.cuts);
        let mut values: Vec<f64> =
            ternary.iter().map(|product| (product + self.constant_products) as f64).collect();
        for column in &self.numeric {
            let m = train.len().max(1) as f64;
            let mean = train.iter().map(|s| column.values[*s]).sum::<f64>() / m;
            let variance =
                train.iter().map(|s| (column.values[*s] - mean).powi(2)).sum::<f64>() / m;
            let scale =
                if variance > 1e-24 * mean.abs().max(1.0) { variance.sqrt().recip() } else { 0.0 };
            let z: Vec<f64> = column.values.iter().map(|v| (v - mean) * scale).collect();
            for (row, a) in values.chunks_exact_mut(n).zip(&z) {
                row.iter_mut().zip(&z).for_each(|(v, b)| *v += a * b);
            }
        }
        Gram::new(n, values)
    }

    pub(crate) fn words(&self) -> usize {
        self.words
    }

    pub(crate) fn ternary_columns(&self) -> usize {
        self.ids.len()
    }

    /// Original number of live column `column` (ternary ones first).
    pub(crate) fn id(&self, column: usize) -> u32 {
        self.ids.get(column).copied().unwrap_or_else(|| self.numeric[column - self.ids.len()].id)
    }

    /// Present and value cut of live ternary column `column`.
    pub(crate) fn column_cuts(&self, column: usize) -> [u32; 2] {
        self.planes[column]
    }

    /// Number of distinct cuts, in order of the columns in which they appear first.
    pub(crate) fn cut_count(&self) -> usize {
        self.owners.len()
    }

    /// The samples on the upper side of a cut (present, or 1), one bit each.
    pub(crate) fn cut(&self, cut: u32) -> &[u64] {
        self.cuts.plane(cut)
    }

    /// All cuts, one after the other.
    pub(crate) fn cut_planes(&self) -> &[u64] {
        self.cuts.planes()
    }

    /// The live column in which a cut appears first.
    pub(crate) fn owner(&self, cut: u32) -> usize {
        self.owners[cut as usize] as usize
    }

    /// Words of a sample in [`cut_row`](Self::cut_row).
    pub(crate) fn cut_row_words(&self) -> usize {
        self.cut_count().div_ceil(64 * LANES) * LANES
    }

    /// On which side of every cut a sample is; cut `c` is bit `63 - c % 64` of word `c / 64`.
    pub(crate) fn cut_row(&self, sample: usize) -> &[u64] {
        let words = self.cut_row_words();
        &self.cut_rows[sample * words..(sample + 1) * words]
    }

    pub(crate) fn numeric_column(&self, column: usize) -> &NumericColumn {
        &self.numeric[column - self.ids.len()]
    }

    /// The number in live column `column` of `sample`.
    pub(crate) fn number(&self, column: usize, sample: usize) -> f64 {
        if column < self.ids.len() {
            let bit = |cut: u32| (self.cut(cut)[sample >> 6] >> (63 - (sample & 63))) & 1 == 1;
            let [present, value] = self.planes[column];
            match (present == NONE || bit(present), value != NONE && bit(value)) {
                (false, _) => -1.0,
                (true, false) => 0.0,
                (true, true) => 1.0,
            }
        } else {
            self.numeric_column(column).values[sample]
        }
    }
}

/// Planes with one run of words a sample.
struct SampleMajor {
    samples: usize,
    words: usize,
    present: Vec<u64>,
    value: Vec<u64>,
}

impl SampleMajor {
    fn into_features(self, mask: &[u64], id: impl Fn(usize) -> u32) -> FeatureMatrix {
        let (n, per_sample) = (self.samples, self.words);
        let words = n.div_ceil(64);
        let (mut ids, mut planes, mut owners) = (Vec::new(), Vec::new(), Vec::new());
        let mut cuts = Cuts::new(words);
        let (nobody, everybody) = (vec![0; words], everybody(n));
        let mut blocks = vec![[[0_u64; 64]; 2]; words];
        let mut plane = vec![0_u64; words];
        let mut constant_products = 0;
        for (word, mask) in mask.iter().enumerate().filter(|_| n > 0) {
            // Only columns that differ somewhere are transposed: all-or-none is constant.
            let varies = |plane: &[u64]| {
                let of = (0..n).map(|s| plane[s * per_sample + word]);
                of.clone().fold(0, |a, b| a | b) ^ of.fold(u64::MAX, |a, b| a & b)
            };
            let live = (varies(&self.present) | varies(&self.value)) & mask;
            let not_zero = !self.present[word] | self.value[word];
            constant_products += i64::from((not_zero & mask & !live).count_ones());
            if live == 0 {
                continue;
            }
            for (b, [p, v]) in blocks.iter_mut().enumerate() {
                for (i, (p, v)) in p.iter_mut().zip(v.iter_mut()).enumerate() {
                    let at = (64 * b + i) * per_sample + word;
                    *p = self.present.get(at).copied().unwrap_or(0);
                    *v = self.value.get(at).copied().unwrap_or(0);
                }
                transpose64(p);
                transpose64(v);
            }
            for column in (0..64).filter(|c| (live >> (63 - c)) & 1 == 1) {
                let column_number = ids.len() as u32;
                let mut number = |kind: usize| {
                    plane.iter_mut().zip(&blocks).for_each(|(w, b)| *w = b[kind][column]);
                    if plane == nobody || plane == everybody {
                        return NONE;
                    }
                    let cut = cuts.number(&plane);
                    if cut as usize == owners.len() {
                        owners.push(column_number);
                    }
                    cut
                };
                planes.push([number(0), number(1)]);
                ids.push(id(64 * word + column));
            }
        }
        cuts.finish();
        let row_words = owners.len().div_ceil(64 * LANES) * LANES;
        let cut_rows = by_sample(n, owners.len(), row_words, |c| cuts.plane(c as u32));
        FeatureMatrix {
            samples: n,
            words,
            features: mask.iter().map(|m| m.count_ones() as usize).sum(),
            ids,
            planes,
            cuts,
            owners,
            cut_rows,
            numeric: Vec::new(),
            constant_products,
        }
    }
}

/// A plane with the bits of `samples` samples set.
pub(crate) fn everybody(samples: usize) -> Vec<u64> {
    let mut plane = vec![u64::MAX; samples.div_ceil(64)];
    if let Some(last) = plane.last_mut() {
        *last <<= (64 - (samples & 63)) & 63;
    }
    plane
}

#[cfg(test)]
mod tests {
    use super::*;
    use nprint_codec::{Layout, ipv4};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn columns_and_gram_are_those_of_the_cells(
            columns in 1_usize..100,
            cells in prop::collection::vec(-1_i8..=1, 0..9000),
        ) {
            let n = cells.len().div_euclid(columns);
            let cells = &cells[..n * columns];
            let x = FeatureMatrix::from_planes(&Planes::from_cells(columns, cells).expect("ternary"));
            let gram = x.gram(&[]);
            for a in 0..n {
                for b in 0..n {
                    let naive: i64 = (0..columns)
                        .map(|c| i64::from(cells[a * columns + c]) * i64::from(cells[b * columns + c]))
                        .sum();
                    prop_assert!((gram.at(a, b) - naive as f64).abs() < 0.5);
                }
            }
            let live: Vec<u32> = (0..columns as u32)
                .filter(|c| (0..n).any(|s| cells[s * columns + *c as usize] != cells[*c as usize]))
                .collect();
            prop_assert_eq!((0..x.live_columns()).map(|c| x.id(c)).collect::<Vec<_>>(), live);
            for c in 0..x.live_columns() {
                for s in 0..n {
                    let cell = cells[s * columns + x.id(c) as usize];
                    prop_assert!((x.number(c, s) - f64::from(cell)).abs() < 0.5);
                }
            }
        }
    }

    #[test]
    fn short_matrices_are_padded_and_masked_columns_are_gone() {
        let mut long = TernaryMatrix::vacant(Layout::reference(), 3);
        long.row_mut(2).set(ipv4::TTL, 255);
        let short = TernaryMatrix::vacant(Layout::reference(), 1);
        let all = vec![true; 1088];
        let x = FeatureMatrix::from_ternary(&[&long, &short], 4, &all).expect("one width");
        assert_eq!((x.features(), x.live_columns(), x.id(0)), (4 * 1088, 8, 2 * 1088 + 64));
        let none = vec![false; 64];
        let x = FeatureMatrix::from_ternary(&[&long, &short], 4, &none).expect("one width");
        assert_eq!((x.features(), x.live_columns()), (0, 0));
    }

    #[test]
    fn numbers_must_be_finite() {
        let names = ["gap".to_owned()];
        let found = FeatureMatrix::from_numbers(&names, &[vec![1.0], vec![f64::NAN]]);
        assert!(matches!(found, Err(Error::NotFinite { sample: 1, .. })));
        assert!(FeatureMatrix::from_numbers(&names, &[vec![]]).is_err());
    }
}
