//! Inner products of samples, by counting.

use super::cuts::{Cuts, NONE, by_sample};
use super::popcount::shared_ones;
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

/// Inner products over -1, 0, 1 of all pairs of samples; `columns` has the present and value cut of each
/// column, [`NONE`] where all are present or none is 1.
///
/// A cell is `v - u`, with `v` for a 1 and `u` for a vacant cell, so a product is `vv' - uv' - vu' + uu'`.
/// The first term is counted: a cut that occurs `m` times as a value goes into the groups of the binary
/// digits of `m`, and the count of group `k` is shifted by `k`. The others need no pair of words, since few
/// cuts say who is vacant: see [`Vacancies`]. Bench `classify/gram/342x1024x1088`.
pub(crate) fn ternary_gram(samples: usize, columns: &[[u32; 2]], cuts: &Cuts) -> Vec<i64> {
    let mut times = vec![0_u32; cuts.len()];
    for [_, value] in columns.iter().filter(|c| c[1] != NONE) {
        times[*value as usize] += 1;
    }
    let most = times.iter().max().copied().unwrap_or(0);
    let mut gram = Vacancies::of(samples, columns, cuts).products();
    for power in 0..(32 - most.leading_zeros()) {
        let group: Vec<u32> = (0..)
            .zip(&times)
            .filter(|(_, m)| (**m >> power) & 1 == 1)
            .map(|(cut, _)| cut)
            .collect();
        let row_words = group.len().div_ceil(64);
        let rows = by_sample(samples, group.len(), row_words, |c| cuts.plane(group[c]));
        let row = |sample: usize| &rows[sample * row_words..(sample + 1) * row_words];
        // As many words at a time as leave the words of all samples in a near cache.
        for start in (0..row_words).step_by(CHUNK) {
            let words = start..row_words.min(start + CHUNK);
            gram.par_chunks_mut(samples).enumerate().for_each(|(a, products)| {
                let of_a = &row(a)[words.clone()];
                for (b, product) in products.iter_mut().enumerate().skip(a) {
                    *product += (shared_ones(of_a, &row(b)[words.clone()]) << power) as i64;
                }
            });
        }
    }
    for a in 0..samples {
        for b in 0..a {
            gram[a * samples + b] = gram[b * samples + a];
        }
    }
    gram
}

/// Words of a sample that are compared with all others before the next ones.
const CHUNK: usize = 256;

/// Columns that share a present cut: for whom they are vacant, and how many of them are 1 for whom.
struct Vacancies {
    samples: usize,
    groups: Vec<Group>,
}

struct Group {
    present: Vec<u64>,
    columns: i64,
    /// Digit `k` of the number of ones of each sample.
    digits: Vec<Vec<u64>>,
}

impl Vacancies {
    fn of(samples: usize, columns: &[[u32; 2]], cuts: &Cuts) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        let mut group_of = vec![NONE; cuts.len()];
        for [present, value] in columns.iter().filter(|c| c[0] != NONE) {
            let at = &mut group_of[*present as usize];
            if *at == NONE {
                *at = groups.len() as u32;
                let present = cuts.plane(*present).to_vec();
                groups.push(Group { present, columns: 0, digits: Vec::new() });
            }
            let group = &mut groups[*at as usize];
            group.columns += 1;
            if *value != NONE {
                group.add_ones(cuts.plane(*value));
            }
        }
        Self { samples, groups }
    }

    /// The products `uu' - uv' - vu'` of all pairs.
    ///
    /// A group adds `(m u' - 2 n') u / 2` and the same with samples exchanged, where `m` is its number of
    /// columns and `n'` how many of them are 1: one list of numbers for all samples that are vacant.
    fn products(&self) -> Vec<i64> {
        let n = self.samples;
        let (mut of_all, mut sums) = (vec![0_i64; n], vec![0_i64; n * n]);
        for group in &self.groups {
            let list: Vec<i64> = (0..n)
                .map(|s| if group.is_present(s) { -2 * group.ones(s) } else { group.columns })
                .collect();
            let present: Vec<usize> = (0..n).filter(|s| group.is_present(*s)).collect();
            let (side, sign) = if 2 * present.len() <= n {
                // All but the present ones.
                of_all.iter_mut().zip(&list).for_each(|(sum, l)| *sum += l);
                (present, -1)
            } else {
                ((0..n).filter(|s| !group.is_present(*s)).collect(), 1)
            };
            for sample in side {
                let sums = &mut sums[sample * n..(sample + 1) * n];
                sums.iter_mut().zip(&list).for_each(|(sum, l)| *sum += sign * l);
            }
        }
        let halves = |a: usize, b: usize| sums[a * n + b] + of_all[b];
        (0..n * n)
            .map(|at| (at.div_euclid(n), at % n))
            .map(|(a, b)| (halves(a, b) + halves(b, a)) >> 1)
            .collect()
    }
}

impl Group {
    fn add_ones(&mut self, plane: &[u64]) {
        for (word, ones) in plane.iter().enumerate() {
            let (mut carry, mut digit) = (*ones, 0);
            while carry != 0 {
                if digit == self.digits.len() {
                    self.digits.push(vec![0; plane.len()]);
                }
                let sum = &mut self.digits[digit][word];
                (*sum, carry) = (*sum ^ carry, *sum & carry);
                digit += 1;
            }
        }
    }

    fn is_present(&self, sample: usize) -> bool {
        bit(&self.present, sample) == 1
    }

    fn ones(&self, sample: usize) -> i64 {
        (0..).zip(&self.digits).map(|(k, plane)| bit(plane, sample) << k).sum()
    }
}

fn bit(plane: &[u64], sample: usize) -> i64 {
    ((plane[sample >> 6] >> (63 - (sample & 63))) & 1) as i64
}
