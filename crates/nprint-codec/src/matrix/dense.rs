//! Matrices with one number a cell: nPrint's -1, 0 and 1 as `i8`.
//!
//! Representation: eight cells are one byte of each plane and eight bytes of the array. Out: the
//! value's entry in a table of 256 × 8, joined by `|` with the entry of the vacant cells, since
//! -1 has every bit set. In: eight cells as one `u64`; a multiplication that moves bit 0 of each
//! byte to the top gathers them. Bench: `to_i8/*`, `from_i8/*`.

use super::{Row, TernaryMatrix};
use crate::{Error, Layout, Result};
use std::sync::Arc;

/// Bits of a byte, most significant first.
static BITS: [[i8; 8]; 256] = cells(0, 1);
/// -1 for each bit that is 0, else 0.
static VACANT: [[i8; 8]; 256] = cells(-1, 0);

const fn cells(zero: i8, one: i8) -> [[i8; 8]; 256] {
    let mut table = [[zero; 8]; 256];
    let mut at = 0;
    while at < 256 * 8 {
        let (byte, bit) = (at >> 3, at & 7);
        if (byte >> (7 - bit)) & 1 == 1 {
            table[byte][bit] = one;
        }
        at += 1;
    }
    table
}

impl Row<'_> {
    /// Writes the cells as nPrint's -1, 0, 1 to `out`: as many as there are columns, or as fit.
    pub fn write_i8(&self, out: &mut [i8]) {
        let columns = self.layout.columns().min(out.len());
        let mut groups = out[..columns].chunks_mut(64);
        for ((present, value), out) in self.present.iter().zip(self.value).zip(&mut groups) {
            match (*present, out.as_chunks_mut::<8>()) {
                (0, _) => out.fill(-1),
                (u64::MAX, (eights, [])) => {
                    for (out, value) in eights.iter_mut().zip(value.to_be_bytes()) {
                        *out = BITS[usize::from(value)];
                    }
                }
                (present, (eights, rest)) => {
                    let bytes = present.to_be_bytes().into_iter().zip(value.to_be_bytes());
                    let mut bytes =
                        bytes.map(|(p, v)| (VACANT[usize::from(p)], BITS[usize::from(v)]));
                    for (out, (vacant, bits)) in eights.iter_mut().zip(&mut bytes) {
                        *out = std::array::from_fn(|i| vacant[i] | bits[i]);
                    }
                    let last = bytes.next().unwrap_or_default();
                    rest.iter_mut().enumerate().for_each(|(i, out)| *out = last.0[i] | last.1[i]);
                }
            }
        }
    }
}

impl TernaryMatrix {
    /// The cells as nPrint's -1, 0, 1, row by row.
    pub fn to_i8(&self) -> Vec<i8> {
        let mut out = vec![0; self.rows * self.columns()];
        for (row, out) in self.iter().zip(out.chunks_exact_mut(self.columns().max(1))) {
            row.write_i8(out);
        }
        out
    }

    /// The cells as nPrint's -1, 0, 1, `[rows, columns]`. Feature `ndarray`.
    ///
    /// # Example
    /// ```
    /// use nprint_codec::{Layout, TernaryMatrix, ipv4};
    /// let mut matrix = TernaryMatrix::vacant(Layout::reference(), 2);
    /// matrix.row_mut(1).set(ipv4::VERSION, 4);
    /// let array = matrix.to_array();
    /// assert_eq!(array.dim(), (2, 1088));
    /// assert_eq!(array.row(1).to_vec()[..5], [0, 1, 0, 0, -1]);
    /// ```
    #[cfg(feature = "ndarray")]
    pub fn to_array(&self) -> ndarray::Array2<i8> {
        ndarray::Array2::from_shape_vec((self.rows, self.columns()), self.to_i8())
            .expect("there is one cell for each row and column")
    }

    /// A matrix of cells -1, 0 and 1, row by row.
    ///
    /// # Errors
    /// [`Error::CellCount`] where they make no whole rows; [`Error::CellValue`] for another
    /// number, with its place.
    ///
    /// # Example
    /// ```
    /// use nprint_codec::{Header, Layout, TernaryMatrix};
    /// let layout = Layout::of_headers(&[Header::Udp]).into();
    /// let matrix = TernaryMatrix::from_i8(layout, &[-1; 3 * 64])?;
    /// assert_eq!(matrix.rows(), 3);
    /// assert_eq!(matrix.to_i8(), [-1; 3 * 64]);
    /// # Ok::<(), nprint_codec::Error>(())
    /// ```
    pub fn from_i8(layout: Arc<Layout>, cells: &[i8]) -> Result<Self> {
        let columns = layout.columns();
        let rows = cells.len().checked_div(columns).unwrap_or(0);
        if rows * columns != cells.len() {
            return Err(Error::CellCount { columns, found: cells.len() });
        }
        let mut matrix = Self::new(layout);
        matrix.reserve(rows);
        for cells in cells.chunks_exact(columns.max(1)) {
            matrix.push_cells(cells, i8::cast_unsigned)?;
        }
        Ok(matrix)
    }

