//! Inner products of samples, by counting.

use super::cuts::{Cuts, by_sample};
use rayon::prelude::*;

/// Inner products of all pairs of samples.
#[derive(Debug, Clone)]
pub struct Gram {
    samples: usize,
    values: Vec<f64>,
}

impl Gram {
    pub(crate) fn new(samples: usize, values: Vec<f64>) -> Self {
        Self { samples, values }
    }

    /// Inner product of two samples.
    ///
    /// # Panics
    /// When an index is out of range, as slices do.
    pub fn at(&self, a: usize, b: usize) -> f64 {
        self.values[a * self.samples + b]
    }

    /// Squared Euclidean distance of two samples.
    ///
    /// # Panics
    /// When an index is out of range, as slices do.
    pub fn squared_distance(&self, a: usize, b: usize) -> f64 {
        (self.at(a, a) + self.at(b, b) - 2.0 * self.at(a, b)).max(0.0)
    }

    /// Number of samples.
    pub fn samples(&self) -> usize {
        self.samples
    }
}

/// A ternary column as its present and its value plane.
pub(crate) type PlanePair<'a> = (&'a [u64], &'a [u64]);

/// Inner products over -1, 0, 1 of all pairs of samples; `columns` are distinct, each with the number
/// of times that it occurs.
///
/// Equal columns are counted once: a column that occurs `m` times is put into the groups of the
/// binary digits of `m`, and the count of group `k` is shifted by `k`. On header bits of captures this
/// leaves a tenth of the words; bench `classify/matrix-and-gram/342x1024x1088`.
pub(crate) fn ternary_gram(samples: usize, columns: &[(PlanePair<'_>, u32)]) -> Vec<i64> {
    let mut gram = vec![0; samples * samples];
    let most = columns.iter().map(|c| c.1).max().unwrap_or(0);
    for power in 0..(32 - most.leading_zeros()) {
        let group: Vec<PlanePair<'_>> =
            columns.iter().filter(|c| (c.1 >> power) & 1 == 1).map(|c| c.0).collect();
        let row_words = group.len().div_ceil(64);
        let present = by_sample(samples, group.len(), row_words, |c| group[c].0);
        let value = by_sample(samples, group.len(), row_words, |c| group[c].1);
        let mut mask = vec![u64::MAX; row_words];
        if let Some(last) = mask.last_mut() {
            *last <<= 64 * row_words - group.len();
        }
        // A cell is not zero where it is vacant (-1) or 1.
        let not_zero: Vec<u64> = present
            .iter()
            .zip(&value)
            .zip(mask.iter().cycle())
            .map(|((p, v), m)| (!p & m) | v)
            .collect();
        let row = |s: usize| s * row_words..(s + 1) * row_words;
        let upper: Vec<Vec<i64>> = (0..samples)
            .into_par_iter()
            .map(|a| {
                let (nz, v) = (&not_zero[row(a)], &value[row(a)]);
                (a..samples)
                    .map(|b| inner_product(nz, v, &not_zero[row(b)], &value[row(b)]))
                    .collect()
            })
            .collect();
        for (a, products) in upper.iter().enumerate() {
            for (offset, product) in products.iter().enumerate() {
                gram[a * samples + a + offset] += product << power;
            }
        }
    }
    for a in 0..samples {
        for b in 0..a {
            gram[a * samples + b] = gram[b * samples + a];
        }
    }
    gram
}

/// The distinct pairs of cuts among `pairs`, in order of first appearance, with their counts.
pub(crate) fn tally(pairs: impl Iterator<Item = (u32, u32)>) -> Vec<((u32, u32), u32)> {
    let mut numbers = Cuts::new(1);
    let mut out: Vec<((u32, u32), u32)> = Vec::new();
    for pair in pairs {
        let number = numbers.number(&[u64::from(pair.0) << 32 | u64::from(pair.1)]) as usize;
        if number == out.len() {
            out.push((pair, 0));
        }
        out[number].1 += 1;
    }
    out
}

/// Words that are summed before their bits are counted.
const BLOCK: usize = 8;

/// Where both are not zero the product is 1 if the values agree and -1 if they do not.
fn inner_product(nz_a: &[u64], v_a: &[u64], nz_b: &[u64], v_b: &[u64]) -> i64 {
    let (mut both, mut opposite) = (0_u64, 0_u64);
    let (a, b) = (nz_a.chunks_exact(BLOCK), nz_b.chunks_exact(BLOCK));
    let (va, vb) = (v_a.chunks_exact(BLOCK), v_b.chunks_exact(BLOCK));
    let tails = (a.remainder(), b.remainder(), va.remainder(), vb.remainder());
    for ((a, b), (va, vb)) in a.zip(b).zip(va.zip(vb)) {
        let (mut shared, mut differ) = ([0_u64; BLOCK], [0_u64; BLOCK]);
        for i in 0..BLOCK {
            shared[i] = a[i] & b[i];
            differ[i] = shared[i] & (va[i] ^ vb[i]);
        }
        both += ones(&shared);
        opposite += ones(&differ);
    }
    let (a, b, va, vb) = tails;
    for ((a, b), (va, vb)) in a.iter().zip(b).zip(va.iter().zip(vb)) {
        both += u64::from((a & b).count_ones());
        opposite += u64::from((a & b & (va ^ vb)).count_ones());
    }
    both as i64 - 2 * opposite as i64
}

/// Bits set in a block: counts of two, four and eight bits are summed for the whole block before the
/// last step, so that no population-count instruction is needed (the crate builds for every x86-64).
fn ones(block: &[u64; BLOCK]) -> u64 {
    const PAIRS: u64 = 0x5555_5555_5555_5555;
    const NIBBLES: u64 = 0x3333_3333_3333_3333;
    const BYTES: u64 = 0x0f0f_0f0f_0f0f_0f0f;
    let mut bytes = 0;
    for word in block {
        let pairs = word - ((word >> 1) & PAIRS);
        let nibbles = (pairs & NIBBLES) + ((pairs >> 2) & NIBBLES);
        bytes += (nibbles + (nibbles >> 4)) & BYTES;
    }
    // Each byte holds at most 64.
    let halves = (bytes & 0x00ff_00ff_00ff_00ff) + ((bytes >> 8) & 0x00ff_00ff_00ff_00ff);
    halves.wrapping_mul(0x0001_0001_0001_0001) >> 48
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn blocks_count_bits(words in prop::array::uniform8(any::<u64>())) {
            let naive: u32 = words.iter().map(|w| w.count_ones()).sum();
            prop_assert_eq!(ones(&words), u64::from(naive));
        }

        #[test]
        fn products_are_those_of_the_cells(cells in prop::collection::vec((-1_i8..=1, -1_i8..=1), 0..1300)) {
            let words = cells.len().div_ceil(64);
            let mut planes = [vec![0_u64; words], vec![0; words], vec![0; words], vec![0; words]];
            for (i, (a, b)) in cells.iter().enumerate() {
                let bit = 1 << (63 - (i & 63));
                for (cell, at) in [(a, 0), (b, 2)] {
                    planes[at][i >> 6] |= if *cell == 0 { 0 } else { bit };
                    planes[at + 1][i >> 6] |= if *cell == 1 { bit } else { 0 };
                }
            }
            let naive: i64 = cells.iter().map(|(a, b)| i64::from(*a) * i64::from(*b)).sum();
            prop_assert_eq!(inner_product(&planes[0], &planes[1], &planes[2], &planes[3]), naive);
        }
    }

    #[test]
    fn equal_pairs_are_tallied() {
        let found = tally([(1, 2), (3, 4), (1, 2)].into_iter());
        assert_eq!(found, vec![((1, 2), 2), ((3, 4), 1)]);
    }
}
