//! Distinct two-way splits of the samples.

use super::transpose::transpose64;

/// Marks the absence of a cut.
pub(crate) const NONE: u32 = u32::MAX;

/// Bit planes over the samples, each kept once and numbered in order of first appearance.
///
/// A ternary column splits its samples in at most two ways: vacant from present, and 1 from the rest.
/// Many columns share a way (all bits of a field are present together, and most rows of a capture
/// repeat each other), so a search over cuts is a search over all columns at a fraction of the cost.
///
/// # Layout
/// Cut `c` is `words` words; sample `s` is bit `63 - s % 64` of word `s / 64`.
#[derive(Debug, Clone)]
pub(crate) struct Cuts {
    words: usize,
    planes: Vec<u64>,
    /// Open addressing: numbers of cuts, [`NONE`] where free. The length is a power of two.
    slots: Vec<u32>,
}

impl Cuts {
    pub(crate) fn new(words: usize) -> Self {
        Self { words, planes: Vec::new(), slots: vec![NONE; 1 << 10] }
    }

    /// Number of distinct cuts.
    pub(crate) fn len(&self) -> usize {
        self.planes.len().checked_div(self.words).unwrap_or(0)
    }

    pub(crate) fn plane(&self, cut: u32) -> &[u64] {
        &self.planes[cut as usize * self.words..(cut as usize + 1) * self.words]
    }

    /// All cuts, one after the other.
    pub(crate) fn planes(&self) -> &[u64] {
        &self.planes
    }

    /// Number of the cut with this plane, which is added where it is new.
    pub(crate) fn number(&mut self, plane: &[u64]) -> u32 {
        if 2 * self.len() >= self.slots.len() {
            let grown = vec![NONE; 4 * self.slots.len()];
            self.slots = grown;
            for cut in 0..self.len() as u32 {
                let slot = self.slot(self.plane(cut));
                self.slots[slot] = cut;
            }
        }
        let slot = self.slot(plane);
        if self.slots[slot] == NONE {
            self.slots[slot] = self.len() as u32;
            self.planes.extend_from_slice(plane);
        }
        self.slots[slot]
    }

    /// Where `plane` is, or the free slot where it belongs.
    fn slot(&self, plane: &[u64]) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = hash(plane) as usize & mask;
        while self.slots[at] != NONE && self.plane(self.slots[at]) != plane {
            at = (at + 1) & mask;
        }
        at
    }

    /// Hands back the memory that only [`number`](Self::number) needs.
    pub(crate) fn finish(&mut self) {
        self.slots = Vec::new();
        self.planes.shrink_to_fit();
    }
}

/// Multiply and fold, word by word.
fn hash(plane: &[u64]) -> u64 {
    let mix = |h: u64, w: &u64| {
        let product = u128::from(h ^ w) * u128::from(0x9e37_79b9_7f4a_7c15_u64);
        (product as u64) ^ ((product >> 64) as u64)
    };
    let h = plane.iter().fold(0x2545_f491_4f6c_dd1d, mix);
    h ^ (h >> 32)
}

/// `count` columns of bits over the samples, turned into one run of words for each sample.
///
/// # Layout
/// `row_words` words a sample (at least `ceil(count / 64)`, the rest 0); column `c` is bit
/// `63 - c % 64` of word `c / 64`.
pub(crate) fn by_sample<'a>(
    samples: usize,
    count: usize,
    row_words: usize,
    column: impl Fn(usize) -> &'a [u64],
) -> Vec<u64> {
    let mut rows = vec![0; samples * row_words];
    let mut block = [0_u64; 64];
    for word in 0..count.div_ceil(64) {
        for part in 0..samples.div_ceil(64) {
            for (i, b) in block.iter_mut().enumerate() {
                let c = 64 * word + i;
                *b = if c < count { column(c)[part] } else { 0 };
            }
            transpose64(&mut block);
            for (i, b) in block.iter().enumerate().take(samples - 64 * part) {
                rows[(64 * part + i) * row_words + word] = *b;
            }
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_plane_has_one_number(planes in prop::collection::vec(prop::collection::vec(0_u64..4, 2), 0..2000)) {
            let mut cuts = Cuts::new(2);
            let mut seen: Vec<Vec<u64>> = Vec::new();
            for plane in &planes {
                let number = cuts.number(plane);
                if !seen.contains(plane) {
                    seen.push(plane.clone());
                }
                prop_assert_eq!(cuts.plane(number), &plane[..]);
                prop_assert_eq!(Some(number as usize), seen.iter().position(|p| p == plane));
            }
            prop_assert_eq!(cuts.len(), seen.len());
        }

        #[test]
        fn rows_are_the_columns_turned(columns in prop::collection::vec(prop::collection::vec(any::<u64>(), 2), 1..150), samples in 65_usize..=128) {
            let rows = by_sample(samples, columns.len(), 4, |c| &columns[c]);
            for s in 0..samples {
                for (c, column) in columns.iter().enumerate() {
                    let bit = (rows[s * 4 + (c >> 6)] >> (63 - (c & 63))) & 1;
                    prop_assert_eq!(bit, (column[s >> 6] >> (63 - (s & 63))) & 1);
                }
            }
        }
    }

    #[test]
    fn the_table_grows() {
        let mut cuts = Cuts::new(1);
        for i in 0..5000_u64 {
            assert_eq!(cuts.number(&[i]), i as u32);
        }
        assert_eq!(cuts.number(&[17]), 17);
    }
}
