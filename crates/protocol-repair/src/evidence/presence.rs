//! How much of a header is there: sums of the confidences of present and of vacant cells.

use super::{Evidence, Halves, extract};
use std::ops::Range;

impl Evidence<'_> {
    /// Present cells of a row by words of 32 columns.
    #[inline]
    pub(crate) fn halves(&self, row: usize) -> Halves {
        Halves::of(self.cells.row(row).present_words())
    }

    /// Sums of the confidences of present and of vacant cells in a run of whole words of 32 columns.
    pub(crate) fn presence(&self, row: usize, columns: Range<usize>) -> (u32, u32) {
        let present = self.cells.row(row).present_words();
        let Some(confidence) = self.confidence(row, columns.clone()) else {
            let length = columns.len() as u32;
            let count = self.halves(row).ones(columns);
            return (count * 255, (length - count) * 255);
        };
        debug_assert!(columns.len() <= Sum::MOST);
        // Of all cells, and of those of words that are present as a whole and in part.
        let (mut all, mut here, mut part) = (0, 0, Sum::default());
        for (word, weights) in (columns.start >> 5..).zip(confidence.as_chunks::<32>().0) {
            let whole: u32 = weights.iter().map(|weight| u32::from(*weight)).sum();
            all += whole;
            match extract(present, 32 * word, 32) {
                // Most words of 32 cells are vacant or present as a whole.
                0 => {}
                u32::MAX => here += whole,
                cells => {
                    let masks = cells.to_be_bytes().map(bytes_of_bits);
                    let eights = weights.as_chunks::<8>().0.iter().zip(masks);
                    part = eights
                        .map(|(eight, mask)| u64::from_be_bytes(*eight) & mask)
                        .fold(part, Sum::with);
                }
            }
        }
        here += part.total();
        (here, all - here)
    }

    /// Sums of the confidences of present and of vacant cells in the first words of 32 cells from
    /// `column` on: none, one, two, … ten.
    pub(crate) fn presence_up_to(&self, row: usize, column: usize) -> [(u32, u32); 11] {
        let mut sums = [(0, 0); 11];
        let halves = self.halves(row);
        for word in 0..10 {
            let columns = column + 32 * word..column + 32 * word + 32;
            let (present, vacant) = if self.is_certain() {
                let count = halves.ones(columns);
                (count * 255, (32 - count) * 255)
            } else {
                self.presence(row, columns)
            };
            sums[word + 1] = (sums[word].0 + present, sums[word].1 + vacant);
        }
        sums
    }
}

/// Eight bits as bytes of ones and of zeros.
#[inline]
fn bytes_of_bits(byte: u8) -> u64 {
    let one_each = u64::from(byte).wrapping_mul(0x0101_0101_0101_0101) & 0x8040_2010_0804_0201;
    ((one_each + 0x7f7f_7f7f_7f7f_7f7f) >> 7 & 0x0101_0101_0101_0101) * 0xff
}

/// A sum of at most [`MOST`](Self::MOST) bytes, in four lanes of 16 bits.
#[derive(Debug, Clone, Copy, Default)]
struct Sum(u64);

impl Sum {
    const MOST: usize = 1024;

    #[inline]
    fn with(self, eight: u64) -> Self {
        Self(self.0 + (eight & 0x00ff_00ff_00ff_00ff) + ((eight >> 8) & 0x00ff_00ff_00ff_00ff))
    }

    #[inline]
    fn total(self) -> u32 {
        let pairs = (self.0 & 0x0000_ffff_0000_ffff) + ((self.0 >> 16) & 0x0000_ffff_0000_ffff);
        (pairs as u32) + (pairs >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::Evidence;
    use nprint_codec::{Cell, Layout, SoftMatrix, TernaryMatrix};

    #[test]
    fn presence_is_the_sum_of_single_cells() {
        let mut cells = TernaryMatrix::vacant(Layout::reference(), 3);
        let mut confidence = Vec::new();
        for row in 0..3_usize {
            for column in 0..1088 {
                let drawn = (row * 1088 + column + 1_usize).wrapping_mul(0x9e37_79b9) >> 7;
                if drawn & 1 == 1 || row == 1 {
                    cells.row_mut(row).set_cell(column, Cell::Zero);
                }
                confidence.push(if row == 2 { 255 } else { (drawn >> 1) as u8 });
            }
        }
        confidence[0] = 7;
        let soft = SoftMatrix::new(cells, confidence).expect("one confidence a cell");
        let evidence = Evidence::new(&soft);
        for row in 0..3_usize {
            for columns in [0..96, 96..416, 416..480, 640..960, 1024..1088] {
                let mut sums = (0, 0);
                for column in columns.clone() {
                    let weight = u32::from(soft.row_confidence(row)[column]);
                    match soft.cells().row(row).cell(column) {
                        Cell::Vacant => sums.1 += weight,
                        Cell::Zero | Cell::One => sums.0 += weight,
                    }
                }
                assert_eq!(evidence.presence(row, columns), sums);
            }
        }
    }
}
