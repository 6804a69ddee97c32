//! Bits of a row's planes.

use std::ops::Range;

/// Words of a row of the reference layout in a plane, and words of 32 cells.
pub(crate) const ROW_WORDS: usize = 17;
const HALVES: usize = 2 * ROW_WORDS;

/// How many cells of a row are present up to each of its words of 32 columns. Every header and option
/// area of the reference layout begins and ends with such a word.
///
/// # Layout
/// Bits are added side by side, all words alike, so that a compiler without a population count
/// instruction makes vectors of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Halves([u16; HALVES + 1]);

impl Halves {
    /// Counts those of a row's *present* plane.
    pub(crate) fn of(present: &[u64]) -> Self {
        let mut counts = [0_u64; HALVES >> 1];
        for (count, word) in counts.iter_mut().zip(present) {
            let word = word - ((word >> 1) & 0x5555_5555_5555_5555);
            let word = (word & 0x3333_3333_3333_3333) + ((word >> 2) & 0x3333_3333_3333_3333);
            let word = (word + (word >> 4)) & 0x0f0f_0f0f_0f0f_0f0f;
            let word = word + (word >> 8);
            *count = (word + (word >> 16)) & 0x0000_00ff_0000_00ff;
        }
        let mut up_to = [0; HALVES + 1];
        let mut sum = 0;
        for (pair, count) in up_to[1..].as_chunks_mut::<2>().0.iter_mut().zip(counts) {
            let high = sum + (count >> 32) as u16;
            sum = high + count as u16;
            *pair = [high, sum];
        }
        Self(up_to)
    }

    /// Present cells in columns that begin and end with a word of 32.
    #[inline]
    pub(crate) fn ones(&self, columns: Range<usize>) -> u32 {
        debug_assert!((columns.start | columns.end).trailing_zeros() >= 5);
        u32::from(self.0[columns.end >> 5] - self.0[columns.start >> 5])
    }
}

impl Halves {
    /// Present cells in each word of 32 of such columns.
    #[inline]
    pub(crate) fn each(&self, columns: std::ops::Range<usize>) -> impl Iterator<Item = u16> {
        let (first, end) = (columns.start >> 5, columns.end >> 5);
        self.0[first + 1..=end].iter().zip(&self.0[first..end]).map(|(to, from)| to - from)
    }
}

/// Whether a plane has a one in a run of columns.
#[inline]
pub(crate) fn any(plane: &[u64], columns: Range<usize>) -> bool {
    let (first, last) = (columns.start >> 6, (columns.end - 1) >> 6);
    let head = u64::MAX >> (columns.start & 63);
    let tail = u64::MAX << (63 - ((columns.end - 1) & 63));
    if first == last {
        return plane[first] & head & tail != 0;
    }
    let inner = plane[first + 1..last].iter().fold(0, |all, word| all | word);
    (plane[first] & head) | inner | (plane[last] & tail) != 0
}

/// `bits` (1 to 32) bits of a plane from `column` on, right-aligned.
#[inline]
pub(crate) fn extract(plane: &[u64], column: usize, bits: usize) -> u32 {
    let (word, shift) = (column >> 6, column & 63);
    let high = plane[word] << shift;
    let low = if shift + bits > 64 { plane[word + 1] >> (64 - shift) } else { 0 };
    ((high | low) >> (64 - bits)) as u32
}

#[cfg(test)]
mod tests {
    use super::{Halves, any};

    #[test]
    fn halves_count_the_ones_of_the_columns() {
        let plane: Vec<u64> = (1..=17_u64)
            .map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | if n == 3 { u64::MAX } else { 0 })
            .collect();
        let bit = |c: usize| (plane[c >> 6] >> (63 - (c & 63))) & 1 == 1;
        let halves = Halves::of(&plane);
        for start in (0..=1088).step_by(32) {
            for end in (start..=1088).step_by(32) {
                let naive = (start..end).filter(|c| bit(*c)).count();
                assert_eq!(halves.ones(start..end) as usize, naive, "{start}..{end}");
            }
        }
    }

    #[test]
    fn a_one_is_found_in_its_columns_only() {
        for at in [0, 1, 63, 64, 100, 127, 128, 191] {
            let mut plane = [0_u64; 3];
            plane[at >> 6] = 1 << (63 - (at & 63));
            for start in 0..192 {
                for end in start + 1..=192 {
                    assert_eq!(any(&plane, start..end), (start..end).contains(&at), "{at}");
                }
            }
        }
    }
}
