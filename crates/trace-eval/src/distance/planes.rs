//! Two bit planes of any width, borrowed from a matrix or built from cells.

use crate::{Error, Result};
use nprint_codec::TernaryMatrix;
use std::borrow::Cow;

/// The *present* and *value* planes of a ternary matrix of any number of columns.
///
/// # Layout
/// As [`TernaryMatrix`]: `words = ceil(columns / 64)` words a row, column `c` is bit
/// `63 - c % 64` of word `c / 64`, value is 0 where present is 0, bits past the width are 0.
///
/// # Example
/// ```
/// use trace_eval::distance::Planes;
/// let planes = Planes::from_cells(3, &[-1, 0, 1, 1, 1, -1])?;
/// assert_eq!((planes.rows(), planes.columns()), (2, 3));
/// # Ok::<(), trace_eval::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Planes<'a> {
    rows: usize,
    columns: usize,
    present: Cow<'a, [u64]>,
    value: Cow<'a, [u64]>,
}

impl<'a> Planes<'a> {
    /// The planes of `matrix`, without a copy.
    pub fn of(matrix: &'a TernaryMatrix) -> Self {
        Self {
            rows: matrix.rows(),
            columns: matrix.columns(),
            present: Cow::Borrowed(matrix.present_plane()),
            value: Cow::Borrowed(matrix.value_plane()),
        }
    }

    /// Packs cells -1, 0, 1, row by row.
    ///
    /// # Errors
    /// [`Error::RaggedCells`] where the cells do not fill whole rows, [`Error::NotTernary`] for
    /// any other value.
    pub fn from_cells(columns: usize, cells: &[i8]) -> Result<Self> {
        if columns == 0 || !cells.len().is_multiple_of(columns) {
            return Err(Error::RaggedCells { cells: cells.len(), columns });
        }
        let words = columns.div_ceil(64);
        let rows = cells.len().div_euclid(columns);
        let (mut present, mut value) = (vec![0_u64; rows * words], vec![0_u64; rows * words]);
        for (row, line) in cells.chunks_exact(columns).enumerate() {
            for (column, cell) in line.iter().enumerate() {
                let (word, bit) = (row * words + (column >> 6), 1_u64 << (63 - (column & 63)));
                match cell {
                    -1 => {}
                    0 => present[word] |= bit,
                    1 => {
                        present[word] |= bit;
                        value[word] |= bit;
                    }
                    other => return Err(Error::NotTernary { row, column, value: *other }),
                }
            }
        }
        Ok(Self { rows, columns, present: Cow::Owned(present), value: Cow::Owned(value) })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Words a row.
    pub fn words(&self) -> usize {
        self.columns.div_ceil(64)
    }

    /// The *present* plane.
    pub fn present(&self) -> &[u64] {
        &self.present
    }

    /// The *value* plane.
    pub fn value(&self) -> &[u64] {
        &self.value
    }

    /// Number of rows in which any cell is present.
    pub fn rows_with_cells(&self) -> usize {
        let words = self.words().max(1);
        self.present.chunks_exact(words).filter(|row| row.iter().any(|w| *w != 0)).count()
    }
}

impl<'a> From<&'a TernaryMatrix> for Planes<'a> {
    fn from(matrix: &'a TernaryMatrix) -> Self {
        Self::of(matrix)
    }
}
