//! The samples that a tree grows on.

use super::FeatureMatrix;
use super::cuts::NONE;
use super::matrix::everybody;
use super::transpose::transpose64;
use std::borrow::Cow;

/// The samples of a training set, numbered as *places*, and the cuts over these places.
///
/// # Layout
/// Cut `c` is `words` words; place `p` is bit `63 - p % 64` of word `p / 64`.
pub(crate) struct Training<'a> {
    x: &'a FeatureMatrix,
    /// Sample of each place.
    samples: Vec<u32>,
    /// Place of each sample, or [`NONE`].
    places: Vec<u32>,
    words: usize,
    planes: Cow<'a, [u64]>,
}

/// The live columns that are not the same all over a training set, with their present and value cuts
/// ([`NONE`] for a cut that does not part it).
pub(crate) struct Columns {
    /// As the matrix numbers live columns.
    pub(crate) numbers: Vec<u32>,
    pub(crate) cuts: Vec<[u32; 2]>,
}

impl<'a> Training<'a> {
    /// All samples of the matrix, at their own places: nothing is copied.
    pub(crate) fn whole(x: &'a FeatureMatrix) -> Self {
        let samples: Vec<u32> = (0..x.samples() as u32).collect();
        let places = samples.clone();
        Self { x, samples, places, words: x.words(), planes: Cow::Borrowed(x.cut_planes()) }
    }

    /// The samples `train`, each once, class after class: a cut has fewer words, and most words hold one
    /// class. Worth its cost (a transposition of all cuts) where many trees grow on one training set.
    pub(crate) fn by_class(x: &'a FeatureMatrix, labels: &[usize], train: &[usize]) -> Self {
        let mut samples: Vec<u32> = train.iter().map(|s| *s as u32).collect();
        samples.sort_unstable_by_key(|s| (labels[*s as usize], *s));
        samples.dedup();
        let mut places = vec![NONE; x.samples()];
        for (place, sample) in samples.iter().enumerate() {
            places[*sample as usize] = place as u32;
        }
        let words = samples.len().div_ceil(64);
        let mut planes = vec![0; words * x.cut_count()];
        for (group, cuts) in planes.chunks_mut((64 * words).max(1)).enumerate() {
            for (part, members) in samples.chunks(64).enumerate() {
                let mut block = [0_u64; 64];
                for (row, sample) in block.iter_mut().zip(members) {
                    *row = x.cut_row(*sample as usize)[group];
                }
                transpose64(&mut block);
                for (cut, word) in cuts.chunks_exact_mut(words).zip(&block) {
                    cut[part] = *word;
                }
            }
        }
        Self { x, samples, places, words, planes: Cow::Owned(planes) }
    }

    /// The columns that can part these samples.
    pub(crate) fn columns(&self) -> Columns {
        let everybody = everybody(self.samples.len());
        let cut_parts = |cut: u32| {
            let plane = self.cut(cut);
            plane.iter().any(|w| *w != 0) && plane != everybody
        };
        let parts: Vec<bool> = (0..self.x.cut_count() as u32).map(cut_parts).collect();
        let mut found = Columns { numbers: Vec::new(), cuts: Vec::new() };
        for column in 0..self.x.live_columns() {
            let ternary = column < self.x.ternary_columns();
            let cuts = if ternary { self.x.column_cuts(column) } else { [NONE; 2] };
            let cuts = cuts.map(|cut| if cut != NONE && parts[cut as usize] { cut } else { NONE });
            if !ternary || cuts != [NONE; 2] {
                found.numbers.push(column as u32);
                found.cuts.push(cuts);
            }
        }
        found
    }

    pub(crate) fn x(&self) -> &'a FeatureMatrix {
        self.x
    }

    /// Sample of each place.
    pub(crate) fn samples(&self) -> &[u32] {
        &self.samples
    }

    /// Place of a sample, where it is among these.
    pub(crate) fn place(&self, sample: u32) -> Option<usize> {
        let place = self.places[sample as usize];
        (place != NONE).then_some(place as usize)
    }

    /// Words of a plane over the places.
    pub(crate) fn words(&self) -> usize {
        self.words
    }

    /// All cuts, one after the other.
    pub(crate) fn planes(&self) -> &[u64] {
        &self.planes
    }

    /// The places on the upper side of a cut (present, or 1), one bit each.
    pub(crate) fn cut(&self, cut: u32) -> &[u64] {
        &self.planes[cut as usize * self.words..][..self.words]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distance::Planes;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn cuts_and_columns_are_those_of_the_samples(
            columns in 1_usize..90,
            rows in prop::collection::vec((0_usize..4, prop::collection::vec(-1_i8..=1, 90)), 2..150),
            picks in prop::collection::vec(any::<usize>(), 1..200),
        ) {
            let cells: Vec<i8> = rows.iter().flat_map(|r| r.1[..columns].to_vec()).collect();
            let labels: Vec<usize> = rows.iter().map(|r| r.0).collect();
            let x = FeatureMatrix::from_planes(&Planes::from_cells(columns, &cells).expect("ternary"));
            let train: Vec<usize> = picks.iter().map(|p| p % rows.len()).collect();
            let training = Training::by_class(&x, &labels, &train);
            let order: Vec<(usize, u32)> = training.samples().iter().map(|s| (labels[*s as usize], *s)).collect();
            prop_assert!(order.is_sorted());
            for sample in 0..rows.len() {
                let place = training.place(sample as u32);
                prop_assert_eq!(place.is_some(), train.contains(&sample));
                prop_assert!(place.is_none_or(|p| training.samples()[p] as usize == sample));
            }
            for cut in 0..x.cut_count() as u32 {
                for (place, s) in training.samples().iter().enumerate() {
                    let of = |plane: &[u64], at: usize| (plane[at >> 6] >> (63 - (at & 63))) & 1;
                    prop_assert_eq!(of(training.cut(cut), place), of(x.cut(cut), *s as usize));
                }
            }
            let differs = |c: u32| {
                let cell = |s: usize| cells[s * columns + x.id(c as usize) as usize];
                train.iter().any(|s| cell(*s) != cell(train[0]))
            };
            let naive: Vec<u32> = (0..x.live_columns() as u32).filter(|c| differs(*c)).collect();
            prop_assert_eq!(training.columns().numbers, naive);
        }
    }
}