    /// Appends a row of cells, each of them a byte of two's complement.
    pub(crate) fn push_cells<T: Copy>(
        &mut self,
        cells: &[T],
        byte: impl Fn(T) -> u8,
    ) -> Result<()> {
        let rows = self.rows + 1;
        let row = self.push_vacant();
        let planes = row.present.iter_mut().zip(row.value);
        for ((present, value), (word, cells)) in planes.zip(cells.chunks(64).enumerate()) {
            (*present, *value) = gather(cells, &byte).map_err(|at| Error::CellValue {
                row: rows,
                column: 64 * word + at + 1,
                found: byte(cells[at]).cast_signed(),
            })?;
        }
        Ok(())
    }
}

/// The two words of at most 64 cells, or which of them is no cell.
#[inline]
fn gather<T: Copy>(cells: &[T], byte: impl Fn(T) -> u8) -> Result<(u64, u64), usize> {
    let (mut present, mut value) = (0_u64, 0_u64);
    // Layouts are whole bytes, so no cell is left over.
    for (group, eight) in cells.as_chunks::<8>().0.iter().enumerate() {
        let word = u64::from_le_bytes(eight.map(&byte));
        let vacant = (word >> 7) & LOW_BITS;
        // Bits 1 to 7 are the sign; bit 0 is set under it.
        if (word ^ (vacant * 0xff)) & !LOW_BITS | vacant & !word != 0 {
            let wrong = eight.iter().position(|cell| !matches!(byte(*cell), 0 | 1 | 0xff));
            return Err(8 * group + wrong.unwrap_or(0));
        }
        let shift = 56 - 8 * group;
        present |= top_byte(!vacant & LOW_BITS) << shift;
        value |= top_byte(word & !vacant & LOW_BITS) << shift;
    }
    Ok((present, value))
}

const LOW_BITS: u64 = 0x0101_0101_0101_0101;

/// Bit 0 of each byte, the first byte's as the most significant of eight.
#[inline]
fn top_byte(low_bits: u64) -> u64 {
    // Bit 8i goes to 8i + 63 - 9j; all 64 sums differ, so nothing carries, and the top byte
    // holds those with i = j.
    low_bits.wrapping_mul(0x8040_2010_0804_0201) >> 56
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Header;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn cells_come_back(planes in prop::collection::vec(any::<(u64, u64)>(), 6 * 3)) {
            // 10 bytes of payload: the last word is not full.
            let layout = Layout::with_payload(&[Header::Ethernet, Header::Udp], 18).expect("small");
            let mut matrix = TernaryMatrix::new(Arc::new(layout));
            for planes in planes.chunks_exact(5) {
                let (present, value): (Vec<u64>, Vec<u64>) = planes.iter().copied().unzip();
                matrix.push_vacant().set_words(&present, &value);
                let vacant: Vec<u64> = vec![0; 5];
                matrix.push_vacant().set_words(&[u64::MAX; 5], &value);
                matrix.push_vacant().set_words(&vacant, &vacant);
            }
            let cells = matrix.to_i8();
            for (row, cells) in matrix.iter().zip(cells.chunks_exact(matrix.columns())) {
                for (column, cell) in cells.iter().enumerate() {
                    prop_assert_eq!(row.cell(column).to_i8(), *cell);
                }
            }
            let back = TernaryMatrix::from_i8(matrix.layout().clone(), &cells);
            prop_assert_eq!(back.expect("cells"), matrix);
        }

        #[test]
        fn other_numbers_are_refused(at in 0_usize..3 * 176, found in any::<i8>()) {
            let layout = Arc::new(Layout::of_headers(&[Header::Ethernet, Header::Udp]));
            let mut cells = vec![0; 3 * 176];
            cells[at] = found;
            let result = TernaryMatrix::from_i8(layout.clone(), &cells);
            prop_assert!(TernaryMatrix::from_i8(layout, &cells[1..]).is_err());
            if (-1..=1).contains(&found) {
                prop_assert_eq!(result.expect("cells").to_i8(), cells);
            } else {
                let message = result.expect_err("no cell").to_string();
                let (row, column) = (at.div_euclid(176) + 1, at.rem_euclid(176) + 1);
                prop_assert_eq!(
                    message,
                    format!("row {row}, column {column}: {found}, expected -1, 0 or 1")
                );
            }
        }
    }
}
